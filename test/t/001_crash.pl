# Crashes at random moments under 16 producers: what was acknowledged is there
# once, in whole transactions and in order, and the checker finds nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $node = new_node('crash', conf => q{
max_wal_size = 64MB
min_wal_size = 32MB
checkpoint_timeout = 30s
wal_writer_delay = 10ms
});
$node->start;

my $compression = ('none', 'lz4', 'zstd')[ rand 3 ];

setup_load_database($node, "SELECT topic.create('t', 4, compression => '$compression')");

my $load = TopicTest::Load->new(topic => 't', partitions => 4);

my %crash = (
	'immediate stop' => sub { $node->stop('immediate'); $node->start; },
	'kill -9 of the postmaster' => sub { kill_postmaster($node); $node->start; },
	'kill -9 of a backend' => sub {
		my $victim = $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE application_name = 'producer' ORDER BY random() LIMIT 1");

		ok($victim, 'there is a backend to kill');
		kill 'KILL', $victim;
		$load->finish;
		comes_back($node);
	});

for my $round (1 .. 3)
{
	for my $how (sort keys %crash)
	{
		$load->start($node);
		$load->wait_for_acks(16);
		pause(0.1, 1.5);
		$crash{$how}->();
		$load->finish;
		$node->safe_psql('postgres', "COMMIT PREPARED '$_'")
		  for split /\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
		$load->check($node, "$how, $round");
	}
}

# and the log goes on after all that
is($node->safe_psql('postgres', q{SELECT (topic.produce('t', 'last', partition => 2)).partition}), '2', 'producing goes on');
is($node->safe_psql('postgres', q{SELECT convert_from(value, 'UTF8') FROM t WHERE partition = 2 ORDER BY log_offset DESC LIMIT 1}),
	'last', 'and reading');
$node->stop;
log_is_clean($node, 1);
done_testing();
