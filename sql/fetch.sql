-- fetch, fetch_text, fetch_json and tail

SET client_min_messages = warning;
CREATE SCHEMA fetching;
SET search_path = fetching, public;
SET timezone = 'UTC';

CREATE FUNCTION sqlstate_of(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

SELECT topic.create('events', partitions => 3, retention => NULL);

--
-- An empty topic
--
SELECT * FROM topic.fetch('events', 0, 0);
SELECT * FROM topic.tail('events');

--
-- What comes back
--
SELECT topic.produce_batch('events', ARRAY['zero', 'one', 'two', NULL, ''],
						   keys => ARRAY['k0', NULL, '', 'k3', 'k4'], partition => 0);
SELECT topic, partition, log_offset, key, value, headers FROM topic.fetch('events', 0, 0);
SELECT topic, partition, log_offset, key, value, headers FROM topic.fetch_text('events', 0, 3);

-- every column, and headers with order, duplicates and NULL
SELECT partition FROM topic.produce('events', 'with headers', 'key',
	'[["b","1"],["a","2"],["b",null]]', 1, '2026-01-02 03:04:05.678901+00');
SELECT * FROM topic.fetch('events', 1, 0);
SELECT * FROM topic.fetch_text('events', 1, 0);
SELECT h.* FROM topic.fetch('events', 1, 0) m, unnest(m.headers) h;

-- in the select list, in a subquery, as a cursor, with ordinality, in a join
SELECT (topic.fetch_text('events', 0, 3)).log_offset;
SELECT count(*) FROM (SELECT * FROM topic.fetch('events', 0, 0) LIMIT 2) m;
SELECT value, ordinality FROM topic.fetch_text('events', 0, 0, 2) WITH ORDINALITY;
SELECT p, m.value FROM generate_series(0, 2) p, topic.fetch_text('events', p, 0, 1) m;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT log_offset, value FROM topic.fetch_text('events', 0, 0);
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH LAST FROM c;
COMMIT;

-- in FROM it is a scan, which stores nothing; elsewhere a function
EXPLAIN (COSTS OFF) SELECT value FROM topic.fetch('events', 0, 0) WHERE log_offset > 2;
EXPLAIN (COSTS OFF) SELECT p, m.value FROM generate_series(0, 2) p, topic.fetch_text('events', p, 0, 1) m;
EXPLAIN (COSTS OFF) SELECT m FROM topic.fetch('events', 0, 0) m;
SELECT count(m), max(m.topic) FROM topic.fetch_text('events', 0, 3) m;
SELECT value FROM topic.fetch('events', 0, 0) WHERE log_offset > 2;
SELECT count(*) FROM topic.fetch('events', 0, 0) WHERE key IS NULL;
SELECT DISTINCT topic FROM topic.fetch('events', 0, 0);

-- its rows have the columns that are used, in the order of the select list
SELECT value, log_offset, value AS again, key FROM topic.fetch_text('events', 0, 0) WHERE partition = 0 AND key <> 'k0';
SELECT length(value) + log_offset AS sum, value FROM topic.fetch_text('events', 0, 0, 2) ORDER BY key DESC NULLS FIRST;
SELECT 1 AS one FROM topic.fetch('events', 0, 0, 2);
SELECT value FROM topic.fetch_text('events', 0, 0, 2) UNION ALL SELECT topic FROM topic.fetch_text('events', 0, 0, 1);
SELECT key, count(*), row_number() OVER (ORDER BY key) FROM topic.fetch_text('events', 0, 0) GROUP BY key HAVING max(log_offset) > 1 ORDER BY key;
SELECT a.value, b.log_offset, a.log_offset FROM topic.fetch_text('events', 0, 0, 2) a LEFT JOIN topic.fetch_text('events', 0, 1, 1) b USING (key) ORDER BY 3;
EXPLAIN (VERBOSE, COSTS OFF) SELECT value, log_offset FROM topic.fetch_text('events', 0, 0) WHERE key = 'k3';

-- read again by a join, and with other arguments
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT a.log_offset, b.value FROM topic.fetch('events', 0, 0) a
	JOIN topic.fetch_text('events', 0, 0) b USING (log_offset) ORDER BY 1;
SELECT i, log_offset, value FROM generate_series(1, 3) i LEFT JOIN topic.fetch_text('events', 0, 1, 2) ON true ORDER BY 1, 2;
SELECT o, (SELECT value FROM topic.fetch_text('events', 0, o, 1)) FROM generate_series(0, 4) o;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- who may not call the function may not scan it either
BEGIN;
REVOKE EXECUTE ON FUNCTION topic.fetch FROM PUBLIC;
CREATE ROLE regress_pgtopic_nobody;
SET LOCAL ROLE regress_pgtopic_nobody;
SELECT * FROM topic.fetch('events', 0, 0);
ROLLBACK;

-- it feeds UPDATE and INSERT, a topic from itself included
CREATE TABLE counter AS SELECT 'k0' AS key, 0 AS n;
UPDATE counter c SET n = n + 1 FROM topic.fetch_text('events', 0, 0) m WHERE m.key = c.key RETURNING c.*;
SELECT * FROM counter WHERE EXISTS (SELECT FROM topic.fetch_text('events', 0, 0) m WHERE m.key = counter.key) FOR UPDATE;
SELECT topic.create('self', retention => NULL);
SELECT topic.produce_batch('self', ARRAY['a', 'b', 'c']);
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
INSERT INTO self (partition, value) SELECT partition, value FROM topic.fetch('self', 0, 0);
SELECT count(*) FROM topic.fetch('self', 0, 0);
SELECT count(*) FROM self;
COMMIT;
SELECT log_offset, value FROM topic.fetch_text('self', 0, 0);

-- all kinds of parameters
PREPARE untyped AS SELECT value FROM topic.fetch_text($1, $2, $3, $4);
EXECUTE untyped('events', 0, 1, 1);
PREPARE as_varchar(varchar) AS SELECT value FROM topic.fetch_text($1, 0, 1, 1);
EXECUTE as_varchar('fetching.events');
DEALLOCATE ALL;

--
-- Limits
--
SELECT log_offset FROM topic.fetch('events', 0, 0, max_messages => 2);
SELECT log_offset FROM topic.fetch('events', 0, 1, max_messages => 1);
SELECT topic.produce_batch('events', ARRAY[repeat('a', 1000), repeat('b', 1000), repeat('c', 1000)], partition => 2);
SELECT log_offset, length(value) FROM topic.fetch('events', 2, 0, max_bytes => 2500);
SELECT log_offset, length(value) FROM topic.fetch('events', 2, 0, max_bytes => 1000);
SELECT log_offset, length(value) FROM topic.fetch('events', 2, 1, max_bytes => 1);
SELECT log_offset, length(value) FROM topic.fetch('events', 2, 2, max_bytes => 0);

-- at the log end: no rows, and a timeout runs out
SELECT * FROM topic.fetch('events', 0, 5);
SELECT * FROM topic.fetch('events', 0, 5, timeout => '10 ms');
SELECT * FROM topic.fetch('events', 0, 5, timeout => '1 us');

-- a timeout does not delay what is there
SET statement_timeout = '10 s';
SELECT log_offset FROM topic.fetch('events', 0, 4, timeout => '1 day');

-- a wait ends with the statement's timeout, and leaves nothing behind
SET statement_timeout = '50 ms';
SELECT * FROM topic.fetch('events', 0, 5, timeout => '1 day');
SELECT * FROM topic.tail('events', timeout => '1 day') LIMIT 0;
BEGIN;
SAVEPOINT a;
SELECT * FROM topic.fetch('events', 0, 5, timeout => '1 day');
ROLLBACK TO a;
SELECT * FROM topic.fetch('events', 0, 5, timeout => '10 ms');
COMMIT;
RESET statement_timeout;

-- waiting is pointless where the snapshot stays
SET statement_timeout = '10 s';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM topic.fetch('events', 0, 5, timeout => '1 day');
COMMIT;
RESET statement_timeout;

--
-- Out of range
--
SELECT * FROM topic.fetch('events', 0, 6);
SELECT * FROM topic.fetch('events', 0, -1);
SELECT topic.delete_records('events', 0, 2);
SELECT * FROM topic.fetch('events', 0, 1);
SELECT log_offset, value FROM topic.fetch_text('events', 0, 2);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 1) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 6, timeout => '1 hour') $$);

