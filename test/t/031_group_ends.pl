# What becomes of groups whose extension, database or topic goes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TopicTest;

my $node = new_node('main');
$node->append_conf('postgresql.conf', "pgtopic.group_memory = '1MB'");
$node->start;

# ---- the extension, dropped by a transaction that has offsets to store

$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t');
SELECT topic.produce('t', 'x');
SELECT topic.commit('old', 't', 0, 1);
});
$node->safe_psql('postgres', q{
SELECT topic.subscribe('member', ARRAY['t']);
BEGIN;
SELECT topic.consume('member');
SELECT topic.commit('member');
SELECT topic.commit('old', 't', 0, 0, 'metadata');
SELECT topic.commit('new', 't', 0, 1);
DROP EXTENSION pgtopic CASCADE;
COMMIT;
});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_extension WHERE extname = 'pgtopic'}), 0,
	'DROP EXTENSION in a transaction with offsets commits');
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t');
BEGIN;
SELECT topic.commit('old', 't', 0, 0);
DROP EXTENSION pgtopic CASCADE;
CREATE EXTENSION pgtopic;
SELECT topic.create('t');
SELECT topic.commit('again', 't', 0, 0);
COMMIT;
});
is($node->safe_psql('postgres', 'SELECT group_id, committed_offset FROM topic.lag'), 'again|0',
	'also when it is created again');

# ---- a database, dropped while a static member is away

for my $round (1 .. 4)
{
	$node->safe_psql('postgres', 'CREATE DATABASE passing');
	$node->safe_psql('passing', q{CREATE EXTENSION pgtopic; SELECT topic.create('wide', 9000)});
	is($node->safe_psql('passing', q{
SELECT topic.subscribe('g', ARRAY['wide'], instance_id => 'i', session_timeout => '1 hour') IS NOT NULL}), 't',
		"round $round: memory for a large group");
	$node->poll_query_until('passing', q{SELECT count(*) = 1 FROM topic.members WHERE pid IS NULL})
	  or die 'the member is not away';
	$node->safe_psql('postgres', 'DROP DATABASE passing');
}

# ---- a topic, dropped while a member waits

my $waiter = $node->background_psql('postgres');
$waiter->query_safe("SELECT topic.subscribe('w', ARRAY['t'])");
my $start = time;
$waiter->query_until(qr/begin/, "\\echo begin\nCALL topic.wait('w', '1 minute');\n\\echo told\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE query LIKE 'CALL topic.wait%' AND wait_event = 'Extension'}) or die 'nobody waits';
$node->safe_psql('postgres', "SELECT topic.drop('t')");
$waiter->query_until(qr/told/, '');
cmp_ok(time - $start, '<', 8, 'topic.wait() ends when the topic is dropped');
is($waiter->query_safe("SELECT count(*) FROM topic.assignment('w')"), 0, 'and nothing is assigned');

$waiter->quit;
log_is_clean($node);
done_testing;
