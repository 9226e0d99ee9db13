# Transaction ids go around, several times, and the commit log is cut off behind
# them: every message and every committed offset stays what it was, and what was
# rolled back stays away.  The same beside a transaction that was prepared long
# ago, which holds the horizon, and on a standby that is made then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $flag = "$dir/full";

system('cc', '-shared', '-fPIC', '-O1', '-o', "$dir/disk_full.so", "$FindBin::RealBin/lib/disk_full.c", '-ldl') == 0
  or plan skip_all => 'no C compiler for a disk that is full';

sub disk
{
	if ($_[0] eq 'full')
	{
		open my $file, '>', $flag or die $!;
		close $file;
	}
	else
	{
		unlink $flag or die $!;
	}
	return;
}

my $node = new_node('wraparound', init => [ allows_streaming => 1 ], conf => q{
autovacuum = off
fsync = off
});

sub start
{
	local $ENV{LD_PRELOAD} = "$dir/disk_full.so";
	local $ENV{DISK_FULL_FLAG} = $flag;
	$node->start;
	return;
}

start();
setup_load_database($node, q{
ALTER DATABASE template0 ALLOW_CONNECTIONS true;
SELECT topic.create('plain', 3, retention => NULL);
SELECT topic.create('packed', 2, retention => NULL, compression => 'lz4');
SELECT topic.create('wide', 120, retention => NULL);
SELECT topic.create('trimmed', retention => NULL);
SELECT topic.create('latest', 2, cleanup_policy => 'compact');
CREATE TABLE model (topic text, value text);

-- Messages, and the same in a heap table: PostgreSQL knows what became of that.
CREATE FUNCTION put(t text, id text, n int, size int, p int) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO model SELECT t, payload(id || '-' || i, size) FROM generate_series(1, n) i;
	SELECT topic.produce_batch(t, array_agg(payload(id || '-' || i, size)), partition => p) FROM generate_series(1, n) i;
$$;
});

my @topics = ('plain', 'packed', 'wide');
my @names = (@topics, 'latest');
my (%contents, $offsets);
my $round = 0;

# What a group has committed, by three ways of asking.
my $committed = q{SELECT group_id, topic, partition, committed_offset, lag FROM topic.lag ORDER BY 1, 2, 3};

# Committed, rolled back after it was appended, both in one transaction, and
# failed in COMMIT, behind the slots of offsets and the messages.
sub fill
{
	$round++;
	$node->safe_psql('postgres', q{SELECT topic.compact('latest')});
	for my $topic (@topics)
	{
		$node->safe_psql('postgres', qq{
SELECT put('$topic', 'a$round', 20, 100, p) FROM generate_series(0, 1) p;
SET pgtopic.produce_buffer = '64kB';
BEGIN; SELECT put('$topic', 'b$round', 100, 1000, 1); ROLLBACK;
BEGIN;
SELECT put('$topic', 'c$round', 70, 1000, 1);
SAVEPOINT s;
SELECT put('$topic', 'd$round', 70, 1000, 1);
ROLLBACK TO s;
SELECT put('$topic', 'e$round', 5, 10, 0);
COMMIT;
SET pgtopic.append_at = 'call';
BEGIN; SELECT put('$topic', 'f$round', 1, 50, 0); ROLLBACK;
SELECT put('$topic', 'g$round', 1, 50, 0);
SELECT topic.commit('g', '$topic', 0, $round);
BEGIN; SELECT topic.commit('g', '$topic', 0, 0); ROLLBACK;
});
	}
	$node->safe_psql('postgres', qq{
SELECT put('wide', 'h$round', 1, 10, (37 * $round + p) % 120) FROM generate_series(0, 59) p;
SELECT topic.produce('trimmed', repeat('x', 2000)) FROM generate_series(1, 20);
SELECT topic.produce('latest', payload('i$round', 2000), 'k' || i, partition => i % 2) FROM generate_series(1, 5) i;
});

	my $log_end = -s $node->logfile;
	disk('full');
	fails_with($node, qq{
BEGIN;
SELECT topic.commit('g', 'plain', 1, $round);
SELECT topic.produce_batch('plain', array_agg(payload('s$round-' || i, 1000)), partition => 2) FROM generate_series(1, 3000) i;
COMMIT;}, '53100', "round $round: fails in COMMIT");
	disk('empty');
	like(slurp_file($node->logfile, $log_end), qr/STATEMENT:  COMMIT/, "round $round: that is, behind the slots");
	remember();
	return;
}

