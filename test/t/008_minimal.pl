# wal_level = minimal: a relation that is created or rewritten in a transaction is
# not WAL-logged but synced at COMMIT.  After a crash everything that was
# committed is there, nothing that was not, and the server starts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('minimal', conf => "wal_level = minimal\nmax_wal_senders = 0\n");
$node->start;
setup_load_database($node, '');
is($node->safe_psql('postgres', 'SHOW wal_level'), 'minimal', 'wal_level');
mkdir "$dir/space" or die $!;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$dir/space'");

my $many = sub {
	my ($topic, $prefix, $count, $size) = @_;
	return "SELECT topic.produce_batch('$topic', array_agg(payload('$prefix-' || i, $size)), partition => i % 2) FROM generate_series(1, $count) i GROUP BY i % 2;\n";
};

# name => [ SQL, { topic => number of messages, or undef for no such topic } ].
# wal_skip_threshold decides whether COMMIT syncs the file or logs its pages.
my @cases;
for my $threshold ('0', '2MB', '2GB')
{
	my $x = { 0 => 'a', '2MB' => 'b', '2GB' => 'c' }->{$threshold};
	my $set = "SET wal_skip_threshold = '$threshold';\n";

	push @cases,
	  [ 'create, produce, roll back',
		$set . "BEGIN; SELECT topic.create('${x}1', 2);" . $many->("${x}1", 'x', 500, 1000) . 'ROLLBACK',
		{ "${x}1" => undef } ],
	  [ 'create, append, roll back',
		$set . "SET pgtopic.append_at = 'call'; BEGIN; SELECT topic.create('${x}2', 2);" . $many->("${x}2", 'x', 500, 1000) . 'ROLLBACK',
		{ "${x}2" => undef } ],
	  [ 'create, produce, commit',
		$set . "BEGIN; SELECT topic.create('${x}3', 2);" . $many->("${x}3", 'm', 500, 1000) . 'COMMIT',
		{ "${x}3" => 500 } ],
	  [ 'create, append, commit, produce',
		$set . "BEGIN; SELECT topic.create('${x}4', 2); SET LOCAL pgtopic.append_at = 'call';" . $many->("${x}4", 'm', 500, 1000) . 'COMMIT;' . $many->("${x}4", 'n', 300, 100),
		{ "${x}4" => 800 } ],
	  [ 'much more than the buffer',
		$set . "BEGIN; SELECT topic.create('${x}5', 2); SET LOCAL pgtopic.produce_buffer = '64kB';" . $many->("${x}5", 'm', 5000, 1000) . 'COMMIT;' . $many->("${x}5", 'n', 2, 100000),
		{ "${x}5" => 5002 } ],
	  [ 'create and append in savepoints',
		$set . "BEGIN; SELECT topic.create('${x}6', 2); SET LOCAL pgtopic.produce_buffer = '64kB';" . $many->("${x}6", 'm', 200, 1000)
		  . 'SAVEPOINT s;' . $many->("${x}6", 'x', 200, 1000) . 'ROLLBACK TO s;' . $many->("${x}6", 'n', 200, 1000) . 'COMMIT',
		{ "${x}6" => 400 } ],
	  [ 'create in a savepoint that is rolled back',
		$set . "BEGIN; SAVEPOINT s; SELECT topic.create('${x}7', 2); SET LOCAL pgtopic.append_at = 'call';" . $many->("${x}7", 'x', 200, 1000)
		  . "ROLLBACK TO s; SELECT topic.create('${x}8', 2);" . $many->("${x}8", 'n', 200, 1000) . 'COMMIT',
		{ "${x}7" => undef, "${x}8" => 200 } ],
	  [ 'TRUNCATE and produce, commit',
		$set . "SELECT topic.create('${x}9', 2);" . $many->("${x}9", 'x', 400, 1000) . "CHECKPOINT; BEGIN; TRUNCATE ${x}9;" . $many->("${x}9", 'm', 300, 1000) . 'COMMIT',
		{ "${x}9" => 300 } ],
	  [ 'TRUNCATE and append, roll back',
		$set . "SELECT topic.create('${x}10', 2);" . $many->("${x}10", 'm', 400, 1000)
		  . "BEGIN; TRUNCATE ${x}10; SET LOCAL pgtopic.append_at = 'call';" . $many->("${x}10", 'x', 300, 1000) . 'ROLLBACK',
		{ "${x}10" => 400 } ],
	  [ 'create and TRUNCATE',
		$set . "BEGIN; SELECT topic.create('${x}11', 2); SET LOCAL pgtopic.append_at = 'call';" . $many->("${x}11", 'x', 400, 1000)
		  . "TRUNCATE ${x}11;" . $many->("${x}11", 'm', 100, 1000) . 'COMMIT',
		{ "${x}11" => 100 } ],
	  [ 'VACUUM FULL',
		$set . "SELECT topic.create('${x}12', 2);" . $many->("${x}12", 'm', 400, 1000) . "VACUUM FULL ${x}12;" . $many->("${x}12", 'n', 10, 1000),
		{ "${x}12" => 410 } ],
	  [ 'SET TABLESPACE and produce, commit',
		$set . "SELECT topic.create('${x}13', 2);" . $many->("${x}13", 'm', 400, 1000)
		  . "BEGIN; ALTER TABLE ${x}13 SET TABLESPACE space;" . $many->("${x}13", 'n', 100, 1000) . 'COMMIT',
		{ "${x}13" => 500 } ],
	  [ 'prepared',
		$set . "BEGIN; SELECT topic.create('${x}14', 2); SET LOCAL pgtopic.append_at = 'call';" . $many->("${x}14", 'm', 400, 1000) . "PREPARE TRANSACTION '${x}14'",
		{ "${x}14" => 400 } ],
	  [ 'create and COPY',
		$set . "BEGIN; SELECT topic.create('${x}15', 1); COPY ${x}15 (value) FROM PROGRAM 'seq 1000 1999'; COMMIT",
		{ "${x}15" => 1000 } ];
}

