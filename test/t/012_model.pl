# A randomised model test: 8 clients write the same into a topic and into a heap
# table, in all ways there are, with aborts and savepoints.  In every snapshot,
# and at the end, the two must be equal: what there is, and in which order each
# client's messages are in each partition.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $seed = seed();
my $clients = 8;
my $transactions = $ENV{PGTOPIC_TEST_TRANSACTIONS} // 700;
my $partitions = 5;

my $node = new_node('model', conf => "synchronous_commit = off\nmax_wal_size = 128MB\nautovacuum = off\n");
$node->start;
setup_load_database($node, qq{
SELECT topic.create('t', $partitions, max_message_bytes => 2000000);
SELECT topic.create('probe', $partitions);
CREATE TABLE model (client int, seq bigint, partition int, key bytea, value bytea, headers topic.header[]);

-- where a key goes, learned from a topic with as many partitions
CREATE TABLE key_partition AS
	SELECT convert_to(k, 'UTF8') AS key, r.partition
	FROM generate_series(1, $clients) c, generate_series(0, 5) n, LATERAL (VALUES ('c' || c || '-' || n)) AS v (k),
		LATERAL topic.produce('probe', 'x', k) r;
CREATE UNIQUE INDEX ON key_partition (key);

-- who wrote a message: its header c says it, or else its key
CREATE FUNCTION client(key bytea, headers topic.header[]) RETURNS int LANGUAGE sql IMMUTABLE AS \$\$
	SELECT coalesce((SELECT convert_from(h.value, 'UTF8')::int FROM unnest(headers) h WHERE h.key = 'c'),
		substring(convert_from(key, 'UTF8') FROM '^c([0-9]+)-')::int)
\$\$;
CREATE FUNCTION is_mine(headers topic.header[], c int) RETURNS topic.header[] LANGUAGE sql IMMUTABLE AS \$\$
	SELECT ARRAY[('c', convert_to(c::text, 'UTF8'))]::topic.header[]
\$\$;
CREATE FUNCTION bytes(seed text, size int) RETURNS bytea LANGUAGE sql IMMUTABLE AS \$\$
	SELECT CASE WHEN size >= 0 THEN convert_to(rpad('', size, md5(seed)), 'UTF8') END
\$\$;

-- both sides in one form
CREATE VIEW of_topic AS
	SELECT client(key, headers) AS client, partition,
		count(*), md5(string_agg(concat_ws(',', coalesce(md5(key), 'null'), coalesce(md5(value), 'null'), coalesce(headers::text, 'null')), ';' ORDER BY log_offset)) AS contents
	FROM t GROUP BY 1, 2;
CREATE VIEW of_model AS
	SELECT client, partition,
		count(*), md5(string_agg(concat_ws(',', coalesce(md5(key), 'null'), coalesce(md5(value), 'null'), coalesce(headers::text, 'null')), ';' ORDER BY seq)) AS contents
	FROM model GROUP BY 1, 2;
CREATE VIEW difference AS
	SELECT client, partition, a.count AS topic, b.count AS heap
	FROM of_topic a FULL JOIN of_model b USING (client, partition)
	WHERE a.contents IS DISTINCT FROM b.contents;
});

# A client's script.  Every function below returns the SQL of one step.
my ($client, $seq);

sub key { return rand() < 0.25 ? 'NULL' : sprintf("'c%d-%d'", $client, rand 6) }

sub partition { return rand() < 0.3 ? int(rand($partitions)) : 'NULL' }

sub size
{
	my $kind = rand();

	return -1 if $kind < 0.05;
	return 0 if $kind < 0.1;
	return int(rand(300)) if $kind < 0.8;
	return int(rand(9000)) if $kind < 0.985;
	return int(rand(1024 * 1024));
}

