# pg_dump and pg_restore keep what a topic is: offsets with their gaps, log
# start, partitions, settings, identity; and producing goes on behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('main');
$node->start;
setup_load_database($node, q{
CREATE ROLE producer;
CREATE SCHEMA app;
SELECT topic.create('app.orders', 5, retention => '3 days', retention_bytes => 100000000, max_message_bytes => 2000000,
	timestamp_type => 'LogAppendTime', timestamp_after_max => '2 hours', compression => 'zstd');
GRANT INSERT ON app.orders TO producer;
SELECT topic.create('"Odd name"', 2, retention => NULL);
CREATE TABLE bare (partition int, log_offset bigint, timestamp timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
SELECT topic.create('empty', 7);
SELECT topic.create('app.grown', 2);
COMMENT ON TABLE app.orders IS 'orders of the shop';
});

# partition 3 stays empty; rollbacks after an append leave gaps; a log start
# that is not zero; NULLs, empty values, headers in order with duplicates
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', qq{
SELECT topic.produce_batch('app.orders', array_agg(payload('a$round-' || i, i * 3)), array_agg('k' || i % 9), partition => p)
	FROM generate_series(1, 300) i, unnest(ARRAY[0, 1, 2]) p GROUP BY p;
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT topic.produce('app.orders', 'gone', partition => p) FROM unnest(ARRAY[0, 2]) p, generate_series(1, 7);
ROLLBACK;
});
}
$node->safe_psql('postgres', q{
INSERT INTO app.orders (partition, timestamp, key, value, headers) VALUES
	(4, NULL, NULL, NULL, NULL),
	(4, NULL, '', '', '{}'),
	(4, NULL, 'k', NULL, ARRAY[('b', '\x00ff'), ('a', NULL), ('b', ''), ('', 'x')]::topic.header[]),
	(4, NULL, NULL, convert_to(payload('big', 1900000), 'UTF8'), NULL);
SELECT topic.delete_records('app.orders', 1, 137);
SELECT topic.produce_batch('"Odd name"', array_agg(payload('o-' || i, 40)), partition => i % 2) FROM generate_series(1, 500) i GROUP BY i % 2;
SELECT topic.delete_records('"Odd name"', 1, log_end_offset) FROM topic.list_offsets('"Odd name"') WHERE partition = 1;
SELECT topic.produce_batch('bare', array_agg(payload('b-' || i, 40))) FROM generate_series(1, 100) i;
SELECT topic.produce('app.grown', 'before');
SELECT topic.alter('app.grown', partitions => 6);
SELECT topic.produce('app.grown', 'last', partition => 4);
});

my @topics = ('app.orders', '"Odd name"', 'bare', 'empty', 'app.grown');

# Everything about a database's topics, in text, also where nothing is left and
# of a table without a row in topic.settings; but not a rolled-back tail.
my $describe = q{
SELECT topic, uuid, owner, partitions, retention, retention_bytes, cleanup_policy, max_message_bytes, timestamp_type,
	compression, min_compaction_lag, delete_retention, timestamp_after_max FROM topic.topics ORDER BY 1;
SELECT topic, p.partition, p.log_start_offset FROM topic.partitions p ORDER BY 1, 2;
SELECT relname, relacl, obj_description(oid) FROM pg_class WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'topic') ORDER BY 1};
my $contents = join ' UNION ALL ', map { qq{
SELECT '$_' AS topic, partition, count(*), min(log_offset), max(log_offset),
	md5(string_agg(concat_ws(',', log_offset, extract(epoch FROM timestamp),
		coalesce(md5(key), 'null'), coalesce(md5(value), 'null'), coalesce(headers::text, 'null')), ';' ORDER BY log_offset))
FROM $_ GROUP BY partition} } @topics;
$contents .= ' ORDER BY topic, partition';

my %before = map { $_->[0] => $node->safe_psql('postgres', $_->[1]) } [ describe => $describe ], [ contents => $contents ];
my %last = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
	q{SELECT topic || ' ' || partition, log_end_offset FROM topic.partitions});
like($before{contents}, qr/^app\.orders\|1\|763\|137\|899\|/m, 'a log start that is not zero');
like($before{contents}, qr/^app\.orders\|0\|900\|0\|913\|/m, 'and gaps');

