# The workers of examples/, two of each: some are killed, the server crashes and
# comes back, and every message has its effect once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes ();
use TopicTest;

my $examples = "$FindBin::RealBin/../../examples";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $python = $ENV{PYTHON} // '/usr/bin/python3';
my $node_js = $ENV{NODE} // 'node';
my %command = (
	c => [ "$dir/worker" ],
	python => [ $python, "$examples/worker.py" ],
	node => [ $node_js, "$examples/worker.js" ]);
my @workers = grep { can_run($_) } qw(c python node);

# A driver that is missing is reported by test/drivers/run.
sub can_run
{
	my ($kind) = @_;

	return system("$python -c 'import psycopg' >/dev/null 2>&1") == 0 if $kind eq 'python';
	return system("$node_js -e 'require(\"pg\")' >/dev/null 2>&1") == 0 if $kind eq 'node';
	chomp(my ($include, $libdir) = (`pg_config --includedir`, `pg_config --libdir`));
	return system('cc', '-Wall', '-Wextra', '-Werror', '-O1', '-o', "$dir/worker", "$examples/worker.c",
		"-I$include", '-I/usr/include/postgresql', "-L$libdir", '-lpq') == 0;
}

my $node = new_node('workers', conf => "max_worker_processes = 20\n");
$node->start;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGUSER} = getpwuid($<);

# kind => { pid => 1, ... }
my %running;

# Workers do not end by themselves, whatever becomes of the test.
END
{
	my $status = $?;

	kill 'KILL', map { keys %$_ } values %running;
	$? = $status;
}

# Starts what is missing of two workers.
sub start
{
	my ($kind) = @_;

	while (keys %{ $running{$kind} } < 2)
	{
		my $pid = fork // die "fork: $!";

		if ($pid == 0)
		{
			$ENV{PGDATABASE} = $kind;
			$ENV{PGAPPNAME} = 'worker';
			open STDERR, '>>', "$dir/$kind.err";
			exec @{ $command{$kind} };
			die "exec: $!";
		}
		$running{$kind}{$pid} = 1;
	}
	return;
}

sub kill_one
{
	my ($kind) = @_;
	my ($pid) = keys %{ $running{$kind} };

	kill 'KILL', $pid;
	waitpid $pid, 0;
	delete $running{$kind}{$pid};
	return;
}

my $sent = 0;
sub produce
{
	my ($count) = @_;

	$node->safe_psql($_, qq{
SELECT topic.produce('orders', json_build_object('price', i), key => 'k' || i) FROM generate_series($sent + 1, $sent + $count) i})
	  for @workers;
	$sent += $count;
	return;
}

sub until_done
{
	my ($name) = @_;

	for my $kind (@workers)
	{
		next if ok($node->poll_query_until($kind, "SELECT count(*) >= $sent FROM invoice"), "$kind: $name");
		diag slurp_file("$dir/$kind.err");
		die "$kind: no use in waiting for the rest";
	}
	return;
}

for my $kind (@workers)
{
	$node->safe_psql('postgres', "CREATE DATABASE $kind");
	$node->safe_psql($kind, q{
CREATE EXTENSION pgtopic;
SELECT topic.create('orders', partitions => 4);
CREATE TABLE invoice (customer text, price int);
});
}
SKIP:
{
	skip 'no C compiler and no driver', 1 unless @workers;

	start($_) for @workers;
	produce(500);
	until_done('what is there is worked off');

	# they wait for notifications now
	for my $round (1 .. 20)
	{
		produce(1);
		until_done("news $round") if $round % 10 == 0;
	}

	# in the midst of the work
	produce(3000);
	kill_one($_) for @workers;
	produce(100);
	start($_) for @workers;
	produce(3000);
	$node->poll_query_until($workers[0], 'SELECT count(*) >= 4000 FROM invoice');
	$node->stop('immediate');
	$node->start;
	produce(500);
	until_done('worked off, by workers that were killed and a server that crashed');

	# and the same processes go on
	produce(10);
	until_done('news afterwards');
	for my $kind (@workers)
	{
		is($node->safe_psql($kind, 'SELECT count(*), count(DISTINCT price), min(price), max(price) FROM invoice'),
			"$sent|$sent|1|$sent", "$kind: every message has its effect once");
		ok($node->poll_query_until($kind, q{SELECT count(*) = 2 FROM topic.members WHERE state = 'Stable'}), "$kind: both workers are back");
		is(scalar(grep { waitpid($_, POSIX::WNOHANG()) == 0 } keys %{ $running{$kind} }), 2, "$kind: none has ended by itself");
	}
}
$node->stop;
log_is_clean($node, 1);
done_testing();
