# Point-in-time recovery of groups: at any target the committed offsets are those
# that the consumer has written into its own table in the same transactions, and
# a member that joins then gets each message that has no effect yet, once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $primary = new_node('primary', init => [ allows_streaming => 1, has_archiving => 1 ]);
$primary->start;
$primary->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t', 3);
CREATE TABLE effects (partition int, log_offset bigint);
CREATE TABLE progress (partition int PRIMARY KEY, next_offset bigint);
CREATE TABLE steps (number int, xid xid8);
CREATE PROCEDURE produce(rounds int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. rounds LOOP
		PERFORM topic.produce_batch('t', ARRAY['a', 'b', 'c', 'd', 'e'], partition => i % 3);
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE work(rounds int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. rounds LOOP
		INSERT INTO effects SELECT partition, log_offset FROM topic.consume('g', 7);
		INSERT INTO progress SELECT partition, log_offset FROM topic.commit('g')
			ON CONFLICT (partition) DO UPDATE SET next_offset = EXCLUDED.next_offset;
		INSERT INTO steps VALUES (i, pg_current_xact_id());
		IF i % 7 = 0 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
});
$primary->backup('base');

# a target with a name in the midst of the work, which goes on meanwhile
my $worker = $primary->background_psql('postgres');
$worker->query_safe("SELECT topic.subscribe('g', ARRAY['t'])");
$primary->safe_psql('postgres', 'CALL produce(150)');
$worker->query_until(qr/begin/, "\\echo begin\nCALL work(160);\n\\echo end\n");
$primary->poll_query_until('postgres', 'SELECT count(*) > 40 FROM steps') or die 'no progress';
$primary->safe_psql('postgres', q{SELECT pg_create_restore_point('middle'); CALL produce(100)});
$worker->query_until(qr/end/, '');
$worker->quit;
my ($xid, $number) = split /\|/, $primary->safe_psql('postgres', 'SELECT xid, number FROM steps WHERE number = 95');
my $last = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver")
  or die 'the archive does not follow';
$primary->stop;
log_is_clean($primary);

sub recover
{
	my ($name, $target, $max_step) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "$target\nrecovery_target_action = 'promote'\narchive_mode = off");
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name does not end recovery";
	is($node->safe_psql('postgres', 'SELECT max(number) FROM steps'), $max_step, "$name: the target is met") if $max_step;
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM progress'), '>', 1, "$name: there are offsets");
	is($node->safe_psql('postgres', q{SELECT partition, log_offset FROM topic.committed('g') ORDER BY 1}),
		$node->safe_psql('postgres', 'SELECT * FROM progress ORDER BY 1'), "$name: committed offsets are the consumer's own");

	# on from there
	is($node->safe_psql('postgres', q{
SELECT topic.subscribe('g', ARRAY['t']) IS NULL;
CALL produce(10);
CALL work(200);
SELECT sum(lag) FROM topic.lag WHERE group_id = 'g'}), "f\n0", "$name: the group goes on to the end");
	is($node->safe_psql('postgres', q{
SELECT count(*), count(DISTINCT (partition, log_offset)) = count(*) FROM effects}),
		$node->safe_psql('postgres', 'SELECT count(*), true FROM t'), "$name: every message has one effect");
	$node->stop;
	log_is_clean($node);
	return;
}

recover('by_name', "recovery_target_name = 'middle'");
recover('by_xid', "recovery_target_xid = '$xid'", $number);
recover('before_xid', "recovery_target_xid = '$xid'\nrecovery_target_inclusive = off", $number - 1);

done_testing;
