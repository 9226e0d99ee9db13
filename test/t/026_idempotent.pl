# Producers that number their messages, each with a twin that produces the same
# ones, retry over lost connections, kill -9 of the server and a promotion: every
# sequence is in the log exactly once, and in order.  Others append optimistically
# beside them: every message is where it was expected.  Then what the states
# survive besides: a crash with a prepared transaction, pg_dump, an old snapshot.

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

my $seed = seed();
my $partitions = 2;
my $dir = PostgreSQL::Test::Utils::tempdir();

my $old = new_node('old', init => [ allows_streaming => 1 ], conf => "wal_consistency_checking = 'all'\n");
$old->start;
$old->safe_psql('postgres', "CREATE EXTENSION pgtopic; SELECT topic.create('t', $partitions), topic.create('account')");
$old->backup('base');
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init_from_backup($old, 'base', has_streaming => 1);
$new->start;
# What is acknowledged is on the standby, too.
$old->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$old->reload;

# ---------- producers ----------

# Where the server is; producers read it before they connect.
sub server_is
{
	my ($node) = @_;

	open my $file, '>', "$dir/server.new" or die $!;
	print $file join("\n", $node->host, $node->port);
	close $file;
	rename "$dir/server.new", "$dir/server" or die $!;
	return;
}

# The statements that produce the messages from $sequence on, and how many they
# are.  The same for both twins, but for what is rolled back.
sub transaction
{
	my ($name, $partition, $sequence) = @_;
	my $n = ($sequence * 7 + $partition) % 5 ? 1 : 4;
	my $identity = sub { "partition => $partition, producer_id => '$name', sequence => $_[0]" };
	my $one = sub { "SELECT topic.produce('t', '$name $_[0]', " . $identity->($_[0]) . ')' };
	my $way = rand;

	return ($one->($sequence), 1) if $n == 1 && $way < 0.5;
	return ('BEGIN; ' . ($way < 0.6 ? "SET LOCAL pgtopic.append_at = 'call'; " : '')
		. $one->($sequence) . '; SAVEPOINT a; ' . $one->($sequence + 1) . '; ROLLBACK TO a; COMMIT', 1) if $n == 1;
	return ("SELECT topic.produce_batch('t', ARRAY[" . join(', ', map { "'$name " . ($sequence + $_) . "'" } 0 .. $n - 1)
		. '], ' . $identity->($sequence) . ')', $n);
}

# A session that goes on after its server is lost: each turn of the work gets a
# client, and dies with "gone: ..." when there is none any more.
sub work
{
	my ($name, $turn) = @_;
	my ($client, $stop);
	my $parent = getppid();

	srand($seed + $$);
	$SIG{TERM} = sub { $stop = 1 };
	$SIG{PIPE} = 'IGNORE';
	open my $log, '>', "$dir/$name.log" or die $!;
	$log->autoflush(1);
	until ($stop || getppid() != $parent)
	{
		next if eval {
			$client //= do {
				my ($host, $port) = split /\n/, slurp_file("$dir/server");
				TopicConsumers::Client->new(host => $host, port => $port, name => $name);
			};
			print $log $turn->($client);
			1;
		};
		print $log "E $@" unless $@ =~ /^gone/;
		undef $client;
		Time::HiRes::sleep(0.02);
	}
	return;
}

# The rows of a query, or nothing after an error that may be.
sub try
{
	my ($client, $sql, $errors) = @_;
	my $reply = $client->query($sql);

	return $reply->{rows} unless $reply->{state};
	die "gone: the server stops\n" if $reply->{state} =~ /^57/;
	die "$reply->{state} $reply->{message} <- $sql\n" unless $reply->{state} eq $errors;
	return;
}

