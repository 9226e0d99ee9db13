# Space before the log start: given to others, within a lane and between lanes, given
# back by VACUUM; on the primary, a standby, and whenever the server is killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $primary = new_node('primary',
	init => [ allows_streaming => 1 ],
	conf => "wal_consistency_checking = 'all'\nmax_wal_size = 2GB\nautovacuum = off\n");
$primary->start;
setup_load_database($primary, q{
CREATE PROCEDURE fill(topic text, p int, messages int, bytes int DEFAULT 10000) LANGUAGE sql AS $$
	SELECT topic.produce_batch(topic, array_agg(payload('fill-' || i, bytes)), partition => p)
	FROM generate_series(1, messages) i GROUP BY i / 100
$$;
CREATE FUNCTION blocks(topic text) RETURNS bigint LANGUAGE sql AS 'SELECT pg_relation_size(topic::regclass) / 8192';
SELECT topic.create('moved', 1);
SELECT topic.create('steady', 3);
SELECT topic.create('tail', 1);
SELECT topic.create('ring', 4);
});
$primary->backup('base');

sub sql { return $primary->safe_psql('postgres', $_[0]); }

sub trim_all
{
	my ($topic, $where) = @_;

	return sql("SELECT topic.delete_records('$topic', partition, -1) FROM topic.list_offsets('$topic') WHERE " . ($where // 'true'));
}

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# ---------- the end of the file ----------

# Lane and directory pages lie behind all extents in use, because those were put
# into space that had been trimmed.
sql(q{CALL fill('moved', 0, 1500)});
sql(q{SELECT topic.alter('moved', partitions => 60)});
sql(q{CALL fill('moved', 10, 100)});
sql(q{SELECT topic.produce('moved', payload('a', 100), partition => 55)});
trim_all('moved', 'partition = 0');
sql(q{CALL fill('moved', 55, 100)});
sql(q{CALL fill('moved', 0, 300)});
trim_all('moved');
sql(q{SELECT topic.produce('moved', payload('b', 100), partition => p) FROM unnest(ARRAY[0, 55]) p});

# a session that remembers where the lane pages are
my $session = $primary->background_psql('postgres', on_error_stop => 1);
$session->query_safe(q{SELECT topic.produce('moved', payload('c', 100), partition => 55)});

# Of a partition without a message the end stays only.  Who looked before remembers
# its last page, also on the standby.
my $ends = q{SELECT * FROM topic.list_offsets('moved') WHERE log_end_offset > 0 ORDER BY partition};
my $offsets = sql($ends);
like($offsets, qr/^10\|100\|100\|/m, 'a partition without a message');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $ends), $offsets, 'same offsets on the standby');

# VACUUM that is cancelled while it waits for the lock has frozen nevertheless.
my $reader = $primary->background_psql('postgres', on_error_stop => 1);
my $age = q{SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'moved'};
$reader->query_safe(q{BEGIN; SELECT count(*) FROM moved});
cmp_ok(sql($age), '>', 5, 'not frozen yet');
fails_with($primary, q{SET statement_timeout = 300; VACUUM moved}, '57014', 'VACUUM is cancelled');
cmp_ok(sql($age), '<=', 2, 'and has frozen');
$reader->quit;

my $before = contents($primary, 'moved');
my ($blocks, $from) = split /\|/, sql(q{SELECT blocks('moved'), pg_current_wal_insert_lsn()});
sql('VACUUM moved');
my $to = sql('SELECT pg_current_wal_insert_lsn()');
my $left = sql(q{SELECT blocks('moved')});
cmp_ok($left, '<', $blocks / 2, "VACUUM gives back the end of the file, $left of $blocks blocks are left");
is(contents($primary, 'moved'), $before, 'and the contents stay');
is(sql($ends), $offsets, 'and the offsets');
$session->query_safe(q{SELECT topic.produce('moved', payload('d', 100), partition => 55)});
$session->quit;
verify_silent($primary, 'moved');
sql(q{SELECT topic.produce('moved', payload('e', 100), partition => 10)});
is(sql(q{SELECT count(*) FROM topic.fetch('moved', 10, 100)}), 1, 'a partition that was empty goes on where it ended');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $ends), sql($ends), 'on the standby, too');
is(contents($standby, 'moved'), contents($primary, 'moved'), 'same contents there');

