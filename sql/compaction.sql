-- Compaction: of the messages with the same key only the newest stays

-- not by the maintenance worker, whose time nobody knows
ALTER SYSTEM SET pgtopic.maintenance_interval = '1d';
SELECT pg_reload_conf();

SELECT topic.create('prices', cleanup_policy => 'compact', delete_retention => '1 hour');

-- extents have 1, 8, 32 and then 128 pages, and the newest one is never compacted
CREATE PROCEDURE load_prices(first int, last int, keys int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM topic.produce('prices', repeat('x', 1000) || i, 'key ' || i % keys);
		IF i % 10 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
	COMMIT;
END $$;
CALL load_prices(1, 400, 7);
CREATE TEMP TABLE before AS SELECT * FROM prices;

-- with an extent of 1, 8 and 32 pages full, and the next one begun
SELECT removed > 300 AS removed, bytes_before, bytes_after, passes FROM topic.compact('prices');
SELECT * FROM topic.verify('prices');

-- the last message of each key is there, and nothing that was not
SELECT b.key, count(p) FROM (SELECT DISTINCT ON (key) * FROM before ORDER BY key, log_offset DESC) b
	LEFT JOIN prices p USING (partition, log_offset, key, value) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM (SELECT * FROM prices EXCEPT SELECT * FROM before) extra;

-- offsets, the log start and the log end stay; order does, in all directions
SELECT partition, log_start_offset, log_end_offset FROM topic.list_offsets('prices');
SELECT array_agg(log_offset) = array_agg(log_offset ORDER BY log_offset) AS ascending FROM prices;
SELECT array_agg(log_offset) = array_agg(log_offset ORDER BY log_offset DESC) AS descending
	FROM (SELECT log_offset FROM prices WHERE partition = 0 ORDER BY log_offset DESC) p;

-- a compacted message: the next one comes; so for a consumer
SELECT count(*) FROM prices WHERE partition = 0 AND log_offset = 5;
SELECT log_offset > 5 AS later, log_offset = (SELECT min(log_offset) FROM prices) AS first
	FROM topic.fetch('prices', 0, 5, 1);
SELECT topic.subscribe('watchers', '{prices}') IS NOT NULL AS subscribed;
SELECT topic.seek('watchers', 'prices', 0, 5);
SELECT count(*) = (SELECT count(*) FROM prices) AS all_of_them FROM topic.consume('watchers', 100000);
SELECT log_offset FROM topic.commit('watchers');
SELECT topic.unsubscribe('watchers');

-- by time
SELECT offset_at = (SELECT min(log_offset) FROM prices) AS first
	FROM topic.list_offsets('prices', '2000-01-01');
SELECT count(*) = (SELECT count(*) FROM prices) AS all_of_them
	FROM prices WHERE timestamp >= (SELECT min(timestamp) FROM prices);

-- nothing new: nothing to do
SELECT * FROM topic.compact('prices');

-- again, with what came since; one key was not heard of again
CALL load_prices(401, 3000, 6);
SELECT passes FROM topic.compact('prices');
SELECT * FROM topic.verify('prices');
SELECT count(*) FILTER (WHERE log_offset < 400), count(*) < 1200 AS few, max(log_offset) FROM prices;
SELECT key FROM prices ORDER BY log_offset LIMIT 1;

-- ANALYZE, VACUUM FULL, TRUNCATE
ANALYZE prices;
SELECT abs(reltuples - (SELECT count(*) FROM prices)) < 100 AS counted FROM pg_class WHERE oid = 'prices'::regclass;
CREATE TEMP TABLE compacted AS SELECT * FROM prices;
VACUUM FULL prices;
SELECT * FROM topic.verify('prices');
SELECT count(*) FROM ((TABLE prices EXCEPT TABLE compacted) UNION ALL (TABLE compacted EXCEPT TABLE prices)) difference;
CALL load_prices(3001, 5000, 6);
SELECT passes, removed > 1000 AS removed FROM topic.compact('prices');
SELECT * FROM topic.verify('prices');
SELECT count(DISTINCT key) FROM prices;
VACUUM prices;
SELECT * FROM topic.verify('prices');
TRUNCATE prices;
SELECT * FROM topic.compact('prices');
SELECT log_start_offset, log_end_offset FROM topic.list_offsets('prices');
SELECT * FROM topic.verify('prices');
DROP TABLE prices;
DROP PROCEDURE load_prices;

-- memory for few keys only: several passes
SELECT topic.create('many', cleanup_policy => 'compact', compression => 'lz4');
CREATE PROCEDURE load_many(n int, keys int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM topic.produce_batch('many', array_agg(md5((i * 100 + j)::text) || repeat('-', 100)), array_agg('key ' || (i * 7919 + j) % keys))
			FROM generate_series(1, 100) j;
		COMMIT;
	END LOOP;
END $$;
CALL load_many(600, 3000);
CREATE TEMP TABLE newest AS SELECT DISTINCT ON (key) * FROM many ORDER BY key, log_offset DESC;
SET pgtopic.compaction_memory = '64kB';
SELECT passes > 1 AS several, removed > 5000 AS removed FROM topic.compact('many');
RESET pgtopic.compaction_memory;
SELECT count(*) FROM (TABLE newest EXCEPT TABLE many) lost;
SELECT * FROM topic.verify('many');
DROP TABLE many, newest;
DROP PROCEDURE load_many;

-- tombstones stay for delete_retention after they were first compacted
SELECT topic.create('states', cleanup_policy => 'compact', delete_retention => '1 hour');
CREATE PROCEDURE load_states(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM topic.produce('states', repeat('x', 1000), 'filler');
		COMMIT;
	END LOOP;
END $$;
SELECT topic.produce('states', 'something', 'gone');
SELECT topic.produce('states', NULL::text, 'gone');
SELECT topic.produce('states', NULL::text, 'back');
SELECT topic.produce('states', 'again', 'back');
CALL load_states(100);
SELECT removed > 50 AS removed FROM topic.compact('states');
SELECT log_offset, key, value FROM topic.fetch_text('states', 0, 0, 2);
-- not yet
SELECT removed FROM topic.compact('states');
-- what the setting is later does not count
SELECT topic.alter('states', delete_retention => '0');
SELECT removed FROM topic.compact('states');
SELECT topic.produce('states', NULL::text, 'filler two');
CALL load_states(400);
SELECT removed > 50 AS removed FROM topic.compact('states');
SELECT log_offset, key, left(value, 10) FROM topic.fetch_text('states', 0, 0, 4);
-- the one that was kept until now may go now
SELECT removed FROM topic.compact('states');
SELECT log_offset, key, value FROM topic.fetch_text('states', 0, 0, 2);
SELECT * FROM topic.verify('states');

-- min_compaction_lag: what is younger stays, and counts for nothing
SELECT topic.alter('states', min_compaction_lag => '1 hour');
CALL load_states(1500);
SELECT removed FROM topic.compact('states');
SELECT topic.alter('states', min_compaction_lag => '0');
SELECT removed > 300 AS removed FROM topic.compact('states');

DROP PROCEDURE load_states;

-- messages without a key: refused, and removed if they were there before
SELECT topic.produce('states', 'no key');
SELECT topic.alter('states', cleanup_policy => 'delete');
SELECT topic.compact('states');
INSERT INTO states (partition, value) SELECT 0, convert_to(repeat('y', 1000), 'UTF8') FROM generate_series(1, 300);
INSERT INTO states (partition, key, value) SELECT 0, 'k', convert_to(repeat('y', 1000), 'UTF8') FROM generate_series(1, 300);
INSERT INTO states (partition, key, value) SELECT 0, 'k', convert_to(repeat('y', 1000), 'UTF8') FROM generate_series(1, 300);
INSERT INTO states (partition, key, value) SELECT 0, 'k', convert_to(repeat('y', 1000), 'UTF8') FROM generate_series(1, 300);
SELECT topic.alter('states', cleanup_policy => 'compact,delete');
SELECT removed > 500 AS removed FROM topic.compact('states');
SELECT count(*) FROM states WHERE key IS NULL;

-- compact,delete: the log start moves over what was compacted
SELECT topic.delete_records('states', 0, log_offset) = log_offset AS trimmed
	FROM (SELECT log_offset FROM states ORDER BY log_offset OFFSET 1 LIMIT 1) s;
SELECT * FROM topic.verify('states');
SELECT count(*) FROM topic.fetch('states', 0, (SELECT log_start_offset FROM topic.list_offsets('states')), 1);
SELECT topic.delete_records('states', 0, -1) > 0 AS trimmed;
SELECT count(*) FROM states;
SELECT bytes_after FROM topic.compact('states');
SELECT * FROM topic.verify('states');
SELECT topic.produce('states', 'go on', 'k');
SELECT count(*) FROM states;

-- the log start is within a batch, behind all that was compacted
SELECT topic.create('middle', cleanup_policy => 'compact,delete');
SELECT topic.produce_batch('middle', array_agg(repeat('x', 1000)), array_agg('k' || i)) FROM generate_series(1, 100) i;
SELECT topic.produce_batch('middle', array_agg(repeat('x', 1000)), array_agg('k' || i)) FROM generate_series(1, 100) i;
SELECT topic.produce_batch('middle', array_agg(repeat('x', 1000)), array_agg('k' || i)) FROM generate_series(1, 100) i;
SELECT topic.produce_batch('middle', array_agg(repeat('x', 1000)), array_agg('k' || i)) FROM generate_series(1, 100) i;
SELECT topic.produce_batch('middle', array_agg(repeat('x', 1000)), array_agg('k' || i)) FROM generate_series(1, 100) i;
SELECT removed FROM topic.compact('middle');
SELECT topic.delete_records('middle', 0, 450);
SELECT bytes_after FROM topic.compact('middle');
SELECT * FROM topic.verify('middle');
SELECT count(*), min(log_offset) FROM middle;
SELECT count(*), min(log_offset) FROM topic.fetch('middle', 0, 450);
DROP TABLE middle;

-- a batch that is not whole in the first extent, of one page
SELECT topic.create('short', 1, cleanup_policy => 'compact');
SELECT count(topic.produce('short', repeat('x', 2000), 'k' || i)) FROM generate_series(1, 2) i;
SELECT count(topic.produce('short', repeat('x', 2000), 'k' || i)) FROM generate_series(1, 3) i;
SELECT passes FROM topic.compact('short');
SELECT * FROM topic.verify('short');
SELECT count(*) FROM short;
DROP TABLE short;

-- who may
CREATE ROLE regress_compactor;
SET ROLE regress_compactor;
SELECT topic.compact('states');
SELECT * FROM topic.compactions;
RESET ROLE;
DROP ROLE regress_compactor;
SELECT topic.compact(NULL);
SELECT topic.compact('pg_class');
DROP TABLE states;

-- the clean section ends with a compressed batch of several pages: who looks behind
-- it begins where the main section does, and not on the page that is the first of its extent
SELECT topic.create('gap', compression => 'zstd', retention => NULL);
SELECT FROM topic.produce('gap', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 5000) i), 'large');
DO $$ BEGIN
	FOR i IN 1 .. 60 LOOP
		PERFORM topic.produce('gap', (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 300) j));
		COMMIT;
	END LOOP;
