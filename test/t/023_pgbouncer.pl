# Behind pgbouncer: pooled by session everything works, and what a client leaves
# behind goes with the pool's DISCARD ALL; pooled by transaction, what does not
# need a session works, and the rest says what to use instead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicConsumers;
use TopicTest;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'pgbouncer is not installed' unless $pgbouncer;

my $node = new_node('pooled');
$node->start;
TopicConsumers::setup($node, q{
SELECT topic.create('orders', 4), topic.create('bills', 3);
});

# Three server connections for as many clients as come.
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $server = sprintf 'host=%s port=%s dbname=postgres pool_size=3', $node->host, $node->port;
my $user = getpwuid($<);
append_to_file("$dir/users", qq{"$user" ""\n});
append_to_file("$dir/pgbouncer.ini", qq{
[databases]
session = $server pool_mode=session
transaction = $server pool_mode=transaction connect_query='SET pgtopic.session_groups = off'
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users
server_reset_query = DISCARD ALL
logfile = $dir/log
});
my $pool = IPC::Run::start([ $pgbouncer, '-q', "$dir/pgbouncer.ini" ], '<', \undef, '>', \my $pool_out, '2>&1');
for (my $i = 0; $i < 200 && !-S "$dir/.s.PGSQL.$port"; $i++)
{
	Time::HiRes::sleep(0.05);
	$pool->pump_nb;
}

sub client
{
	my ($database, $name) = @_;

	return TopicConsumers::Client->new(host => $dir, port => $port, database => $database, name => $name);
}

# The first column of what the statement returns, or "SQLSTATE message".
sub answer
{
	my ($client, $sql) = @_;
	my $reply = $client->query($sql);

	return "$reply->{state} $reply->{message}" if $reply->{state};
	return join ' ', map { $_->[0] // '' } @{ $reply->{rows} };
}

sub members
{
	return $node->safe_psql('postgres', q{SELECT count(*) FROM topic.members WHERE group_id = 'g'});
}

#
# Session mode
#

my $worker = client('session', 'worker');
my $producer = client('session', 'producer');

like(answer($worker, q{SELECT topic.subscribe('g', ARRAY['orders'])}), qr/^\S+$/, 'session mode: subscribe');
answer($worker, q{SELECT topic.listen('g')});
is(answer($producer, q{SELECT topic.produce_batch('orders', array_agg('v' || i), array_agg(i::text)) FROM generate_series(1, 100) i}),
	'100', 'produce');
my $heard;
do { $heard = $worker->news } until $heard =~ /messages/;
is($heard, 'group:g messages', 'LISTEN');
answer($worker, 'BEGIN');
is(answer($worker, q{WITH m AS (SELECT * FROM topic.consume('g', timeout => '10 s')) SELECT count(*) FROM m}), '100', 'consume');
is(answer($worker, q{SELECT sum(log_offset) FROM topic.commit('g')}), '100', 'commit');
answer($worker, 'COMMIT');

# wait, which the news ends
$worker->put(pack('a N', 'Q', 5 + length $_) . "$_\0") for q{CALL topic.wait('g', '50 s')};
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL' AND wait_event_type = 'Extension'})
  or die 'nobody waits';
my $began = Time::HiRes::time();
answer($producer, q{SELECT topic.produce('orders', 'late')});
is($worker->reply->{state}, undef, 'wait');
cmp_ok(Time::HiRes::time() - $began, '<', 10, 'until there is news');
is(answer($worker, q{SELECT convert_from(value, 'UTF8') FROM topic.consume('g', timeout => '10 s')}), 'late', 'which is there');
answer($worker, q{SELECT topic.commit('g')});

# A second member, whose client is killed while it does nothing, then while it
# is in a transaction that holds messages.
my $other_pid;
for my $case ([ 'idle', '' ], [ 'in a transaction', q{BEGIN; SELECT count(*) FROM topic.consume('g');} ])
{
	my ($name, $sql) = @$case;
	my ($in, $out) = ("SELECT topic.subscribe('g', ARRAY['orders']) IS NOT NULL;\n$sql\n\\echo ready\n", '');
	my $psql = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', "host=$dir port=$port dbname=session application_name=doomed" ],
		'<', \$in, '>', \$out, '2>&1');

	answer($producer, q{SELECT topic.produce_batch('orders', array_agg('w' || i), array_agg(i::text)) FROM generate_series(1, 20) i});
	$psql->pump until $out =~ /ready/;
	is(members(), '2', "a second client joins, $name");
	$other_pid = $node->safe_psql('postgres', q{SELECT pid FROM topic.members m JOIN pg_stat_activity USING (pid) WHERE application_name = 'doomed'});
	$began = Time::HiRes::time();
	$psql->kill_kill;
	ok($node->poll_query_until('postgres', q{
SELECT count(*) = 1 AND sum(cardinality(assigned)) = 4 FROM topic.members WHERE group_id = 'g'}), 'killed: the other member has its partitions');
	cmp_ok(Time::HiRes::time() - $began, '<', 10, 'soon');
	ok($node->poll_query_until('postgres', sprintf "SELECT count(*) = %d FROM pg_stat_activity WHERE pid = $other_pid", $sql eq ''),
		$sql eq '' ? 'by DISCARD ALL: the server connection stays' : 'because the pool closes that connection');
	answer($worker, 'BEGIN');
	is(answer($worker, q{SELECT count(*) FROM topic.consume('g', timeout => '10 s')}), '20', 'nothing is lost');
	answer($worker, q{SELECT topic.commit('g')});
	answer($worker, 'COMMIT');
}
undef $worker;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM topic.members}), 'a client that goes leaves');
is($node->safe_psql('postgres', q{SELECT count(*) FROM topic.lag WHERE group_id = 'g' AND lag > 0}), '0', 'everything was consumed');
undef $producer;

