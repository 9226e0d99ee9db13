# The disk fills up inside COMMIT of a transaction with several partitions: it
# fails as a whole, what was there before stays, and with space it goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $flag = "$dir/full";

system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/disk_full.so", "$FindBin::RealBin/lib/disk_full.c", '-ldl') == 0
  or plan skip_all => 'no C compiler for a disk that is full';

sub disk
{
	if ($_[0] eq 'full')
	{
		open my $file, '>', $flag or die $!;
		close $file;
	}
	else
	{
		unlink $flag or die $!;
	}
	return;
}

my $node = new_node('full', conf => "autovacuum = off\n");

sub start
{
	local $ENV{LD_PRELOAD} = "$dir/disk_full.so";
	local $ENV{DISK_FULL_FLAG} = $flag;
	$node->start;
	return;
}

start();
setup_load_database($node, q{
SELECT topic.create('t', 4);
SELECT topic.create('other', 3);
CREATE TABLE heap (id int);
SELECT topic.produce_batch('t', array_agg(payload('m-' || i, 300)), partition => p) FROM generate_series(1, 200) i, generate_series(0, 3) p GROUP BY p;
SELECT topic.produce('other', payload('o', 10), partition => 1);
});

# Enough for several extents of each partition.
my $much = q{SELECT topic.produce_batch('%s', array_agg(payload('%s-' || i, 1000)), partition => p)
	FROM generate_series(1, 2500) i, generate_series(0, 3) p GROUP BY p;};
my $t = contents($node, 't');
my $other = contents($node, 'other');

my @failing = (
	[ 'at COMMIT of a block', 'BEGIN; INSERT INTO heap VALUES (1);' . sprintf($much, 't', 'x') . 'COMMIT;' ],
	[ 'in one statement', sprintf($much, 't', 'x') ],
	[ 'small messages to many partitions', q{BEGIN; SELECT topic.produce('other', 'x', partition => p % 3), topic.produce('t', payload('x', 40), partition => p % 4) FROM generate_series(1, 20000) p; COMMIT;} ],
	[ 'in the call', q{SET pgtopic.append_at = 'call';} . sprintf($much, 't', 'x') ],
	[ 'at a spill', q{SET pgtopic.produce_buffer = '64kB'; BEGIN;} . sprintf($much, 't', 'x') . 'COMMIT;' ],
	[ 'INSERT', q{INSERT INTO t (partition, value) SELECT i % 4, repeat('x', 1000)::bytea FROM generate_series(1, 10000) i;} ],
	[ 'one large message', q{SELECT topic.produce('t', repeat('x', 1000000), partition => 2);} ],
	[ 'PREPARE TRANSACTION', 'BEGIN;' . sprintf($much, 't', 'x') . q{PREPARE TRANSACTION 'p';} ]);

for my $round (1, 2)
{
	disk('full');
	for my $case (@failing)
	{
		my ($name, $sql) = @$case;
		my $error = fails_with($node, $sql, '53100', "$round, $name: fails with disk full");

		like($error, qr/could not extend file/, "$round, $name: says why");
		is(contents($node, 't'), $t, "$round, $name: what was there is there");
		is(contents($node, 'other'), $other, "$round, $name: and in the other topic");
		verify_silent($node, 't', "$round, $name: topic.verify() is silent");
	}
	is($node->safe_psql('postgres', 'SELECT count(*) FROM heap'), 0, "$round: and the heap has nothing of it");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), 0, "$round: nothing is prepared");

	# a savepoint gets out of it, and what fits is committed
	$node->safe_psql('postgres', q{
\set ON_ERROR_STOP off
SET pgtopic.append_at = 'call';
BEGIN;
SAVEPOINT s;
} . sprintf($much, 't', 'x') . q{
ROLLBACK TO s;
SELECT topic.produce('other', payload('kept', 10), partition => 1);
COMMIT;});
	$other = contents($node, 'other');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM other WHERE convert_from(value, 'UTF8') LIKE 'kept %'}), $round, "$round: what fits is kept");
	is(contents($node, 't'), $t, "$round: what did not is not there");

	if ($round == 2)
	{
		$node->stop('immediate');
		start();
		is(contents($node, 't'), $t, 'crash on the full disk: all is there');
		verify_silent($node, 't', 'crash on the full disk: topic.verify() is silent');
	}
	disk('empty');
	$node->safe_psql('postgres', sprintf($much, 't', "m$round"));
	is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE NOT is_payload(convert_from(value, 'UTF8'))) FROM t}),
		(800 + $round * 10000) . '|0', "$round: with space it goes on");
	$t = contents($node, 't');
	verify_silent($node, 't', "$round: topic.verify('t') with space");
	verify_silent($node, 'other', "$round: topic.verify('other') with space");
}

# What is deleted makes room on a disk that stays full: for the same partition,
# and for others.
disk('full');
fails_with($node, sprintf($much, 't', 'x'), '53100', 'no room');
is($node->safe_psql('postgres', q{SELECT count(topic.delete_records('t', p, -1)) FROM generate_series(0, 2) p}), 3, 'three of four partitions are deleted');
$node->safe_psql('postgres', q{SELECT topic.produce_batch('t', array_agg(payload('again-' || i, 1000)), partition => p)
	FROM generate_series(1, 1500) i, generate_series(0, 3) p GROUP BY p});
is($node->safe_psql('postgres', q{SELECT partition, count(*) FILTER (WHERE v LIKE 'again-%' AND is_payload(v)) FROM t, convert_from(value, 'UTF8') v WHERE v NOT LIKE 'm%' GROUP BY 1 ORDER BY 1}),
	"0|1500\n1|1500\n2|1500\n3|1500", 'messages take their place');
$node->safe_psql('postgres', 'VACUUM t');
verify_silent($node, 't', 'VACUUM and topic.verify() on the full disk');
disk('empty');
$t = contents($node, 't');

# creating and rewriting
disk('full');
fails_with($node, q{SELECT topic.create('n', 1000)}, '53100', 'topic.create() on a full disk');
fails_with($node, 'VACUUM FULL t', '53100', 'VACUUM FULL on a full disk');
fails_with($node, 'TRUNCATE t', '53100', 'TRUNCATE on a full disk');
is(contents($node, 't'), $t, 'which change nothing');
disk('empty');
$node->safe_psql('postgres', 'VACUUM FULL t');
is(contents($node, 't'), $t, 'VACUUM FULL with space');
verify_silent($node, 't', 'and topic.verify() after it');

$node->stop('immediate');
start();
is(contents($node, 't'), $t, 'and after a crash');
verify_silent($node, 't', 'topic.verify() after the last crash');
$node->stop;
log_is_clean($node);
done_testing();
