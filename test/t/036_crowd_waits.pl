# Five hundred members of a group wait for messages: one message wakes one of
# them, and the others do nothing.

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

plan skip_all => 'needs Linux, to see how often a process goes to sleep' unless -r "/proc/$$/status";

my $crowd = 500;
my $messages = 1000;
my $node = new_node('crowd', conf => "max_connections = 520\n");
$node->start;
$node->safe_psql('postgres', qq{
CREATE EXTENSION pgtopic;
SELECT topic.create('orders', $crowd);
});

my @members = map { TopicConsumers::Client->new(host => $node->host, port => $node->port, name => 'member') } 1 .. $crowd;
sub ask
{
	my ($client, $sql) = @_;
	my $reply = $client->query($sql);

	die "$reply->{state} $reply->{message}" if $reply->{state};
	return $reply->{rows};
}
sub send_to
{
	my ($client, $sql) = @_;

	$client->{sql} = $sql;
	$client->put(pack('a N', 'Q', 5 + length $sql) . "$sql\0");
	return;
}

# All at once, for each waits until its assignment is in force.
send_to($_, q{SELECT topic.subscribe('g', ARRAY['orders'])}) foreach @members;
$_->reply foreach @members;
ok($node->poll_query_until('postgres', qq{
SELECT count(*) = $crowd AND min(cardinality(assigned)) = 1 AND max(cardinality(assigned)) = 1
FROM topic.members WHERE group_id = 'g'}), "$crowd members have a partition each");
my %member_of;
for my $i (0 .. $#members)
{
	$members[$i]{pid} = ask($members[$i], 'SELECT pg_backend_pid()')->[0][0];
	$member_of{ ask($members[$i], q{SELECT partition FROM topic.assignment('g')})->[0][0] } = $i;
}

# In one process a statement that waits is one that was sent.
sub wait_again
{
	send_to($_, q{SELECT log_offset FROM topic.consume('g', timeout => '1 hour')}) foreach @_;
	return;
}
wait_again(@members);
ok($node->poll_query_until('postgres', qq{
SELECT count(*) = $crowd FROM pg_stat_activity WHERE application_name = 'member' AND wait_event_type = 'Extension'}),
	'and wait');

# How often they went to sleep, and clock ticks of the processor they have used
sub work_of
{
	my ($sleeps, $ticks) = (0, 0);

	for my $pid (map { $_->{pid} } @_)
	{
		my ($count) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
		my @stat = split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr;

		$sleeps += $count;
		$ticks += $stat[11] + $stat[12];
	}
	return ($sleeps, $ticks);
}

my $lucky = $members[ $member_of{137} ];
my @others = grep { $_ != $lucky } @members;
my ($sleeps, $ticks) = work_of(@others);
my $began = Time::HiRes::time();
my $got = 0;
my $producer = TopicConsumers::Client->new(host => $node->host, port => $node->port, name => 'producer');
for my $i (1 .. $messages)
{
	wait_again($lucky) if $i > 1;
	ask($producer, q{SELECT topic.produce('orders', 'x', partition => 137)});
	$got += @{ $lucky->reply->{rows} };
}
my $seconds = Time::HiRes::time() - $began;
my ($sleeps_after, $ticks_after) = work_of(@others);

is($got, $messages, "$messages messages to one partition: its member has got them, one by one");
# everybody looks by himself every ten seconds
cmp_ok($sleeps_after - $sleeps, '<=', @others * (1 + $seconds / 10),
	'the others were not woken');
cmp_ok($ticks_after - $ticks, '<=', 20 + 5 * $seconds, 'and used no processor time');
note sprintf '%.1f s; the others went to sleep %d times and used %d ticks', $seconds, $sleeps_after - $sleeps, $ticks_after - $ticks;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'member' AND state = 'active'}),
	$crowd - 1, 'they wait still');

undef @members;
undef $lucky;
undef @others;
$node->stop('fast');
log_is_clean($node);
done_testing();
