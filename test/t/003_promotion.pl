# Promotion under load, with a session on the standby that knows the topic from
# before; the old primary comes back through pg_rewind; checksums stay right.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $old = new_node('old',
	init => [ allows_streaming => 1, extra => ['--data-checksums'] ],
	conf => "wal_keep_size = 1GB\nmax_wal_size = 1GB\n");
$old->start;
setup_load_database($old, q{
SELECT topic.create('t', 4);
SELECT topic.create('idle', 2);
SELECT topic.produce('idle', 'before', partition => 0);
});
$old->backup('base');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init_from_backup($old, 'base', has_streaming => 1);
$new->start;

# From here on an acknowledged transaction is on the standby, too.
$old->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$old->reload;
my $load = TopicTest::Load->new(topic => 't', partitions => 4, producers => 8);
$load->start($old);
$load->wait_for_acks(300);
is($old->safe_psql('postgres', q{SELECT min(leader_epoch), max(leader_epoch) FROM topic.partitions WHERE topic = 'public.t'}),
	'1|1', 'leader epoch before');

# warm caches: relation, lane pages, where the lanes end
my $warm = $new->background_psql('postgres');
my $warm_up = q{SELECT count(*) > 0 FROM t; SELECT count(*) FROM topic.fetch('t', 0, 0, 3);
SELECT count(*) FROM topic.list_offsets('t'); SELECT count(*) FROM topic.fetch('idle', 0, 0);};
is($warm->query_safe($warm_up), "t\n3\n4\n1", 'a session on the standby reads');
pause(0.3, 0.8);
is($warm->query_safe($warm_up), "t\n3\n4\n1", 'and again, later');

# Promote while the old primary goes on: it writes transactions that nobody
# acknowledges and that pg_rewind has to take back.
$new->promote;
pause(0.1, 0.2);
$old->stop('fast');
$load->finish;
$new->safe_psql('postgres', "COMMIT PREPARED '$_'")
  for split /\n/, $new->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');

my $ends = $new->safe_psql('postgres', q{SELECT partition, log_end_offset FROM topic.list_offsets('t')});
is($warm->query_safe(q{
INSERT INTO t (partition, key, value) SELECT i % 4, 'p0', convert_to(payload('r0p0-1-' || i, 300), 'UTF8') FROM generate_series(1, 400) i;
SELECT topic.produce('idle', 'after', partition => 0) IS NULL;
SELECT string_agg(convert_from(value, 'UTF8'), ',' ORDER BY log_offset) FROM idle;}),
	"f\nbefore,after", 'the warm session writes after the promotion');
$warm->quit;
@{ $load->{sent} }{'r0p0-1'} = (400);
@{ $load->{acked} }{'r0p0-1'} = (1);

# the offsets go on where they were
my %end = map { split /\|/ } split /\n/, $ends;
my %first = map { split /\|/ } split /\n/, $new->safe_psql('postgres',
	q{SELECT partition, min(log_offset) FROM t WHERE convert_from(value, 'UTF8') LIKE 'r0p0-1-%' GROUP BY 1});
cmp_ok($first{$_}, '>=', $end{$_}, "partition $_: offsets go on") for 0 .. 3;
is($new->safe_psql('postgres', q{SELECT min(leader_epoch) FROM topic.partitions WHERE topic = 'public.t'}),
	2, 'leader epoch of every partition that got messages is higher');
$load->check($new, 'after promotion');

# the load goes on at the new primary
$load->{transactions} = 100;
$load->start($new);

# and the old one comes back as its standby
my $conf = $old->data_dir . '/postgresql.conf';
my $kept = PostgreSQL::Test::Utils::tempdir() . '/postgresql.conf';
copy($conf, $kept) or die "copy: $!";
$new->safe_psql('postgres', 'CHECKPOINT');    # pg_rewind looks for the timeline in pg_control
command_checks_all([ 'pg_rewind', '--no-sync', '-D', $old->data_dir, '--source-server', $new->connstr('postgres') ],
	0, [], [qr/rewinding from last common checkpoint/], 'pg_rewind of the old primary');
copy($kept, $conf) or die "copy: $!";
$old->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$old->enable_streaming($new);
$old->set_standby_mode;
$old->start;
$load->finish;
$new->wait_for_catchup($old->name);
is($new->safe_psql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"), 1, 'the old primary follows');
is($old->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'as a standby');
$load->check($new, 'load after promotion');
$new->wait_for_catchup($old->name);
for my $topic ('t', 'idle')
{
	is(contents($old, $topic), contents($new, $topic), "$topic: same contents after pg_rewind");
	verify_silent($old, $topic, "$topic: topic.verify() is silent on the rewound server");
}

$old->stop;
$new->stop;
for my $node ($old, $new)
{
	command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], 'checksums of server ' . $node->name);
	log_is_clean($node);
}
done_testing();