my @steps = (
	# one message, headers always
	sub {
		my ($key, $partition, $size) = (key(), partition(), size());

		$seq++;
		return "INSERT INTO model SELECT $client, $seq, r.partition, d.key, d.value, d.headers"
		  . " FROM (SELECT convert_to($key, 'UTF8'), bytes('$client-$seq', $size), is_mine(NULL, $client)) AS d (key, value, headers),"
		  . " LATERAL topic.produce_record('t', d.value, d.key, d.headers, $partition) r;\n";
	},
	sub {
		my ($key, $partition, $size) = (key(), partition(), size());

		$seq++;
		return "INSERT INTO model SELECT $client, $seq, r.partition, convert_to($key, 'UTF8'), bytes('$client-$seq', $size), is_mine(NULL, $client)"
		  . " FROM topic.produce('t', convert_from(bytes('$client-$seq', $size), 'UTF8'), $key, '{\"c\": \"$client\"}', $partition) r;\n";
	},

	# batches: an explicit partition, or keys
	sub {
		my ($count, $size) = (1 + int(rand(40)), size() % 3000);
		my $partition = int(rand($partitions));
		my $first = $seq + 1;

		$seq += $count;
		return "SELECT topic.produce_batch_bytes('t', array_agg(bytes('$client-' || i, $size) ORDER BY i), array_agg(convert_to('c$client-' || i % 6, 'UTF8') ORDER BY i), $partition)"
		  . " FROM generate_series($first, $seq) i;\n"
		  . "INSERT INTO model SELECT $client, i, $partition, convert_to('c$client-' || i % 6, 'UTF8'), bytes('$client-' || i, $size), NULL"
		  . " FROM generate_series($first, $seq) i;\n";
	},
	sub {
		my ($count, $size) = (1 + int(rand(40)), size() % 3000);
		my $first = $seq + 1;

		$seq += $count;
		return "SELECT topic.produce_batch('t', array_agg(convert_from(bytes('$client-' || i, $size), 'UTF8') ORDER BY i), array_agg('c$client-' || i % 6 ORDER BY i))"
		  . " FROM generate_series($first, $seq) i;\n"
		  . "INSERT INTO model SELECT $client, i, p.partition, p.key, bytes('$client-' || i, $size), NULL"
		  . " FROM generate_series($first, $seq) i JOIN key_partition p ON p.key = convert_to('c$client-' || i % 6, 'UTF8');\n";
	},

	# INSERT ... RETURNING, COPY
	sub {
		my ($count, $size, $key, $partition) = (1 + int(rand(40)), size() % 3000, key(), partition());
		my $before = $seq;

		$seq += $count;
		return "WITH i AS (INSERT INTO t (partition, key, value, headers) SELECT $partition, convert_to($key, 'UTF8'), bytes('$client-' || i, $size), is_mine(NULL, $client)"
		  . " FROM generate_series($before + 1, $seq) i RETURNING partition, key, value, headers)"
		  . " INSERT INTO model SELECT $client, $before + row_number() OVER (), * FROM i;\n";
	},
	sub {
		my $partition = int(rand($partitions));
		my ($copy, $values) = ('', '');

		for (1 .. 1 + int(rand(5)))
		{
			my $hex = unpack 'H*', join '', map { chr(rand 256) } 1 .. rand 100;
			my $key = unpack 'H*', sprintf('c%d-%d', $client, rand 6);

			$seq++;
			$copy .= "$partition\t\\\\x$key\t\\\\x$hex\n";
			$values .= ($values ? ', ' : '') . "($client, $seq, $partition, '\\x$key'::bytea, '\\x$hex'::bytea, NULL)";
		}
		return "COPY t (partition, key, value) FROM stdin;\n$copy\\.\nINSERT INTO model VALUES $values;\n";
	});

sub step { return $steps[ rand @steps ]->() }

sub setting
{
	return ("SET LOCAL pgtopic.append_at = 'call';\n", "SET LOCAL pgtopic.append_at = 'commit';\n",
		"SET LOCAL pgtopic.produce_buffer = '64kB';\n")[ rand 3 ];
}

# What a transaction sees itself
sub look
{
	return "SELECT 'client $client sees ' || d::text FROM difference d;\n";
}

sub transaction
{
	my $sql = '';
	my $depth = 0;

	return "BEGIN;\n" . step() . "COMMIT;\n" if rand() < 0.3;
	$sql .= setting() if rand() < 0.5;
	for (1 .. 1 + int(rand(8)))
	{
		my $what = rand();

		if ($what < 0.15)
		{
			$depth++;
			$sql .= "SAVEPOINT s$depth;\n";
		}
		elsif ($what < 0.25 && $depth > 0)
		{
			my $to = 1 + int(rand($depth));

			$sql .= "ROLLBACK TO s$to;\n";
			$depth = $to;
		}
		elsif ($what < 0.3 && $depth > 0)
		{
			my $to = 1 + int(rand($depth));

			$sql .= "RELEASE s$to;\n";
			$depth = $to - 1;
		}
		elsif ($what < 0.4)
		{
			$sql .= setting();
		}
		else
		{
			$sql .= step();
		}
	}
	$sql .= look() if rand() < 0.02;
	return "BEGIN;\n$sql" . (rand() < 0.2 ? "ROLLBACK;\n" : "COMMIT;\n");
}