sub remember
{
	$contents{$_} = contents($node, $_) for @names;
	$offsets = $node->safe_psql('postgres', $committed);
	return;
}

sub expect
{
	my ($name, %arg) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $topic (@names)
	{
		is(contents($node, $topic), $contents{$topic}, "$name: contents of $topic");
		verify_silent($node, $topic, "$name: topic.verify('$topic') is silent");
	}
	is($node->safe_psql('postgres', q{
SELECT count(*) FROM (
	(SELECT topic, value FROM model
	 EXCEPT ALL SELECT topic, convert_from(value, 'UTF8') FROM (SELECT 'plain', value FROM plain UNION ALL SELECT 'packed', value FROM packed UNION ALL SELECT 'wide', value FROM wide) m (topic, value))
	UNION ALL
	(SELECT topic, convert_from(value, 'UTF8') FROM (SELECT 'plain', value FROM plain UNION ALL SELECT 'packed', value FROM packed UNION ALL SELECT 'wide', value FROM wide) m (topic, value)
	 EXCEPT ALL SELECT topic, value FROM model)) d}), 0, "$name: topics have what the heap has");
	is($node->safe_psql('postgres', $committed), $offsets, "$name: committed offsets");
	return if $arg{undecided};

	# who follows the log comes to its end
	is($node->safe_psql('postgres', join ' UNION ALL ', map { qq{
SELECT count(*) FROM topic.list_offsets('$_') o (p), LATERAL (SELECT count(*) AS n FROM topic.fetch('$_', p, log_start_offset, 1000000)) f
WHERE last_stable_offset <> log_end_offset OR n <> (SELECT count(*) FROM $_ WHERE partition = p)} } @names),
		join("\n", (0) x @names), "$name: fetch sees the same, up to the end");
	return;
}

# Transaction ids go on with this one, 64 bits, whose page of the commit log the
# server would have made.
sub jump
{
	my ($fxid) = @_;
	my $xid = $fxid % 2**32;
	my $segment = $node->data_dir . sprintf('/pg_xact/%04X', int($xid / 2**20));

	$node->stop;
	system_or_bail('pg_resetwal', '-e', int($fxid / 2**32), '-x', $xid, $node->data_dir);
	if (!-e $segment)
	{
		open my $clog, '>', $segment or die $!;
		print $clog "\0" x (8192 * 32);
		close $clog;
	}
	start();
	return;
}

sub freeze
{
	$node->command_ok([ 'vacuumdb', '--all', '--freeze' ], "vacuumdb --all --freeze");
	return;
}

my $frozen = q{SELECT max(age(relfrozenxid)) FROM pg_class WHERE relam IN (SELECT oid FROM pg_am WHERE amname LIKE 'topic%')};

$node->safe_psql('postgres', q{SELECT put('plain', 'first', 1, 10, 1); SELECT topic.commit('g', 'plain', 1, 1);});
fill();
expect('at first');

# As far as a database bears that has been frozen; the third jump ends just before
# the ids begin anew.
for my $fxid (2_000_000_000, 4_000_000_000, 2**32 - 15, 2**32 + 2_100_000_000, 2 * 2**32 - 100_000_000)
{
	my $name = "transaction $fxid";

	freeze();
	expect("$name, before");
	jump($fxid);
	expect($name);
	fill();
	expect("$name, and more");
	$node->stop('immediate');
	start();
	expect("$name, and a crash");
	note 'now at ' . $node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
}
freeze();
is(scalar(my @segments = glob $node->data_dir . '/pg_xact/*'), 1, 'the commit log is cut off');
cmp_ok($node->safe_psql('postgres', $frozen), '<', 100, 'all is frozen');
expect('around several times');