END $$;
SELECT topic.alter('gap', cleanup_policy => 'compact');
SELECT removed > 10 AS removed FROM topic.compact('gap');
SELECT count(*) AS wrong FROM generate_series(0, 60) o
	WHERE (SELECT min(log_offset) FROM topic.fetch('gap', 0, o, 1)) IS DISTINCT FROM (SELECT min(log_offset) FROM gap WHERE log_offset >= o);
SELECT * FROM topic.verify('gap');
SELECT topic.drop('gap');

-- what was compacted is space again when the log start has passed it, also if nobody
-- compacts the topic any more
SELECT topic.create('past', cleanup_policy => 'compact', retention => NULL);
CREATE PROCEDURE fill_past() LANGUAGE sql AS $$
	SELECT topic.produce_batch('past', array_agg(repeat(md5(i::text), 32)), array_agg((i % 2000)::text)) FROM generate_series(1, 3000) i
$$;
CALL fill_past();
CALL fill_past();
SELECT removed > 2000 AS removed FROM topic.compact('past');
SELECT topic.alter('past', cleanup_policy => 'delete');
SELECT pg_relation_size('past') AS size \gset
SELECT topic.delete_records('past', 0, -1);
VACUUM (TRUNCATE false) past;
SELECT * FROM topic.verify('past');
CALL fill_past();
CALL fill_past();
SELECT pg_relation_size('past') = :size AS same_size, count(*), min(log_offset) FROM past;
SELECT * FROM topic.verify('past');
-- VACUUM FULL leaves it behind as well, and all of a partition without a message
SELECT topic.alter('past', cleanup_policy => 'compact');
SELECT removed > 2000 AS removed FROM topic.compact('past');
SELECT topic.delete_records('past', 0, -1);
SELECT topic.produce('past', 'v', 'k');
VACUUM FULL past;
SELECT pg_relation_size('past') / 8192 <= 140 AS small, count(*), min(log_offset) FROM past;
SELECT topic.delete_records('past', 0, -1);
VACUUM FULL past;
SELECT pg_relation_size('past') / 8192 AS blocks;
SELECT * FROM topic.verify('past');
INSERT INTO past (partition, log_offset, key, value) VALUES (0, 12500, 'k', 'restored');
SELECT log_start_offset, log_end_offset FROM topic.list_offsets('past');
CALL fill_past();
CALL fill_past();
SELECT removed > 0 AS removed FROM topic.compact('past');
SELECT max(log_offset) FROM past;
SELECT * FROM topic.verify('past');
DROP PROCEDURE fill_past;
SELECT topic.drop('past');

ALTER SYSTEM RESET pgtopic.maintenance_interval;
SELECT pg_reload_conf();
