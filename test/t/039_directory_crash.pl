# Crashes while the directory of a topic grows by partitions and by extents, and
# while it is frozen: what was committed is there, what was not is not, and the
# checker finds nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $node = new_node('grows', conf => q{
wal_consistency_checking = 'pgtopic'
max_wal_size = 256MB
wal_writer_delay = 10ms
autovacuum = off
});
$node->start;

setup_load_database($node, q{
SELECT topic.create('t', 2), topic.create('wide', 1);
CREATE TABLE model (partition int, value text);

-- each transaction adds partitions and writes into each of them, and into old ones
CREATE PROCEDURE widen(transactions int) LANGUAGE plpgsql AS $$
DECLARE
	before int;
	after int;
	word text;
BEGIN
	FOR i IN 1 .. transactions LOOP
		SELECT count(*) INTO before FROM topic.list_offsets('wide');
		after := before + 1 + (random() * 60)::int;
		word := md5(random()::text);
		PERFORM set_config('pgtopic.append_at', CASE WHEN random() < 0.5 THEN 'call' ELSE 'commit' END, true);
		PERFORM topic.alter('wide', partitions => after);
		PERFORM topic.produce('wide', word, partition => p) FROM generate_series(before - before / 3, after - 1) p;
		INSERT INTO model SELECT p, word FROM generate_series(before - before / 3, after - 1) p;
		IF random() < 0.2 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
CREATE VIEW wrong AS
	(SELECT 'lost', * FROM (TABLE model EXCEPT ALL SELECT partition, convert_from(value, 'UTF8') FROM wide) l)
	UNION ALL
	(SELECT 'invented', * FROM (SELECT partition, convert_from(value, 'UTF8') FROM wide EXCEPT ALL TABLE model) i)
});

my $load = TopicTest::Load->new(topic => 't', partitions => 2, producers => 3,
	kinds => { big => 10, batch => 20, call => 10, call_rollback => 5, spill => 10, spill_rollback => 5 });
my $beside = TopicTest::Beside->new($node);

for my $round (1 .. 4)
{
	$load->start($node);
	# short statements: a backend that is busy does not notice that the postmaster is gone
	$beside->begin("CALL widen(3);\n" x 500);
	$beside->begin("VACUUM (FREEZE) wide;\nVACUUM (FREEZE) t;\nCHECKPOINT;\n" x 300);
	$load->wait_for_acks(3);
	$node->poll_query_until('postgres', 'SELECT count(*) > ' . 100 * $round . ' FROM model') or die 'no partitions are added';
	pause(0, 1.5);
	kill_postmaster($node);
	$load->finish;
	is($beside->finish, '', "round $round: nobody fails before the crash");
	$node->start;

	$load->check($node, "round $round");
	is($node->safe_psql('postgres', 'SELECT * FROM wrong LIMIT 5'), '', "round $round: each partition has what was committed");
	verify_silent($node, 'wide', "round $round: the checker finds nothing in the wide topic");
}
$node->safe_psql('postgres', "VACUUM (FREEZE) $_") for 'wide', 't';
is($node->safe_psql('postgres', 'SELECT * FROM wrong LIMIT 5'), '', 'frozen, too');
$load->check($node, 'frozen');
cmp_ok($node->safe_psql('postgres', q{SELECT max(age(relfrozenxid)) FROM pg_class WHERE relname IN ('t', 'wide')}), '<', 100, 'it is frozen');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT partition) > 200 FROM wide'), 't', 'it has become wide');
$node->stop;
log_is_clean($node);
done_testing();
