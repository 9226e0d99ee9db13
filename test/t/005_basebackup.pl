# pg_basebackup under load: the copy has everything that was acknowledged before
# the backup's end, and agrees with the heap.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;
use Time::HiRes ();

seed();

my $primary = new_node('primary',
	init => [ allows_streaming => 1, extra => ['--data-checksums'] ],
	conf => "max_wal_size = 1GB\n");
$primary->start;
setup_load_database($primary, q{
CREATE TABLE witness (id text);
SELECT topic.create('t', 4);
});

my $load = TopicTest::Load->new(
	topic => 't', partitions => 4, producers => 8, witness => 1, transactions => 600,
	kinds => { one => 30, batch => 15, insert => 10, call => 8, call_rollback => 6,
		spill => 8, spill_rollback => 6, savepoint => 8, big => 3, checkpoint => 0.3, vacuum => 0.5 });
$load->start($primary);
$load->wait_for_acks(100);

# what was acknowledged at which position, while the backup runs
my $position = $primary->background_psql('postgres');
my $dir = $primary->backup_dir . '/base';
my $pid = fork // die "fork: $!";
my @samples;

if ($pid == 0)
{
	exec 'pg_basebackup', '-D', $dir, '-h', $primary->host, '-p', $primary->port,
	  '--checkpoint=fast', '--no-sync', '--max-rate=60M' or die "exec: $!";
}
do
{
	my @acked = $load->acked_now;
	my $lsn = $position->query_safe('SELECT pg_current_wal_insert_lsn()');

	push @samples, { lsn => $lsn, acked => \@acked };
	Time::HiRes::sleep(0.02);
} until (waitpid($pid, 1) == $pid);    # WNOHANG
is($?, 0, 'pg_basebackup');
$position->quit;
$load->wait_for_acks(50 + scalar @{ $samples[-1]{acked} });
$load->stop($primary);
$load->check_witness($primary, 'primary', $load->acked);

sub lsn_number
{
	my ($high, $low) = split m{/}, shift;
	return hex($high) * 2**32 + hex($low);
}

my ($end) = slurp_file("$dir/backup_manifest") =~ /"End-LSN": "([^"]+)"/;
my @before = grep { lsn_number($_->{lsn}) <= lsn_number($end) } @samples;

cmp_ok(scalar @before, '>', 1, 'the load ran beside the backup');
command_ok([ 'pg_verifybackup', $dir ], 'pg_verifybackup');

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($primary, 'base');
$copy->start;
$load->check_witness($copy, 'copy', @{ $before[-1]{acked} });
is($copy->safe_psql('postgres', q{SELECT (topic.produce('t', 'after', partition => 2)).partition}), 2, 'producing goes on');
verify_silent($copy, 't', 'copy: topic.verify() after producing');
$copy->stop;
command_ok([ 'pg_checksums', '--check', '-D', $copy->data_dir ], 'checksums of the copy');
log_is_clean($copy);

$primary->stop;
log_is_clean($primary);
done_testing();
