# Waiting for messages: no wake-up is lost, nobody is woken for what others wait
# for, and a backend whose client has gone does not wait on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicTest;

my $node = new_node('main');
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('ping', 16), topic.create('pong', 16);
SELECT topic.create('tick', 4), topic.create('tock', 4), topic.create('quiet', 4);
});

# Starts a psql of its own that runs one statement.
sub start_psql
{
	my ($name, $sql, %out) = @_;

	$out{out} = $out{err} = '';
	$out{psql} = IPC::Run::start(
		[
			'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', $sql,
			'-d', $node->connstr('postgres') . " application_name=$name"
		],
		'<', \undef, '>', \$out{out}, '2>', \$out{err});
	return \%out;
}

# The backends of this name, once so many sleep in a wait for messages.
sub sleeping
{
	my ($name, $count) = @_;

	$node->poll_query_until('postgres', qq{
SELECT count(*) = $count FROM pg_stat_activity
WHERE application_name = '$name' AND wait_event_type = 'Extension'}) or die "not $count of $name wait";
	return split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE application_name = '$name'");
}

#
# Rallies: each message is produced by whom the last one woke, while the other
# side is on its way from its commit into the wait.  Every second a waiter looks
# by itself, so a wake-up that is lost shows as a wait of a second.  Most wait
# for a partition; one pair waits for whole topics, which it empties each time.
#

my $rounds = 2500;
my $pairs = 4;
$node->safe_psql('postgres', q{
CREATE TABLE slow (waited interval);
CREATE PROCEDURE rally(mine text, theirs text, part int, rounds int, serves boolean, tails boolean)
LANGUAGE plpgsql AS $$
DECLARE
	since timestamptz;
BEGIN
	FOR i IN 0 .. rounds - 1 LOOP
		IF serves THEN
			PERFORM topic.produce(mine, 'x', partition => part);
			COMMIT;
		END IF;
		since := clock_timestamp();
		IF tails THEN
			PERFORM FROM topic.tail(theirs, 1, '60 s');
		ELSE
			PERFORM FROM topic.fetch(theirs, part, i, 1, timeout => '60 s');
		END IF;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'message % of % did not come', i, theirs;
		END IF;
		IF clock_timestamp() - since > '0.9 s' THEN
			INSERT INTO slow VALUES (clock_timestamp() - since);
		END IF;
		IF tails THEN
			PERFORM topic.delete_records(theirs, part, -1);
		END IF;
		-- so that the two meet in every phase
		PERFORM count(*) FROM generate_series(1, (random() * 200)::int);
		IF NOT serves THEN
			PERFORM topic.produce(mine, 'x', partition => part);
			COMMIT;
		END IF;
	END LOOP;
END $$;
});

my $begin = Time::HiRes::time();
my @players;
for my $pair (0 .. $pairs - 1)
{
	push @players,
	  start_psql('player', "CALL rally('ping', 'pong', $pair, $rounds, true, false)"),
	  start_psql('player', "CALL rally('pong', 'ping', $pair, $rounds, false, false)");
}
push @players,
  start_psql('player', "CALL rally('tick', 'tock', 2, $rounds, true, true)"),
  start_psql('player', "CALL rally('tock', 'tick', 2, $rounds, false, true)");
$_->{psql}->finish for @players;
is(join('', map { $_->{err} } @players), '', 'every message arrived');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (TABLE ping UNION ALL TABLE pong) m'),
	2 * $pairs * $rounds, 'of ' . 2 * $pairs * $rounds);
# a machine may stand still for a moment; a hole in the protocol does not stop at that
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM slow'), '<=', 2, 'and none waited for the look that goes round');
note sprintf '%.1f s; slow: %s', Time::HiRes::time() - $begin,
  $node->safe_psql('postgres', 'SELECT count(*) FROM slow');

#
# A message wakes those who wait for its partition: the kernel counts how often
# a process goes to sleep.
#

sub sleeps
{
	my $sum = 0;

	for my $pid (@_)
	{
		my ($count) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
		$sum += $count;
	}
	return $sum;
}

SKIP:
{
	skip 'needs Linux', 2 unless -r "/proc/$$/status";

	my @others = map { start_psql('other', "SELECT log_offset FROM topic.fetch('ping', $_, 0, timeout => '1 hour')") } 8 .. 15;
	push @others, start_psql('other', "SELECT log_offset FROM topic.tail('quiet', timeout => '1 hour')");
	my @pids = sleeping('other', scalar @others);
	my $before = sleeps(@pids);

	$begin = Time::HiRes::time();
	$node->safe_psql('postgres',
		join('', map { "SELECT topic.produce('ping', 'x', partition => 4);\n" } 1 .. 1000));
	my $seconds = Time::HiRes::time() - $begin;

	# each looks once a second; a look may sleep for a lock
	cmp_ok(sleeps(@pids) - $before, '<=', @others * 3 * (1 + $seconds),
		'a thousand messages to one partition leave those alone who wait for others');

	$node->safe_psql('postgres',
		join('', map { "SELECT topic.produce('ping', 'x', partition => $_);\n" } 8 .. 15)
		  . "SELECT topic.produce('quiet', 'x', partition => 3);\n");
	$_->{psql}->finish for @others;
	is(join('', map { $_->{out} . $_->{err} } @others), "0\n" x @others, 'each is woken by its own');
}

#
# The client is killed: no signal reaches the backend, and it neither reads nor
# writes.
#

for my $wait (
	q{topic.fetch('ping', 5, 0, timeout => '1 hour')},
	q{topic.fetch_text('ping', 5, 0, timeout => '1 hour')})
{
	my $client = start_psql('killed', "SELECT count(*) FROM $wait");

	sleeping('killed', 1);
	$begin = Time::HiRes::time();
	$client->{psql}->signal('KILL');
	eval { $client->{psql}->finish };
	ok($node->poll_query_until('postgres',
			q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'killed'}),
		'the backend of a killed client ends');
	cmp_ok(Time::HiRes::time() - $begin, '<', 10, 'soon');
}
is(scalar(() = slurp_file($node->logfile) =~ /08006 .*FATAL:  connection to client lost/g), 2, 'and says why');

$node->stop;
log_is_clean($node);
done_testing();