# A producer writes what was acknowledged: partition, next sequence.
sub producer
{
	my ($name) = @_;
	my @next = (0) x $partitions;

	return sub {
		my ($client) = @_;
		my $partition = int rand $partitions;
		my ($sql, $n) = transaction($name, $partition, $next[$partition]);

		# at times the connection is lost at COMMIT
		if (rand() < 0.02)
		{
			$client->put(pack('a N', 'Q', 5 + length $sql) . "$sql\0");
			die "gone: by ourselves\n";
		}
		try($client, $sql, 'none');
		$next[$partition] += $n;
		return "A $partition $next[$partition]\n";
	};
}

# An accountant appends behind what it has seen, and says how often it was first.
sub accountant
{
	return sub {
		my ($client) = @_;
		my $end = try($client, "SELECT last_stable_offset FROM topic.list_offsets('account')", 'none')->[0][0];
		my @values = map { "'expected $_'" } $end .. $end + int rand 4;
		my $at = rand() < 0.3 ? 'call' : 'commit';
		my @sql = ("SET pgtopic.append_at = $at");

		if (rand() < 0.5)
		{
			push @sql, "SELECT topic.produce_batch('account', ARRAY[" . join(', ', @values)
			  . "], partition => 0, expected_offset => $end)";
		}
		else
		{
			push @sql, map { "SELECT topic.produce('account', $values[$_], partition => 0, expected_offset => " . ($end + $_) . ')' } 0 .. $#values;
		}
		return try($client, join('; ', @sql), '40001') ? "B\n" : "C\n";
	};
}

my @children;
my @names = map { "producer $_" } 1 .. 3;

sub acknowledged
{
	return scalar grep { /^A / } map { split /\n/, slurp_file($_) } glob "'$dir/*.log'";
}

sub wait_for_more
{
	my ($more, $name) = @_;
	my $want = acknowledged() + $more;
	my $until = time + 60;

	Time::HiRes::sleep(0.05) while acknowledged() < $want && time < $until;
	ok(acknowledged() >= $want, $name);
	return;
}

server_is($old);
for my $name (@names)
{
	for my $twin ('a', 'b')
	{
		my $pid = fork // die $!;

		if (!$pid)
		{
			work("$name$twin", producer($name));
			POSIX::_exit(0);
		}
		push @children, $pid;
	}
}
for my $n (1 .. 2)
{
	my $pid = fork // die $!;

	if (!$pid)
	{
		work("accountant $n", accountant());
		POSIX::_exit(0);
	}
	push @children, $pid;
}
END { kill 'KILL', @children if @children }

# ---------- blows ----------

wait_for_more(200, 'producers work');
for my $round (1 .. 3)
{
	my $pids = $old->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');

	$old->kill9;
	for my $pid (split /\n/, $pids)
	{
		Time::HiRes::sleep(0.01) while kill 0, $pid;
	}
	$old->start;
	wait_for_more(200, "they go on after kill -9, $round");
}

# An old snapshot: what producers store takes no more room for it.
my $snapshot = $old->background_psql('postgres');
$snapshot->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
my $size = q{SELECT pg_relation_size('topic.producer_states'), pg_relation_size('topic.offset_slots')};
my $before = $old->safe_psql('postgres', $size);
wait_for_more(500, 'they work while a snapshot is held');
is($old->safe_psql('postgres', $size), $before, 'and store no more than before');
$snapshot->quit;

$old->stop('immediate');
$new->promote;
server_is($new);
wait_for_more(300, 'they go on after a promotion');
kill 'TERM', @children;
waitpid $_, 0 for splice @children;

# ---------- the sum ----------

is(join("\n", grep { /^E / } map { split /\n/, slurp_file($_) } glob "'$dir/*.log'"), '', 'no producer met an error');
for my $n (1 .. 2)
{
	my $log = slurp_file("$dir/accountant $n.log");

	like($log, qr/^B$/m, "accountant $n was first now and then");
	like($log, qr/^C$/m, "and at times the other one");
}
is($new->safe_psql('postgres', q{SELECT count(*) FROM account WHERE convert_from(value, 'UTF8') <> 'expected ' || log_offset}),
	0, 'every message is where it was expected');
