# Crowds of consumers and producers that are processes of their own, so that they
# can be killed at any instant, and what their work must add up to.
#
# This file is a module, and the program of each of those processes: it speaks
# PostgreSQL's protocol itself, because a client that is to die between two
# statements, and to go on after an error, is more than psql can be.
#
# A consumer's transaction writes what it consumed into the table effects and
# commits the offsets.  What it must add up to, whatever happened: every message
# of the topic has exactly one effect (effects has no unique index: a second one
# shall be seen), the group's lag is 0, and no two members held a partition at
# the same time.  The latter is checked with clocks: a consumer notes when it
# got messages of a partition and when it was about to end that transaction.

use strict;
use warnings;

package TopicConsumers::Client;

use IO::Select;
use IO::Socket::UNIX;

# Client->new(host => directory, port => ..., name => ..., database => ...)
# Every method dies with "gone: ..." when the connection is lost.
sub new
{
	my ($class, %arg) = @_;
	my $user = getpwuid($<);
	my $socket = IO::Socket::UNIX->new(Peer => "$arg{host}/.s.PGSQL.$arg{port}")
	  or die "gone: $!\n";
	my $self = bless { socket => $socket, buffer => '', patience => $arg{patience} // 60, news => [] }, $class;
	my $startup = pack('N', 196608)
	  . join("\0", user => $user, database => $arg{database} // 'postgres', application_name => $arg{name}, '', '');
	my $reply;

	$self->put(pack('N', 4 + length $startup) . $startup);
	$reply = $self->reply;
	die "gone: $reply->{message}\n" if $reply->{state};
	return $self;
}

sub put
{
	my ($self, $bytes) = @_;

	while (length $bytes)
	{
		my $sent = syswrite($self->{socket}, $bytes) // die "gone: $!\n";

		substr($bytes, 0, $sent, '');
	}
	return;
}

# One message of the server: its type and its content.
sub get
{
	my ($self) = @_;

	while (1)
	{
		if (length $self->{buffer} >= 5)
		{
			my ($type, $length) = unpack 'a N', $self->{buffer};

			if (length $self->{buffer} > $length)
			{
				my $content = substr($self->{buffer}, 5, $length - 4);

				substr($self->{buffer}, 0, $length + 1, '');
				return ($type, $content);
			}
		}
		if (!IO::Select->new($self->{socket})->can_read($self->{patience}))
		{
			next if $!{EINTR};
			die "no answer in $self->{patience} s: $self->{sql}\n";
		}
		sysread($self->{socket}, $self->{buffer}, 65536, length $self->{buffer}) or die "gone: connection closed\n";
	}
}

# { rows => [[...], ...], state => sqlstate of the error, message => ..., after =>
# I, T or E }
sub reply
{
	my ($self) = @_;
	my %reply = (rows => []);

	while (1)
	{
		my ($type, $content) = $self->get;

		if ($type eq 'D')
		{
			my ($n, @row) = unpack 'n', $content;
			my $at = 2;

			for (1 .. $n)
			{
				my $length = unpack 'l>', substr($content, $at, 4);

				push @row, $length < 0 ? undef : substr($content, $at + 4, $length);
				$at += 4 + ($length < 0 ? 0 : $length);
			}
			push @{ $reply{rows} }, \@row;
		}
		elsif ($type eq 'E')
		{
			my %field = map { substr($_, 0, 1) => substr($_, 1) } split /\0/, $content;

			$reply{state} = $field{C};
			$reply{message} = join ' | ', grep { defined } @field{qw(M D H W)};
			die "gone: $field{C} $field{M}\n" if $field{S} eq 'FATAL';
		}
		elsif ($type eq 'A')
		{
			$self->heard($content);
		}
		elsif ($type eq 'R')
		{
			die "the server asks for a password\n" if unpack 'N', $content;
		}
		elsif ($type eq 'Z')
		{
			$reply{after} = $content;
			return \%reply;
		}
	}
}

# Keeps a notification: "channel payload".
sub heard
{
	my ($self, $content) = @_;

	push @{ $self->{news} }, join ' ', unpack 'x4 Z* Z*', $content;
	return;
}

# The next notification.
sub news
{
	my ($self) = @_;

	$self->{sql} = 'a notification';
	until (@{ $self->{news} })
	{
		my ($type, $content) = $self->get;

		$self->heard($content) if $type eq 'A';
	}
	return shift @{ $self->{news} };
}

sub query
{
	my ($self, $sql) = @_;

	$self->{sql} = $sql;
	$self->put(pack('a N', 'Q', 5 + length $sql) . "$sql\0");
	return $self->reply;
}

# What a process of a crowd does.  It writes lines into its log:
#   I topic partition from to xid     messages held, and not known to be fenced
#   E sqlstate message                an error that must not be
#   N what                            what it chose to do, for whoever debugs
package TopicConsumers::Process;

use IO::Handle;
use Time::HiRes ();

sub run
{
	my (%arg) = @_;
	my $self = bless { stop => 0, %arg }, __PACKAGE__;

	srand($arg{seed});
	$SIG{TERM} = sub { $self->{stop} = 1 };
	$SIG{PIPE} = 'IGNORE';
	open $self->{log}, '>>', $arg{logfile} or die "$arg{logfile}: $!";
	$self->{log}->autoflush(1);

	# nor does it go on without the test
	my $parent = getppid();
	until ($self->{stop})
	{
		my $work = $arg{work};

		eval {
			$self->{client} = TopicConsumers::Client->new(%arg);
			$self->$work until $self->{stop} || getppid() != $parent;
			1;
		} and last;
		last if getppid() != $parent;
		chomp(my $why = $@);
		$self->note($why =~ /^gone: (?!XX)/ ? 'N' : 'E ?????', $why);
		delete @{$self}{qw(client member)};
		Time::HiRes::sleep(0.02 + rand 0.05);
	}
	return;
}

sub note
{
	my ($self, @what) = @_;
	my $line = join ' ', @what;

	$line =~ s/\n/ /g;
	printf { $self->{log} } "%s\n", $line;
	return;
}

# The reply, if there was no error.  After one that may be (a member removed,
# a partition taken away, a topic dropped) the transaction is over.
sub try
{
	my ($self, $sql) = @_;
	my $reply = $self->{client}->query($sql);

	return $reply unless $reply->{state};
	$self->note($reply->{state} =~ /^($self->{errors})$/ ? 'N' : 'E', "$reply->{state} $reply->{message} <- $sql");
	$self->{member} = 0 if $reply->{state} eq 'TP002';
	$self->{client}->query('ROLLBACK') if $reply->{after} ne 'I';
	return;
}

sub chance
{
	my ($self, $what) = @_;

	return rand() < ($self->{$what} // 0);
}

# A producer's transaction: up to 100 messages, each with an id.
sub produce
{
	my ($self) = @_;
	my @topics = split /,/, $self->{topics};
	my $topic = $topics[ rand @topics ];
	my $id = "$self->{name}-" . ++$self->{number};
	my $keys = rand() < 0.5 ? 'array_agg(i::text)' : 'NULL';

	if ($self->chance('rollback'))
	{
		$self->try("BEGIN") or return;
		$self->try("SET LOCAL pgtopic.append_at = 'call'") or return;
		$self->try("SELECT topic.produce('$topic', 'x$id')") or return;
		$self->try('ROLLBACK') or return;
	}
	$self->try(sprintf "SELECT topic.produce_batch('%s', array_agg('%s-' || i), %s) FROM generate_series(1, %d) i",
		$topic, $id, $keys, 1 + int(rand(rand() < 0.1 ? 100 : 10)));
	Time::HiRes::sleep(rand($self->{pause} // 0.02));
	return;
}

# A consumer's turn: a transaction that consumes, and now and then something else.
sub consume
{
	my ($self) = @_;
	my $group = "'$self->{group}'";

	if (!$self->{member})
	{
		$self->try("SELECT topic.subscribe($group, $self->{subscription}" . ($self->{options} // '') . ')') or return;
		$self->{member} = 1;
	}
	if ($self->chance('leave'))
	{
		$self->note('N leave');
		$self->try(rand() < 0.5 ? "SELECT topic.unsubscribe($group)" : 'DISCARD ALL') or return;
		$self->{member} = 0;
		Time::HiRes::sleep(rand 0.05);
		return;
	}
	die "gone: by itself\n" if $self->chance('disconnect');
	if ($self->chance('seek'))
	{
		$self->try("SELECT topic.seek_to($group, 'committed')") or return;
	}
	if ($self->chance('pause'))
	{
		my $reply = $self->try("SELECT topic, partition FROM topic.assignment($group) ORDER BY random() LIMIT 1") or return;

		for my $row (@{ $reply->{rows} })
		{
			my $partition = "$group, '$row->[0]', $row->[1]";

			$self->note("N pause $row->[0] $row->[1]");
			$self->try("SELECT topic.pause($partition)") or return;
			$self->turn for 1 .. 3;
			$self->try("SELECT topic.resume($partition)") or return;
		}
	}
	$self->turn;
	return;
}

my $effects = q{INSERT INTO %s (topic, partition, log_offset, value, who)
SELECT topic, partition, log_offset, convert_from(value, 'UTF8'), '%s' FROM topic.%s RETURNING topic, partition, log_offset};

# One transaction: consume, write effects, commit.
sub turn
{
	my ($self) = @_;
	return $self->loose_turn if $self->{autocommit};
	my $group = "'$self->{group}'";
	my $max = 1 + int(rand($self->{max_messages} // 50));
	my $consume = sprintf $effects, $self->{effects}, $self->{name}, $self->{take}
	  ? "take($group, ARRAY['" . join("','", split /,/, $self->{topics}) . "'], $max)"
	  : "consume($group, $max, '20 ms')";
	my (%held, $reply);

	$self->try('BEGIN') or return;
	if ($self->chance('savepoint'))
	{
		$self->try('SAVEPOINT s') or return;
		$self->try($consume) or return;
		$self->try("SELECT topic.commit($group)") or return if rand() < 0.5;
		$self->try('ROLLBACK TO s') or return;
	}
	$reply = $self->try($consume) or return;
	$self->arrived(\%held, $reply->{rows});
	Time::HiRes::sleep(0.02) if $self->{take} && !@{ $reply->{rows} };
	Time::HiRes::sleep(rand $self->{work_time}) if @{ $reply->{rows} } && $self->{work_time};
	if ($self->chance('twice'))
	{
		$reply = $self->try($consume) or return;
		$self->arrived(\%held, $reply->{rows});
	}
	if ($self->chance('rollback'))
	{
		my $to = Time::HiRes::time();

		# who is not a member any more did not hold anything until now
		$self->try("SELECT topic.assignment($group)") or return;
		$self->ends(\%held, $to);
		$self->try('ROLLBACK');
		return;
	}
	$reply = $self->try("SELECT topic, partition, log_offset FROM topic.commit($group)") or return;
	$self->committed(\%held, $reply->{rows});
	$self->try('SAVEPOINT t') or return if $self->chance('savepoint');
	Time::HiRes::sleep(rand $self->{commit_time}) if $self->{commit_time} && rand() < 0.5;
	my $to = Time::HiRes::time();
	$self->try('COMMIT') or return;
	$self->ends(\%held, $to);
	return;
}

# The same in three transactions: at least once.
sub loose_turn
{
	my ($self) = @_;
	my $group = "'$self->{group}'";
	my $max = 1 + int(rand($self->{max_messages} // 50));
	my $reply = $self->try("SELECT topic, partition, log_offset, convert_from(value, 'UTF8') FROM topic.consume($group, $max, '20 ms')") or return;
	my %held;

	if (!@{ $reply->{rows} })
	{
		# what was forgotten is due now
		$self->try("SELECT topic.commit($group)");
		return;
	}
	$self->arrived(\%held, $reply->{rows});
	$self->try("INSERT INTO $self->{effects} (who, topic, partition, log_offset, value) VALUES "
		. join ', ', map { "('$self->{name}', '$_->[0]', $_->[1], $_->[2], '$_->[3]')" } @{ $reply->{rows} }) or return;
	Time::HiRes::sleep(rand $self->{work_time}) if $self->{work_time};
	return if $self->chance('forget');
	my $to = Time::HiRes::time();
	$reply = $self->try("SELECT topic, partition, log_offset FROM topic.commit($group)") or return;
	$self->committed(\%held, $reply->{rows});
	$self->ends(\%held, $to);
	return;
}

# Messages have come: in ascending order in each partition.
sub arrived
{
	my ($self, $held, $rows) = @_;
	my $now = Time::HiRes::time();

	for my $row (@$rows)
	{
		my $name = "$row->[0] $row->[1]";

		$held->{$name} //= { from => $now, last => -1 };
		$self->note("E ????? $name: offset $row->[2] comes after $held->{$name}{last}")
		  if $row->[2] <= $held->{$name}{last};
		$held->{$name}{last} = $row->[2];
	}
	return;
}

# What was consumed is what was committed.
sub committed
{
	my ($self, $held, $rows) = @_;
	my %committed = map { ("$_->[0] $_->[1]" => $_->[2]) } @$rows;

	for my $name (keys %$held)
	{
		$self->note("E ????? commit of $name is " . ($committed{$name} // 'missing') . " after offset $held->{$name}{last}")
		  if ($committed{$name} // -1) <= $held->{$name}{last};
	}
	return;
}

sub ends
{
	my ($self, $held, $to) = @_;

	$self->note('I', $_, sprintf('%.6f %.6f', $held->{$_}{from}, $to), $held->{$_}{last}) for sort keys %$held;
	return;
}

# The crowd, as the test sees it.
package TopicConsumers;

use POSIX ();
use Test::More;
use Time::HiRes ();

# TopicConsumers->new(work => 'consume' or 'produce', name => 'c', count => 5, ...)
# host, port and database are those of a pooler, if they do not talk to the node
# itself.  The rest is for the processes: group, subscription (arguments of subscribe as
# SQL), options (more of them; %n is the name of the process), topics, autocommit, take, effects (another table), errors (a pattern of SQLSTATEs that
# may come) and the chances of leave, rollback, savepoint, ... in each turn.
sub new
{
	my ($class, %arg) = @_;

	return bless {
		errors => 'TP00[23]',
		effects => 'effects',
		dir => PostgreSQL::Test::Utils::tempdir(),
		processes => {},
		started => 0,
		%arg
	}, $class;
}

# Starts as many processes as are missing.
sub start
{
	my ($self, $node) = @_;

	$self->{node} = $node // $self->{node};
	while (keys %{ $self->{processes} } < $self->{count})
	{
		my $name = sprintf '%s%d', $self->{name}, ++$self->{started};
		my %arg = (
			(map { $_ => $self->{$_} } grep { !ref $self->{$_} } keys %$self),
			name => $name,
			options => ($self->{options} // '') =~ s/%n/$name/r,
			logfile => "$self->{dir}/$name.log",
			host => $self->{host} // $self->{node}->host,
			port => $self->{port} // $self->{node}->port,
			seed => int(rand(2**31)));
		# the test's own answer to SIGTERM, to stop its servers, is not the child's
		local $SIG{TERM} = 'DEFAULT';
		my $pid = fork // die "fork: $!";

		if ($pid == 0)
		{
			exec $^X, __FILE__, map { "$_=$arg{$_}" } grep { defined $arg{$_} } sort keys %arg;
			die "exec: $!";
		}
		$self->{processes}{$pid} = $name;
	}
	return;
}

# Until this many effects more are there.
sub go_on
{
	my ($self, $count, $name) = @_;
	my $until = Time::HiRes::time() + 60;
	my $sql = "SELECT count(*) FROM $self->{effects}";
	my $goal = $self->{node}->safe_psql('postgres', $sql) + $count;

	while ($self->{node}->safe_psql('postgres', $sql) < $goal)
	{
		for my $pid (keys %{ $self->{processes} })
		{
			die "$self->{processes}{$pid} has ended by itself" if waitpid($pid, POSIX::WNOHANG()) == $pid;
		}
		if (Time::HiRes::time() > $until)
		{
			$self->diagnose;
			die "$name: effects do not go on";
		}
		Time::HiRes::sleep(0.02);
	}
	return;
}

# How everything stands, for whoever has to find out why it does.
sub diagnose
{
	my ($self) = @_;

	diag "$_: " . $self->{node}->safe_psql('postgres', "TABLE topic.$_") for qw(groups members lag);
	diag 'sessions: ' . $self->{node}->safe_psql('postgres', q{
SELECT pid, application_name, backend_type, state, wait_event_type, wait_event, now() - state_change AS since, left(query, 100)
FROM pg_stat_activity WHERE backend_type IN ('client backend', 'pgtopic worker')});
	return;
}

# kill -9 of some process; its name.
sub kill_one
{
	my ($self) = @_;
	my @pids = keys %{ $self->{processes} };
	my $pid = $pids[ rand @pids ];

	kill 'KILL', $pid;
	waitpid $pid, 0;
	return delete $self->{processes}{$pid};
}

# Lets all of them finish their transactions and go.
sub stop
{
	my ($self) = @_;

	kill 'TERM', keys %{ $self->{processes} };
	waitpid $_, 0 for keys %{ $self->{processes} };
	$self->{processes} = {};
	return;
}

# What the processes have noted, by kind of line.
sub notes
{
	my ($self, $kind) = @_;
	my @notes;

	for my $log (glob "$self->{dir}/$self->{name}*.log")
	{
		my ($name) = $log =~ m{([^/]+)\.log$};

		push @notes, map { "$name: $_" } grep { s/^$kind // } split /\n/, PostgreSQL::Test::Utils::slurp_file($log);
	}
	return @notes;
}

sub first_of { return join "\n", @_[ 0 .. ($#_ < 9 ? $#_ : 9) ] }

sub no_errors
{
	my ($self, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(first_of($self->notes('E')), '', "$name: no process of '$self->{name}' had an error that must not be");
	return;
}

# No partition was held by two transactions at once; of several crowds in one group.
sub no_overlap_of
{
	my ($name, @crowds) = @_;
	my (%held, @overlaps, $count);

	for my $note (map { $_->notes('I') } @crowds)
	{
		my ($who, $topic, $partition, $from, $to, $last) = $note =~ /^(\S+): (\S+) (\S+) (\S+) (\S+) (\S+)$/ or next;

		push @{ $held{"$topic $partition"} }, [ $from, $to, $who, $last ];
	}
	for my $partition (sort keys %held)
	{
		my @spans = sort { $a->[0] <=> $b->[0] } @{ $held{$partition} };

		$count += @spans;
		for my $i (1 .. $#spans)
		{
			push @overlaps, sprintf '%s: %s until %s (offset %d), %s from %s (offset %d)', $partition,
			  @{ $spans[ $i - 1 ] }[ 2, 1, 3 ], @{ $spans[$i] }[ 2, 0, 3 ]
			  if $spans[$i][0] < $spans[ $i - 1 ][1];
		}
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(first_of(@overlaps), '', "$name: no partition was held by two members at once");
	note sprintf '%s: %d times a partition was held', $name, $count // 0;
	return;
}

sub no_overlap
{
	my ($self, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	no_overlap_of($name, $self);
	return;
}

# Until nothing is left to do for the group.
sub drain
{
	my ($self, $name) = @_;
	my $lag = q{SELECT topic, partition, committed_offset, log_end_offset, lag, member_id, pid FROM topic.lag
WHERE group_id = '} . $self->{group} . q{' AND (lag > 0 OR lag IS NULL AND log_end_offset > 0) ORDER BY 1, 2 LIMIT 10};
	my $until = Time::HiRes::time() + 60;
	my $left;

	do
	{
		Time::HiRes::sleep(0.05);
		$left = $self->{node}->safe_psql('postgres', $lag);
	} while ($left ne '' && Time::HiRes::time() < $until);
	$self->diagnose if $left ne '';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($left, '', "$name: the group comes to the end of all partitions");
	return $left eq '';
}

# Every message has one effect (or more, for who consumes in autocommit), and
# every effect is of a message.
sub check_effects
{
	my ($self, $name, @topics) = @_;
	my $most = $self->{autocommit} ? 1000000 : 1;
	my $messages = join ' UNION ALL ', map {
		"SELECT '$_'::regclass AS topic, partition, log_offset, convert_from(value, 'UTF8') AS value FROM $_"
	} @topics;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($self->{node}->safe_psql('postgres', qq{
SELECT CASE WHEN m.value IS NULL THEN 'no such message' WHEN e.n IS NULL THEN 'no effect'
	WHEN e.n > 1 THEN 'done ' || e.n || ' times' ELSE 'another value' END,
	topic, partition, log_offset, m.value, e.value, e.who
FROM ($messages) m FULL JOIN
	(SELECT topic::regclass, partition, log_offset, count(*) AS n, string_agg(DISTINCT value, ' ') AS value,
		string_agg(who || ' at ' || at || ' in ' || xid, ', ' ORDER BY at) AS who
	 FROM $self->{effects} WHERE to_regclass(topic) IN (} . join(', ', map { "'$_'::regclass" } @topics) . qq{) GROUP BY 1, 2, 3) e
	USING (topic, partition, log_offset)
WHERE m.value IS DISTINCT FROM e.value OR e.n > $most
ORDER BY topic, partition, log_offset LIMIT 10}), '', "$name: every message has had its effect" . ($most == 1 ? ' once' : ''));
	note "$name: " . $self->{node}->safe_psql('postgres', "SELECT count(*) || ' effects' FROM $self->{effects}");
	return;
}

# The table of effects, and the topics.
sub setup
{
	my ($node, $sql) = @_;

	$node->safe_psql('postgres', q{
CREATE EXTENSION pgtopic;
CREATE TABLE effects (topic text, partition int, log_offset bigint, value text, who text,
	at timestamptz DEFAULT clock_timestamp(), xid xid8 DEFAULT pg_current_xact_id());
} . $sql);
	return;
}

# Ends the worker that rebalances: politely, or with kill -9, after which the
# postmaster restarts everything.
sub kill_coordinator
{
	my ($node, $signal) = @_;
	my $pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pgtopic worker'});

	kill $signal, $pid if $pid;
	return $pid || ();
}

package main;

TopicConsumers::Process::run(map { split /=/, $_, 2 } @ARGV) unless caller;

1;
