# Bytes of WAL, bytes on disk, memory: exact bars; and what the WAL looks like
# to pg_walinspect.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('bytes', conf => q{
autovacuum = off
full_page_writes = off
checkpoint_timeout = 1h
max_wal_size = 4GB
wal_level = replica
bgwriter_lru_maxpages = 0
shared_buffers = 128MB
});
$node->start;
setup_load_database($node, q{
CREATE FUNCTION wal() RETURNS pg_lsn LANGUAGE sql VOLATILE AS 'SELECT pg_current_wal_insert_lsn()';
SELECT topic.create('batches', 1);
SELECT topic.create('singles', 1);
SELECT topic.create('kilobytes', 1);
});

# One number out of the last line.
sub number
{
	my ($sql) = @_;
	my @lines = split /\n/, $node->safe_psql('postgres', $sql);
	return $lines[-1];
}

sub wal_of
{
	my ($sql) = @_;
	my @lines = split /\n/, $node->safe_psql('postgres', "\\o /dev/null\nCHECKPOINT;\n\\o\nSELECT 'lsn ' || wal();\n\\o /dev/null\n$sql;\n\\o\nSELECT 'lsn ' || wal();");
	my ($from, $to) = map { s/^lsn //r } grep { /^lsn / } @lines;
	return $node->safe_psql('postgres', "SELECT pg_wal_lsn_diff('$to', '$from')");
}

# The file grows by 1 MB at a time: what is measured is large enough for that not
# to matter.  1 M messages in 1000 transactions of 1000, 100 bytes each, no key,
# no headers.
my $messages = 1_000_000;
my $wal = wal_of(q{
DO $$
BEGIN
	FOR n IN 1 .. 1000 LOOP
		PERFORM topic.produce_batch_bytes('batches', array_agg(decode(repeat(md5(i::text), 6) || 'abcdabcd', 'hex'))) FROM generate_series(1, 1000) i;
		COMMIT;
	END LOOP;
END $$});
is(number(q{SELECT count(*) FROM batches WHERE length(value) = 100}), $messages, '1 M messages of 100 bytes');
my $disk = number(q{SELECT pg_relation_size('batches')});
note sprintf 'batches of 1000: %.1f bytes of WAL, %.1f on disk a message', $wal / $messages, $disk / $messages;
cmp_ok($wal / $messages, '<=', 113, 'batches of 1000: WAL per message');
cmp_ok($disk / $messages, '<=', 113, 'batches of 1000: disk per message');
verify_silent($node, 'batches');

# Transactions of one message: disk from one growth of the file to a later one,
# WAL as the median over 1000 that a client sends
$disk = number(q{
SET synchronous_commit = off;
CREATE TABLE growth (size bigint, messages bigint);
DO $$
DECLARE
	size bigint := 0;
	messages bigint := 0;
BEGIN
	WHILE size < 8 * 1024 * 1024 LOOP
		PERFORM topic.produce_record('singles', decode(repeat(md5(messages::text), 6) || 'abcdabcd', 'hex'));
		COMMIT;
		IF pg_relation_size('singles') > size THEN
			size := pg_relation_size('singles');
			INSERT INTO growth VALUES (size, messages);
		END IF;
		messages := messages + 1;
	END LOOP;
END $$;
SELECT (max(size) - min(size))::numeric / (max(messages) - min(messages)) FROM growth WHERE size > 2 * 1024 * 1024});
my $file = PostgreSQL::Test::Utils::tempdir() . '/singles.sql';
open my $script, '>', $file or die $!;
print $script "SELECT 'lsn ' || wal();\nSELECT topic.produce_record('singles', decode(repeat(md5('$_'), 6) || 'abcdabcd', 'hex'));\n"
  for 1 .. 1000;
print $script "SELECT 'lsn ' || wal();\n";
close $script or die $!;
my $output = '';
IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ], '>', \$output) or die 'singles';
my $lsns = join ',', map { s/^lsn (.*)/('$1'::pg_lsn)/r } grep { /^lsn / } split /\n/, $output;
my $median = number("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY bytes) FROM (SELECT lsn - lag(lsn) OVER (ORDER BY lsn) FROM (VALUES $lsns) v (lsn)) w (bytes)");
is(number('SELECT count(*) > 50000 AND bool_and(length(value) = 100) FROM singles'), 't', 'transactions of one message');
note sprintf 'one message: %d bytes of WAL a transaction (median), %.1f on disk', $median, $disk;
cmp_ok($median, '<=', 208, 'one message: WAL per transaction, commit record included (median)');
cmp_ok($median, '>', 100, 'and something was measured');
cmp_ok($disk, '<=', 150, 'one message: disk');
verify_silent($node, 'singles');

# 1 kB: records cross pages
$node->safe_psql('postgres', q{
SELECT topic.produce_batch_bytes('kilobytes', array_agg(decode(repeat(md5(i::text), 64), 'hex')))
FROM generate_series(1, 100000) i GROUP BY i / 1000});
is(number('SELECT count(*) FROM kilobytes WHERE length(value) = 1024'), 100000, '100,000 messages of 1 kB');
$disk = number(q{SELECT pg_relation_size('kilobytes')});
note sprintf '1 kB in batches: %.1f bytes on disk a message', $disk / 100000;
cmp_ok($disk / 100000, '<=', 1060, '1 kB in batches: disk per message');

