# No wake-up is lost: 100,000 times a message is produced in the moment in which
# somebody goes to wait for it; in fetch and consume with a timeout, and with LISTEN.
# PGTOPIC_TEST_ROUNDS says how many times instead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

my $rounds = $ENV{PGTOPIC_TEST_ROUNDS} // 100_000;
my $race = PostgreSQL::Test::Utils::tempdir() . '/wake_race';
chomp(my ($include, $libdir) = (`pg_config --includedir`, `pg_config --libdir`));
plan skip_all => 'no C compiler, or no libpq to compile with'
  if system('cc', '-O1', '-o', $race, "$FindBin::RealBin/lib/wake_race.c",
	"-I$include", '-I/usr/include/postgresql', "-L$libdir", '-lpq') != 0;

# Pairs that race at once.  Many listeners, since one process tells them all, and
# rests when there is much to tell.
my %pairs = (fetch => 4, consume => 4, listen => 32);

my $node = new_node('races', conf => "max_connections = 150\nsynchronous_commit = off\n");
$node->start;
$node->safe_psql('postgres', qq{
CREATE EXTENSION pgtopic;
SELECT topic.create('race', 4);
SELECT topic.create('listen' || i), topic.create_group('listen' || i) FROM generate_series(0, $pairs{listen} - 1) i;
});
my $members = $node->background_psql('postgres');
$members->query_safe("SELECT topic.subscribe('listen' || i, ARRAY['listen' || i]) FROM generate_series(1, $pairs{listen} - 1, 2) i");

my $share = int($rounds / 3);
my %share = (fetch => $share, consume => $share, listen => $rounds - 2 * $share);
for my $mode (qw(fetch consume listen))
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ $race, $node->connstr('postgres'), $mode, $pairs{$mode}, $share{$mode} ], '<', \undef, '>', \$out, '2>', \$err);
	is($out, "$share{$mode} rounds, none lost\n", "$mode: $share{$mode} races");
	note $err;
}

$members->quit;
$node->stop;
log_is_clean($node);
done_testing();