my %acked;
for my $file (glob "'$dir/*.log'")
{
	my ($name) = $file =~ m{/(producer \d+)\w\.log$} or next;

	for (grep { /^A / } split /\n/, slurp_file($file))
	{
		my (undef, $partition, $next) = split;

		$acked{"$name|$partition"} = $next if $next > ($acked{"$name|$partition"} // 0);
	}
}
my $values = q{SELECT partition, log_offset, substring(value from '^(.*) ') AS producer, substring(value from '\d+$')::int AS sequence
	FROM (SELECT partition, log_offset, convert_from(value, 'UTF8') AS value FROM t) m};
is($new->safe_psql('postgres', qq{
SELECT count(*) FROM (
	SELECT sequence, row_number() OVER (PARTITION BY partition, producer ORDER BY log_offset) - 1 AS expected FROM ($values) v) c
WHERE sequence <> expected}), 0, 'every sequence is there once, in order');
my %stored = map { my @row = split /\|/; ("$row[0]|$row[1]" => [ @row[ 2, 3 ] ]) } split /\n/, $new->safe_psql('postgres', qq{
SELECT v.producer, v.partition, max(v.sequence) + 1, min(p.last_sequence) + 1
FROM ($values) v JOIN topic.producers p ON p.producer_id = v.producer AND p.partition = v.partition AND p.epoch = 0 GROUP BY 1, 2});
is(join(' ', sort keys %stored), join(' ', sort keys %acked), 'all producers have a state in all partitions');
is(join(' ', grep { $stored{$_}[0] < $acked{$_} } sort keys %acked), '', 'whatever was acknowledged is there');
is(join(' ', grep { $stored{$_}[0] != $stored{$_}[1] } sort keys %stored), '', 'the states are those of the messages');
verify_silent($new, 't');
verify_silent($new, 'account');

# ---------- what else a state survives ----------

my $node = $new;
my $name = $names[0];
my $next = $stored{"$name|0"}[0];
my $put = sub { "SELECT topic.produce('t', 'more', partition => 0, producer_id => '$name', sequence => $_[0])" };
my $count = q{SELECT count(*) FROM t WHERE value = 'more'};

$node->safe_psql('postgres', 'BEGIN; ' . $put->($next) . "; PREPARE TRANSACTION 'p'");
$node->stop('immediate');
$node->start;
fails_with($node, "SET lock_timeout = '50ms'; " . $put->($next), '55P03', 'a prepared transaction keeps the lock after a crash');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
$node->safe_psql('postgres', $put->($_)) for $next, $next + 1, $next + 1;
is($node->safe_psql('postgres', $count), 2, 'and decides');
$node->safe_psql('postgres', "VACUUM FREEZE topic.offset_slots; VACUUM (FULL) topic.producer_states; VACUUM t");
fails_with($node, $put->($next + 3), '22023', 'VACUUM loses nothing');

$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = "$dir/dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
my $states = 'SELECT producer_id, topic, partition, epoch, last_sequence, last_used FROM topic.producers ORDER BY 1, 2, 3';
is($node->safe_psql('restored', $states), $node->safe_psql('postgres', $states), 'the dump has the states');
$node->safe_psql('restored', $put->($_)) for $next + 1, $next + 2;
is($node->safe_psql('restored', $count), 3, 'which go on there');
$node->safe_psql('postgres', $put->($next + 2));
is($node->safe_psql('postgres', 'SELECT topic.expire_producers(); SELECT topic.expire_producers(\'-1 hour\')'),
	"0\n" . scalar(keys %stored), 'expiry');
is($node->safe_psql('postgres', $states), '', 'leaves nothing');

$node->stop;
log_is_clean($old, 1);
log_is_clean($new, 1);
done_testing();
