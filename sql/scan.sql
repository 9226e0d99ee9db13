-- Scans of the access method: sequential, backward, parallel, by ctid, ANALYZE

SET client_min_messages = warning;
CREATE SCHEMA scanning;
SET search_path = scanning, public;
SET timezone = 'UTC';

SELECT topic.create('events', partitions => 4, retention => NULL);
-- partition 1 stays empty; half of the transactions roll back after appending
CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..60 LOOP
		SET LOCAL pgtopic.append_at = 'call';
		INSERT INTO events (partition, timestamp, value)
			SELECT (ARRAY[0, 2, 3])[1 + n % 3], '2026-01-01 00:00+00'::timestamptz + i * interval '1 minute',
				   convert_to(repeat(n::text, 100), 'UTF8')
			FROM generate_series(1, 30) n;
		IF i % 2 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
CALL fill();
CREATE TABLE expected AS
	SELECT partition, log_offset, timestamp, value FROM events;
SELECT partition, count(*), min(log_offset), max(log_offset) FROM events GROUP BY 1 ORDER BY 1;

-- both kinds of scan return the same, in the same order
SET pgtopic.enable_topicscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM events;
CREATE TABLE plain AS SELECT row_number() OVER () AS n, * FROM events;
RESET pgtopic.enable_topicscan;
EXPLAIN (COSTS OFF) SELECT * FROM events;
CREATE TABLE custom AS SELECT row_number() OVER () AS n, * FROM events;
SELECT count(*) FROM plain FULL JOIN custom USING (n, partition, log_offset, timestamp, value)
	WHERE plain.headers IS DISTINCT FROM custom.headers OR plain.partition IS NULL OR custom.partition IS NULL;

