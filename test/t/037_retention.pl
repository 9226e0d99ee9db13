# Retention by size while messages pour in: the file stays as it is, whatever
# snapshots are held; a protected group holds it up to its cap, and is told
# what it has lost; protection survives crash, dump and restore.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $mb = 1024 * 1024;
my $node = new_node('primary', conf => q{
pgtopic.maintenance_interval = '1d'
autovacuum = off
synchronous_commit = off
pgtopic.protect_max_bytes = '6MB'
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('ring', 2, retention => NULL, retention_bytes => 2097152);
CREATE PROCEDURE pour(mb int, partition int DEFAULT 0, topic text DEFAULT 'ring') LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. mb * 10 LOOP
		PERFORM topic.produce_batch(topic, array_fill(repeat('x', 1000), ARRAY[100]), partition => partition);
		COMMIT;
	END LOOP;
END $$;
});

sub file_size
{
	return $node->safe_psql('postgres', "SELECT pg_relation_size('ring')");
}

# How much a partition has, by its messages.
sub kept
{
	my ($partition) = @_;

	return 1000 * $node->safe_psql('postgres',
		"SELECT log_end_offset - log_start_offset FROM topic.list_offsets('ring') WHERE partition = $partition");
}

sub lag
{
	my ($group, $columns) = @_;

	return $node->safe_psql('postgres',
		"SELECT $columns FROM topic.lag WHERE group_id = '$group' AND partition = 0");
}

# steady state, also under an old snapshot
$node->safe_psql('postgres', 'CALL pour(12)');
my $steady = file_size();
cmp_ok($steady, '<', 6 * $mb, 'a partition of 2 MB takes a few extents more');
$node->safe_psql('postgres', 'CALL pour(20)');
cmp_ok(file_size(), '<=', $steady + $mb, 'the file stays as it is');
my $old = $node->background_psql('postgres', on_error_stop => 1);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class; DECLARE c CURSOR FOR SELECT log_offset FROM ring; FETCH 1 FROM c');
$node->safe_psql('postgres', 'CALL pour(20)');
cmp_ok(file_size(), '<=', $steady + $mb, 'an old snapshot does not hold retention back');
$old->quit;
cmp_ok(kept(0), '>=', 2 * $mb * 0.9, 'what is to be kept is');

# a member that reads, and then does not for a while
my $member = $node->background_psql('postgres', on_error_stop => 1);
$member->query_safe(q{SELECT topic.subscribe('reader', ARRAY['ring']);
	SELECT count(*) FROM topic.consume('reader', 100); SELECT * FROM topic.commit('reader')});
my $committed = lag('reader', 'committed_offset');
$node->safe_psql('postgres', 'CALL pour(10)');
my $start = $node->safe_psql('postgres', "SELECT log_start_offset FROM topic.list_offsets('ring') WHERE partition = 0");
my $lost = $start - $committed;
cmp_ok($lost, '>', 0, 'its messages went');
is(lag('reader', 'lost'), $lost, 'topic.lag tells how many');
# what another session of the group is told
$member->quit;
ok($node->poll_query_until('postgres', q{SELECT members = 0 FROM topic.groups WHERE group_id = 'reader'}), 'the member has left');
my ($out, $err) = ('', '');
$node->psql('postgres', q{
SELECT topic.subscribe('reader', ARRAY['ring']) \g /dev/null
SELECT log_offset FROM topic.consume('reader', 1);
SELECT * FROM topic.commit('reader') \g /dev/null
}, stdout => \$out, stderr => \$err);
is($out, $start, 'it goes on at the log start');
like($err, qr/WARNING:  group "reader" has lost $lost messages of topic public.ring, partition 0/, 'and is told');
is(lag('reader', 'lost'), $lost, 'which stays counted');

