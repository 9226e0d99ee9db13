# Compaction against a model: a heap table has every message of every transaction, and
# whatever compaction, VACUUM, VACUUM FULL, aborts, savepoints and crashes have done to
# the topic, it has each key's newest value, messages of the history only, once and in
# their order.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TopicTest;

seed();

my $node = new_node('model', conf => q{
max_wal_size = 1GB
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
pgtopic.compaction_memory = 64kB
});
$node->start;
my $compression = ('none', 'lz4', 'zstd')[ rand 3 ];

# Each partition has one writer, so that the ids are in the order of its log.
$node->safe_psql('postgres', qq{
CREATE EXTENSION pgtopic;
SELECT topic.create('states', 3, cleanup_policy => 'compact', delete_retention => '0', retention => NULL, compression => '$compression');
CREATE TABLE history (id bigserial, partition int, key text, value text);
} . q{
CREATE FUNCTION noise(n int) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(string_agg(md5(random()::text), ''), '') FROM generate_series(1, n)
$$;
CREATE FUNCTION write(p int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k text := CASE WHEN random() < 0.9 THEN 'k' || (random() * 400)::int ELSE 'often' || (random() * 5)::int END;
	n bigint := nextval('history_id_seq');
	v text := CASE WHEN random() > 0.15 THEN n || ' ' || noise((ARRAY[0, 1, 4, 32, 94])[1 + floor(random() * 5)]) END;
BEGIN
	INSERT INTO history VALUES (n, p, k, v);
	PERFORM topic.produce('states', v, k, partition => p);
END $$;
CREATE PROCEDURE work(p int, transactions int) LANGUAGE plpgsql AS $$
BEGIN
	FOR t IN 1 .. transactions LOOP
		PERFORM set_config('pgtopic.append_at', CASE WHEN random() < 0.5 THEN 'call' ELSE 'commit' END, true);
		FOR i IN 1 .. (ARRAY[1, 3, 20, 100])[1 + floor(random() * 4)] LOOP
			IF random() < 0.9 THEN
				PERFORM write(p);
			ELSE
				BEGIN
					PERFORM write(p);
					IF random() < 0.5 THEN
						RAISE 'never written';
					END IF;
				EXCEPTION WHEN raise_exception THEN
					NULL;
				END;
			END IF;
		END LOOP;
		IF random() < 0.2 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
CREATE VIEW wrong AS
	WITH t AS MATERIALIZED (
		SELECT partition, convert_from(key, 'UTF8') AS key, log_offset, convert_from(value, 'UTF8') AS value FROM states),
	topic AS (
		SELECT DISTINCT ON (partition, key) partition, key, value FROM t ORDER BY partition, key, log_offset DESC),
	model AS (
		SELECT DISTINCT ON (partition, key) partition, key, value FROM history ORDER BY partition, key, id DESC),
	ordered AS (
		SELECT log_offset, lag(log_offset) OVER w AS previous_offset,
			split_part(value, ' ', 1)::bigint AS id, lag(split_part(value, ' ', 1)::bigint) OVER w AS previous_id
		FROM t WHERE value IS NOT NULL WINDOW w AS (PARTITION BY partition ORDER BY log_offset))
	SELECT * FROM (SELECT
		(SELECT count(*) FROM (TABLE model EXCEPT TABLE topic) x WHERE value IS NOT NULL) AS lost,
		(SELECT count(*) FROM topic t JOIN model m USING (partition, key) WHERE t.value <> m.value) AS outdated,
		(SELECT count(*) FROM topic t JOIN model m USING (partition, key) WHERE t.value IS NOT NULL AND m.value IS NULL) AS undeleted,
		(SELECT count(*) FROM (SELECT partition, key, value FROM t EXCEPT SELECT partition, key, value FROM history) x) AS invented,
		(SELECT count(*) - count(DISTINCT (partition, log_offset)) FROM t) AS doubled,
		(SELECT count(*) FROM ordered WHERE log_offset <= previous_offset OR id <= previous_id) AS disordered) c
	WHERE lost + outdated + undeleted + invented + doubled + disordered > 0;
});

my $beside = TopicTest::Beside->new($node);
my @deeds = (("SELECT 'compacted' FROM topic.compact('states');") x 8, ('VACUUM states;') x 2, 'VACUUM FULL states;', 'ANALYZE states;', 'CHECKPOINT;');
my $serial = "SET max_parallel_workers_per_gather = 0;\n";

for my $round (1 .. 4)
{
	my @readers;

	$beside->begin("SET synchronous_commit = off;\nCALL work($_, 150);") for 0 .. 2;
	$beside->begin(join "\n", map { $deeds[ rand @deeds ] } 1 .. 40);
	# with delete_retention 0 a key's value may have been read before two passes, and its
	# tombstone been gone after them
	push @readers, $beside->begin($_ . "SELECT 'wrong', * FROM wrong WHERE lost + outdated + invented + doubled + disordered > 0; SELECT * FROM topic.verify('states') LIMIT 3;\n" x 15)
	  for '', $serial;
	if ($round < 4)
	{
		pause(0.5, 4);
		kill_postmaster($node);
	}
	is($beside->finish, '', "round $round: nobody fails");
	is(slurp_file($_), '', "round $round: nothing wrong meanwhile") for @readers;
	$node->start if $round < 4;
	is($node->safe_psql('postgres', "$_ TABLE wrong"), '', "round $round: the topic agrees with the model") for '', $serial;
	verify_silent($node, 'states', "round $round: the checker finds nothing");
}
$node->safe_psql('postgres', "SELECT * FROM topic.compact('states')");
is($node->safe_psql('postgres', 'TABLE wrong'), '', 'and so it does when all is compacted');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM states'), '<', $node->safe_psql('postgres', 'SELECT count(*) / 2 FROM history'),
	'which is much shorter than the history');
verify_silent($node, 'states');
log_is_clean($node);
done_testing();