--
-- Cursors, back and forth, with and without the custom scan
--
CREATE FUNCTION walk(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	p int;
	o bigint;
	n int;
	moves text;
BEGIN
	OPEN c SCROLL FOR EXECUTE query;
	FOREACH moves IN ARRAY ARRAY['NEXT', 'NEXT', 'PRIOR', 'PRIOR', 'NEXT', 'LAST', 'PRIOR', 'NEXT', 'NEXT',
								 'PRIOR', 'FIRST', 'ABSOLUTE 301', 'PRIOR', 'PRIOR', 'NEXT', 'ABSOLUTE -599',
								 'RELATIVE -7', 'ABSOLUTE 450', 'RELATIVE -300', 'RELATIVE 299']
	LOOP
		p := NULL;
		o := NULL;
		n := NULL;
		-- PL/pgSQL takes the direction from the source, not from a value
		CASE split_part(moves, ' ', 1)
			WHEN 'NEXT' THEN FETCH NEXT FROM c INTO p, o;
			WHEN 'PRIOR' THEN FETCH PRIOR FROM c INTO p, o;
			WHEN 'FIRST' THEN FETCH FIRST FROM c INTO p, o;
			WHEN 'LAST' THEN FETCH LAST FROM c INTO p, o;
			WHEN 'ABSOLUTE' THEN n := split_part(moves, ' ', 2); FETCH ABSOLUTE n FROM c INTO p, o;
			WHEN 'RELATIVE' THEN n := split_part(moves, ' ', 2); FETCH RELATIVE n FROM c INTO p, o;
		END CASE;
		RETURN NEXT format('%s: %s', moves, coalesce(p || '/' || o, 'none'));
	END LOOP;
END $$;
SELECT * FROM walk('SELECT partition, log_offset FROM events');
SELECT * FROM walk('SELECT partition, log_offset FROM events')
EXCEPT ALL
SELECT * FROM walk('SELECT partition, log_offset FROM expected ORDER BY 1, 2');
SELECT * FROM walk('SELECT partition, log_offset FROM events ORDER BY partition DESC, log_offset DESC')
EXCEPT ALL
SELECT * FROM walk('SELECT partition, log_offset FROM expected ORDER BY 1 DESC, 2 DESC');
SET pgtopic.enable_topicscan = off;
SELECT * FROM walk('SELECT partition, log_offset FROM events')
EXCEPT ALL
SELECT * FROM walk('SELECT partition, log_offset FROM expected ORDER BY 1, 2');
RESET pgtopic.enable_topicscan;

--
-- Parallel: every message exactly once
--
SELECT topic.create('large', partitions => 3, retention => NULL);
INSERT INTO large (partition, key, value)
	SELECT i % 3, convert_to(i::text, 'UTF8'), decode(md5(i::text), 'hex') FROM generate_series(1, 150000) i;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM large;
SELECT count(*), count(DISTINCT (partition, log_offset)), count(DISTINCT key), sum(length(value)) FROM large;
SELECT count(*), sum(log_offset) FROM large WHERE log_offset BETWEEN 20000 AND 39999;
SELECT count(*), sum(log_offset) FROM large WHERE partition = 1 AND log_offset > 49000;
SELECT count(*) FROM large WHERE partition = 7;
-- more than once in one statement
SELECT n, (SELECT count(*) FROM large WHERE log_offset < n) FROM generate_series(0, 40000, 20000) n;
SET pgtopic.enable_topicscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM large;
SELECT count(*), count(DISTINCT (partition, log_offset)), count(DISTINCT key), sum(length(value)) FROM large;
RESET pgtopic.enable_topicscan;
-- own messages are known to this process only
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
INSERT INTO large (value) VALUES ('own');
EXPLAIN (COSTS OFF) SELECT count(*) FROM large;
SELECT count(*) FROM large;
ROLLBACK;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

--
-- ctid and tableoid
--
SELECT tableoid::regclass, count(DISTINCT ctid) FROM events GROUP BY 1;
SELECT ctid FROM events WHERE partition = 3 AND log_offset = 7;
EXPLAIN (COSTS OFF) SELECT partition, log_offset FROM events WHERE ctid = '(786432,8)';
SELECT partition, log_offset FROM events WHERE ctid = '(786432,8)';
SELECT partition, log_offset FROM events WHERE ctid IN ('(0,1)', '(0,2)', '(786432,8)', '(0,65535)', '(4294967295,1)', '(0,32768)');
-- of a rolled-back message
SELECT partition, log_offset FROM events WHERE ctid = '(0,11)';
SELECT count(*) FROM events WHERE ctid >= '(786432,8)';
SELECT xmin FROM events;
-- it outlives a rewrite
VACUUM FULL events;
SELECT partition, log_offset FROM events WHERE ctid = '(786432,8)';

--
-- ANALYZE counts messages, not versions
--
ANALYZE events;
SELECT reltuples FROM pg_class WHERE oid = 'events'::regclass;
SELECT attname, n_distinct FROM pg_stats
	WHERE schemaname = 'scanning' AND tablename = 'events' AND attname IN ('partition', 'timestamp') ORDER BY 1;
ANALYZE large;
SELECT reltuples BETWEEN 149000 AND 151000 AS close FROM pg_class WHERE oid = 'large'::regclass;

-- it looks no further than a block where it finds nothing
SELECT topic.create('dead');
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT count(*) FROM generate_series(1, 500) i, topic.produce_batch('dead', array_fill(repeat('x', 100) || i, ARRAY[100]));
ROLLBACK;
ANALYZE dead;
SELECT pg_stat_force_next_flush();
SELECT heap_blks_read + heap_blks_hit < 20 * pg_relation_size('dead') / 8192 AS few_blocks, pg_relation_size('dead') > 5000000 AS of_many
	FROM pg_statio_user_tables WHERE relid = 'dead'::regclass;

--
-- Trimmed messages are absent; offsets go on after TRUNCATE
--
SELECT topic.delete_records('events', 0, 100);
SELECT count(*), min(log_offset) FROM events WHERE partition = 0;
SELECT partition, log_offset FROM events WHERE ctid = '(0,1)';
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT log_offset FROM events WHERE partition = 0;
FETCH LAST FROM c;
FETCH FIRST FROM c;
FETCH PRIOR FROM c;
COMMIT;
TRUNCATE events;
SELECT count(*) FROM events;
INSERT INTO events (partition, value) VALUES (0, 'after');
SELECT partition, log_offset > 0 AS goes_on FROM events;

DROP SCHEMA scanning CASCADE;
