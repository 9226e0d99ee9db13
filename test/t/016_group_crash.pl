# Consumers of a group die at random instants under load, and so do backends, the
# coordinator and the whole server: at the end every message has had its effect
# exactly once (for those who consume in autocommit: at least once), and no two
# members have ever held a partition at the same time.

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

my $rounds = $ENV{PGTOPIC_TEST_ROUNDS} // 20;
my $node = new_node('groupcrash', conf => q{
max_wal_size = 64MB
checkpoint_timeout = 30s
wal_writer_delay = 10ms
});
$node->start;
TopicConsumers::setup($node, q{
SELECT topic.create('orders', 6);
SELECT topic.create('bills', 2);
CREATE TABLE pooled_effects (LIKE effects INCLUDING ALL);
CREATE TABLE loose_effects (LIKE effects INCLUDING ALL);
});

my $producers = TopicConsumers->new(work => 'produce', name => 'producer', count => 3,
	topics => 'orders,bills', rollback => 0.05);
my $consumers = TopicConsumers->new(work => 'consume', name => 'consumer', count => 4,
	group => 'g', subscription => q{ARRAY['orders', 'bills']},
	rollback => 0.05, savepoint => 0.1, twice => 0.2, work_time => 0.01);
my $takers = TopicConsumers->new(work => 'turn', name => 'taker', count => 3,
	group => 'pooled', topics => 'bills,orders', take => 1, effects => 'pooled_effects',
	rollback => 0.05, savepoint => 0.1, twice => 0.1, work_time => 0.01);

my $loose = TopicConsumers->new(work => 'consume', name => 'loose', count => 3,
	group => 'loose', subscription => q{pattern => '^(orders|bills)$'}, autocommit => 1, forget => 0.1, effects => 'loose_effects',
	work_time => 0.01);
my @crowds = ($consumers, $takers, $loose);
my $backends = q{SELECT pid FROM pg_stat_activity WHERE application_name ~ '^(consumer|taker|loose)' ORDER BY random() LIMIT 1};

# What has been killed, the postmaster has noticed.
sub wait_until_gone
{
	for my $pid (@_)
	{
		for (1 .. 1000)
		{
			last unless kill 0, $pid;
			Time::HiRes::sleep(0.01);
		}
	}
	return;
}

my %blow = (
	'kill -9 of a client' => sub { $crowds[ rand @crowds ]->kill_one },
	'pg_terminate_backend' => sub {
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM ($backends) s");
	},
	'the coordinator terminated' => sub { TopicConsumers::kill_coordinator($node, 'TERM') },
	'kill -9 of the coordinator' => sub {
		wait_until_gone(TopicConsumers::kill_coordinator($node, 'KILL'));
		comes_back($node);
	},
	'kill -9 of a backend' => sub {
		my $pid = $node->safe_psql('postgres', $backends);

		return unless $pid;
		kill 'KILL', $pid;
		wait_until_gone($pid);
		comes_back($node);
	},
	'immediate stop' => sub { $node->stop('immediate'); $node->start; },
	'kill -9 of the postmaster' => sub {
		my $pids = $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');

		$node->kill9;
		# its children notice, and the shared memory is free when they are gone
		wait_until_gone(split /\n/, $pids);
		$node->start;
	});

# Half of the rounds kill clients and sessions, one at a time or three, the others
# what is behind them.
my @plan;
for my $round (1 .. $rounds)
{
	push @plan, [ ('kill -9 of a client', 'pg_terminate_backend')[ $round % 2 ] ];
	push @{ $plan[-1] }, ($plan[-1][0]) x 2 if $round % 4 < 2;
}
push @plan, map { [$_] } sort grep { !/client|pg_terminate/ } keys %blow;
push @plan, [ 'the coordinator terminated', 'kill -9 of a client' ];

$_->start($node) for $producers, @crowds;
for my $step (@plan)
{
	# not before the groups have come back to life since the last blow
	$_->go_on(30, join(', ', 'before', @$step)) for @crowds;
	pause(0, 0.2);
	for my $blow (@$step)
	{
		note $blow;
		$blow{$blow}->();
	}
	$_->start for $producers, @crowds;
}
$producers->stop;
$_->drain("group $_->{group}") for @crowds;
$_->stop for @crowds;

$_->no_errors('at the end') for $producers, @crowds;
$_->no_overlap("group $_->{group}") for @crowds;
$consumers->check_effects('group g', 'orders', 'bills');
$takers->check_effects('group pooled', 'orders', 'bills');
$loose->check_effects('group loose', 'orders', 'bills');

# nothing of all those sessions has stayed
is($node->safe_psql('postgres', 'SELECT group_id, state, members FROM topic.groups ORDER BY 1'),
	"g|Empty|0\nloose|Empty|0\npooled|Empty|0", 'the groups are empty');
is($node->safe_psql('postgres', 'SELECT count(*) FROM topic.members'), 0, 'and have no members');
for my $topic ('orders', 'bills')
{
	verify_silent($node, $topic);
}
$node->stop;
log_is_clean($node, 1);
done_testing();
