# Records are deleted under load, with readers in between on the primary and on a
# standby, and across a crash.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $primary = new_node('primary',
	init => [ allows_streaming => 1 ],
	conf => "wal_consistency_checking = 'all'\nmax_wal_size = 1GB\n");
$primary->start;
my $compression = ('none', 'lz4', 'zstd')[ rand 3 ];

setup_load_database($primary, "SELECT topic.create('ring', 3, compression => '$compression')");
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $load = TopicTest::Load->new(topic => 'ring', partitions => 3, producers => 3, transactions => 600, max_size => 100_000,
	kinds => { one => 30, batch => 20, call => 10, call_rollback => 6, spill => 3, spill_rollback => 2, savepoint => 8, big => 2, vacuum => 0.5 });
my %result = map { $_ => { wrong => [], read => 0, overtaken => 0 } } qw(primary standby);
my @verify;

for my $round (1, 2)
{
	$load->start($primary);
	$load->wait_for_acks(50);
	while ($primary->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'producer'") > 0)
	{
		$primary->safe_psql('postgres', q{
SELECT topic.delete_records('ring', partition, greatest(log_start_offset, last_stable_offset - 300)) FROM topic.list_offsets('ring')});
		read_beside($primary, 'ring', $result{primary});
		read_beside($standby, 'ring', $result{standby});
		push @verify, grep { $_ ne '' } $primary->safe_psql('postgres', q{SELECT * FROM topic.verify('ring')});
		last if $round == 2 && $load->acked_now > 300;
	}
	$primary->stop('immediate') if $round == 2;
	$load->finish;
	$primary->start if $round == 2;

	is("@verify", '', "$round: topic.verify() was silent under load");
	verify_silent($primary, 'ring', "$round: topic.verify() is silent afterwards");
	is($primary->safe_psql('postgres', whole_messages('ring')), 0, "$round: whole messages are left, in order");
	$primary->wait_for_catchup($standby);
	is(contents($standby, 'ring'), contents($primary, 'ring'), "$round: same contents on the standby");
	is($standby->safe_psql('postgres', q{SELECT * FROM topic.list_offsets('ring')}),
		$primary->safe_psql('postgres', q{SELECT * FROM topic.list_offsets('ring')}), "$round: same bounds on the standby");
	verify_silent($standby, 'ring', "$round: topic.verify() is silent on the standby");
}
is("@{ $load->{errors} }", '', 'no producer had an error');
for my $name (sort keys %result)
{
	is("@{ $result{$name}{wrong} }", '', "$name: readers met nothing wrong");
	cmp_ok($result{$name}{read}, '>', 5, "$name: and did read");
	note "$name: $result{$name}{read} reads, $result{$name}{overtaken} overtaken";
}

# VACUUM FULL keeps the bounds, and copies nothing that was trimmed
my $size = $primary->safe_psql('postgres', q{SELECT pg_relation_size('ring')});
my $before = contents($primary, 'ring');
my $bounds = $primary->safe_psql('postgres', q{SELECT * FROM topic.list_offsets('ring')});
$primary->safe_psql('postgres', 'VACUUM FULL ring');
cmp_ok($primary->safe_psql('postgres', q{SELECT pg_relation_size('ring')}), '<=', $size + 3 * 1024 * 1024, 'VACUUM FULL makes no larger file');
is(contents($primary, 'ring'), $before, 'and keeps the contents');
is($primary->safe_psql('postgres', q{SELECT * FROM topic.list_offsets('ring')}), $bounds, 'and the bounds');
$primary->wait_for_catchup($standby);
is(contents($standby, 'ring'), $before, 'also on the standby');
verify_silent($standby, 'ring', 'topic.verify() is silent there');

$standby->stop;
$primary->stop;
log_is_clean($primary);
log_is_clean($standby);
done_testing();