my $dir = PostgreSQL::Test::Utils::tempdir();
my @running;

for my $number (1 .. $clients)
{
	$client = $number;
	open my $script, '>', "$dir/$client.sql" or die $!;
	$seq = 0;
	print $script "\\o /dev/null\nSET client_min_messages = error;\n";
	for (1 .. $transactions)
	{
		# the output of look() is to be seen
		print $script transaction() =~ s/^(SELECT 'client .*\n)/\\o\n$1\\o \/dev\/null\n/mr;
	}
	close $script or die $!;
}
for my $number (1 .. $clients)
{
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', "$dir/$number.out" or die;
		open STDERR, '>', "$dir/$number.err" or die;
		exec 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$number.sql",
		  '-d', $node->connstr('postgres') . ' application_name=client'
		  or die "exec: $!";
	}
	push @running, $pid;
}

# Meanwhile: one snapshot never sees a difference, whatever VACUUM does, and
# whatever the compression is
my ($looks, $seen) = (0, '');
do
{
	$seen .= $node->safe_psql('postgres', ('VACUUM t;', 'VACUUM FREEZE t;', '')[ rand 3 ]
		  . 'DO $$ BEGIN PERFORM topic.alter(\'t\', compression => \'' . ('none', 'lz4', 'zstd')[ rand 3 ] . '\'); END $$;'
		  . 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM difference; SELECT * FROM difference; COMMIT;');
	$looks++;
	pause(0.1, 0.5);
} while $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'client'") > 0;
waitpid $_, 0 for @running;
is($seen, '', "no difference in any of $looks snapshots under way");
cmp_ok($looks, '>', 2, 'and there were some');

for my $number (1 .. $clients)
{
	is(slurp_file("$dir/$number.err"), '', "client $number had no error");
	is(slurp_file("$dir/$number.out"), '', "client $number saw no difference in its own transactions");
}

sub equal
{
	my ($name) = @_;

	is($node->safe_psql('postgres', 'SELECT * FROM difference'), '', "$name: topic and heap are equal, in the order of each client and partition");
	is($node->safe_psql('postgres', q{
SELECT count(*) FROM (
	(SELECT partition, key, value, headers FROM t EXCEPT ALL SELECT partition, key, value, headers FROM model)
	UNION ALL
	(SELECT partition, key, value, headers FROM model EXCEPT ALL SELECT partition, key, value, headers FROM t)) d}),
		0, "$name: and as sets");
	is($node->safe_psql('postgres', qq{
SELECT count(*) FROM (
	(SELECT partition, log_offset, key, value, headers FROM t
	 EXCEPT ALL
	 SELECT f.partition, f.log_offset, f.key, f.value, f.headers FROM generate_series(0, $partitions - 1) p, topic.fetch('t', p, 0, 10000000, max_bytes => 2000000000) f)
	UNION ALL
	(SELECT f.partition, f.log_offset, f.key, f.value, f.headers FROM generate_series(0, $partitions - 1) p, topic.fetch('t', p, 0, 10000000, max_bytes => 2000000000) f
	 EXCEPT ALL
	 SELECT partition, log_offset, key, value, headers FROM t)) d}),
		0, "$name: fetch gives what SELECT gives");
	verify_silent($node, 't', "$name: topic.verify() is silent");
	return;
}

equal('at the end');
note $node->safe_psql('postgres', q{SELECT count(*) || ' messages, ' || sum(length(value)) || ' bytes, largest ' || max(length(value)) FROM t});
$node->stop('immediate');
$node->start;
equal('after a crash');
$node->safe_psql('postgres', 'VACUUM FULL t');
equal('after VACUUM FULL');

$node->stop;
log_is_clean($node);
diag "seed was $seed" unless Test::More->builder->is_passing;
done_testing();
