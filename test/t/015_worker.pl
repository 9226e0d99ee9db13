# The launcher and its workers: there where the extension is, and only there; in
# nobody's way when databases are dropped, renamed, moved or copied; back within
# a second whatever has ended them; none on a standby until it is promoted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicTest;

my $node = new_node('primary', init => [ allows_streaming => 1 ]);
$node->start;

# Databases that have a worker.
my $homes = q{SELECT coalesce(string_agg(datname, ',' ORDER BY datname), '')
	FROM pg_stat_activity WHERE backend_type = 'pgtopic worker'};

sub homes_are
{
	my ($server, $expected, $name) = @_;
	my $since = Time::HiRes::time();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($server->poll_query_until('postgres', "SELECT ($homes) = '$expected'"), $name);
	return Time::HiRes::time() - $since;
}

sub worker_pid
{
	my ($database) = @_;

	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgtopic worker' AND datname = '$database'");
}

# Runs a statement in its own session, outside of a transaction block.
sub runs
{
	my ($sql, $name) = @_;
	my $since = Time::HiRes::time();
	my ($out, $err);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->psql('postgres', $sql, stdout => \$out, stderr => \$err), 0, $name) or diag $err;
	cmp_ok(Time::HiRes::time() - $since, '<', 4, "$name: without waiting for a worker");
	return;
}

# Where the extension is.
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgtopic launcher' AND datname IS NULL});
homes_are($node, '', 'no worker without the extension');
$node->safe_psql('postgres', 'CREATE EXTENSION pgtopic');
homes_are($node, 'postgres', 'CREATE EXTENSION brings one');
$node->safe_psql('postgres', 'BEGIN; DROP EXTENSION pgtopic; ROLLBACK');
$node->safe_psql('postgres', $_) for 'CREATE DATABASE one', 'CREATE DATABASE two';
$node->safe_psql('one', 'CREATE EXTENSION pgtopic');
homes_are($node, 'one,postgres', 'one for each database');
$node->safe_psql('two', 'BEGIN; CREATE EXTENSION pgtopic; ROLLBACK');
$node->safe_psql('one', 'DROP EXTENSION pgtopic');
homes_are($node, 'postgres', 'DROP EXTENSION sends it away');
$node->safe_psql('one', "CREATE EXTENSION pgtopic; SELECT topic.create('t')");
$node->safe_psql('one', 'BEGIN; DROP EXTENSION pgtopic CASCADE; CREATE EXTENSION pgtopic; COMMIT');
homes_are($node, 'one,postgres', 'dropped and made again');

# Prepared transactions: nobody is there at their end.
$node->safe_psql('one', q{BEGIN; DROP EXTENSION pgtopic CASCADE; PREPARE TRANSACTION 'drop'});
$node->safe_psql('one', q{COMMIT PREPARED 'drop'});
homes_are($node, 'postgres', 'COMMIT PREPARED of DROP EXTENSION sends it away');
$node->safe_psql('one', 'CREATE EXTENSION pgtopic');
homes_are($node, 'one,postgres', 'and it is back');

# In nobody's way.
runs('CREATE DATABASE three TEMPLATE one', 'CREATE DATABASE ... TEMPLATE');
homes_are($node, 'one,postgres', 'the template has its worker again');
is($node->psql('one', 'CREATE DATABASE self TEMPLATE one'), 0, 'and of the database where one is');
$node->safe_psql('one', 'DROP DATABASE self');
homes_are($node, 'one,postgres', 'it has its worker again');
runs('ALTER DATABASE one RENAME TO uno', 'ALTER DATABASE ... RENAME');
homes_are($node, 'postgres,uno', 'a worker under the new name');
mkdir $node->basedir . '/space';
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '" . $node->basedir . "/space'");
runs('ALTER DATABASE uno SET TABLESPACE space', 'ALTER DATABASE ... SET TABLESPACE');
homes_are($node, 'postgres,uno', 'a worker in the new place');
$node->safe_psql('template1', 'CREATE EXTENSION pgtopic');
homes_are($node, 'postgres,template1,uno', 'a worker in template1');
runs('CREATE DATABASE four', 'CREATE DATABASE of template1');
homes_are($node, 'postgres,template1,uno', 'template1 has its worker again');
$node->safe_psql('four', 'DROP EXTENSION pgtopic');
runs("BEGIN; ALTER DATABASE uno RENAME TO one; SELECT pg_sleep(0.5); ALTER DATABASE one RENAME TO eins; ROLLBACK",
	'renamed twice in a transaction');
homes_are($node, 'postgres,template1,uno', 'and rolled back');
for my $round (1 .. 5)
{
	runs('CREATE DATABASE copy TEMPLATE uno', "copied while the worker comes and goes, $round");
	runs('DROP DATABASE copy', "and dropped, $round");
}
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
homes_are($node, 'postgres,template1,uno', 'all are there');
my $pid = worker_pid('uno');
for my $sql ('DROP DATABASE uno', 'ALTER DATABASE uno RENAME TO mine', 'CREATE DATABASE mine TEMPLATE uno')
{
	isnt($node->psql('postgres', $sql, extra_params => [ '-U', 'nobody' ]), 0, "refused: $sql");
}
is(worker_pid('uno'), $pid, 'who may not do it sends no worker away');
runs('DROP DATABASE uno', 'DROP DATABASE');
$node->safe_psql('postgres', 'DROP TABLESPACE space');
runs('DROP DATABASE three', 'DROP DATABASE without a worker');
homes_are($node, 'postgres,template1', 'no worker of a database that is gone');
$node->safe_psql('template1', 'DROP EXTENSION pgtopic');
homes_are($node, 'postgres', 'template1 is as before');

# Whatever ends them.
my @healed;
for my $round (1 .. 5)
{
	$pid = worker_pid('postgres');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	my $since = Time::HiRes::time();
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgtopic worker' AND pid <> $pid");
	push @healed, Time::HiRes::time() - $since;
}
cmp_ok((sort { $a <=> $b } @healed)[2], '<', 1, 'terminated: healed within a second, even if the machine was busy once or twice');
$pid = worker_pid('postgres');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pgtopic launcher'});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgtopic launcher'});
is(worker_pid('postgres'), $pid, 'the launcher is terminated: its worker stays, and is the only one');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
homes_are($node, 'postgres', 'the new launcher heals, too');

$pid = worker_pid('postgres');
kill 9, $pid if $pid =~ /^\d+$/;
for (1 .. 1000)
{
	last unless kill 0, $pid;
	Time::HiRes::sleep(0.01);
}
comes_back($node);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgtopic worker' AND pid <> $pid");
homes_are($node, 'postgres', 'kill -9 of a worker: the server starts anew, and the worker comes back');
$node->restart;
homes_are($node, 'postgres', 'restart brings it back');

# No slot.
$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_logical_replication_workers = 0");
$node->restart;
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgtopic worker'});
$node->safe_psql('four', 'CREATE EXTENSION pgtopic');
for (1 .. 100)
{
	last if slurp_file($node->logfile) =~ /out of background worker slots for pgtopic/;
	Time::HiRes::sleep(0.1);
}
like(slurp_file($node->logfile), qr/out of background worker slots for pgtopic/, 'a lack of slots is reported');
$node->safe_psql('postgres', 'DROP EXTENSION pgtopic');
homes_are($node, 'four', 'and it is tried again');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;

# A standby has none, until it is promoted.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pgtopic %'}),
	0, 'nothing runs on a standby');
$standby->promote;
homes_are($standby, 'four', 'promotion starts it');

$standby->stop;
$node->stop;
log_is_clean($node, 1);
log_is_clean($standby);
done_testing();
