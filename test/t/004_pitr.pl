# Point-in-time recovery into the middle of a load.  Every transaction also
# writes into a heap table: at the target, heap and topic must agree.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $primary = new_node('primary', init => [ allows_streaming => 1, has_archiving => 1 ]);
$primary->start;
setup_load_database($primary, q{
CREATE TABLE witness (id text);
SELECT topic.create('t', 4);
});
$primary->backup('base');

my $load = TopicTest::Load->new(
	topic => 't', partitions => 4, producers => 8, witness => 1,
	kinds => { one => 30, batch => 15, insert => 10, call => 8, call_rollback => 6,
		spill => 8, spill_rollback => 6, savepoint => 8, big => 3 });
$load->start($primary);

# two targets inside the load, each with what was acknowledged before
$load->wait_for_acks(200);
my @before_name = $load->acked_now;
$primary->safe_psql('postgres', q{SELECT pg_create_restore_point('middle')});
$load->wait_for_acks(600);
my @before_xid = $load->acked_now;
my $xid = $primary->safe_psql('postgres', q{
BEGIN;
SELECT topic.produce('t', 'marker ' || pg_current_xact_id()::text, partition => 1) IS NULL;
SELECT pg_current_xact_id();
COMMIT;}) =~ s/.*\n//sr;
$load->wait_for_acks(900);
$load->stop($primary);
$load->check_witness($primary, 'primary', $load->acked);

my $last = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver")
  or die 'the archive does not follow';

sub recover
{
	my ($name, $target, @must) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "$target\nrecovery_target_action = 'promote'\narchive_mode = off");
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name does not end recovery";
	$load->check_witness($node, $name, @must);
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM witness'), '<',
		$primary->safe_psql('postgres', 'SELECT count(*) FROM witness'), "$name: the load went on after the target");

	# the log goes on behind what is there
	is($node->safe_psql('postgres', q{
BEGIN;
SELECT topic.produce('t', 'after', partition => p) IS NULL FROM generate_series(0, 3) p;
COMMIT;
SELECT count(*) FROM topic.last_produced() l JOIN topic.partitions p USING (topic, partition)
WHERE first_offset = last_offset AND log_end_offset = last_offset + 1 AND leader_epoch = 2}) =~ s/.*\n//sr,
		4, "$name: producing goes on, in a later epoch");
	verify_silent($node, 't', "$name: topic.verify() after producing");
	return $node;
}

my $by_name = recover('by_name', "recovery_target_name = 'middle'", @before_name);
is($by_name->safe_psql('postgres', q{SELECT count(*) FROM t WHERE convert_from(value, 'UTF8') LIKE 'marker %'}),
	0, 'by_name: no message of a later transaction');
$by_name->stop;
log_is_clean($by_name);

my $by_xid = recover('by_xid', "recovery_target_xid = '$xid'", @before_xid);
is($by_xid->safe_psql('postgres', q{SELECT convert_from(value, 'UTF8') FROM t WHERE convert_from(value, 'UTF8') LIKE 'marker %'}),
	"marker $xid", 'by_xid: the target itself is there');
$by_xid->stop;
log_is_clean($by_xid);

$primary->stop;
log_is_clean($primary);
done_testing();