sub look
{
	my ($name, $topic, $count) = @_;
	my $there = $node->safe_psql('postgres', "SELECT to_regclass('$topic') IS NOT NULL");

	if (!defined $count)
	{
		is($there, 'f', "$name: $topic does not exist");
		return;
	}
	is($there, 't', "$name: $topic exists");
	is($node->safe_psql('postgres', qq{
SELECT count(*), count(DISTINCT value), count(*) FILTER (WHERE v LIKE 'x-%' OR v LIKE '% %' AND NOT is_payload(v))
FROM $topic, convert_from(value, 'UTF8') v}),
		"$count|$count|0", "$name: $topic has its messages");
	verify_silent($node, $topic, "$name: topic.verify('$topic') is silent");
	return;
}

# One crash behind each kind, and a last one when all is there.
for my $kind (0 .. @cases / 3 - 1)
{
	my @now = map { $cases[ $kind + $_ * @cases / 3 ] } 0 .. 2;

	$node->safe_psql('postgres', $_->[1]) for @now;
	$node->stop('immediate');
	$node->start;
	$node->safe_psql('postgres', "COMMIT PREPARED '$_'")
	  for split /\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
	for my $case (@now)
	{
		look($case->[0], $_, $case->[2]{$_}) for sort keys %{ $case->[2] };
	}
}

# an open transaction dies with the server
my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT topic.create('open', 2); SET LOCAL pgtopic.append_at = 'call';} . $many->('open', 'x', 3000, 1000) . 'CHECKPOINT;');
$node->stop('immediate');
$open->{run}->finish;
$node->start;
look('open when the server crashed', 'open', undef);

# all of them go on, and crash once more
my %count = map { %{ $_->[2] } } @cases;
$node->safe_psql('postgres', join ';', map { "SELECT topic.produce('$_', payload('z', 100), partition => 0)" } grep { defined $count{$_} } keys %count);
$node->stop('immediate');
$node->start;
look('after the last crash', $_, defined $count{$_} ? $count{$_} + 1 : undef) for sort keys %count;

$node->stop;
log_is_clean($node);
done_testing();