sub compare
{
	my ($database, $name) = @_;

	is($node->safe_psql($database, $describe), $before{describe}, "$name: settings, identity, bounds, privileges");
	is($node->safe_psql($database, $contents), $before{contents}, "$name: messages, offsets, gaps");
	for my $topic (@topics)
	{
		is($node->safe_psql($database, "SELECT * FROM topic.verify('$topic')"), '', "$name: topic.verify('$topic') is silent");
	}

	# behind the last message, in every partition
	my %first = map { split /\|/ } split /\n/, $node->safe_psql($database, q{
BEGIN;
SELECT topic.produce('app.orders', 'new', partition => p) IS NULL FROM generate_series(0, 4) p;
SELECT topic.produce('"Odd name"', 'new', partition => p) IS NULL FROM generate_series(0, 1) p;
SELECT topic.produce('bare', 'new') IS NULL;
SELECT topic.produce('empty', 'new', partition => 6) IS NULL;
SELECT topic.produce('app.grown', 'new', partition => p) IS NULL FROM generate_series(0, 5) p;
COMMIT;
SELECT topic || ' ' || partition, first_offset FROM topic.last_produced()}) =~ s/^f\n//mgr;
	is(scalar keys %first, 15, "$name: producing goes on in each partition");
	for my $lane (sort keys %first)
	{
		# offsets of a rolled-back tail were never anybody's message
		my $slack = $lane =~ /^app\.orders [02]$/ ? 7 : 0;

		cmp_ok($first{$lane}, '>=', $last{$lane} - $slack, "$name: $lane goes on behind its last message");
		cmp_ok($first{$lane}, '<=', $last{$lane}, "$name: $lane, without another gap");
	}
	for my $topic (@topics)
	{
		is($node->safe_psql($database, "SELECT * FROM topic.verify('$topic')"), '', "$name: topic.verify('$topic') after producing");
	}
	return;
}

my $dir = PostgreSQL::Test::Utils::tempdir();

$node->command_ok([ 'pg_dump', '-f', "$dir/plain.sql", 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-Fd', '-j4', '-f', "$dir/directory", 'postgres' ], 'pg_dump -Fd -j 4');

$node->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", 'plain' ], 'restore by psql');
compare('plain', 'plain');

$node->safe_psql('postgres', 'CREATE DATABASE parallel TEMPLATE template0');
$node->command_ok([ 'pg_restore', '-j4', '--exit-on-error', '-d', 'parallel', "$dir/directory" ], 'pg_restore -j 4');
compare('parallel', '-j 4');

# data and definitions apart, and once more from a restored database
$node->safe_psql('postgres', 'CREATE DATABASE apart TEMPLATE template0');
for my $section ('pre-data', 'data', 'post-data')
{
	$node->command_ok([ 'pg_restore', "--section=$section", '--exit-on-error', '-d', 'apart', "$dir/directory" ], "pg_restore --section=$section");
}
compare('apart', 'sections');

# one topic alone, into a database that has the extension
$node->safe_psql('postgres', 'CREATE DATABASE alone TEMPLATE template0');
$node->safe_psql('alone', 'CREATE EXTENSION pgtopic');
$node->command_ok([ 'pg_dump', '-Fc', '-t', 'bare', '-f', "$dir/bare.dump", 'postgres' ], 'pg_dump -t');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'alone', "$dir/bare.dump" ], 'pg_restore of one topic');
is(contents_of('alone'), contents_of('postgres'), 'one topic alone: same contents');

sub contents_of
{
	my ($database) = @_;
	return $node->safe_psql($database,
		q{SELECT count(*), md5(string_agg(t::text, ';' ORDER BY log_offset)) FROM bare t WHERE convert_from(value, 'UTF8') <> 'new'});
}

# consumer groups: owners and grants by name, committed offsets out of their
# slots, lost messages and metadata; what the roles of another server lack
$node->safe_psql('postgres', q{
CREATE ROLE clerk;
CREATE ROLE auditor;
SELECT topic.create_group('billing', 'clerk');
SELECT topic.create_group('plain');
SELECT topic.grant_group('billing', 'auditor');
SELECT topic.grant_group('billing', 'public', 'DESCRIBE');
SELECT topic.reset_offsets('billing', 'app.orders', 'earliest');
SELECT topic.reset_offsets('billing', 'app.orders', '+150', 1);
SELECT topic.delete_records('app.orders', 1, 290);
SELECT topic.reset_offsets('billing', 'app.orders', '+5', 1);
SELECT topic.reset_offsets('plain', 'bare', 'latest');
SELECT topic.reset_offsets('billing', 'empty', '0', 3);
});