# What was prepared long ago is undecided: nobody passes it, and nothing behind
# it is frozen, also where the ids begin anew meanwhile.
freeze();
jump(2 * 2**32 - 500);
$node->safe_psql('postgres', q{
BEGIN; SELECT put('plain', 'yes', 10, 1000, 0), put('wide', 'yes', 1, 10, 77), topic.produce('trimmed', 'yes'); PREPARE TRANSACTION 'yes';
BEGIN; SELECT put('plain', 'no', 10, 1000, 1), put('wide', 'no', 1, 10, 78); PREPARE TRANSACTION 'no';
});
my $stable = q{SELECT 'plain', partition, last_stable_offset FROM topic.list_offsets('plain') WHERE partition < 2
	UNION ALL SELECT 'wide', partition, last_stable_offset FROM topic.list_offsets('wide') WHERE partition IN (77, 78) ORDER BY 1, 2};
my $held = $node->safe_psql('postgres', $stable);
fill();
for my $fxid (2 * 2**32 + 30_000_000, 2 * 2**32 + 60_000_000)
{
	my $name = "prepared long ago, transaction $fxid";

	jump($fxid);
	expect($name, undecided => 1);
	$node->safe_psql('postgres', 'VACUUM FREEZE');
	cmp_ok($node->safe_psql('postgres', $frozen), '>', $fxid - 2 * 2**32, "$name: VACUUM leaves what it may not freeze");
	fill();
	expect("$name, after VACUUM", undecided => 1);
	is($node->safe_psql('postgres', $stable), $held, "$name: consumers wait at it");
	is($node->safe_psql('postgres', q{SELECT topic.delete_records('trimmed', 0, -1) < log_end_offset FROM topic.list_offsets('trimmed')}), 't', "$name: deletion stops at it");
}

# A standby knows of it what the primary does.  pg_resetwal would leave it behind, so
# that it comes after the jumps.
$node->backup('around');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'around', has_streaming => 1);
$standby->start;

sub expect_standby
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->wait_for_catchup($standby);
	for my $topic (@names)
	{
		is(contents($standby, $topic), $contents{$topic}, "standby, $name: contents of $topic");
		verify_silent($standby, $topic, "standby, $name: topic.verify('$topic') is silent");
	}
	is($standby->safe_psql('postgres', $committed), $offsets, "standby, $name: committed offsets");
	return;
}

expect_standby('prepared long ago');
is($standby->safe_psql('postgres', $stable), $held, 'standby: consumers wait at it');

my $start = $node->safe_psql('postgres', q{SELECT log_start_offset FROM topic.list_offsets('trimmed')});
$node->safe_psql('postgres', q{COMMIT PREPARED 'yes'; ROLLBACK PREPARED 'no';});
is($node->safe_psql('postgres', q{SELECT count(*) FROM plain WHERE convert_from(value, 'UTF8') LIKE 'yes-%'}), 10, 'what was prepared long ago is committed');
is($node->safe_psql('postgres', qq{SELECT convert_from(value, 'UTF8') FROM topic.fetch('trimmed', 0, $start, 1)}), 'yes', 'and is the first that deletion has left');
is($node->safe_psql('postgres', q{SELECT count(*) FROM plain WHERE convert_from(value, 'UTF8') LIKE 'no-%'}), 0, 'and what was rolled back is not');
remember();
freeze();
cmp_ok($node->safe_psql('postgres', $frozen), '<', 100, 'then all is frozen');
expect('in the end');
expect_standby('in the end');
$standby->stop;
log_is_clean($standby);

# Without anybody's VACUUM: PostgreSQL runs it before it is too late, whatever the
# setting autovacuum says.
jump(2 * 2**32 + 300_000_000);
fill();
ok($node->poll_query_until('postgres', "SELECT ($frozen) < 1000 AND max(age(datfrozenxid)) < 1000 FROM pg_database"), 'autovacuum freezes topics and committed offsets');
expect('after autovacuum');

$node->stop;
log_is_clean($node);
done_testing();
