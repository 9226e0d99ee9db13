# The program pgtopic: every subcommand with real pipes and exit codes, a server
# that goes away and comes back, commands that fail, Ctrl-C.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicTest;

my $built = "$FindBin::RealBin/../../src/client/pgtopic";
my $program = -x $built ? $built : 'pgtopic';
my $node = new_node('client');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pgtopic');

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
delete $ENV{PGAPPNAME};

# pgtopic(input, arguments): exit code, stdout, stderr
sub pgtopic
{
	my ($in, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $program, @arguments ], '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	return ($? >> 8, $out, $err);
}

sub prints
{
	my ($name, $in, $expected, @arguments) = @_;
	my ($code, $out, $err) = pgtopic($in, @arguments);

	is($code, 0, "$name: exit code") or diag $err;
	return ref $expected ? like($out, $expected, $name) : is($out, $expected, $name);
}

sub refuses
{
	my ($name, $code, $message, @arguments) = @_;
	my ($got, $out, $err) = pgtopic('', @arguments);

	is($got, $code, "$name: exit code");
	return like($err, $message, $name);
}

sub wait_for
{
	my ($what, $condition) = @_;

	for (1 .. 600)
	{
		return pass($what) if $condition->();
		Time::HiRes::sleep(0.1);
	}
	return fail($what);
}

sub lag_is_zero
{
	my ($group, $end) = @_;

	return $node->safe_psql('postgres', "SELECT coalesce(sum(committed_offset), 0) = $end FROM topic.lag WHERE group_id = '$group'") eq 't';
}

# A consumer that goes on until it is told to stop.
sub start_consumer
{
	my ($out, $err, @arguments) = @_;

	return IPC::Run::start([ $program, 'consume', @arguments ], '<', \undef, '>', $out, '2>', $err);
}

sub stop_consumer
{
	my ($consumer, $name) = @_;

	$consumer->signal('INT');
	$consumer->finish;
	return is($consumer->result(0), 0, "$name: Ctrl-C ends it with 0");
}

# Help and the command line
for my $subcommand ('', qw(topics create alter drop describe produce consume groups group lag top bench))
{
	prints("help of $subcommand", '', qr/^Usage:\n  pgtopic .*^Examples:\n  /ms, ($subcommand || ()), '--help');
}
prints('version', '', qr/^pgtopic \d+\.\d+/, '--version');
refuses('no subcommand', 2, qr/no subcommand/);
refuses('a wrong subcommand', 2, qr/there is no subcommand "frobnicate"/, 'frobnicate');
refuses('a wrong option', 2, qr/Try "pgtopic consume --help"/, 'consume', '--frobnicate');
refuses('no server', 3, qr/connection to server/, '--port', '1', 'topics');
prints('a connection string', '', '', '-d', "host=$ENV{PGHOST} port=$ENV{PGPORT} dbname=postgres", 'topics');