--
-- Own messages: neither flushed nor returned before the commit
--
BEGIN;
SELECT partition, log_offset FROM topic.produce('events', 'own', partition => 0);
SELECT * FROM topic.fetch_text('events', 0, 5);
SELECT log_end_offset FROM topic.list_offsets('events') WHERE partition = 0;
SET LOCAL pgtopic.append_at = 'call';
SELECT partition, log_offset FROM topic.produce('events', 'own, at once', partition => 0);
SELECT * FROM topic.fetch_text('events', 0, 5);
SELECT last_stable_offset, log_end_offset > last_stable_offset AS appended FROM topic.list_offsets('events') WHERE partition = 0;
COMMIT;
SELECT log_offset, value FROM topic.fetch_text('events', 0, 5);

-- rolled back: stepped over
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT partition, log_offset FROM topic.produce('events', 'undone', partition => 0);
ROLLBACK;
SELECT partition FROM topic.produce('events', 'after the gap', partition => 0);
SELECT log_offset, value FROM topic.fetch_text('events', 0, 7);
SELECT log_offset, value FROM topic.fetch_text('events', 0, 8);

--
-- JSON and text
--
SELECT topic.create('docs', retention => NULL);
SELECT partition FROM topic.produce('docs', '{"b": 1, "a": [true, null]}'::json, 'k');
SELECT partition FROM topic.produce('docs', '{"b": 1, "a": [true, null]}'::jsonb);
SELECT partition FROM topic.produce('docs', NULL::text, 'gone');
SELECT key, value, value -> 'a' AS a FROM topic.fetch_json('docs', 0, 0);
SELECT key, value FROM topic.fetch_text('docs', 0, 0);
SELECT partition FROM topic.produce('docs', 'no json');
SELECT partition FROM topic.produce('docs', '\xff00'::bytea);
SELECT partition FROM topic.produce('docs', '"\u0000"'::json);
SELECT partition FROM topic.produce('docs', '');
SELECT partition FROM topic.produce_record('docs', 'x', '\xfe');
SELECT log_offset, value FROM topic.fetch_json('docs', 0, 0);
SELECT log_offset, value FROM topic.fetch_json('docs', 0, 0, 3);
SELECT log_offset, value FROM topic.fetch_json('docs', 0, 4);
SELECT log_offset, value FROM topic.fetch_json('docs', 0, 5);
SELECT log_offset, value FROM topic.fetch_json('docs', 0, 6);
SELECT log_offset, value FROM topic.fetch_text('docs', 0, 3, 1);
SELECT log_offset, value FROM topic.fetch_text('docs', 0, 4, 1);
SELECT log_offset, value FROM topic.fetch_text('docs', 0, 7, 1);
SELECT log_offset, key, value FROM topic.fetch('docs', 0, 3);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch_text('docs', 0, 4) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch_json('docs', 0, 3) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch_json('docs', 0, 4) $$);

