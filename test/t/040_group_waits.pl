# Wherever a session waits inside a consumer group it can be cancelled and
# terminated, and leaves nothing behind.  While a COMMIT that stores offsets waits for
# a synchronous standby, its partitions stay where they are, however long that takes;
# whoever would be in its way waits for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicConsumers;
use TopicTest;

# There is no standby: who wants one waits until it is not asked for any more.
my $node = new_node('main', init => [ allows_streaming => 1 ],
	conf => "synchronous_commit = local\nsynchronous_standby_names = 'nobody'\n");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t', 2);
SELECT topic.produce_batch('t', ARRAY['a', 'b', 'c', 'd'], partition => p) FROM generate_series(0, 1) p;
});

sub client { return TopicConsumers::Client->new(host => $node->host, port => $node->port, name => $_[0]) }

# The rows of a statement, as psql -At would show them; or the SQLSTATE.
sub ask
{
	my ($client, $sql) = @_;
	my $reply = $client->query($sql);

	return $reply->{state} // join "\n", map { join '|', map { $_ // '' } @$_ } @{ $reply->{rows} };
}

# Sends a statement, and waits until it waits for that.
sub send_and_wait
{
	my ($client, $sql, $event) = @_;

	$client->{pid} //= ask($client, 'SELECT pg_backend_pid()');
	$client->{sql} = $sql;
	$client->put(pack('a N', 'Q', 5 + length $sql) . "$sql\0");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $client->{pid} AND state = 'active' AND wait_event = '$event'")
	  or die "does not wait for $event: $sql";
	return $client;
}

sub cancelled
{
	my ($client) = @_;

	$node->safe_psql('postgres', "SELECT pg_cancel_backend($client->{pid})");
	return $client->reply->{state} // 'done';
}

sub terminated
{
	my ($client) = @_;

	$node->safe_psql('postgres', "SELECT pg_terminate_backend($client->{pid}, 10000)");
	return eval { $client->reply; 1 } ? 'goes on' : $@ =~ /^gone: / ? 'gone' : $@;
}

sub ask_for_standby
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$_[0]'");
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	return;
}

my $members = q{SELECT string_agg(cardinality(assigned)::text, ',' ORDER BY cardinality(assigned)) FROM topic.members WHERE group_id = '%s'};