# Topics
prints('create', '', '', 'create', 't', '-P', '2', '-c', 'retention=3 days', '-c', 'compression=none');
refuses('create again', 1, qr/ERROR:  .*exists/, 'create', 't');
prints('create if there is none', '', '', 'create', 't', '--if-not-exists');
refuses('a wrong setting', 2, qr/there is no setting "colour"/, 'create', 'u', '-c', 'colour=red');
prints('topics', '', qr/^TOPIC +PARTITIONS +OWNER.*\npublic\.t +2 /, 'topics');
prints('topics as JSON', '', qr/^\[\{"topic":"public\.t","owner":".*","partitions":2,"retention":"3 days"/, 'topics', '--json');
prints('alter', '', '', 'alter', 't', '-P', '3', '-c', 'retention=forever');
refuses('alter nothing', 2, qr/nothing to alter/, 'alter', 't');
refuses('fewer partitions', 1, qr/ERROR/, 'alter', 't', '-P', '1');
prints('describe', '', qr/^partitions +3\nretention +forever\n.*^PARTITION .*^ +2 +0 +0 +0 /ms, 'describe', 't');
prints('describe as JSON', '', qr/^\[\{"topic":"public\.t".*"partitions":\[\{"partition" : 0,/, 'describe', 't', '--json');
prints('reset a setting', '', '', 'alter', 't', '--reset', 'retention');
refuses('describe what is no topic', 1, qr/is not a topic/, 'describe', 'pg_class');
refuses('describe what is not there', 1, qr/\Apgtopic: ERROR:  relation "nothing" does not exist\n\z/, 'describe', 'nothing');
refuses('a bad value of a setting', 1, qr/\Apgtopic: ERROR:  invalid input syntax for type interval: "soon"\n\z/,
	'create', 'nothing', '-c', 'retention=soon');

# Producing and consuming
prints('produce', "a:1\nb:\nNUL:NUL\nlast", '', 'produce', 't', '-p', '1', '-K', ':', '-z', 'NUL', '-H', 'x=y', '-H', 'z');
prints('consume', '', "1 0 [a] 1\n1 1 [b] 0\n1 2 [] -1\n1 3 [] 4\n", 'consume', 't', '-e', '-f', '%p %o [%k] %S\n');
prints('NULL and headers', '', "NULL NULL x=y,z=NULL\n", 'consume', 't', '-p', '1', '-o', '2', '-c', '1', '-z', 'NULL', '-f', '%k %s %h\n');
prints('from the end', '', "last\n", 'consume', 't', '-o', '-1', '-e');
prints('JSON', '', qr/^\{"topic":"public\.t","partition":1,"offset":0,"ts":\d{13},"headers":\["x","y","z",null\],"key":"a","payload":"1"\}\n$/,
	'consume', 't', '-p', '1', '-c', '1', '-J');
prints('from a time', '', "1\n", 'consume', 't', '-o', 's@2020-01-01', '-c', '1');
prints('from a time to come', '', '', 'consume', 't', '-o', 's@4102444800000', '-e');
refuses('an offset that is not there', 1, qr/TP001|offset/, 'consume', 't', '-p', '1', '-o', '99', '-e');
refuses('a partition that is not there', 1, qr/no partition 7/, 'consume', 't', '-p', '7');
refuses('a wrong format', 2, qr/bad format/, 'consume', 't', '-f', '%q');
refuses('stored without a group', 2, qr/-G/, 'consume', 't', '-o', 'stored');
refuses('produce to what is no topic', 1, qr/is not a topic/, 'produce', 'pg_class');
{
	my ($code, $out, $err) = pgtopic("x\n" . 'y' x 2_000_000 . "\n", 'produce', 't', '--linger', '60000');

	is($code, 1, 'too large: exit code');
	like($err, qr/0 messages are committed.*last batch of 2 messages is not committed/s, 'too large: what is committed');
}

# Delimiters, files, and all bytes
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/one", "1||2||");
append_to_file("$dir/two", join('', map { chr } 0 .. 255));
prints('create another', '', '', 'create', 'bytes');
prints('files', '', '', 'produce', 'bytes', '-D', '||', "$dir/one", "$dir/two");
prints('the same bytes', '', '1,2,' . join('', map { chr } 0 .. 255) . ',', 'consume', 'bytes', '-e', '-D', ',');
refuses('a file that is not there', 1, qr/cannot open/, 'produce', 'bytes', "$dir/three");

# delimiters that are cut where reads end, which is at 64 kB in a pipe
my @pieces = map { chr(ord('a') + $_) x (65_530 + $_ % 13) } 0 .. 25;
prints('create a topic for large records', '', '', 'create', 'pieces', '-P', '1');
prints('large records', join('|=|', @pieces), '', 'produce', 'pieces', '-D', '|=|');
prints('large records as they were', '', join("\n", @pieces, ''), 'consume', 'pieces', '-e');

my $numbers = join('', map { "$_\n" } 1 .. 200_000);
prints('create a third', '', '', 'create', 'numbers', '-P', '1');
prints('many lines', $numbers, '', 'produce', 'numbers', '--batch', '30000');
prints('all of them in order', '', $numbers, 'consume', 'numbers', '-e');
{
	my $first = `'$program' consume numbers -e | head -3`;

	is($first, "1\n2\n3\n", 'a reader that goes away');
}

# What is typed arrives before the input ends.
{
	my ($in, $out, $err) = ("now\n", '', '');
	my $producer = IPC::Run::start([ $program, 'produce', 't', '-p', '2' ], '<', \$in, '>', \$out, '2>', \$err);

	$producer->pump while length $in;
	prints('follow', '', "now\n", 'consume', 't', '-p', '2', '-c', '1');
	$producer->signal('INT');
	$producer->finish;
	is($producer->result(0), 1, 'a producer that is stopped says so');
	like($err, qr/stopped; 1 messages are committed/, 'and how much is committed');
}

# Groups
prints('consume in a group', '', "1\n\n\nlast\nnow\n", 'consume', '-G', 'g', 't', '-e');
prints('what is committed does not come again', '', '', 'consume', '-G', 'g', 't', '-e');
prints('group describe', '', qr/^GROUP +TOPIC +PARTITION +CURRENT-OFFSET +LOG-END-OFFSET +LAG +CONSUMER-ID +HOST +CLIENT-ID\n/,
	'group', 'describe', 'g');
prints('group describe', '', qr/^g +public\.t +1 +4 +4 +0 +- +- +-$/m, 'group', 'describe', 'g');
prints('groups', '', qr/^g +Empty +0/m, 'groups');
prints('groups as JSON', '', qr/^\[\{"group_id":"g","state":"Empty"/, 'groups', '--json');
prints('lag', '', qr/^g +public\.t +\d +0 +0 +0 +0$/m, 'lag', 'g');
prints('lag as JSON', '', qr/^\[\{"group_id":"g","topic":"public\.t","partitions":\d,"lag":0,/, 'lag', '--json');
prints('reset shows', '', qr/^g +t +1 +4 +0$/m, 'group', 'reset', 'g', 't', '--to', 'earliest');
prints('and changes nothing', '', '', 'consume', '-G', 'g', 't', '-e');
prints('reset', '', qr/"partition":1,"old_offset":4,"new_offset":3\}/, 'group', 'reset', 'g', 't', '--to', '-1', '-p', '1', '--execute', '--json');
prints('what was reset comes again', '', "last\n", 'consume', '-G', 'g', 't', '-e');
refuses('a group that is not there', 1, qr/consumer group "nobody" does not exist/, 'group', 'describe', 'nobody');
refuses('partition in a group', 2, qr/-p and -G/, 'consume', '-G', 'g', 't', '-p', '1');
prints('count in a group', '', "1\n2\n3\n", 'consume', '-G', 'n', 'numbers', '-c', '3');
prints('the rest in a group', '', "4\n5\n", 'consume', '-G', 'n', 'numbers', '-c', '2');
prints('a pattern', '', "1\n", 'consume', '-G', 'p', '^public\.numbers$', '-c', '1');

# A command for each batch
prints('a command', '', "3\n", 'consume', '-G', 'x', 'numbers', '-c', '3', '--exec', 'grep -c .');
refuses('a command that fails', 1, qr/failed with exit code 7/, 'consume', '-G', 'x', 'numbers', '-c', '3', '--exec', 'cat >/dev/null; exit 7');
refuses('a command that does not read', 1, qr/failed with exit code 1/, 'consume', '-G', 'x', 'numbers', '--batch', '100000', '-c', '100000', '--exec', 'false');
prints('then the batch comes again', '', "4\n5\n6\n", 'consume', '-G', 'x', 'numbers', '-c', '3', '--exec', 'cat');

# Ctrl-C leaves the group.
prints('create a fourth', '', '', 'create', 'live', '-P', '3');
{
	my ($out, $err) = ('', '');
	my $consumer = start_consumer(\$out, \$err, '-G', 'live', 'live');

	pgtopic("1\n2\n3\n", 'produce', 'live');
	wait_for('a waiting member consumes and commits', sub { lag_is_zero('live', 3) });
	prints('members', '', qr/^live +\S+ +- +\d+ +\[local\] +\S+ +\S+ +3 /m, 'group', 'describe', 'live', '--members');
	prints('members as JSON', '', qr/"assigned":\[/, 'group', 'describe', 'live', '--members', '--json');
	prints('group describe names the client', '', qr/\[local\] +pgtopic$/m, 'group', 'describe', 'live');
	refuses('a group with members is not deleted', 1, qr/ERROR/, 'group', 'delete', 'live');
	stop_consumer($consumer, 'a member');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM topic.members}), 0, 'it has left the group');
	is(join('', sort split /^/, $out), "1\n2\n3\n", 'what it has printed');
}
prints('group delete', '', '', 'group', 'delete', 'live');

# Without a group, several partitions are waited for.
{
	my ($out, $err) = ('', '');
	my $consumer = start_consumer(\$out, \$err, 'live', '-o', 'end');

	wait_for('it waits', sub { $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgtopic'}) > 0 });
	Time::HiRes::sleep(0.5);
	pgtopic("later\n", 'produce', 'live');
	wait_for('news arrive', sub { $consumer->pump_nb; $out eq "later\n" });
	stop_consumer($consumer, 'a reader');
}

# The server goes away under a member, which goes on where it was.
pgtopic('', 'create', 'restarted', '-P', '3');
for my $how (qw(fast immediate))
{
	my ($out, $err) = ('', '');
	my $group = "restart $how";
	my $consumer = start_consumer(\$out, \$err, '-G', $group, 'restarted', '-o', 'end');

	wait_for("$how: it is a member", sub { $node->safe_psql('postgres', q{SELECT count(*) FROM topic.members WHERE cardinality(assigned) = 3}) == 1 });
	pgtopic(join('', map { "$_\n" } 1 .. 5000), 'produce', 'restarted');
	wait_for("$how: messages are consumed", sub { $consumer->pump_nb; ($out =~ tr/\n//) == 5000 });
	wait_for("$how: and committed", sub { $node->safe_psql('postgres', "SELECT sum(lag) FROM topic.lag WHERE group_id = '$group'") eq '0' });
	$node->stop($how);
	Time::HiRes::sleep(0.5);
	$node->start;
	pgtopic(join('', map { "$_\n" } 5001 .. 10000), 'produce', 'restarted');
	wait_for("$how: it goes on", sub { $consumer->pump_nb; ($out =~ tr/\n//) >= 10000 });
	stop_consumer($consumer, $how);
	is(join(',', sort { $a <=> $b } split /\n/, $out), join(',', 1 .. 10000), "$how: nothing is lost, nothing comes twice");
	like($err, qr/lost.*connected again/s, "$how: it says so");
}

# A producer whose server goes away says what is certain.
{
	my ($in, $out, $err) = ('', '', '');
	my $producer = IPC::Run::start([ $program, 'produce', 'restarted', '-H', 'run=2' ], '<', \$in, '>', \$out, '2>', \$err);

	$in = "1\n2\n";
	$producer->pump while length $in;
	wait_for('its messages are committed', sub {
		$node->safe_psql('postgres', 'SELECT sum(log_end_offset) FROM topic.partitions WHERE topic = \'public.restarted\'') >= 20002 });
	$node->stop('immediate');
	$in = "3\n";
	$producer->finish;
	is($producer->result(0), 3, 'a producer that has lost its server: exit code');
	like($err, qr/2 messages are committed/, 'and how many are committed');
	$node->start;
}

# Measuring
prints('create for the bench', '', '', 'create', 'bench', '-P', '2');
prints('bench produce', '', qr/^2000 records, [\d.]+ records\/s .* avg latency.* p99\.9 /, 'bench', 'produce', 'bench', '-n', '2000', '-s', '50');
prints('bench with a limit', '', qr/"records":200,.*"p99_ms":/, 'bench', 'produce', 'bench', '-n', '200', '-t', '1000', '--acks', '0', '--json');
prints('bench consume', '', qr/^2200 records, /, 'bench', 'consume', 'bench');
prints('bench e2e', '', qr/^50 records, .* p50 /, 'bench', 'e2e', 'bench', '-n', '50');
prints('top without a terminal', '', qr/^TOPIC .*^public\.bench +2 .*^GROUP /ms, 'top', '-n', '1');
prints('top as JSON', '', qr/"topic":"public\.bench","per_second":/, 'top', '-n', '2', '--json');
prints('drop', '', '', 'drop', 't', 'bytes');
refuses('drop again', 1, qr/ERROR/, 'drop', 't');
prints('drop if there is one', '', '', 'drop', '--if-exists', 't');

$node->stop;
done_testing();