# A server that crashed at whatever moment of it comes up with nothing used twice,
# nothing missing, and goes on.
SKIP:
{
	skip 'no pg_walinspect', 1
	  if sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_walinspect'}) == 0;
	sql('CREATE EXTENSION pg_walinspect');

	my @moments = split /\n/, sql(qq{
SELECT start_lsn FROM pg_get_wal_records_info('$from', '$to')
WHERE record_type IN ('SPACE', 'TRUNCATE') ORDER BY start_lsn});
	cmp_ok(scalar @moments, '>', 10, @moments . ' WAL records of it');
	my $half = int(@moments / 2);
	for my $moment (@moments[0, 1 + int(rand($half - 1)), $half + int(rand(@moments - $half))])
	{
		my $crashed = PostgreSQL::Test::Cluster->new("crashed_$moment" =~ s{/}{_}r);

		$crashed->init_from_backup($primary, 'base', has_streaming => 1);
		$crashed->append_conf('postgresql.conf', "recovery_target_lsn = '$moment'\nrecovery_target_action = 'promote'");
		$crashed->start;
		$crashed->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$moment is not reached";
		verify_silent($crashed, 'moved', "topic.verify() is silent at $moment");
		is(contents($crashed, 'moved'), $before, "same contents at $moment");
		is($crashed->safe_psql('postgres', $ends), $offsets, "same offsets at $moment");
		$crashed->safe_psql('postgres', q{
DO $$ BEGIN FOR p IN 0 .. 59 LOOP CALL fill('moved', p, 20); END LOOP; END $$});
		verify_silent($crashed, 'moved', 'it goes on');
		$crashed->safe_psql('postgres', 'VACUUM moved');
		verify_silent($crashed, 'moved', 'VACUUM ends there what was not ended');
		is($crashed->safe_psql('postgres', q{SELECT count(*) FROM moved WHERE convert_from(value, 'UTF8') LIKE 'fill-%'}), 60 * 20,
			'all messages are there');
		$crashed->stop;
		log_is_clean($crashed);
	}
}

# ---------- a file that stays as it is ----------

# Where messages are always deleted again, the file's end gets free, too.
sub shrink
{
	my ($topic, $lanes) = @_;
	my @sizes;

	for my $round (1 .. 4)
	{
		sql("CALL fill('$topic', $_, 130)") for 0 .. $lanes - 1;
		trim_all($topic);
		sql("VACUUM $topic");
		push @sizes, sql("SELECT blocks('$topic')");
	}
	cmp_ok($sizes[-1], '<=', $lanes * 4 * 128, "VACUUM gives back what is trimmed of $topic: @sizes blocks");
	verify_silent($primary, $topic);
	return;
}

# more extents than one directory node holds; without a copy of every page in WAL
my $quick = "SET wal_consistency_checking = '';";
sql("$quick CALL fill('steady', 0, 210, 1000000)");
my $wal = sql(qq{
$quick
CHECKPOINT;
SELECT pg_current_wal_insert_lsn() AS before \\gset
SELECT topic.delete_records('steady', 0, -1) AS log_start \\gset
SELECT pg_current_wal_insert_lsn() - :'before'::pg_lsn;
});
cmp_ok($wal, '<=', 10_000, "deleting 210 MB writes $wal bytes of WAL, just after a checkpoint");
is(sql(q{SELECT count(*) FROM topic.fetch('steady', 0, 210)}), 0, 'and all are gone');
my $full = sql(q{SELECT blocks('steady')});
sql("$quick CALL fill('steady', 1, 206, 1000000)");
cmp_ok(sql(q{SELECT blocks('steady')}), '<=', $full + 3, 'another lane takes all of that; two of its three directory pages are new');
sql(q{CALL fill('steady', 2, 100)});
cmp_ok(sql(q{SELECT blocks('steady')}), '<=', $full + 3 + 41, 'a third lane takes what is left, but for its first, small extents');
trim_all('steady');
my @sizes;
for my $round (1 .. 12)
{
	my $p = $round % 3;

	sql("$quick CALL fill('steady', $p, 80, 100000)");
	sql("SELECT topic.delete_records('steady', $p, -1)");
	push @sizes, sql(q{SELECT blocks('steady')});
}
is("@sizes[6 .. 11]", join(' ', ($sizes[5]) x 6), "the file stays as it is: @sizes blocks");
trim_all('steady');
sql('VACUUM steady');
is(sql(q{SELECT blocks('steady')}), 2, 'VACUUM leaves two blocks of a topic without a message');
# messages with offsets of their own leave a gap, as they would have before
like(sql(q{
INSERT INTO steady (partition, log_offset, value) SELECT 0, log_end_offset + 50, 'restored' FROM topic.list_offsets('steady') WHERE partition = 0;
SELECT log_start_offset || ',' || log_end_offset - 51 || ',' || (SELECT count(*) FROM topic.fetch('steady', 0, log_start_offset)) FROM topic.list_offsets('steady') WHERE partition = 0}),
	qr/^(\d+),\1,1$/, 'a log start stays where messages are deleted');
verify_silent($primary, 'steady');
shrink('steady', 3);

# ---------- the log end moves while the log start comes ----------

