-- Topic Scan: conditions, order and columns that go into the log

SET client_min_messages = warning;
CREATE SCHEMA pushing;
SET search_path = pushing, public;
SET timezone = 'UTC';

SELECT topic.create('events', partitions => 4, retention => NULL);
INSERT INTO events (partition, timestamp, key, value)
	SELECT i % 4, '2026-01-01 00:00+00'::timestamptz + (i + i * 7 % 50) * interval '1 second',
		   convert_to('k' || i, 'UTF8'), convert_to('value ' || i, 'UTF8')
	FROM generate_series(0, 39999) i;
CREATE TABLE copy AS SELECT * FROM events;
ANALYZE events, copy;

CREATE FUNCTION plan(query text, options text DEFAULT '') RETURNS json LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE format('EXPLAIN (%s FORMAT JSON) %s', options, query) INTO plan;
	RETURN plan -> 0 -> 'Plan';
END $$;

--
-- What becomes a condition
--
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE partition = 1 AND log_offset = 5;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE partition IN (1, 3) AND log_offset BETWEEN 5 AND 10;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE 2 >= partition AND 5::smallint < log_offset;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE log_offset = ANY ('{3,5}') AND value IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE timestamp >= '2026-01-01 10:00+00';
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE timestamp BETWEEN now() - interval '1 hour' AND now() AND partition = 0;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE timestamp > date '2026-01-01' OR log_offset = 1;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE log_offset > random() * 10;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE log_offset > (random() * 10)::bigint;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE log_offset = partition;
EXPLAIN (COSTS OFF) SELECT * FROM events WHERE partition <> 1 AND log_offset + 0 = 5;
SELECT plan('SELECT * FROM events WHERE log_offset > (SELECT max(log_offset) - 3 FROM copy)') ->> 'Offset Cond' LIKE '%log_offset > %' AS pushed;
EXPLAIN (COSTS OFF, VERBOSE) SELECT key FROM events WHERE partition = 1 AND log_offset < 3;
SELECT p ->> 'Custom Plan Provider' AS provider, p ->> 'Partition Cond' AS partitions, p ->> 'Timestamp Cond' AS timestamps
	FROM plan('SELECT key FROM events WHERE partition = 1 AND timestamp < now()') p;

SELECT partition, log_offset, timestamp, convert_from(value, 'UTF8') AS value
	FROM events WHERE partition IN (1, 3, NULL) AND log_offset BETWEEN 5 AND 6;
SELECT count(*) FROM events WHERE partition = NULL;
SELECT count(*) FROM events WHERE partition = ANY (NULL::int[]);
SELECT count(*) FROM events WHERE log_offset > (SELECT max(log_offset) - 3 FROM copy);
SELECT count(*) FROM events WHERE log_offset > 9223372036854775807 OR partition > 2147483647;
SELECT count(*) FROM events WHERE log_offset <= 9223372036854775807 AND log_offset >= -9223372036854775808;
SELECT count(*) FROM events WHERE timestamp >= '-infinity' AND timestamp < 'infinity';
SELECT count(*) FROM events WHERE timestamp > 'infinity';

-- parameters, also generic plans
PREPARE range(int, bigint, bigint) AS
	SELECT partition, log_offset FROM events WHERE partition = $1 AND log_offset BETWEEN $2 AND $3;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE range(1, 7, 8);
EXECUTE range(1, 7, 8);
EXECUTE range(2, 9999, 20000);
EXECUTE range(NULL, 7, 8);
EXECUTE range(-1, 7, 8);
EXECUTE range(100000, 7, 8);
RESET plan_cache_mode;

--
-- Order, so that ORDER BY ... LIMIT reads a few messages
--
EXPLAIN (COSTS OFF) SELECT log_offset FROM events WHERE partition = 2 ORDER BY log_offset LIMIT 3;
EXPLAIN (COSTS OFF) SELECT log_offset FROM events WHERE partition = 2 ORDER BY log_offset DESC LIMIT 3;
SELECT log_offset FROM events WHERE partition = 2 ORDER BY log_offset DESC LIMIT 3;
EXPLAIN (COSTS OFF) SELECT log_offset FROM events ORDER BY partition, log_offset LIMIT 3;
EXPLAIN (COSTS OFF) SELECT log_offset FROM events ORDER BY partition DESC, log_offset DESC LIMIT 3;
SELECT partition, log_offset FROM events WHERE log_offset < 2 ORDER BY partition DESC, log_offset DESC;
EXPLAIN (COSTS OFF) SELECT log_offset FROM events ORDER BY log_offset LIMIT 3;
EXPLAIN (COSTS OFF) SELECT log_offset FROM events ORDER BY partition, log_offset DESC LIMIT 3;
SELECT max(log_offset), min(log_offset) FROM events WHERE partition = 2;

--
-- Pages that are touched
--
CREATE FUNCTION pages(query text) RETURNS int LANGUAGE sql AS $$
	SELECT (p ->> 'Shared Hit Blocks')::int + (p ->> 'Shared Read Blocks')::int
	FROM plan(query, 'ANALYZE, BUFFERS,') p
$$;
SELECT pages('SELECT * FROM events WHERE partition = 3 AND log_offset = 5000') <= 6 AS by_offset,
	   pages('SELECT * FROM events WHERE partition = 3 AND log_offset = 9999') <= 6 AS last,
	   pages('SELECT * FROM events WHERE partition = 3 AND timestamp >= ''2026-01-01 05:00+00'' LIMIT 1') <= 10 AS by_time,
	   pages('SELECT * FROM events WHERE partition = 3 ORDER BY log_offset DESC LIMIT 1') <= 10 AS newest,
	   pages('SELECT max(log_offset) FROM events WHERE partition = 3') <= 10 AS max,
	   pages('SELECT * FROM events WHERE partition = 9999') <= 6 AS no_such_partition,
	   pages('SELECT * FROM events') > 100 AS all_of_it;