# protected: up to the cap of the setting, 6 MB
$node->safe_psql('postgres', q{SELECT topic.commit('reader', 'ring', 0, log_end_offset) FROM topic.list_offsets('ring') WHERE partition = 0;
SELECT topic.protect('reader', 'ring')});
$committed = lag('reader', 'committed_offset');
is(lag('reader', 'protected_bytes'), 6 * $mb, 'the cap is shown');
$node->safe_psql('postgres', 'CALL pour(4)');
cmp_ok($node->safe_psql('postgres', "SELECT log_start_offset FROM topic.list_offsets('ring') WHERE partition = 0"),
	'<=', $committed, 'retention waits for a protected group');
is(lag('reader', 'lost'), $lost, 'which loses nothing');
$node->safe_psql('postgres', 'CALL pour(30)');
cmp_ok(kept(0), '>=', 6 * $mb * 0.9, 'it has what the cap allows');
cmp_ok(kept(0), '<=', 9 * $mb, 'and not more');
cmp_ok(lag('reader', 'lost'), '>', $lost, 'then it loses messages');
cmp_ok(file_size(), '<=', $steady + 7 * $mb, 'and the disk does not fill');
$lost = lag('reader', 'lost');

# a backend that has appended before learns of it, and a crash changes nothing
my $producer = $node->background_psql('postgres', on_error_stop => 1);
$producer->query_safe('CALL pour(3, 1)');
$node->safe_psql('postgres', q{SELECT topic.create_group('other'); SELECT topic.protect('other', 'ring', -1)});
$producer->query_safe('CALL pour(5, 1)');
is($node->safe_psql('postgres', "SELECT log_start_offset FROM topic.list_offsets('ring') WHERE partition = 1"), 0,
	'a session that was producing keeps all for a group that has committed nothing');
$producer->quit;
$node->safe_psql('postgres', 'CHECKPOINT');
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'CALL pour(5, 1)');
is($node->safe_psql('postgres', "SELECT log_start_offset FROM topic.list_offsets('ring') WHERE partition = 1"), 0,
	'so it is after a crash');

# a table whose lock cannot be had at once: nobody waits with the partition's lock held
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE topic.group_protections IN ACCESS EXCLUSIVE MODE');
is($node->psql('postgres', q{SET lock_timeout = '5s'; CALL pour(5, 1)}), 0, 'producers do not wait for a lock on the table');
$locker->query_safe('COMMIT');
$locker->quit;
is($node->safe_psql('postgres', "SELECT log_start_offset FROM topic.list_offsets('ring') WHERE partition = 1"), 0,
	'and nothing goes that might be protected');

# VACUUM FULL moves the offsets' tables; what backends remember of slots is looked up again
$producer = $node->background_psql('postgres', on_error_stop => 1);
$producer->query_safe('CALL pour(1, 1)');
$node->safe_psql('postgres', 'VACUUM FULL topic.group_protections; VACUUM FULL topic.group_offsets');
$node->safe_psql('postgres', q{SELECT topic.delete_offsets('reader', 'ring')});
$producer->query_safe('CALL pour(2, 1)');
is($node->safe_psql('postgres', "SELECT log_start_offset FROM topic.list_offsets('ring') WHERE partition = 1"), 0, 'still held');
$node->safe_psql('postgres', q{SELECT topic.commit('other', 'ring', 1, log_end_offset), topic.unprotect('reader', 'ring') FROM topic.list_offsets('ring') WHERE partition = 1});
$producer->query_safe('CALL pour(5, 1)');
cmp_ok(kept(1), '<=', 8 * $mb, 'until the group has committed');
$producer->quit;

# dump and restore
$node->safe_psql('postgres', q{SELECT topic.protect('other', 'ring', 123456)});
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], 'restore');
is($node->safe_psql('copy', q{SELECT count(*), min(protected_bytes), max(protected_bytes) FROM topic.lag WHERE group_id = 'other'}),
	'2|123456|123456', 'protection is in the dump');
verify_silent($node, 'ring', 'topic.verify is silent');

$node->stop;
done_testing();
