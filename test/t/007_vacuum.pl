# VACUUM FULL of the database, then truncation of the commit log: what the
# visibility of a message rested on is gone, and it has to be visible, or stay
# invisible, nevertheless.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $node = new_node('vacuum', init => [ allows_streaming => 1 ], conf => "autovacuum = off\n");
$node->start;
setup_load_database($node, q{
SELECT topic.create('lazy', 3);     -- VACUUM only
SELECT topic.create('whole', 3);     -- VACUUM FULL
SELECT topic.create('mixed', 80);    -- both, more than one lane page
SELECT topic.create('empty', 4);
});

# Committed, rolled back after they were appended, and both in one transaction.
sub fill
{
	my ($round) = @_;

	for my $topic ('lazy', 'whole', 'mixed')
	{
		$node->safe_psql('postgres', qq{
SELECT topic.produce_batch('$topic', array_agg(payload('$round-' || i, i)), partition => p)
	FROM generate_series(1, 300) i, generate_series(0, 2) p GROUP BY p;
SET pgtopic.produce_buffer = '64kB';
BEGIN;
SELECT topic.produce_batch('$topic', array_agg(payload('x$round-' || i, 1000))) FROM generate_series(1, 400) i;
ROLLBACK;
BEGIN;
SELECT topic.produce_batch('$topic', array_agg(payload('$round-s-' || i, 1000)), partition => 1) FROM generate_series(1, 200) i;
SAVEPOINT s;
SELECT topic.produce_batch('$topic', array_agg(payload('x$round-' || i, 1000)), partition => 1) FROM generate_series(1, 200) i;
ROLLBACK TO s;
SAVEPOINT u;
SELECT topic.produce_batch('$topic', array_agg(payload('$round-u-' || i, 1000)), partition => 1) FROM generate_series(1, 200) i;
RELEASE u;
COMMIT;
SET pgtopic.append_at = 'call';
BEGIN;
SELECT topic.produce('$topic', payload('x$round-' || i, 50), partition => i % 3) FROM generate_series(1, 20) i;
ROLLBACK;
SELECT topic.produce('$topic', payload('$round-v-' || i, 50), partition => i % 3) FROM generate_series(1, 20) i;
});
	}
	$node->safe_psql('postgres', "SELECT topic.produce('mixed', payload('$round-w', 10), partition => 79)");
	return;
}

my %rows = (lazy => 0, whole => 0, mixed => 0);
my %contents;

sub expect
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $topic (sort keys %rows)
	{
		is(contents($node, $topic), $contents{$topic}, "$name: contents of $topic");
		is($node->safe_psql('postgres', "SELECT count(*) FROM $topic, convert_from(value, 'UTF8') v WHERE v LIKE 'x%' OR NOT is_payload(v)"),
			0, "$name: nothing in $topic that was rolled back");
		is($node->safe_psql('postgres', "SELECT sum(n) FROM topic.list_offsets('$topic') o (p), LATERAL (SELECT count(*) FROM topic.fetch('$topic', p, log_start_offset, 1000000)) f (n)"),
			$rows{$topic}, "$name: fetch of $topic sees the same");
		verify_silent($node, $topic, "$name: topic.verify('$topic') is silent");
	}
	return;
}

sub remember
{
	for my $topic (keys %rows)
	{
		$contents{$topic} = contents($node, $topic);
		$rows{$topic} = $node->safe_psql('postgres', "SELECT count(*) FROM $topic");
	}
	return;
}

fill(1);
remember();
is($rows{lazy}, 900 + 400 + 20, 'the messages that were committed');

