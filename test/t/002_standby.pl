# A streaming standby under load: WAL replay makes the same pages, the same
# contents are read there, fetch works and waits, and nothing can be written.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TopicTest;

seed();

my $primary = new_node('primary',
	init => [ allows_streaming => 1 ],
	conf => q{
wal_consistency_checking = 'all'
max_wal_size = 1GB
});
$primary->start;
setup_load_database($primary, q{
SELECT topic.create('t', 4);
SELECT topic.create('side', 3, compression => 'zstd');
SELECT topic.create('quiet', 1);
});
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = 60s');
$standby->start;

# The load, and beside it everything else that writes WAL of its own.
my $load = TopicTest::Load->new(topic => 't', partitions => 4, producers => 8, transactions => 300);
$load->start($primary);
$load->wait_for_acks(50);
for my $round (1 .. 6)
{
	$primary->safe_psql('postgres', qq{
SELECT topic.produce_batch('side', array_agg(payload('s$round-' || i, i % 700))) FROM generate_series(1, 2000) i;
SELECT topic.produce('side', payload('one$round', 600));
SELECT topic.delete_records('side', $round % 3, log_end_offset / 2) FROM topic.list_offsets('side') WHERE partition = $round % 3;
SELECT topic.create('short$round', 70, compression => 'lz4');
SELECT topic.produce('short$round', 'x', partition => i) FROM generate_series(0, 69) i;
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT topic.produce_batch('side', array_agg(payload('x$round-' || i, 500))) FROM generate_series(1, 300) i;
ROLLBACK;
VACUUM FREEZE side;
});
	$primary->safe_psql('postgres', 'TRUNCATE side') if $round == 3;
	$primary->safe_psql('postgres', 'VACUUM FULL side') if $round == 5;
	$primary->safe_psql('postgres', "SELECT topic.drop('short$round')") if $round % 2;
	is($standby->safe_psql('postgres', q{
SELECT count(*) FROM t, convert_from(value, 'UTF8') v WHERE NOT is_payload(v)}),
		0, "the standby reads whole messages under load, $round");
}
$load->finish;
$load->check($primary, 'primary');
$primary->wait_for_catchup($standby);

for my $topic ('t', 'side', 'short2', 'quiet')
{
	is(contents($standby, $topic), contents($primary, $topic), "$topic: same contents");
	is($standby->safe_psql('postgres', "SELECT * FROM topic.list_offsets('$topic')"),
		$primary->safe_psql('postgres', "SELECT * FROM topic.list_offsets('$topic')"),
		"$topic: same offsets");
	verify_silent($standby, $topic, "$topic: topic.verify() is silent on the standby");
}

# the fetch family gives the same, from the beginning and from the middle
my $fetches = q{
SELECT p, md5(string_agg(f::text, ';' ORDER BY f.log_offset)), count(*)
FROM topic.list_offsets('t') o (p), topic.fetch('t', p, log_start_offset + (log_end_offset - log_start_offset) / 2, 700) f
GROUP BY p ORDER BY p;
SELECT md5(string_agg(f::text, ';' ORDER BY f.log_offset)), count(*) FROM topic.fetch_text('t', 1, 0, 300) f;
SELECT count(*) FROM topic.tail('t', 20)};
my $fetched = $primary->safe_psql('postgres', $fetches);
is($standby->safe_psql('postgres', $fetches), $fetched, 'fetch, fetch_text, tail: same on the standby');
like($fetched, qr/^20$/m, 'and there is something to compare');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM topic.fetch('quiet', 0, 17)}),
	0, 'past the log end a standby has no rows: the primary may be ahead');

# waiting: ends by itself, and with the message
my $begin = Time::HiRes::time();
is($standby->safe_psql('postgres', q{SELECT count(*) FROM topic.fetch('quiet', 0, 0, timeout => '500 ms')}),
	0, 'a wait for nothing returns nothing');
cmp_ok(Time::HiRes::time() - $begin, '>=', 0.5, 'after its timeout');

my ($out, $err) = ('', '');
my $waiter = IPC::Run::start(
	[
		'psql', '-XqAt', '-d', $standby->connstr('postgres') . ' application_name=waiter', '-c',
		q{SELECT log_offset, convert_from(value, 'UTF8') FROM topic.fetch('quiet', 0, 0, timeout => '60 s')}
	],
	'>', \$out, '2>', \$err);
$standby->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiter' AND state = 'active'})
  or die 'no waiter';
$begin = Time::HiRes::time();
$primary->safe_psql('postgres', q{SELECT topic.produce('quiet', 'hello')});
$waiter->finish;
is($out, "0|hello\n", 'a wait on the standby ends with the message');
is($err, '', 'and without a complaint');
cmp_ok(Time::HiRes::time() - $begin, '<', 20, 'and long before its timeout');

# nothing can be written
for my $sql (
	q{SELECT topic.produce('t', 'x')},
	q{SELECT topic.produce('t', '{}'::jsonb)},
	q{SELECT topic.produce_record('t', 'x')},
	q{SELECT topic.produce_batch('t', ARRAY['x'])},
	q{SELECT topic.produce_batch_json('t', ARRAY['{}']::jsonb[])},
	q{SELECT topic.produce_batch_bytes('t', ARRAY['x']::bytea[])},
	q{INSERT INTO t (value) VALUES ('x')},
	qq{COPY t (value) FROM stdin;\nx\n\\.\n},
	q{SELECT topic.create('n')},
	q{SELECT topic.alter('t', partitions => 9)},
	q{SELECT topic.alter_reset('t', 'retention')},
	q{SELECT topic.drop('t')},
	q{SELECT topic.delete_records('t', 0, -1)},
	q{TRUNCATE t})
{
	fails_with($standby, $sql, '25006', 'refused on a standby: ' . ($sql =~ s/\n.*//sr));
}

# a restarted standby goes on where it was
$standby->stop('immediate');
$standby->start;
$primary->safe_psql('postgres', q{SELECT topic.produce('quiet', 'again')});
$primary->wait_for_catchup($standby);
is(contents($standby, 'quiet'), contents($primary, 'quiet'), 'same contents after a restart of the standby');

$standby->stop;
$primary->stop;
log_is_clean($primary);
log_is_clean($standby);
done_testing();