sub becomes
{
	my ($group, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', sprintf($members, $group), $expected), $name);
}

# ---- the owner of a partition waits at COMMIT

for my $how ('released', 'terminated')
{
	my $group = "commit $how";
	my $owner = client('owner');
	my $other = client('other');

	ask($owner, 'SET synchronous_commit = on');
	ask($owner, "SELECT topic.subscribe('$group', ARRAY['t'], max_poll_interval => '500 ms')");
	ask($owner, 'BEGIN');
	is(ask($owner, "SELECT count(*) FROM topic.consume('$group')"), 8, "$how: has messages of both partitions");
	ask($owner, "SELECT topic.commit('$group')");
	send_and_wait($owner, 'COMMIT', 'SyncRep');

	ask($other, "SELECT topic.subscribe('$group', ARRAY['t'])");
	ask($other, 'SELECT pg_sleep(1)');
	is($node->safe_psql('postgres', sprintf($members, $group)), '0,2', "$how: keeps them beyond max_poll_interval");
	is(ask($other, "SELECT count(*) FROM topic.consume('$group')"), 0, "$how: nobody else gets anything");
	if ($how eq 'released')
	{
		ask_for_standby('');
		is($owner->reply->{state}, undef, "$how: COMMIT ends");
		ask_for_standby('nobody');
		becomes($group, '1,1', "$how: then one moves");
	}
	else
	{
		is(terminated($owner), 'gone', "$how: the session ends");
		becomes($group, '2', "$how: then both move");
	}
	is(ask($other, "SELECT count(*) FROM topic.consume('$group')"), 0, "$how: behind what was committed");
}

# ---- who joins waits for an operator's COMMIT

my $operator = client('operator');
ask($operator, "SELECT topic.create_group('reset')");
ask($operator, 'SET synchronous_commit = on');
send_and_wait($operator, "SELECT topic.reset_offsets('reset', 't', '3')", 'SyncRep');
my $subscribe = q{SELECT topic.subscribe('reset', ARRAY['t']) IS NOT NULL};
is(terminated(send_and_wait(client('joins'), $subscribe, 'Extension')), 'gone', 'terminated while it waits to join');
is(cancelled(send_and_wait(my $cancelled = client('joins'), $subscribe, 'Extension')), '57014', 'cancelled');
my $joins = send_and_wait(client('joins'), $subscribe, 'Extension');
is(ask($cancelled, "SELECT topic.commit('reset')"), 'TP002', 'who was cancelled has not joined');
ask_for_standby('');
is($operator->reply->{state}, undef, 'the reset is done');
is($joins->reply->{state}, undef, 'and the join after it');
is(ask($joins, "SELECT count(*), min(log_offset) FROM topic.consume('reset')"), '2|3', 'which reads from there');
becomes('reset', '2', 'the only member');
ask_for_standby('nobody');

# ---- offsets of a group without members: one COMMIT waits for another

my $first = client('first');
my $commit = q{SELECT topic.commit('empty', 't', 0, %d)};
ask($first, 'SET synchronous_commit = on');
$node->safe_psql('postgres', sprintf $commit, 0);
send_and_wait($first, sprintf($commit, 1), 'SyncRep');
is(terminated(send_and_wait(client('second'), sprintf($commit, 2), 'transactionid')), 'gone', 'terminated while it waits for a slot');
is(cancelled(send_and_wait(client('second'), sprintf($commit, 3), 'transactionid')), '57014', 'cancelled');
my $last = send_and_wait(client('second'), sprintf($commit, 4), 'transactionid');
ask_for_standby('');
is($first->reply->{state}, undef, 'the first is stored');
is($last->reply->{state}, undef, 'and the last');
is(ask($last, q{SELECT committed_offset FROM topic.lag WHERE group_id = 'empty' AND partition = 0}), 4, 'which counts');
is(ask($last, q{SELECT topic.subscribe('empty', ARRAY['t']) IS NOT NULL}), 't', 'no mark is left: one may join');

# ---- waits of members

my $stays = client('stays');
ask($stays, q{SELECT topic.subscribe('g', ARRAY['t'])});
my $waits = client('waits');
ask($waits, q{SELECT topic.subscribe('g', ARRAY['t'])});
becomes('g', '1,1', 'two members');
ask($waits, 'BEGIN');
is(ask($waits, q{SELECT count(*) FROM topic.consume('g')}), 4, 'one holds messages');
send_and_wait($waits, q{SELECT * FROM topic.consume('g', timeout => '1 hour')}, 'Extension');
is(cancelled($waits), '57014', 'cancelled while it waits for more');
ask($waits, 'ROLLBACK');
is(ask($waits, q{SELECT count(*) FROM topic.consume('g')}), 4, 'they come again');
send_and_wait($waits, q{CALL topic.wait('g', '1 hour')}, 'Extension');
is(cancelled($waits), '57014', 'cancelled in topic.wait()');
ask($waits, 'BEGIN');
send_and_wait($waits, q{SELECT * FROM topic.consume('g', timeout => '1 hour')}, 'Extension');
is(terminated($waits), 'gone', 'terminated while it waits for more');
becomes('g', '2', 'the other one gets its partition');
is(ask($stays, q{SELECT count(*) FROM topic.consume('g')}), 8, 'and its messages');
$waits = client('waits');
ask($waits, q{SELECT topic.subscribe('g', ARRAY['t'])});
send_and_wait($waits, q{CALL topic.wait('g', '1 hour')}, 'Extension');
is(terminated($waits), 'gone', 'terminated in topic.wait()');
becomes('g', '2', 'and is no member');

# ---- the wait for a decision, which does not come

my $coordinator = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgtopic worker'});
kill 'STOP', $coordinator;
my @subscribed = map { send_and_wait(client('joins'), q{SELECT topic.subscribe('g', ARRAY['t'])}, 'Extension') } 1 .. 2;
is(terminated($subscribed[0]), 'gone', 'terminated while it waits for a decision');
is(cancelled($subscribed[1]), '57014', 'cancelled');
kill 'CONT', $coordinator;
becomes('g', '0,2', 'who was cancelled is a member, for subscribe acts at once');
is(ask($subscribed[1], q{SELECT topic.unsubscribe('g')}), '', 'and may leave');
becomes('g', '2', 'the one that stays is left');
is(ask($stays, q{SELECT count(*) FROM topic.commit('g')}), 2, 'and commits');

log_is_clean($node);
done_testing;