# readers that began before see the same afterwards; so does an unfinished
# transaction hold back what is not decided
my $reader = $node->background_psql('postgres');
my $seen = $reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*), sum(log_offset) FROM lazy;');
$reader->query_safe('DECLARE c CURSOR FOR SELECT log_offset FROM lazy WHERE partition = 1 ORDER BY log_offset;');
my $ten = $reader->query_safe('FETCH 10 FROM c;');
$node->safe_psql('postgres', q{
SET pgtopic.append_at = 'call';
BEGIN;
SELECT topic.produce('lazy', payload('2pc-' || i, 10), partition => 0) FROM generate_series(1, 10) i;
PREPARE TRANSACTION 'undecided'});
fill(2);
$node->safe_psql('postgres', 'VACUUM lazy; VACUUM FREEZE lazy;');
is($reader->query_safe('SELECT count(*), sum(log_offset) FROM lazy;'), $seen, 'VACUUM between: the reader sees what it saw');
is($reader->query_safe('FETCH ALL FROM c;') =~ tr/\n// + 1, 300 + 400 + 7 - 10, 'and its cursor goes on');
$reader->query_safe('COMMIT;');
$reader->quit;
is($node->safe_psql('postgres', q{SELECT count(*) FROM lazy, convert_from(value, 'UTF8') v WHERE v LIKE '2pc-%'}), 0, 'undecided is invisible');
$node->safe_psql('postgres', q{COMMIT PREPARED 'undecided'});
is($node->safe_psql('postgres', q{SELECT count(*) FROM lazy, convert_from(value, 'UTF8') v WHERE v LIKE '2pc-%'}), 10, 'and committed is visible, VACUUM or not');
remember();

my $files = $node->safe_psql('postgres', q{SELECT string_agg(pg_relation_filenode(oid)::text, ',') FROM pg_class WHERE relname IN ('lazy', 'whole', 'mixed', 'empty')});
my $ends = $node->safe_psql('postgres', q{SELECT * FROM topic.partitions ORDER BY 1, 2});

# VACUUM FULL of the whole database
$node->safe_psql('postgres', 'VACUUM FULL');
isnt($node->safe_psql('postgres', q{SELECT string_agg(pg_relation_filenode(oid)::text, ',') FROM pg_class WHERE relname IN ('lazy', 'whole', 'mixed', 'empty')}),
	$files, 'VACUUM FULL of the database rewrites topics');
is($node->safe_psql('postgres', q{SELECT * FROM topic.partitions ORDER BY 1, 2}), $ends, 'and keeps all bounds');
expect('VACUUM FULL');
$node->stop('immediate');
$node->start;
expect('VACUUM FULL and a crash');

# more history behind what was rewritten: lazy is only vacuumed from here on
fill(3);
remember();
$node->safe_psql('postgres', 'VACUUM FULL whole; VACUUM FULL mixed');
fill(4);
remember();
expect('history upon history');

my $ages = q{SELECT relname, relfrozenxid FROM pg_class WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'topic') ORDER BY 1};
my %frozen_before = map { split /\|/ } split /\n/, $node->safe_psql('postgres', $ages);

# The commit log is as long as it takes to reach another of its segments.
$node->stop;
my $segment = 1024 * 1024;
command_ok([ 'pg_resetwal', '-x', 3 * $segment + 1000, $node->data_dir ], 'transactions pass');
open my $clog, '>', $node->data_dir . '/pg_xact/0003' or die $!;
print $clog "\0" x (8192 * 32);
close $clog;
$node->start;
expect('before the commit log is truncated');
fill(5);
remember();

# readers of an old snapshot hold the commit log, too
$reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
$node->command_ok([ 'vacuumdb', '--all', '--freeze' ], 'vacuumdb --all --freeze beside a reader');
is($reader->query_safe('SELECT count(*) FROM lazy;'), $rows{lazy}, 'which sees all');
$reader->query_safe('COMMIT;');
$reader->quit;
$node->command_ok([ 'vacuumdb', '--all', '--freeze' ], 'vacuumdb --all --freeze');
ok(!-e $node->data_dir . '/pg_xact/0000', 'the commit log is truncated');

my %frozen = map { split /\|/ } split /\n/, $node->safe_psql('postgres', $ages);
cmp_ok($frozen{$_}, '>', 3 * $segment, "relfrozenxid of $_ has advanced from $frozen_before{$_}") for sort keys %frozen;
expect('commit log truncated');
$node->stop('immediate');
$node->start;
expect('commit log truncated, and a crash');
fill(6);
remember();
$node->safe_psql('postgres', 'VACUUM FULL');
expect('and VACUUM FULL after it');

$node->stop;
log_is_clean($node);
done_testing();
