# A standby follows a group's commits (every page compared with the primary's by
# wal_consistency_checking), shows the offsets, refuses to change them, and is
# promoted under load: the consumers go on there, every effect done once.  Then
# VACUUM freezes the offsets, and the server crashes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicConsumers;
use TopicTest;

seed();

my $old = new_node('old',
	init => [ allows_streaming => 1 ],
	conf => "wal_consistency_checking = 'all'\nmax_wal_size = 1GB\n");
$old->start;
TopicConsumers::setup($old, q{SELECT topic.create('orders', 5)});
$old->backup('base');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init_from_backup($old, 'base', has_streaming => 1);
$new->start;
$old->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$old->reload;

my $producers = TopicConsumers->new(work => 'produce', name => 'producer', count => 2, topics => 'orders');
my $consumers = TopicConsumers->new(work => 'consume', name => 'consumer', count => 3,
	group => 'g', subscription => q{ARRAY['orders']}, rollback => 0.05, savepoint => 0.05, leave => 0.01);

# What the group has come to; also on a standby.
sub offsets
{
	my ($node) = @_;

	return $node->safe_psql('postgres',
		q{SELECT group_id, partition, committed_offset, log_end_offset, lag, lost FROM topic.lag ORDER BY 1, 2});
}

$_->start($old) for $producers, $consumers;
$consumers->go_on(200, 'consumers work with a synchronous standby');
for my $round (1 .. 4)
{
	$old->safe_psql('postgres', 'VACUUM FREEZE topic.offset_slots') if $round % 2;
	$old->safe_psql('postgres', 'CHECKPOINT') if $round == 2;
	# An effect and its offset are of one transaction, so one snapshot has both.
	is($new->safe_psql('postgres', q{
SELECT l.partition, l.committed_offset, e.next
FROM topic.lag l JOIN (SELECT partition, max(log_offset) + 1 AS next FROM effects GROUP BY 1) e USING (partition)
WHERE l.group_id = 'g' AND l.committed_offset < e.next}), '', "the standby shows no offset behind its effects, $round");
	$consumers->go_on(200, "and the work goes on, $round");
}

for my $call (
	q{topic.subscribe('g', ARRAY['orders'])}, q{topic.consume('g')}, q{topic.commit('g')},
	q{topic.take('pooled', ARRAY['orders'])}, q{topic.commit('other', 'orders', 0, 0)}, q{topic.seek('g', 'orders', 0, 0)})
{
	fails_with($new, "SELECT $call", '25006', "on the standby: $call");
}

# The old primary goes on until it is stopped; what it could not replicate is lost.
$new->promote;
pause(0, 0.2);
$old->stop('immediate');
$_->stop for $producers, $consumers;
$_->no_errors('before the promotion') for $producers, $consumers;

is($new->safe_psql('postgres', q{SELECT state, members FROM topic.groups}), 'Empty|0', 'no members after the promotion');
my $before = offsets($new);
like($before, qr/^g\|0\|\d+\|/, 'but offsets');
$_->start($new) for $producers, $consumers;
$consumers->go_on(200, 'consumers go on at the new primary');
$producers->stop;
$consumers->drain('after the promotion');
$consumers->stop;
$_->no_errors('after the promotion') for $producers, $consumers;
$consumers->no_overlap('on both servers');
$consumers->check_effects('after the promotion', 'orders');

# Frozen offsets are what they were, also after a crash and with a higher epoch.
my $epoch = $new->safe_psql('postgres', q{SELECT epoch FROM topic.groups WHERE group_id = 'g'});
$before = offsets($new);
$new->safe_psql('postgres', 'VACUUM FREEZE topic.offset_slots');
is(offsets($new), $before, 'VACUUM FREEZE leaves the offsets');
is($new->safe_psql('postgres', q{SELECT age(relfrozenxid) < 10 FROM pg_class WHERE oid = 'topic.offset_slots'::regclass}),
	't', 'and advances relfrozenxid');
$new->stop('immediate');
$new->start;
is(offsets($new), $before, 'a crash, too');
$_->start($new) for $producers, $consumers;
$consumers->go_on(200, 'consumers go on after the crash');
cmp_ok($new->safe_psql('postgres', q{SELECT epoch FROM topic.groups WHERE group_id = 'g'}), '>', $epoch, 'the group epoch has not gone back');
$new->safe_psql('postgres', 'VACUUM FREEZE topic.offset_slots');
$producers->stop;
$consumers->drain('after the crash');
$consumers->stop;
$_->no_errors('after the crash') for $producers, $consumers;
$consumers->check_effects('after the crash', 'orders');
verify_silent($new, 'orders');

$new->stop;
log_is_clean($new, 1);
log_is_clean($old, 1);
done_testing();