#
# Transaction mode
#

my $one = client('transaction', 'one');
for my $sql (
	q{topic.subscribe('h', ARRAY['orders'])},
	q{topic.consume('h')})
{
	my $error = answer($one, "SELECT $sql");

	like($error, qr/^0A000 /, "transaction mode: $sql is refused");
	like($error, qr/topic\.take\(\)/, 'and the hint says what to use');
}

# Each statement of a client may meet another session, and does.
my %pids;
my @clients = map { client('transaction', "c$_") } 1 .. 6;
my $sent = 0;
for my $i (1 .. 60)
{
	my $client = $clients[ $i % @clients ];
	my $holder = $clients[ ($i + 1) % @clients ];

	# so that the pool hands out another connection than the last one
	answer($holder, 'BEGIN') if $i % 2;
	answer($client, 'BEGIN');
	$pids{ answer($client, 'SELECT pg_backend_pid()') } = 1;
	answer($client, "SELECT topic.produce('bills', 'f$i', partition => 0)");
	answer($client, $i % 10 == 0 ? 'ROLLBACK' : 'COMMIT');
	$sent++ if $i % 10;
	answer($holder, 'COMMIT') if $i % 2;
}
cmp_ok(scalar keys %pids, '>', 1, 'clients change server connections: ' . keys %pids);
my ($position, @fetched) = (0);
while (my @rows = @{ $clients[ $position % @clients ]->query("SELECT log_offset, convert_from(value, 'UTF8') FROM topic.fetch('bills', 0, $position, 7)")->{rows} })
{
	push @fetched, map { $_->[1] } @rows;
	$position = $rows[-1][0] + 1;
}
is("@fetched", join(' ', map { "f$_" } grep { $_ % 10 } 1 .. 60), 'produce and fetch: each message once, in order');
undef @clients;
undef $one;

# A crowd of clients, more than there are connections: six produce, six take; some
# are killed.  What they do has its effect once.
my @pooled = (host => $dir, port => $port, database => 'transaction');
my $producers = TopicConsumers->new(work => 'produce', name => 'producer', count => 3, topics => 'orders,bills',
	rollback => 0.05, @pooled);
my $takers = TopicConsumers->new(work => 'turn', name => 'taker', count => 6, group => 'pooled', topics => 'orders,bills',
	take => 1, rollback => 0.05, savepoint => 0.05, @pooled);

$_->start($node) for $producers, $takers;
for my $round (1 .. 4)
{
	$takers->go_on(300, "round $round");
	$takers->kill_one for 1, 2;
	$producers->kill_one;
	$_->start for $producers, $takers;
}
$producers->stop;
$takers->drain('pooled');
$takers->stop;
$_->no_errors('pooled') for $producers, $takers;
$takers->no_overlap('pooled');
$takers->check_effects('pooled', 'orders', 'bills');

$pool->signal('TERM');
$pool->finish;
verify_silent($node, $_) for 'orders', 'bills';
$node->stop;
log_is_clean($node);
done_testing();