--
-- Joins: the other side gives the bounds
--
CREATE TABLE wanted (p int, o bigint, note text);
INSERT INTO wanted VALUES (0, 10, 'a'), (3, 9999, 'b'), (3, 10000, 'none'), (NULL, 1, 'null');
ANALYZE wanted;
EXPLAIN (COSTS OFF) SELECT note FROM wanted JOIN events ON partition = p AND log_offset = o;
SELECT note, partition, log_offset, convert_from(value, 'UTF8') AS value
	FROM wanted LEFT JOIN events ON partition = p AND log_offset = o ORDER BY note;
EXPLAIN (COSTS OFF) SELECT note FROM wanted,
	LATERAL (SELECT value FROM events WHERE partition = p AND log_offset >= o ORDER BY log_offset LIMIT 2) e;
SELECT note, convert_from(value, 'UTF8') AS value FROM wanted,
	LATERAL (SELECT value FROM events WHERE partition = p AND log_offset >= o ORDER BY log_offset LIMIT 2) e;
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM events a JOIN events b USING (partition, log_offset);
SELECT count(*) FROM events a JOIN events b USING (partition, log_offset);
RESET enable_hashjoin;
RESET enable_nestloop;
UPDATE wanted SET note = convert_from(value, 'UTF8') FROM events WHERE partition = p AND log_offset = o;
SELECT * FROM wanted ORDER BY p, o;

--
-- Only what is asked for is decoded, and whole rows are whole
--
SELECT count(*), count(key), count(value) FROM events;
SELECT e FROM events e WHERE partition = 0 AND log_offset = 0;
SELECT count(e) FROM events e WHERE partition = 0 AND log_offset < 5 AND value IS NOT NULL;
SELECT count(*) FROM events WHERE value = 'value 7';

-- also as a part of something larger
SELECT topic.create('others', retention => NULL);
INSERT INTO others (key, value, headers) VALUES ('k', 'other', ARRAY[ROW('h', '\x01')::topic.header]);
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT * FROM events UNION ALL SELECT * FROM others) u
	WHERE partition = 0 AND log_offset < 2 ORDER BY log_offset;
SELECT partition, log_offset, convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value, headers
	FROM (SELECT * FROM events UNION ALL SELECT * FROM others) u
	WHERE partition = 0 AND log_offset < 2 ORDER BY log_offset, key;
SELECT count(u), max(convert_from(value, 'UTF8')) FROM (SELECT * FROM events UNION ALL SELECT * FROM others) u
	WHERE log_offset = 0;
SELECT log_offset, unnest(headers) AS header, length(value) + 1 AS more FROM others;
SELECT e.log_offset, (SELECT convert_from(o.value, 'UTF8') FROM others o WHERE o.log_offset = e.log_offset) AS other
	FROM events e WHERE e.partition = 1 AND e.log_offset < 2;

-- conditions do not overtake a security barrier
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM events WHERE value <> 'secret';
EXPLAIN (COSTS OFF) SELECT * FROM barrier WHERE partition = 1 AND log_offset = 3;

--
-- Against a heap table: random conditions
--
SELECT setseed(0.5);
CREATE FUNCTION random_condition() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	op text := (ARRAY['=', '<', '<=', '>', '>='])[1 + floor(random() * 5)::int];
	o bigint := floor(random() * 11000) - 500;
	p int := floor(random() * 6) - 1;
	t timestamptz := '2026-01-01 00:00+00'::timestamptz + random() * 42000 * interval '1 second';
BEGIN
	RETURN CASE floor(random() * 9)::int
		WHEN 0 THEN format('partition %s %s', op, p)
		WHEN 1 THEN format('%s::bigint %s partition', p, op)
		WHEN 2 THEN format('partition = ANY (ARRAY[%s, %s, NULL]::smallint[])', p, abs(o) % 4)
		WHEN 3 THEN format('log_offset %s %s', op, o)
		WHEN 4 THEN format('log_offset BETWEEN %s AND %s', o, o + 100)
		WHEN 5 THEN format('log_offset IN (%s, %s)', o, abs(o) / 2)
		WHEN 6 THEN format('timestamp %s %L', op, t)
		WHEN 7 THEN format('timestamp %s timestamp %L', op, t::timestamp)
		ELSE format('%L::date %s timestamp', t::date, op)
	END;
END $$;
CREATE FUNCTION differences(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	condition text;
	order_by text;
	got text;
	wanted text;
BEGIN
	FOR i IN 1..n LOOP
		condition := random_condition();
		WHILE random() < 0.6 LOOP
			condition := condition || ' AND ' || random_condition();
		END LOOP;
		order_by := CASE WHEN random() < 0.5 THEN ' ORDER BY partition, log_offset'
			ELSE ' ORDER BY partition DESC, log_offset DESC' END;
		EXECUTE format('SELECT md5(array_agg((partition, log_offset, value))::text) FROM (SELECT * FROM events WHERE %s %s) s',
					   condition, order_by) INTO got;
		EXECUTE format('SELECT md5(array_agg((partition, log_offset, value))::text) FROM (SELECT * FROM copy WHERE %s %s) s',
					   condition, order_by) INTO wanted;
		IF got IS DISTINCT FROM wanted THEN
			RETURN NEXT condition || order_by;
		END IF;
	END LOOP;
END $$;
SELECT * FROM differences(80);

DROP SCHEMA pushing CASCADE;