# many partitions
$node->safe_psql('postgres', q{SELECT topic.create('many', 1000)});
$disk = number(q{SELECT pg_total_relation_size('many')});
note "1000 empty partitions: $disk bytes";
cmp_ok($disk, '<=', 256 * 1024, '1000 empty partitions');
$node->safe_psql('postgres', q{SELECT topic.produce('many', 'one', partition => p) FROM generate_series(0, 999) p});
is(number('SELECT count(DISTINCT partition) FROM many'), 1000, 'one message in each');
$disk = number(q{SELECT pg_total_relation_size('many')});
note "with one message in each: $disk bytes";
cmp_ok($disk, '<=', 16 * 1024 * 1024, '1000 partitions with one message');
verify_silent($node, 'many');

# A large transaction has the WAL writer flush behind it, which by itself would
# not look for 10 s.  It may leave wal_buffers full, 4 MB, where they begin anew.
# Without it flushing goes as far as segments are full, 32 MB.
$node->safe_psql('postgres', "ALTER SYSTEM SET wal_writer_delay = '10s'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('wal_writer_delay') = '10s'}) or die;
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
{
	my $psql = $node->background_psql('postgres', on_error_die => 1);
	my $until = time + 5;
	my $lag;

	$psql->query_safe(q{
SET synchronous_commit = off;
BEGIN;
SELECT topic.produce_batch_bytes('kilobytes', array_agg(decode(repeat(md5(i::text), 64), 'hex')))
FROM generate_series(1, 45000) i GROUP BY i / 1000;});
	do
	{
		$lag = number('SELECT wal() - pg_current_wal_flush_lsn()');
	} while ($lag > 7 * 1024 * 1024 && time < $until);
	cmp_ok($lag, '<=', 7 * 1024 * 1024, 'WAL of a transaction of 46 MB that is not flushed');
	$psql->query_safe('COMMIT');
	$psql->quit;
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET wal_writer_delay');
$node->reload;

# What the WAL says, while it is not too much to read.
SKIP:
{
	skip 'no pg_walinspect', 4
	  if number(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_walinspect'}) == 0;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');
	is(number(q{SELECT count(*) FROM pg_get_wal_resource_managers() WHERE rm_name = 'pgtopic' AND NOT rm_builtin}), 1, 'the resource manager is known by name');
	my $from = number('SELECT wal()');
	$node->safe_psql('postgres', q{
SELECT topic.create('seen', 2);
SELECT topic.produce('seen', 'one', partition => 0);
SELECT topic.produce('seen', 'two', partition => 0);
SELECT topic.produce_batch('seen', array_agg(payload('i' || i, 100))) FROM generate_series(1, 1000) i;
SELECT topic.delete_records('seen', 0, 1);
BEGIN; SET LOCAL pgtopic.append_at = 'call'; SELECT topic.produce('seen', 'x', partition => 0); ROLLBACK;
VACUUM FREEZE seen;
VACUUM FULL seen;
});
	my $records = $node->safe_psql('postgres', qq{
SELECT record_type, count(*), sum((description = '')::int), sum((block_ref = '')::int), min(description)
FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn()) WHERE resource_manager = 'pgtopic' GROUP BY 1 ORDER BY 1});
	note $records;
	like($records, qr/^APPEND_ONE\|/m, 'a single message');
	like($records, qr/^APPEND\|/m, 'a batch');
	like($records, qr/^EXTENT_OPEN\|/m, 'an extent');
	like($records, qr/^FREEZE\|/m, 'freezing');
	unlike($records, qr/UNKNOWN/, 'every record has a name');
	is(scalar(grep { !/^\w+\|\d+\|0\|0\|/ } split /\n/, $records), 0, 'every record has a description and block references');
	my $stats = $node->safe_psql('postgres', qq{SELECT count FROM pg_get_wal_stats('$from', pg_current_wal_flush_lsn()) WHERE "resource_manager/record_type" = 'pgtopic'});
	cmp_ok($stats, '>', 5, 'pg_get_wal_stats counts them');
}

# Memory of a backend that produces 10 M messages in one transaction
SKIP:
{
	skip 'no /proc', 2 unless -r '/proc/self/status';
	$node->safe_psql('postgres', q{SELECT topic.create('memory', 1)});
	my $psql = $node->background_psql('postgres');
	my $pid = $psql->query_safe('SELECT pg_backend_pid()');
	my $rss = sub {
		my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
		return $kb // 0;
	};
	$psql->query_safe('SELECT 1');
	my $start = $rss->();
	my $highest = 0;

	# a watcher of our own: RssAnon has no high-water mark
	my $watch = PostgreSQL::Test::Utils::tempdir() . '/highest';
	my $watcher = fork // die "fork: $!";
	if ($watcher == 0)
	{
		my $running = 1;
		local $SIG{TERM} = sub { $running = 0 };
		while ($running && -r "/proc/$pid/status")
		{
			my $now = $rss->();
			$highest = $now if $now > $highest;
			select(undef, undef, undef, 0.02);
		}
		open my $out, '>', $watch or POSIX::_exit(1);
		print $out $highest;
		close $out;
		POSIX::_exit(0);
	}
	$psql->query_safe(q{
BEGIN;
INSERT INTO memory (value) SELECT '\x0123456789'::bytea FROM generate_series(1, 10000000) WHERE true;
COMMIT;});
	kill 'TERM', $watcher;
	waitpid $watcher, 0;
	my $grown = slurp_file($watch) - $start;
	note "10 M messages in one transaction: $grown kB over $start kB";
	cmp_ok($grown, '<', 64 * 1024, 'memory of a backend that produces 10 M messages');
	is($psql->query_safe('SELECT sum(log_end_offset - log_start_offset) FROM topic.list_offsets(\'memory\')'), 10_000_000, 'and they are there');
	$psql->quit;
}

$node->stop;
log_is_clean($node);
done_testing();
