# LISTEN for news of topics and groups: who is told what, that nothing is lost
# whatever becomes of the notifier, and that it waits when the queue of NOTIFY
# fills up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicTest;

my $node = new_node('main', init => [ allows_streaming => 1 ], conf => "log_min_messages = log\n");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
SELECT topic.create('t', 200), topic.create('other', 4), topic.create('early', 2), topic.create('"Odd ""name"', 1);
SELECT topic.create('third', 4);
SELECT topic.create_group('g'), topic.create_group(repeat('g', 200));
});

my $notifier_pid = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgtopic notifier' AND datname = 'postgres'};

# A session that listens.  psql reports what has come after each query; we keep
# it as "channel payload".
package Listener
{
	sub new
	{
		my ($class, @statements) = @_;
		my $self = bless { psql => $node->background_psql('postgres'), news => [] }, $class;

		$self->run($_) foreach @statements;
		return $self;
	}

	sub run
	{
		my ($self, $sql) = @_;
		my $out = $self->{psql}->query_safe($sql);
		my @rest;

		foreach my $line (split /\n/, $out)
		{
			if ($line =~ /^Asynchronous notification "(.*?)" (?:with payload "([^"]*)" )?received/)
			{
				push @{ $self->{news} }, "$1 " . ($2 // '');
			}
			else
			{
				push @rest, $line;
			}
		}
		return join "\n", @rest;
	}

	# Waits until this has come; false if it does not.  Forgets what came before.
	sub hears
	{
		my ($self, $wanted, $seconds) = @_;
		my $deadline = Time::HiRes::time() + ($seconds // 10);

		for (;;)
		{
			while (defined(my $news = shift @{ $self->{news} }))
			{
				return 1 if ref $wanted ? $news =~ $wanted : $news eq $wanted;
			}
			return 0 if Time::HiRes::time() > $deadline;
			Time::HiRes::sleep(0.03);
			$self->run('SELECT');
		}
	}

	# What has come by now and in the next moment.
	sub rest
	{
		my ($self, $seconds) = @_;

		Time::HiRes::sleep($seconds // 0.3);
		$self->run('SELECT');
		return join ', ', splice @{ $self->{news} };
	}

	# What comes only because there is a listener.
	sub settle
	{
		my ($self) = @_;

		while ($self->rest(0.7) ne '')
		{
		}
		return $self;
	}

	sub quit
	{
		my ($self) = @_;

		return $self->{psql}->quit;
	}
}

sub produce
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

#
# Topics
#

is($node->safe_psql('postgres', $notifier_pid), '', 'no notifier while nobody listens');
my $topic = Listener->new('LISTEN "topic:public.t"');
ok($topic->hears('topic:public.t *'), 'who begins to listen is told to look');
$topic->settle;
like($node->safe_psql('postgres', $notifier_pid), qr/^\d+$/, 'and there is a notifier');

my $began = Time::HiRes::time();
produce(q{SELECT topic.produce('t', 'x', partition => 7)});
ok($topic->hears('topic:public.t 7'), 'the payload is the partition');
cmp_ok(Time::HiRes::time() - $began, '<', 2, 'at once');
produce(q{SELECT topic.produce('other', 'x')});
produce(q{BEGIN; SELECT topic.produce('t', 'x'); ROLLBACK});
is($topic->rest, '', 'nothing for other topics, nor for what was rolled back');

# A notifier that is held up finds much to tell at once.
my $pid = $node->safe_psql('postgres', $notifier_pid);
kill 'STOP', $pid;
produce("SELECT topic.produce('t', 'x', partition => $_)") foreach (11, 3, 11, 190);
kill 'CONT', $pid;
ok($topic->hears('topic:public.t 3,11,190'), 'what came together is told together');
kill 'STOP', $pid;
produce(q{SELECT count(*) FROM generate_series(0, 199) p, LATERAL topic.produce('t', 'x', partition => p)});
kill 'CONT', $pid;
ok($topic->hears('topic:public.t *'), 'too many partitions');
$topic->settle;

my $odd = Listener->new(q{DO $$ BEGIN EXECUTE format('LISTEN %I', topic.channel('"Odd ""name"')); END $$});
$odd->settle;
produce(q{SELECT topic.produce('"Odd ""name"', 'x')});
ok($odd->hears('topic:public."Odd ""name" 0'), 'a name that is quoted');
produce(q{ALTER TABLE "Odd ""name" RENAME TO a_topic_whose_name_is_as_long_as_names_of_relations_may_be_in__});
$odd->run(q{DO $$ BEGIN EXECUTE format('LISTEN %I', topic.channel('a_topic_whose_name_is_as_long_as_names_of_relations_may_be_in__')); END $$});
$odd->settle;
produce(q{SELECT topic.produce('a_topic_whose_name_is_as_long_as_names_of_relations_may_be_in__', 'x')});
ok($odd->hears(qr/^topic:#[0-9a-f]{40} 0$/), 'a renamed topic, whose name is too long for a channel');
$odd->quit;

#
# What commits otherwise, and what is rolled back after it was written
#

produce(q{BEGIN; SELECT topic.produce('t', 'x', partition => 5); PREPARE TRANSACTION 'p'});
is($topic->rest, '', 'nothing for what is prepared');
produce(q{COMMIT PREPARED 'p'});
ok($topic->hears('topic:public.t *'), 'COMMIT PREPARED');
produce(q{BEGIN; SELECT topic.produce('t', 'x', partition => 5); PREPARE TRANSACTION 'p'});
$topic->settle;
produce(q{ROLLBACK PREPARED 'p'});
ok($topic->hears('topic:public.t *'), 'ROLLBACK PREPARED lets others behind it be read');

my $early = Listener->new('LISTEN "topic:public.early"');
my $open = $node->background_psql('postgres');
$open->query_safe(q{SET pgtopic.append_at = 'call'; BEGIN; SELECT topic.produce('early', 'x', partition => 1)});
produce(q{SELECT topic.produce('early', 'behind', partition => 1)});
$early->settle;
is($early->run(q{SELECT count(*) FROM topic.fetch('early', 1, 0)}), '0', 'a message behind an open transaction');
$open->query_safe('ROLLBACK');
ok($early->hears('topic:public.early 1'), 'the rollback that releases it is told');
is($early->run(q{SELECT convert_from(value, 'UTF8') FROM topic.fetch('early', 1, 0)}), 'behind', 'and it is there');
$open->quit;
$early->quit;

#
# LISTEN follows its transaction
#

my $tx = Listener->new('BEGIN', 'LISTEN "topic:public.other"', 'ROLLBACK',
	'BEGIN', 'SAVEPOINT s', 'LISTEN "topic:public.other"', 'ROLLBACK TO s', 'COMMIT');
$tx->settle;
produce(q{SELECT topic.produce('other', 'x')});
is($tx->rest, '', 'LISTEN rolled back');
$tx->run('BEGIN');
$tx->run('SAVEPOINT s');
$tx->run('LISTEN "topic:public.other"');
$tx->run('RELEASE s');
$tx->run('COMMIT');
$tx->settle;
produce(q{SELECT topic.produce('other', 'x', partition => 2)});
ok($tx->hears('topic:public.other 2'), 'LISTEN committed');
$tx->run('BEGIN');
$tx->run('UNLISTEN *');
$tx->run('ROLLBACK');
produce(q{SELECT topic.produce('other', 'x', partition => 3)});
ok($tx->hears('topic:public.other 3'), 'UNLISTEN rolled back');
$tx->run('DISCARD ALL');
produce(q{SELECT topic.produce('other', 'x')});
is($tx->rest, '', 'DISCARD ALL');
$tx->quit;

#
# Groups
#

my $long = 'g' x 200;
my $group = Listener->new(q{SELECT topic.listen('g')}, "SELECT topic.listen('$long')");
$group->settle;
produce(q{SELECT topic.produce('t', 'x')});
is($group->rest, '', 'nothing while the group has no members');
my $member = $node->background_psql('postgres');
$member->query_safe(q{SELECT topic.subscribe('g', ARRAY['t', 'other'])});
ok($group->hears('group:g rebalance'), 'a member has got partitions');
$group->settle;
produce(q{SELECT topic.produce('other', 'x')});
ok($group->hears('group:g messages'), 'a topic of the group has news');
produce(q{SELECT topic.produce('third', 'x')});
is($group->rest, '', 'a topic of no group has');
$member->query_safe("SELECT topic.subscribe('$long', ARRAY['other'])");
ok($group->hears(qr/^group:#[0-9a-f]{40} rebalance$/), 'a rebalance of a group whose name is too long for a channel');
$group->settle;
produce(q{SELECT topic.produce('other', 'x')});
my $both = $group->rest;
like($both, qr/group:g messages/, 'two groups with one topic: one of them');
like($both, qr/group:#[0-9a-f]{40} messages/, 'and the other, whose name is too long for a channel');

# The first member holds messages of partitions that the second one is to get.
$member->query_safe(q{BEGIN; SELECT count(*) FROM topic.consume('g', 100000)});
my $second = $node->background_psql('postgres');
$second->query_safe(q{SELECT topic.subscribe('g', ARRAY['t', 'other'])});
ok($group->hears('group:g rebalance'), 'a member is asked for partitions');
$group->settle;
$member->query_safe(q{SELECT count(*) FROM topic.commit('g'); COMMIT});
ok($group->hears('group:g rebalance'), 'they have moved');
$second->quit;
$group->run(q{SELECT topic.unlisten('g')});
$group->settle;
produce(q{SELECT topic.produce('other', 'x')});
unlike($group->rest, qr/group:g /, 'unlisten');

#
# The notifier
#

# There is something to tell, and the notifier ends without having told it.
$topic->settle;
$pid = $node->safe_psql('postgres', $notifier_pid);
kill 'STOP', $pid;
produce(q{SELECT topic.produce('t', 'x', partition => 1)});
kill 'TERM', $pid;
kill 'CONT', $pid;
ok($topic->hears(qr/^topic:public.t /), 'a notifier that has ended: what it had to tell is told by the next one');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($notifier_pid) p(pid) WHERE pid <> $pid");
$topic->settle;
produce(q{SELECT topic.produce('t', 'x', partition => 2)});
ok($topic->hears('topic:public.t 2'), 'which goes on');

# Who listens to more than there is room for is told, perhaps too much.
my $many = Listener->new(q{DO $$ BEGIN
	FOR i IN 1 .. 4000 LOOP EXECUTE format('LISTEN "topic:nowhere.%s"', i); END LOOP;
END $$}, 'LISTEN "topic:public.third"', q{SELECT topic.listen('g')});
$many->settle;
produce(q{SELECT topic.produce('third', 'x', partition => 3)});
ok($many->hears('topic:public.third 3'), 'a listener for whom there is no room: a topic');
produce(q{SELECT topic.produce('other', 'x')});
ok($many->hears('group:g messages'), 'a group');
produce(q{BEGIN; SELECT topic.produce('third', 'x'); PREPARE TRANSACTION 'p'});
produce(q{COMMIT PREPARED 'p'});
ok($many->hears('topic:public.third *'), 'and everything');
$many->quit;

# Above its limit the queue is left to others.  A listener in a transaction
# keeps in the queue what came after it began.
my $stuck = Listener->new('LISTEN anything', 'BEGIN', 'SELECT');
produce(q{SELECT count(pg_notify('anything', i || repeat('x', 7000))) FROM generate_series(1, 2000) i});
produce(q{ALTER SYSTEM SET pgtopic.notify_queue_limit = 0.000001; SELECT pg_reload_conf()});
$topic->settle;
my $log = -s $node->logfile;
produce(q{SELECT topic.produce('t', 'x', partition => 8)});
is($topic->rest(1), '', 'nothing is told while the queue is too full');
like(slurp_file($node->logfile, $log), qr/news of topics and groups are not notified for now/, 'and the log says why');
produce(q{SELECT topic.produce('t', 'x', partition => 9)});
$stuck->run('COMMIT');
ok($topic->hears('topic:public.t 8,9'), 'nothing was lost when there is room again');
like(slurp_file($node->logfile, $log), qr/news of topics and groups are notified again/, 'and the log says so');
$stuck->quit;
produce(q{ALTER SYSTEM RESET pgtopic.notify_queue_limit; SELECT pg_reload_conf()});

# The extension goes and comes, and somebody listens all the time.
$node->safe_psql('postgres', 'CREATE DATABASE moody');
$node->safe_psql('moody', q{CREATE EXTENSION pgtopic; SELECT topic.create('t')});
my $patient = $node->background_psql('moody');
$patient->query_safe('LISTEN "topic:public.t"');
my $moody = $notifier_pid =~ s/'postgres'/'moody'/r;
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($moody) p"), 'a notifier in another database');
$node->safe_psql('moody', q{DROP EXTENSION pgtopic CASCADE});
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ($moody) p"), 'DROP EXTENSION sends it away');
$node->safe_psql('moody', q{CREATE EXTENSION pgtopic});
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($moody) p"), 'CREATE EXTENSION brings it back');
$patient->quit;
$node->safe_psql('postgres', 'DROP DATABASE moody');

# DROP DATABASE is not held up, and a database without the extension is left.
$node->safe_psql('postgres', 'CREATE DATABASE plain');
my $plain = $node->background_psql('plain');
$plain->query_safe('LISTEN "topic:public.t"');
$plain->quit;
$node->safe_psql('postgres', 'CREATE DATABASE third');
$node->safe_psql('third', 'CREATE EXTENSION pgtopic; LISTEN "topic:public.t"');
$node->safe_psql('postgres', 'DROP DATABASE plain');
$node->safe_psql('postgres', 'DROP DATABASE third');
pass('databases where somebody has listened are dropped');

#
# A standby: nobody listens there before it is promoted.
#

$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
fails_with($standby, q{SELECT topic.listen('g')}, '25006', 'no LISTEN on a standby');
is($standby->safe_psql('postgres', q{SELECT topic.channel('t')}), 'topic:public.t', 'but names of channels');
$standby->promote;
my $promoted = $standby->background_psql('postgres');
$promoted->query_safe(q{SELECT topic.listen('g'), topic.subscribe('g', ARRAY['t'])});
my $heard = '';
for (my $i = 0; $i < 200 && $heard !~ /messages/; $i++)
{
	$standby->safe_psql('postgres', q{SELECT topic.produce('t', 'x')}) if $i == 20;
	Time::HiRes::sleep(0.05);
	$heard .= $promoted->query_safe('SELECT');
	$heard = '' if $i == 19;
}
like($heard, qr/"group:g" with payload "messages"/, 'after the promotion listeners are told');
$promoted->quit;
$standby->stop;

$_->quit foreach $topic, $group, $member;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ($notifier_pid) p"),
	'the notifier leaves when nobody listens any more');
$node->stop;
done_testing();
