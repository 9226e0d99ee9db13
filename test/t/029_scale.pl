# Many partitions and many topics: ten times as many cost about ten times as much.
# Counted in buffers, WAL and memory, which do not depend on the machine.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('scale', conf => q{
autovacuum = off
fsync = off
full_page_writes = off
shared_buffers = 256MB
});
$node->start;
setup_load_database($node, q{
CREATE FUNCTION wal() RETURNS pg_lsn LANGUAGE sql VOLATILE AS 'SELECT pg_current_wal_insert_lsn()';
});
my $has_walinspect = $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_walinspect'});
$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect') if $has_walinspect;

my $session;
my $backend;

sub connect_session
{
	$session = $node->background_psql('postgres');
	$session->query_safe('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;');
	$backend = $session->query_safe('SET max_parallel_workers_per_gather = 0; SELECT pg_backend_pid()');
	return;
}

# Memory of the session's backend but what it shares, kB.
sub memory
{
	return 0 unless -r "/proc/$backend/status";
	my ($kb) = slurp_file("/proc/$backend/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return $kb // 0;
}

# Buffers that the session looks at for a query.
sub buffers
{
	my ($sql) = @_;
	my $plan = $session->query_safe("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, COSTS OFF) $sql");
	my $sum = 0;

	# the first line has all of the nodes below it
	if ($plan =~ /^\s+Buffers: (.*)$/m)
	{
		my $line = $1;
		$sum += $1 while $line =~ /(?:hit|read)=(\d+)/g;
	}
	return $sum;
}

# Bytes of WAL that a statement writes, its COMMIT included.
sub wal_of
{
	my ($sql) = @_;
	my $from = $node->safe_psql('postgres', 'SELECT wal()');

	$session->query_safe($sql);
	return $node->safe_psql('postgres', "SELECT wal() - '$from'");
}

my %cost;

# linear(what, count, cost): not much more than ten times what a tenth costs.  A quadratic
# step would be a hundred times; trees, hash tables and split pages may be a little.
sub linear
{
	my ($what, $count, $cost) = @_;
	my $before = $cost{$what}{ $count / 10 };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$cost{$what}{$count} = $cost;
	note "$what, $count: $cost";
	cmp_ok($cost, '<=', 13 * $before + 200, "$what: $count cost not much more than ten times a tenth") if defined $before;
	return;
}

# One topic of that many partitions.
sub many_partitions
{
	my ($count) = @_;
	my $t = "p$count";
	my $produce = "SELECT count(topic.produce('$t', repeat('x', 100), partition => p)) FROM generate_series(0, $count - 1) p";

	linear('create, WAL', $count, wal_of("SELECT topic.create('$t', $count)"));
	linear('produce, WAL', $count, wal_of($produce));
	is($session->query_safe("SELECT count(*), count(DISTINCT partition) FROM $t"), "$count|$count", "$count partitions: a message in each");

	# a page for each partition that has a message, no more than a page for 50 that have none
	linear('disk', $count, $session->query_safe("SELECT pg_relation_size('$t') / 8192"));
	linear('list_offsets, buffers', $count, buffers("SELECT count(*) FROM topic.list_offsets('$t')"));
	linear('count(*), buffers', $count, buffers("SELECT count(*) FROM $t"));

	# processes of a parallel scan are anywhere in the topic, and late
	my $many = join ' UNION ALL ', ("SELECT count(*) FROM $t HAVING count(*) <> $count") x 10;
	is($session->query_safe("SET max_parallel_workers_per_gather = 4; $many"), '', "$count partitions: read by several processes");
	$session->query_safe('SET max_parallel_workers_per_gather = 0');

	linear('verify, buffers', $count, buffers("SELECT count(*) FROM topic.verify('$t')"));
	linear('topic.partitions, buffers', $count, buffers("SELECT count(*) FROM topic.partitions WHERE topic = 'public.$t'"));
	linear('fetch of one, buffers', $count, 10 * buffers("SELECT count(*) FROM topic.fetch('$t', $count - 1, 0)"));
	cmp_ok($cost{'fetch of one, buffers'}{$count} / 10, '<', 100, "$count partitions: fetch looks at its own");

	# one member has them all
	$session->query_safe("SELECT topic.subscribe('g', ARRAY['$t'])");
	for my $round (1, 2)
	{
		is($session->query_safe("SELECT count(*), count(DISTINCT partition) FROM topic.consume('g', $count + 1)"),
			"$count|$count", "$count partitions: consumed, $round");
		linear("commit $round, WAL", $count, wal_of("SELECT count(*) FROM topic.commit('g')"));
		linear("lag $round, buffers", $count, buffers("SELECT sum(lag) FROM topic.lag WHERE topic = 'public.$t'"));
		$session->query_safe($produce) if $round == 1;
	}
	is($session->query_safe("SELECT count(*), sum(lag) FROM topic.lag WHERE group_id = 'g' AND topic = 'public.$t'"), "$count|0", "$count partitions: nothing is left");
	$session->query_safe("SELECT topic.unsubscribe('g')");

	# freezing: a record for each page of the directory
	my $from = $node->safe_psql('postgres', 'SELECT wal()');
	linear('VACUUM, WAL', $count, wal_of("VACUUM $t"));
	$session->query_safe(q{SELECT pg_logical_emit_message(true, 'flush', '')});
	is($node->safe_psql('postgres', qq{
SELECT count(*), count(DISTINCT block_ref) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'pgtopic' AND record_type = 'FREEZE'}), join('|', ($count / 50) x 2), "$count partitions: a FREEZE record for 50") if $has_walinspect;
	linear('VACUUM again, WAL', $count, wal_of("VACUUM $t"));
	return;
}

connect_session();
many_partitions(1000);
my $memory = memory();
many_partitions(10000);
note sprintf 'memory of the backend: %d kB, with ten times as many partitions %d kB', $memory, memory();
cmp_ok(memory() - $memory, '<', 40 * 1024, 'memory of the backend');
verify_silent($node, 'p10000');
$session->quit;
$node->restart;
connect_session();
is($session->query_safe(q{SELECT count(*), count(DISTINCT partition) FROM p10000}), '20000|10000', 'after a restart all is there');
is($session->query_safe(q{SELECT count(*), sum(lag) FROM topic.lag WHERE topic = 'public.p10000'}), '10000|0', 'and what was consumed');
cmp_ok(memory(), '<', 40 * 1024, 'with little memory');

# DROP finds a topic's committed offsets among those of all others
$session->query_safe(q{SELECT topic.create('few'); SELECT topic.produce('few', 'x'); SELECT topic.commit('h', 'few', 0, 1);});
cmp_ok(buffers(q{SELECT topic.drop('few')}), '<', 500, 'dropping a topic does not read what others have committed');

# Many topics.
sub many_topics
{
	my ($count) = @_;
	my $all = "generate_series(1, $count) i";

	linear('create topics, buffers', $count, buffers("SELECT count(topic.create('t${count}_' || i)) FROM $all"));
	linear('produce to topics, WAL', $count, wal_of("SELECT count(topic.produce('t${count}_' || i, 'x')) FROM $all"));
	$session->query_safe("SELECT topic.subscribe('many$count', pattern => '^t${count}_')");
	is($session->query_safe("SELECT count(DISTINCT topic) FROM topic.consume('many$count')"), $count, "$count topics: consumed");
	linear('commit topics, WAL', $count, wal_of("SELECT count(*) FROM topic.commit('many$count')"));
	linear('topic.topics, buffers', $count, buffers("SELECT count(*) FROM topic.topics"));
	linear('VACUUM topics, WAL', $count, wal_of('VACUUM ' . join(', ', map { "t${count}_$_" } 1 .. $count)));
	$session->query_safe("SELECT topic.unsubscribe('many$count')");
	return;
}

many_topics(20);
many_topics(200);
for my $count (20, 200)
{
	linear('drop topics, buffers', $count, buffers("SELECT count(topic.drop('t${count}_' || i)) FROM generate_series(1, $count) i"));
}
cmp_ok(memory(), '<', 40 * 1024, 'and little memory again');

# Who follows many partitions beside an old transaction does not read again what
# has come since that one began
$session->query_safe(q{SELECT topic.create('followed', 200)});
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN; SELECT pg_current_xact_id();');
for my $round (1 .. 3)
{
	$session->query_safe(q{SELECT count(topic.produce('followed', repeat('x', 1000), partition => p)) FROM generate_series(0, 199) p, generate_series(1, 40)});
	$cost{follow}{$round} = buffers(q{SELECT count(*) FROM topic.list_offsets('followed')});
	note "looking at 200 partitions, $round: $cost{follow}{$round} buffers";
}
cmp_ok($cost{follow}{3}, '<', 1.2 * $cost{follow}{2}, 'a look at partitions costs the same, however long a transaction is open');
$old->query_safe('COMMIT');
$old->quit;

# VACUUM of megabytes: a few records, and nothing of the messages
$session->query_safe(q{SELECT topic.create('bytes'); SELECT count(topic.produce_batch_bytes('bytes', array_fill('\x61'::bytea || decode(repeat('62', 999), 'hex'), ARRAY[1000]))) FROM generate_series(1, 20);});
cmp_ok($session->query_safe(q{SELECT pg_relation_size('bytes')}), '>', 20_000_000, '20 MB');
my $wal = wal_of('VACUUM FREEZE bytes');
note "VACUUM of 20 MB: $wal bytes of WAL";
cmp_ok($wal, '<', 2048, 'VACUUM of 20 MB writes tiny WAL');
cmp_ok($session->query_safe(q{SELECT age(relfrozenxid) FROM pg_class WHERE oid = 'bytes'::regclass}), '<', 10, 'and all is frozen');

$session->quit;
$node->stop;
log_is_clean($node);
done_testing();
