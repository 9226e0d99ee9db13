# Maintenance: rounds that trim what is too old where nothing is appended, freeze what is old, and
# forget producers; they wait for nobody's lock, are in nobody's way, and one
# topic's failure is not the others'.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('primary');
$node->append_conf('postgresql.conf', "pgtopic.maintenance_interval = '100ms'\npgtopic.freeze_age = 100\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('brief', 3, retention => '1 hour'), topic.create('kept', 3, retention => NULL),
	topic.create('locked', retention => '1 hour'), topic.create('zombie', retention => '1 hour'), topic.create('sentinel', retention => '1 hour'), topic.create('compacted', retention => '1 hour', cleanup_policy => 'compact');
SELECT topic.produce(t, 'old', key => i::text, partition => 0, event_time => now() - interval '2 hours')
	FROM unnest(ARRAY['brief', 'kept', 'locked', 'zombie', 'compacted']) t, generate_series(1, 10) i;
SELECT topic.produce('brief', 'old', partition => 1, event_time => now() - interval '2 hours') FROM generate_series(1, 10);
SELECT topic.produce('brief', 'new', partition => 1);
});

# a topic that somebody else has locked is left for later
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
# a producer's open transaction: what it has written is not passed
my $producer = $node->background_psql('postgres', on_error_stop => 1);
$producer->query_safe(q{BEGIN; SET LOCAL pgtopic.append_at = 'call';
	SELECT topic.produce('zombie', 'open', partition => 0, event_time => now() - interval '2 hours');});

# The node's log start offsets of a topic.
sub starts
{
	my ($topic) = @_;

	return $node->safe_psql('postgres',
		"SELECT string_agg(log_start_offset::text, ',' ORDER BY partition) FROM topic.list_offsets('$topic')");
}

# A whole round has been made since: one that began after the first message had gone has
# taken the second.
sub wait_for_round
{
	for (1 .. 3)
	{
		my $end = $node->safe_psql('postgres', q{
SELECT topic.produce('sentinel', 'old', event_time => now() - interval '2 hours');
SELECT log_end_offset FROM topic.list_offsets('sentinel')});

		($end) = $end =~ /(\d+)$/;
		$node->poll_query_until('postgres', "SELECT log_start_offset >= $end FROM topic.list_offsets('sentinel')");
	}
	return;
}

ok($node->poll_query_until('postgres',
		q{SELECT log_start_offset = 10 FROM topic.list_offsets('brief') WHERE partition = 0}),
	'a partition that is too old is emptied');
wait_for_round();
is(starts('brief'), '10,0,0', 'one with a new message keeps its extent');
is(starts('kept'), '0,0,0', 'retention NULL keeps all');
is(starts('compacted'), '0', 'so does a compacted topic');
is(starts('zombie'), '10', 'an unfinished transaction is not passed');
$producer->query_safe('COMMIT');
$producer->quit;
ok($node->poll_query_until('postgres', q{SELECT log_start_offset = 11 FROM topic.list_offsets('zombie')}),
	'once it has ended, it is');
$locker->query_safe('COMMIT');
$locker->quit;
ok($node->poll_query_until('postgres', q{SELECT log_start_offset = 10 FROM topic.list_offsets('locked')}),
	'the locked topic comes when it is free');

# freezing
$node->safe_psql('postgres', 'CREATE PROCEDURE burn(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$');
$node->safe_psql('postgres', 'CALL burn(500)');
my $wal = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
ok($node->poll_query_until('postgres', q{
SELECT bool_and(age(relfrozenxid) < 300) FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE amname IN ('topic', 'topic_slots')}),
	'what is old gets frozen');
is($node->safe_psql('postgres', q{SELECT count(*) FROM kept}), 10, 'and can be read');
verify_silent($node, $_, "topic.verify('$_') is silent") for qw(brief kept locked zombie compacted);

# what retention empties gives its space back, though nobody appends any more
$node->safe_psql('postgres', q{
ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET autovacuum_naptime = '1s'; SELECT pg_reload_conf();
SELECT topic.create('large', retention => NULL);
INSERT INTO large (timestamp, value)
SELECT now() - interval '2 hours', convert_to(repeat('old', 300), 'UTF8') FROM generate_series(1, 30000)});
$node->poll_query_until('postgres', q{
SELECT n_ins_since_vacuum = 0 AND n_mod_since_analyze = 0 AND n_live_tup > 0 FROM pg_stat_user_tables WHERE relname = 'large'});
$node->safe_psql('postgres', q{SELECT topic.alter('large', retention => '1 hour')});
ok($node->poll_query_until('postgres', q{SELECT pg_relation_size('large') < 2 * 1024 * 1024}),
	'autovacuum comes to a topic that was emptied');
verify_silent($node, 'large', 'which is sound');

# an error in one topic is logged, and the others are served
my $file = $node->safe_psql('postgres', q{
SELECT topic.create('broken', retention => '1 hour'); SELECT topic.create('sound', retention => '1 hour');
SELECT topic.produce(t, 'old', event_time => now() - interval '2 hours') FROM unnest(ARRAY['broken', 'sound']) t;
SELECT pg_relation_filepath('broken')});
($file) = $file =~ /(base\S+)/;
$node->safe_psql('postgres', q{SELECT topic.produce('sound', 'old', event_time => now() - interval '2 hours')});
$node->stop;
open my $handle, '+<', $node->data_dir . "/$file" or die $!;
binmode $handle;
seek $handle, 8192 * 2, 0;
print $handle "\0" x 8192;
close $handle;
$node->start;
ok($node->poll_query_until('postgres', q{SELECT log_start_offset = 2 FROM topic.list_offsets('sound')}),
	'a broken topic does not stop the round');
like(slurp_file($node->logfile), qr/topic "broken" is corrupted/, 'and its error is in the log');
$node->safe_psql('postgres', 'DROP TABLE broken');

# it does not deadlock with DDL, which takes the locks of tables and topics in its own order
my $topics = $node->safe_psql('postgres', q{SELECT string_agg(topic_name, ', ') FROM topic.topics});
my $ddl = $node->background_psql('postgres');
$ddl->query_safe(q{SET deadlock_timeout = '500ms'; BEGIN; LOCK TABLE topic.settings});
ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE backend_type = 'pgtopic maintenance' AND wait_event_type = 'Lock')}), 'maintenance waits for a lock of DDL');
eval { $ddl->query_safe("LOCK TABLE $topics; COMMIT") };
is($@, '', 'but not for long');
$ddl->quit;

# it makes way
$node->safe_psql('postgres', 'CREATE DATABASE gone');
$node->safe_psql('gone', 'CREATE EXTENSION pgtopic');
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'gone' AND backend_type = 'pgtopic worker')});
is($node->psql('postgres', 'DROP DATABASE gone'), 0, 'DROP DATABASE does not wait for it');
$node->safe_psql('postgres', 'DROP EXTENSION pgtopic CASCADE');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pgtopic maintenance')}),
	'and is gone with the extension');

$node->stop;
done_testing();
