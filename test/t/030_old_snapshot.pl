# While somebody holds an old snapshot, and vacuum can take nothing away, a
# transaction that produces, consumes and commits touches as many buffers after
# tens of thousands of others as before, and nothing but the topic grows.  Nor
# does vacuum read all again that it cannot resolve.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('main');
$node->append_conf('postgresql.conf', "autovacuum = off\nsynchronous_commit = off\nfsync = off");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t', retention => NULL);
CREATE PROCEDURE work(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	got bigint;
BEGIN
	FOR i IN 1 .. rounds LOOP
		PERFORM topic.produce_batch('t', ARRAY['a', 'b', 'c']);
		COMMIT;
		SELECT count(*) INTO got FROM topic.consume('g');
		ASSERT got = 3;
		PERFORM topic.commit('g');
		COMMIT;
	END LOOP;
END $$;
CREATE FUNCTION fetched() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(pg_stat_get_blocks_fetched(oid))::bigint FROM pg_class
	WHERE relkind IN ('r', 'i', 't') AND relname NOT LIKE 'pg\_%' $$;
});

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$holder->query_safe('SELECT count(*) FROM t');

my $worker = $node->background_psql('postgres');
$worker->query_safe("SELECT topic.subscribe('g', ARRAY['t'])");

# the statistics of a session are there when it has told them
sub told
{
	my ($sql) = @_;

	$worker->query_safe('SELECT pg_stat_force_next_flush()');
	$worker->query_safe('SELECT 1');
	return $node->safe_psql('postgres', $sql);
}

sub buffers_of
{
	my ($sql) = @_;
	my $before = told('SELECT fetched()');

	$worker->query_safe($sql);
	return told('SELECT fetched()') - $before;
}

my $sizes = q{SELECT string_agg(relname || ' ' || pg_relation_size(oid), ', ' ORDER BY relname) FROM pg_class
	WHERE relnamespace = 'topic'::regnamespace AND relkind IN ('r', 'i')};

# the first extents of a partition are found in one buffer less than later ones
$worker->query_safe('CALL work(5000)');
my $size = $node->safe_psql('postgres', $sizes);
my $early = buffers_of('CALL work(100)');

$worker->query_safe('CALL work(30000)');
my $late = buffers_of('CALL work(100)');

cmp_ok($early, '>', 500, 'what 100 rounds touch is counted');
cmp_ok($late, '<=', $early * 1.01, "it does not grow ($early -> $late)");
is($node->safe_psql('postgres', $sizes), $size, 'no table of the extension has grown');

# vacuum, with 24 MB that it cannot resolve, and with 24 MB more
my $grow = q{INSERT INTO t (value) SELECT convert_to(repeat('x', 1000), 'UTF8') FROM generate_series(1, 24000)};

$worker->query_safe($grow);
$worker->query_safe('VACUUM t');
$early = buffers_of('VACUUM t');
$worker->query_safe($grow);
$late = buffers_of('VACUUM t');
cmp_ok($early, '>', 100, 'what VACUUM touches is counted');
cmp_ok($late, '<=', $early * 1.02, "VACUUM does not read all again ($early -> $late)");

# but it does where relfrozenxid has to go forward
my $frozen = q{SELECT relfrozenxid::text::bigint FROM pg_class WHERE relname = 't'};
my $before = $node->safe_psql('postgres', $frozen);
cmp_ok(buffers_of('VACUUM (FREEZE) t'), '>', $late + 4000, 'VACUUM FREEZE does');
cmp_ok($node->safe_psql('postgres', $frozen), '>=', $before, 'and knows the oldest transaction');

is($holder->query_safe('SELECT count(*) FROM t'), '0', 'the snapshot is still held');
# not by leaving: a backend outlives its psql by a moment
$holder->query_safe('COMMIT');
$holder->quit;
$worker->query_safe('VACUUM t');
cmp_ok($node->safe_psql('postgres', $frozen), '>', $before + 30000, 'without the snapshot all is resolved');
verify_silent($node, 't', 'topic.verify()');
$worker->quit;
log_is_clean($node);
done_testing;
