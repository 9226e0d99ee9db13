# Compaction under producers, through crashes and on a standby: the newest value of
# every key is there, none that was never newest comes back, and the checker finds
# nothing.

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
	conf => "wal_consistency_checking = 'all'\nmax_wal_size = 1GB\npgtopic.maintenance_interval = 1s\npgtopic.compaction_memory = 64kB\n");
$primary->start;
my $compression = ('none', 'lz4', 'zstd')[ rand 3 ];

# A key's row in "model" is locked from the change until after the append, so that
# the log has the key's messages in the order in which the row had its values.
$primary->safe_psql('postgres', qq{
CREATE EXTENSION pgtopic;
SELECT topic.create('states', 3, cleanup_policy => 'compact', delete_retention => '0', compression => '$compression');
CREATE TABLE model (key text PRIMARY KEY, value text);
} . q{
CREATE PROCEDURE work(worker int, transactions int, keys int, size int) LANGUAGE plpgsql AS $$
DECLARE
	k text;
	v text;
BEGIN
	FOR t IN 1 .. transactions LOOP
		FOR k IN SELECT DISTINCT 'key ' || (random() * keys)::int FROM generate_series(1, (random() * 40)::int) ORDER BY 1 LOOP
			v := CASE WHEN random() > 0.1 THEN worker || ' ' || t || ' ' || repeat(md5(random()::text), (random() * size)::int / 32) END;
			INSERT INTO model VALUES (k, v) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
			PERFORM topic.produce('states', v, k);
		END LOOP;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
CREATE VIEW wrong AS
	SELECT coalesce(m.key, s.key) AS key, left(m.value, 40) AS model, left(s.value, 40) AS topic, s.log_offset,
		m.key IS NOT NULL AND m.value IS NULL AS deleted
	FROM model m FULL JOIN (
		SELECT DISTINCT ON (key) convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value, log_offset
		FROM states ORDER BY key, log_offset DESC) s ON m.key = s.key
	WHERE m.value IS DISTINCT FROM s.value;
});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $beside = TopicTest::Beside->new($primary);

sub check
{
	my ($node, $name) = @_;

	is($node->safe_psql('postgres', 'SELECT * FROM wrong LIMIT 5'), '', "$name: the newest value of each key is there");
	is($node->safe_psql('postgres', "SELECT * FROM topic.verify('states') LIMIT 5"), '', "$name: the checker finds nothing");
	return;
}

my @read;

for my $round (1 .. 3)
{
	my $keys = (50, 1500)[ $round % 2 ];

	$beside->begin("CALL work($_, 300, $keys, 3000);") for 1 .. 3;
	$beside->begin(join '', map { "SELECT 'passes', passes FROM topic.compact('states');\n" } 1 .. 300);
	my $verify = $beside->begin(join '', map { "SELECT * FROM topic.verify('states') LIMIT 3;\n" } 1 .. 50);
	pause(1, 3);
	for my $node ($primary, $standby)
	{
		my ($out, $err) = ('', '');

		# with delete_retention 0 a key's value may have been read before two passes, and
		# its tombstone been gone after them
		$node->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM wrong WHERE NOT deleted LIMIT 3", stdout => \$out, stderr => \$err);
		push @read, $out if $out ne '';
		push @read, $err if $err ne '' && $err !~ /ERROR:  (?:72000|40001):/;
	}
	if ($round < 3)
	{
		kill_postmaster($primary);
		$beside->finish;
		$primary->start;
	}
	else
	{
		is($beside->finish, '', 'nobody fails');
		is(slurp_file($verify), '', 'the checker finds nothing meanwhile');
	}
	check($primary, "round $round");
}
is_deeply(\@read, [], 'readers find the newest values meanwhile');

$primary->safe_psql('postgres', $_) for "SELECT * FROM topic.compact('states')", 'VACUUM states';
check($primary, 'after VACUUM');
$primary->wait_for_catchup($standby);
check($standby, 'standby');

# the maintenance process compacts when it likes
my ($earlier, $copy, $now) = ('', '', contents($primary, 'states'));
while ($earlier ne $now)
{
	$earlier = $now;
	$primary->wait_for_catchup($standby);
	$copy = contents($standby, 'states');
	$now = contents($primary, 'states');
}
is($copy, $now, 'the standby has the same');

$primary->safe_psql('postgres', 'VACUUM FULL states');
check($primary, 'after VACUUM FULL');
$primary->wait_for_catchup($standby);
check($standby, 'standby after VACUUM FULL');

# by itself
$primary->safe_psql('postgres', q{
SELECT topic.create('alone', cleanup_policy => 'compact');
CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 100 LOOP
		PERFORM topic.produce_batch('alone', array_agg(repeat('x', 1000)), array_agg('key ' || i % 7)) FROM generate_series(1, 50) i;
		COMMIT;
	END LOOP;
END $$;
CALL fill();
});
$primary->poll_query_until('postgres', 'SELECT count(*) < 4000 FROM alone') or die 'the maintenance worker does not compact';
is($primary->safe_psql('postgres', 'SELECT count(DISTINCT key), max(log_offset) FROM alone'), '7|4999', 'compacted by the maintenance worker');
verify_silent($primary, 'alone');

# slowly, in sight, and cancelled; by itself it may be done before
$beside->begin("\\set ON_ERROR_STOP 1\nSET pgtopic.compaction_rate = '64kB';\n" . ("CALL fill();\nSELECT topic.compact('alone');\n" x 10));
$primary->poll_query_until('postgres', q{
SELECT count(*) = 1 FROM topic.compactions c JOIN pg_stat_activity a USING (pid)
WHERE c.topic = 'public.alone' AND c.partition = 0 AND bytes_done BETWEEN 1 AND bytes_total AND a.query LIKE 'SELECT topic.compact%'})
	or die 'no compaction is shown';
ok(1, 'a running compaction is shown');
$primary->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM topic.compactions');
like($beside->finish, qr/57014/, 'it can be cancelled');
verify_silent($primary, 'alone');
$primary->safe_psql('postgres', "SELECT topic.compact('alone')");
verify_silent($primary, 'alone', 'the next one takes what it has left');

log_is_clean($primary);
log_is_clean($standby);
done_testing();