my $appending = $primary->background_psql('postgres', on_error_stop => 1);
$appending->query_until(qr//, q{
SET synchronous_commit = off;
SET wal_consistency_checking = '';
DO $$ BEGIN FOR i IN 1 .. 150000 LOOP PERFORM topic.produce('tail', i::text); COMMIT; END LOOP; END $$;
});
is(sql(q{
SET synchronous_commit = off;
SET wal_consistency_checking = '';
CREATE TABLE missed (log_start bigint, first bigint);
DO $$
DECLARE
	log_start bigint;
	first bigint;
BEGIN
	FOR i IN 1 .. 12000 LOOP
		log_start := topic.delete_records('tail', 0, -1);
		SELECT log_offset INTO first FROM topic.fetch('tail', 0, log_start, 1);
		IF first <> log_start THEN INSERT INTO missed VALUES (log_start, first); END IF;
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM missed;
}), '', 'no message that is appended meanwhile gets lost');
$appending->quit;

# ---------- load, readers, crashes ----------

my $load = TopicTest::Load->new(topic => 'ring', partitions => 4, producers => 4, transactions => 400, max_size => 200_000, trimmed => 1,
	kinds => { one => 20, batch => 30, insert => 8, savepoint => 8, big => 15 });
my %result = map { $_ => { wrong => [], read => 0, overtaken => 0, gapless => 1, slow => 1 } } qw(primary standby);
my @verify;

# Starts those who make space, over and over again.
sub make_space
{
	my @pids;

	for my $statements (
		"SELECT topic.delete_records('ring', partition, greatest(log_start_offset, last_stable_offset - 100)) FROM topic.list_offsets('ring');\nVACUUM ring;\n",
		"SELECT topic.delete_records('ring', partition, log_start_offset + 3) FROM topic.list_offsets('ring') WHERE log_start_offset + 3 <= last_stable_offset;\nSELECT pg_sleep(0.002);\n")
	{
		my $script = PostgreSQL::Test::Utils::tempdir() . '/space.sql';
		my $pid;

		open my $file, '>', $script or die "$script: $!";
		print $file $statements x 2000;
		close $file or die "$script: $!";
		$pid = fork // die "fork: $!";
		if ($pid == 0)
		{
			open STDOUT, '>', '/dev/null' or die;
			open STDERR, '>', '/dev/null' or die;
			exec 'psql', '-XqAt', '-f', $script, '-d', $primary->connstr('postgres') or die "exec: $!";
		}
		push @pids, $pid;
	}
	return @pids;
}

for my $round (1 .. 4)
{
	my @pids;

	$load->start($primary);
	$load->wait_for_acks(20);
	@pids = make_space();
	if ($round == 1)
	{
		my $until = time + 3;

		while (time < $until)
		{
			read_beside($primary, 'ring', $result{primary});
			read_beside($standby, 'ring', $result{standby});
			# VACUUM that fails at some moment
			$primary->psql('postgres', sprintf('SET statement_timeout = %d; VACUUM ring', 1 + int(rand(15))));
			push @verify, grep { $_ ne '' } sql(q{SELECT * FROM topic.verify('ring')});
		}
		kill 'TERM', @pids;
		$load->stop($primary);
	}
	else
	{
		pause(0.1, 0.7);
		kill_postmaster($primary);
		$load->finish;
		$primary->start;
	}
	waitpid $_, 0 for @pids;
	$load->check_trimmed($primary, "round $round");
	$primary->wait_for_catchup($standby);
	is(contents($standby, 'ring'), contents($primary, 'ring'), "round $round: same contents on the standby");
	verify_silent($standby, 'ring', "round $round: topic.verify() is silent on the standby");
}
is("@verify", '', 'topic.verify() was silent under load');
for my $name (sort keys %result)
{
	is("@{ $result{$name}{wrong} }", '', "$name: readers met nothing wrong");
	cmp_ok($result{$name}{read}, '>', 0, "$name: and did read");
	note "$name: $result{$name}{read} reads, $result{$name}{overtaken} overtaken";
}
shrink('ring', 4);
$primary->wait_for_catchup($standby);

# ---------- promotion ----------

$primary->stop('immediate');
$standby->promote;
$load->start($standby);
$load->wait_for_acks(50);
$load->stop($standby);
$load->check_trimmed($standby, 'promoted');
for my $topic ('moved', 'steady', 'tail')
{
	$standby->safe_psql('postgres', qq{CALL fill('$topic', 0, 300); SELECT topic.delete_records('$topic', 0, -1); CALL fill('$topic', 0, 300); VACUUM $topic});
	verify_silent($standby, $topic, "promoted: topic.verify() is silent, $topic");
}
$standby->stop;
log_is_clean($primary);
log_is_clean($standby);
done_testing();
