# Anything at any time: members join, leave, die, pause, seek, roll back and stay
# away for too long, by name and by pattern; partitions are added, topics come and
# go, the coordinator ends.  At every instant a partition has one owner; at the
# end every message has had its effect once.

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

my $seconds = $ENV{PGTOPIC_TEST_SECONDS} // 60;
my $node = new_node('chaos', conf => "synchronous_commit = off\nmax_wal_size = 128MB\n");
$node->start;
TopicConsumers::setup($node, q{
SELECT topic.create('chaos_a', 3);
SELECT topic.create('chaos_b', 1);
});

my @chances = (leave => 0.03, seek => 0.03, pause => 0.02, disconnect => 0.01,
	rollback => 0.05, savepoint => 0.05, twice => 0.1, work_time => 0.01);
# What happens to who meets a topic that has just been dropped
my $errors = 'TP00[23]|42P01';
my $producers = TopicConsumers->new(work => 'produce', name => 'producer', count => 2,
	topics => 'chaos_a,chaos_b', rollback => 0.05, pause => 0.03);
my @consumers = (
	TopicConsumers->new(work => 'consume', name => 'pattern', count => 3, group => 'g', errors => $errors,
		subscription => q{pattern => '.*chaos_.*'}, options => q{, max_poll_interval => '2 seconds'}, @chances),
	TopicConsumers->new(work => 'consume', name => 'named', count => 2, group => 'g', errors => $errors,
		subscription => q{ARRAY['chaos_a', 'chaos_b']}, @chances),
	TopicConsumers->new(work => 'consume', name => 'range', count => 1, group => 'g', errors => $errors,
		subscription => q{pattern => '.*chaos_.*', assignor => 'range'}, @chances),
	# comes back within session_timeout, or not, and then under another name
	TopicConsumers->new(work => 'consume', name => 'static', count => 2, group => 'g', errors => "$errors|TP006",
		subscription => q{ARRAY['chaos_a', 'chaos_b']}, options => q{, instance_id => '%n', session_timeout => '300 ms'},
		@chances, disconnect => 0.05),
	# keeps what it consumed for longer than it may
	TopicConsumers->new(work => 'consume', name => 'slow', count => 2, group => 'g', errors => $errors,
		subscription => q{pattern => '.*chaos_.*'}, options => q{, max_poll_interval => '300 ms'}, @chances, work_time => 0.5, commit_time => 0.7));
my ($partitions, $extra, $samples, @doubles) = (3, 0, 0);

my %blow = (
	'a client is killed' => sub { $consumers[ rand @consumers ]->kill_one },
	'a backend is terminated' => sub {
		$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name ~ '^(pattern|named|range|static|slow)' ORDER BY random() LIMIT 1});
	},
	'the coordinator is terminated' => sub { TopicConsumers::kill_coordinator($node, 'TERM') },
	'partitions are added' => sub {
		return if $partitions >= 12;
		$partitions += 1 + int(rand 2);
		$node->safe_psql('postgres', "SELECT topic.alter('chaos_a', $partitions)");
	},
	'a topic comes' => sub {
		$extra++;
		$node->safe_psql('postgres', qq{
SELECT topic.create('chaos_x$extra', 2);
SELECT topic.produce_batch('chaos_x$extra', array_agg('x' || i)) FROM generate_series(1, 20) i;});
	},
	'a topic goes' => sub {
		my $gone = $node->safe_psql('postgres',
			q{SELECT topic FROM topic.topics WHERE topic ~ 'chaos_x' ORDER BY random() LIMIT 1});

		$node->safe_psql('postgres', "SELECT topic.drop('$gone')") if $gone;
	},
	'a topic is renamed' => sub {
		my $old = $node->safe_psql('postgres',
			q{SELECT topic FROM topic.topics WHERE topic ~ 'chaos_x\d+$' ORDER BY random() LIMIT 1});

		# out of the pattern: nobody consumes it any more
		$node->safe_psql('postgres', "ALTER TABLE $old RENAME TO gone_" . ++$extra) if $old;
	},
	'a lock on a topic' => sub {
		$node->safe_psql('postgres', 'BEGIN; LOCK TABLE chaos_b IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.2); COMMIT');
	});

# One owner of each partition, in what the server shows of one instant.
my $watcher = TopicConsumers::Client->new(host => $node->host, port => $node->port, name => 'watcher');
sub watch
{
	my $reply = $watcher->query(q{
SELECT a, string_agg(member_id || ' (' || pid || ', epoch ' || epoch || ', ' || state || ')', ', ')
FROM topic.members, unnest(assigned) AS a WHERE group_id = 'g' GROUP BY a HAVING count(*) > 1});

	die "$reply->{state} $reply->{message}" if $reply->{state};
	push @doubles, map { "@$_" } @{ $reply->{rows} };
	$samples++;
	return;
}

$_->start($node) for $producers, @consumers;
my $until = Time::HiRes::time() + $seconds;
while (Time::HiRes::time() < $until)
{
	my $pause = Time::HiRes::time() + rand(0.4);
	my $blow = (sort keys %blow)[ rand keys %blow ];

	while (Time::HiRes::time() < $pause)
	{
		watch();
		Time::HiRes::sleep(0.005);
	}
	note $blow;
	$blow{$blow}->();
	$_->start for @consumers;
}

# The worker ends once more, and the crowd comes to rest.
TopicConsumers::kill_coordinator($node, 'TERM');
$producers->stop;
$node->safe_psql('postgres', q{SELECT topic.drop(topic) FROM topic.topics WHERE topic ~ 'gone_'});
$consumers[0]->drain('chaos');
$_->stop for @consumers;

is(TopicConsumers::first_of(@doubles), '', 'one owner of a partition at every instant');
cmp_ok($samples, '>', 10 * $seconds, "looked at often enough: $samples times");
$_->no_errors('chaos') for $producers, @consumers;
TopicConsumers::no_overlap_of('chaos', @consumers);
$consumers[0]->check_effects('chaos', split /\n/,
	$node->safe_psql('postgres', q{SELECT topic FROM topic.topics WHERE topic ~ 'chaos_'}));
is($node->safe_psql('postgres', q{SELECT topic, partition, log_offset, count(*), string_agg(who, ', ') FROM effects
GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 1, 2, 3 LIMIT 10}), '', 'nothing was done twice, also of topics that are gone');
verify_silent($node, $_) for 'chaos_a', 'chaos_b';
$node->stop;
log_is_clean($node);
done_testing();