--
-- Large messages, and many
--
SELECT topic.create('large', max_message_bytes => 4000000, retention => NULL);
SELECT topic.produce_batch('large', array_agg(repeat(chr(96 + i), i * 100000))) FROM generate_series(1, 12) i;
SELECT log_offset, left(value, 1) AS letter, length(value) FROM topic.fetch_text('large', 0, 7);
SELECT topic.create('many', retention => NULL);
SELECT topic.produce_batch('many', array_agg('message ' || i)) FROM generate_series(0, 9999) i;
SELECT count(*), min(log_offset), max(log_offset) FROM topic.fetch('many', 0, 0);
SELECT count(*), min(value), max(value) FROM topic.fetch_text('many', 0, 5000, 1000);
SELECT count(*) FROM topic.fetch('many', 0, 0, 1000000);
SELECT bool_and(m.log_offset = o AND m.value = 'message ' || o)
FROM generate_series(0, 9999, 97) o, topic.fetch_text('many', 0, o, 1) m;

--
-- tail: the last n of all partitions by timestamp, oldest first
--
SELECT topic.create('clock', partitions => 3, timestamp_after_max => '1 day', retention => NULL);
SELECT count(topic.produce('clock', 'message ' || i, partition => i % 3,
						   event_time => '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 minute'))
FROM generate_series(1, 30) i;
SELECT partition, log_offset, "timestamp", convert_from(value, 'UTF8') AS value FROM topic.tail('clock', 4);
SELECT count(*), min("timestamp"), max("timestamp") FROM topic.tail('clock');
SELECT count(*) FROM topic.tail('clock', 1000);
-- with gaps: rolled-back messages do not count
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT count(topic.produce('clock', 'undone', partition => 0)) FROM generate_series(1, 300);
ROLLBACK;
SELECT partition, log_offset, convert_from(value, 'UTF8') AS value FROM topic.tail('clock', 4);
SELECT count(*) FROM topic.tail('clock', 30);
-- ascending in the order of the rows
SELECT count(*) FROM (SELECT "timestamp" < lag("timestamp") OVER () AS wrong FROM topic.tail('clock', 30)) t WHERE wrong;

--
-- Arguments
--
SELECT sqlstate_of($$ SELECT * FROM topic.fetch(NULL, 0, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', NULL, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 5, NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 5, 1, NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 5, 1, '0', NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 5, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 5, 1, '-1 second') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 0, 5, 1, '0', -1) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', 3, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('events', -1, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('nowhere', 0, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.fetch('pg_class', 0, 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.tail(NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.tail('events', 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.tail('events', NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.tail('events', 1, '-1 s') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.tail('nowhere') $$);

--
-- Privileges: SELECT on the topic, for current_user at each call
--
CREATE ROLE regress_pgtopic_fetch;
GRANT USAGE ON SCHEMA fetching TO regress_pgtopic_fetch;
SET ROLE regress_pgtopic_fetch;
SELECT * FROM topic.fetch('events', 0, 5);
SELECT * FROM topic.fetch_text('events', 0, 5);
SELECT * FROM topic.fetch_json('events', 0, 5);
SELECT * FROM topic.tail('events');
SELECT * FROM topic.list_offsets('events');
RESET ROLE;
GRANT SELECT ON events TO regress_pgtopic_fetch;
SET ROLE regress_pgtopic_fetch;
SELECT count(*) FROM topic.fetch('events', 0, 5);
SELECT count(*) FROM topic.list_offsets('events');
RESET ROLE;

-- read-only transactions may read
BEGIN READ ONLY;
SELECT count(*) FROM topic.fetch('events', 0, 5);
SELECT count(*) FROM topic.tail('events');
COMMIT;

DROP SCHEMA fetching CASCADE;
DROP ROLE regress_pgtopic_fetch;
