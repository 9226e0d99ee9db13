# Without shared_preload_libraries nothing may be written, because recovery could
# not read it; and the server starts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('preload');
$node->start;
setup_load_database($node, q{
SELECT topic.create('t', 2);
SELECT topic.produce_batch('t', array_agg(payload('m-' || i, i))) FROM generate_series(1, 1000) i;
SELECT topic.delete_records('t', 0, 1);
});
my $contents = contents($node, 't');
my $space = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '$space'");

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE fresh TEMPLATE template0');

my ($out, $err);
$node->psql('fresh', "\\set VERBOSITY verbose\nCREATE EXTENSION pgtopic", stdout => \$out, stderr => \$err);
like($err, qr/ERROR:  55000: /, 'CREATE EXTENSION is refused');
like($err, qr/HINT: .*shared_preload_libraries/, 'and says what to set');
is($node->safe_psql('fresh', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'topic'}), 0, 'and leaves nothing');

for my $sql (
	q{SELECT topic.produce('t', 'x')},
	q{SELECT topic.produce('t', '{}'::json)},
	q{SELECT topic.produce('t', '{}'::jsonb)},
	q{SELECT topic.produce('t', 'x'::bytea)},
	q{SELECT topic.produce_record('t', 'x')},
	q{SELECT topic.produce_batch('t', ARRAY['x'])},
	q{SELECT topic.produce_batch_json('t', ARRAY['{}']::jsonb[])},
	q{SELECT topic.produce_batch_bytes('t', ARRAY['x']::bytea[])},
	q{SET pgtopic.append_at = 'call'; SELECT topic.produce('t', 'x')},
	q{INSERT INTO t (value) VALUES ('x')},
	q{INSERT INTO t (partition, log_offset, value) VALUES (0, 100000, 'x')},
	qq{COPY t (value) FROM stdin;\nx\n\\.\n},
	q{SELECT topic.create('n')},
	q{CREATE TABLE n (partition int, log_offset bigint, timestamp timestamptz, key bytea, value bytea, headers topic.header[]) USING topic},
	q{SELECT topic.alter('t', partitions => 3)},
	q{SELECT topic.delete_records('t', 0, -1)},
	q{TRUNCATE t},
	q{VACUUM FULL t})
{
	$err = fails_with($node, $sql, '55000', 'refused: ' . ($sql =~ s/\n.*//sr));
	like($err, qr/shared_preload_libraries/, 'and says why');
}

# VACUUM goes on to the next table
my $frozen = $node->safe_psql('postgres', q{SELECT relfrozenxid FROM pg_class WHERE relname = 't'});
for my $vacuum ('VACUUM t', 'VACUUM FREEZE t', 'VACUUM')
{
	is($node->psql('postgres', "\\set VERBOSITY verbose\n$vacuum", stdout => \$out, stderr => \$err), 0, "$vacuum does not fail");
	like($err, qr/WARNING:  55000: skipping topic "t".*shared_preload_libraries/s, 'but skips the topic and says why');
}
is($node->safe_psql('postgres', q{SELECT relfrozenxid FROM pg_class WHERE relname = 't'}), $frozen, 'which is not frozen');

# reading is safe
is(contents($node, 't'), $contents, 'SELECT works');
is($node->safe_psql('postgres', q{SELECT count(*) FROM topic.fetch('t', 0, 1, 2000)}),
	$node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE partition = 0}), 'and fetch');
verify_silent($node, 't', 'and topic.verify()');

# PostgreSQL moves a file by itself, and logs whole pages
$node->safe_psql('postgres', 'ALTER TABLE t SET TABLESPACE space');

# a crash, and back again
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'the server restarts after a crash');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pgtopic'");
$node->restart;
is(contents($node, 't'), $contents, 'preloaded again: contents');
verify_silent($node, 't', 'preloaded again: topic.verify() is silent');
is($node->safe_psql('postgres', q{SELECT (topic.produce('t', 'x', partition => 1)).partition}), 1, 'preloaded again: producing');
$node->safe_psql('fresh', 'CREATE EXTENSION pgtopic');

# what PostgreSQL logs itself, works without
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', 'DROP TABLE t');
$node->safe_psql('postgres', 'DROP EXTENSION pgtopic CASCADE');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'the server restarts after DROP and a crash');
$node->stop;
log_is_clean($node);
done_testing();