sub groups_of
{
	my ($database) = @_;
	return $node->safe_psql($database, q{
SELECT * FROM topic.groups ORDER BY 1;
SELECT group_id, grantee::regrole, privilege FROM topic.group_grants ORDER BY 1, grantee::regrole::text COLLATE "C", 3;
SELECT group_id, topic, partition, committed_offset, lost FROM topic.lag ORDER BY 1, topic COLLATE "C", 3;
SELECT count(*) FILTER (WHERE log_offset IS NOT NULL OR lost IS NOT NULL), count(*) = count(DISTINCT slot), count(*) = count(DISTINCT key)
	FROM topic.group_offsets;
});
}

my $groups = groups_of('postgres');
like($groups, qr/billing\|app\.orders\|1\|292\|/, 'groups to dump');
$node->command_ok([ 'pg_dump', '-Fd', '-f', "$dir/groups", 'postgres' ], 'pg_dump with groups');
$node->safe_psql('postgres', 'CREATE DATABASE groups TEMPLATE template0');
$node->command_ok([ 'pg_restore', '-j4', '--exit-on-error', '-d', 'groups', "$dir/groups" ], 'pg_restore with groups');
is(groups_of('groups'), $groups, 'groups, grants and committed offsets');
is($node->safe_psql('groups', q{SELECT * FROM topic.reset_offsets('billing', 'app.orders', '+1', 1)}), '1|292|293',
	'a restored offset is the group\'s');

# as INSERTs, which pg_dump reads with a cursor
$node->command_ok([ 'pg_dump', '--column-inserts', '--rows-per-insert=100', '-f', "$dir/inserts.sql", 'postgres' ], 'pg_dump --column-inserts');
$node->safe_psql('postgres', 'CREATE DATABASE inserts TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dir/inserts.sql", 'inserts' ], 'its restore');
is(groups_of('inserts'), $groups, 'INSERTs: groups, grants and committed offsets');
is($node->safe_psql('inserts', $contents), $node->safe_psql('postgres', $contents), 'INSERTs: messages, offsets, gaps');
is($node->safe_psql('inserts', $describe), $node->safe_psql('postgres', $describe), 'INSERTs: settings, identity, bounds, privileges');

# tables one by one, the offsets before their groups and topics
$node->safe_psql('postgres', 'CREATE DATABASE bits TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--section=pre-data', '--exit-on-error', '-d', 'bits', "$dir/groups" ], 'definitions');
for my $table ('group_offsets', 'group_grants', 'consumer_groups', 'settings')
{
	$node->command_ok([ 'pg_restore', '--data-only', '-n', 'topic', '-t', $table, '--exit-on-error', '-d', 'bits', "$dir/groups" ],
		"pg_restore of $table alone");
}
is($node->safe_psql('bits', q{SELECT log_offset FROM topic.committed('billing') WHERE topic = 'app.orders' AND partition = 1}),
	'292', 'offsets before groups and topics');

# a dump has offsets as its snapshot sees them, while commits go on
my $dumper = $node->background_psql('postgres', timeout => 60);
$dumper->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $read = q{COPY topic.group_offsets (group_id, partition, log_offset) TO STDOUT};
my $dumped = $dumper->query_safe($read);
like($dumped, qr/billing\t1\t292/, 'what a dump reads');
$node->safe_psql('postgres', q{SELECT topic.reset_offsets('billing', 'app.orders', '+1', 1)});
is($dumper->query_safe($read), $dumped, 'what was committed since is not in the dump');
$node->safe_psql('postgres', q{SELECT topic.reset_offsets('billing', 'app.orders', '+1', 1)});
like($dumper->query_safe("SET client_min_messages = error;\n$read"), qr/billing\t1\t294/, 'but it is if it was twice');
$dumper->query_safe('COMMIT');
$dumper->quit;
like(slurp_file($node->logfile), qr/WARNING: .*"billing" has committed offsets since the dump began/, 'which is said');

# roles that are not there
$node->safe_psql('postgres', 'SELECT topic.delete_group(\'billing\'); DROP ROLE clerk, auditor;');
$node->safe_psql('groups', 'SELECT topic.delete_group(\'billing\');');
$node->safe_psql('postgres', 'CREATE DATABASE strangers TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'strangers', "$dir/groups" ], 'pg_restore without some roles');
is($node->safe_psql('strangers', q{
SELECT g.owner = pg_get_userbyid(d.datdba) FROM topic.groups g, pg_database d
	WHERE group_id = 'billing' AND datname = current_database();
SELECT count(*), min(grantee::int) FROM topic.group_grants}), "t\n1|0", 'groups of roles that are not there');

$node->stop;
log_is_clean($node);
done_testing();
