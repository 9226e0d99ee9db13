# The program pgtopic on a terminal: top, which q quits, and progress of produce.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

eval { require IO::Pty; 1 } or plan skip_all => 'needs the Perl module IO::Pty';

my $built = "$FindBin::RealBin/../../src/client/pgtopic";
my $program = -x $built ? $built : 'pgtopic';
my $node = new_node('terminal');
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION pgtopic; SELECT topic.create('t'); SELECT topic.produce_batch('t', ARRAY['a','b'])});

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
delete $ENV{PGAPPNAME};
$ENV{TERM} = 'xterm';

{
	my ($in, $out) = ('', '');
	my $timer = IPC::Run::timeout(60);
	my $top = IPC::Run::start([ $program, 'top' ], '<pty<', \$in, '>pty>', \$out, $timer);

	$top->pump until $out =~ /public\.t .*public\.t /s;
	like($out, qr/\e\[H\e\[2J/, 'top clears the screen');
	like($out, qr/q quits/, 'top says how to quit');
	like($out, qr/public\.t +1 +0 +2 /, 'the second look has a rate');
	unlike($out, qr/GROUP.*\n.*GROUP/, 'one look a screen');
	$in = 'q';
	$top->finish;
	is($top->result(0), 0, 'q quits top');
}

{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/lines';
	my ($in, $err) = ('', '');

	append_to_file($file, join('', map { "$_\n" } 1 .. 1234));
	# stderr is a terminal, stdin is not read
	my $produce = IPC::Run::start([ $program, 'produce', 't', $file ], '<', \undef, '>pty>', \$err, '2>&1');
	$produce->finish;
	is($produce->result(0), 0, 'produce on a terminal');
	like($err, qr/1,234 messages, [\d,]+\/s/, 'progress on a terminal');
}

{
	my ($out, $err) = ('', '');

	IPC::Run::run([ $program, 'produce', 't' ], '<', \"a\n", '>', \$out, '2>', \$err);
	is("$out$err", '', 'no progress without a terminal');
}

$node->stop;
done_testing();
