-- Producing: functions, INSERT, COPY, and what transactions do to them
SET client_min_messages = warning;
CREATE SCHEMA producer_test;
SET search_path = producer_test, public;
SELECT topic.create('one'), topic.create('three', 3), topic.create('compacted', cleanup_policy => 'compact'),
	topic.create('stamped', timestamp_type => 'LogAppendTime'), topic.create('small', max_message_bytes => 10);
CREATE FUNCTION text_of(bytea) RETURNS text LANGUAGE sql AS $$ SELECT convert_from($1, 'UTF8') $$;
CREATE VIEW contents AS SELECT log_offset, text_of(key) AS key, text_of(value) AS value, headers FROM one;

-- every form
BEGIN;
SELECT * FROM topic.produce('one', 'text');
SELECT topic.produce('one', '{"a":  1}'::json, 'k1');
SELECT topic.produce('one', '{"a":  1}'::jsonb, 'k2', '{"h": "v", "n": null}');
SELECT topic.produce('one', '\x6279746561'::bytea, key => 'k3', headers => '[["b", "1"], ["a", null], ["b", ""]]');
SELECT topic.produce('one', NULL::text, 'tombstone', NULL, 0, '2020-01-01 00:00:00.1239+00');
SELECT topic.produce_record('one', '\x76', '\x6b', ARRAY[ROW('h', '\x0001'), ROW('n', NULL)]::topic.header[]);
SELECT topic.produce_batch('one', ARRAY['b1', NULL, ''], ARRAY['k', NULL, '']);
SELECT topic.produce_batch_json('one', ARRAY['{"x": [1]}', NULL]::jsonb[], headers => ARRAY['{"h": "1"}', NULL]::jsonb[]);
SELECT topic.produce_batch_bytes('one', ARRAY['\x6262', NULL]::bytea[], ARRAY[NULL, '\x6b']::bytea[], 0);
SELECT topic.produce_batch('one', '{}'), topic.produce_batch_bytes('one', '{}', '{}');
COMMIT;
SELECT * FROM contents ORDER BY log_offset;
SELECT timestamp FROM one WHERE key = 'tombstone';
SELECT * FROM topic.last_produced();

-- parameters of unknown type, NULL, text and varchar
PREPARE p1 AS SELECT topic.produce($1, $2);
PREPARE p2 (text, text) AS SELECT topic.produce($1, $2, NULL);
PREPARE p3 (varchar, varchar, varchar) AS SELECT topic.produce($1, $2, $3);
PREPARE p4 (text, jsonb) AS SELECT topic.produce($1, $2, headers => NULL);
PREPARE p5 AS SELECT topic.produce_batch($1, $2);
PREPARE p6 AS SELECT topic.produce_batch($1, $2, NULL, NULL, NULL);
PREPARE p7 AS SELECT topic.produce_record($1, $2, NULL, NULL, $3, $4);
BEGIN;
EXECUTE p1('one', 'untyped');
EXECUTE p2('one', NULL);
EXECUTE p3('one', 'varchar', 'key');
EXECUTE p4('one', '1');
EXECUTE p5('one', '{a,b}');
EXECUTE p6('one', '{a,NULL}');
EXECUTE p7('one', '\x00', NULL, now());
ROLLBACK;
SELECT count(*) FROM one;

-- what is wrong with a call
\set SHOW_CONTEXT never
SELECT topic.produce(NULL, 'x');
SELECT topic.produce('missing', 'x');
SELECT topic.produce('pg_class', 'x');
SELECT topic.produce('one', 'x', partition => 1);
SELECT topic.produce('one', 'x', partition => -1);
SELECT topic.produce('one', 'x', headers => '1');
SELECT topic.produce('one', 'x', headers => '{"a": 1}');
SELECT topic.produce('one', 'x', headers => '{"a": {"b": "c"}}');
SELECT topic.produce('one', 'x', headers => '[["a"]]');
SELECT topic.produce('one', 'x', headers => '[[null, "a"]]');
SELECT topic.produce('one', 'x', headers => '["a", "b"]');
SELECT topic.produce('one', 'x', headers => '{}'), topic.produce('one', 'x', headers => '[]');
SELECT topic.produce_record('one', 'x', headers => ARRAY[NULL]::topic.header[]);
SELECT topic.produce_record('one', 'x', headers => ARRAY[ROW(NULL, 'x')]::topic.header[]);
SELECT topic.produce('one', 'x', event_time => 'infinity');
SELECT topic.produce('one', 'x', event_time => '2999-01-01 00:00:00+00');
SELECT topic.produce('stamped', 'x', event_time => '2999-01-01 00:00:00+00');
SELECT topic.produce('small', '1234567', 'abc');
SELECT topic.produce('small', '1234567', 'abcd');
SELECT topic.produce('small', '1', headers => '{"12345": "67890"}');
SELECT topic.produce('compacted', 'x');
SELECT topic.produce_batch('compacted', ARRAY['x', 'y'], ARRAY['k', NULL]);
SELECT topic.produce_batch('one', NULL);
SELECT topic.produce_batch('one', ARRAY['a', 'b'], ARRAY['k']);
SELECT topic.produce_batch('one', ARRAY['a', 'b'], NULL, ARRAY[]::jsonb[]);
SELECT topic.produce_batch('one', ARRAY[['a', 'b']]);
BEGIN READ ONLY;
SELECT topic.produce('one', 'x');
ROLLBACK;
SELECT count(*) FROM compacted;

-- Kafka's partitions: murmur2("21") = -973932308, "foobar" = -790332482, "abc" = 479470107
SELECT (topic.produce('three', 'v', k)).partition = (h & x'7fffffff'::int) % 3 AS same
	FROM (VALUES ('21', -973932308), ('foobar', -790332482), ('a-little-bit-long-string', -985981536),
		('a-little-bit-longer-string', -1486304829), ('abc', 479470107)) AS v (k, h);
-- one key, one partition; without a key, one partition for a small transaction, all for a large one
SELECT count(DISTINCT (topic.produce('three', 'v', 'key')).partition) FROM generate_series(1, 100);
SELECT count(DISTINCT (topic.produce('three', 'v')).partition) FROM generate_series(1, 100);
SELECT count(DISTINCT (topic.produce('three', repeat('v', 1000))).partition) FROM generate_series(1, 1000);
TRUNCATE three;
-- nor do many topics by turns disturb each other
CREATE SCHEMA producer_turns;
SELECT count(topic.create('producer_turns.t' || g, 3)) FROM generate_series(1, 30) AS g;
SELECT count(topic.produce('producer_turns.t' || g, 'v')) FROM generate_series(1, 10), generate_series(1, 30) AS g;
SELECT count(*) FROM topic.last_produced();
DROP SCHEMA producer_turns CASCADE;

-- INSERT
INSERT INTO one (value) VALUES ('inserted') RETURNING partition, log_offset, timestamp > '2020-01-01' AS now, value;
INSERT INTO one VALUES (0, NULL, '2020-01-01 00:00:00+00', 'k', 'v', ARRAY[ROW('h', 'v')]::topic.header[]) RETURNING *;
INSERT INTO one (partition, value) VALUES (1, 'x');
INSERT INTO one (timestamp, value) VALUES ('infinity', 'x');
INSERT INTO compacted (value) VALUES ('x');
INSERT INTO small (value) VALUES ('12345678901');
INSERT INTO stamped (timestamp, value) VALUES ('2020-01-01', 'x') RETURNING timestamp;
SELECT timestamp > '2021-01-01' AS stamped FROM stamped;
-- values that are compressed, or out of line
CREATE TABLE toasted (v bytea);
ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT convert_to(repeat('x', 100000), 'UTF8');
ALTER TABLE toasted ALTER v SET STORAGE EXTENDED;
INSERT INTO toasted SELECT convert_to(repeat('y', 100000), 'UTF8');
INSERT INTO one (key, value) SELECT v, v FROM toasted;
SELECT length(key), length(value), md5(value), key = value FROM one WHERE length(value) > 1000 ORDER BY log_offset;
-- a statement does not see what it appends itself
TRUNCATE one;
INSERT INTO one (value) VALUES ('a'), ('b');
INSERT INTO one (value) SELECT value FROM one;
SET pgtopic.append_at = 'call';
INSERT INTO one (value) SELECT value FROM one;
RESET pgtopic.append_at;
SELECT count(*), count(DISTINCT log_offset) FROM one;

-- COPY
COPY three (partition, key, value) FROM stdin;
0	k	v
2	\N	\N
\.
COPY three (partition, value) FROM stdin;
3	x
\.
SELECT partition, key, value FROM three ORDER BY partition;

-- appending at the call
TRUNCATE one;
SET pgtopic.append_at = 'call';
BEGIN;
SELECT topic.produce('one', 'a') AS first \gset
SELECT (:'first'::topic.record_metadata).log_offset AS base \gset
SELECT (topic.produce('one', 'b')).log_offset - :base AS log_offset;
SAVEPOINT s;
SELECT (topic.produce('one', 'c')).log_offset - :base AS log_offset;
ROLLBACK TO s;
INSERT INTO one (value) VALUES ('d') RETURNING log_offset - :base AS log_offset;
COMMIT;
RESET pgtopic.append_at;
SELECT log_offset - :base AS log_offset, text_of(value) FROM one ORDER BY log_offset;
SELECT topic, partition, first_offset - :base AS first_offset, last_offset - :base AS last_offset FROM topic.last_produced();

-- a transaction sees its own messages; savepoints
TRUNCATE one;
BEGIN;
SELECT (topic.produce('one', 'a')).partition AS a;
SELECT text_of(value) FROM one;
SAVEPOINT s1;
SELECT (topic.produce('one', 'b')).partition AS b;
SELECT string_agg(text_of(value), ' ' ORDER BY log_offset) FROM one;
ROLLBACK TO s1;
SELECT string_agg(text_of(value), ' ' ORDER BY log_offset) FROM one;
SELECT (topic.produce('one', 'c')).partition AS c;
SAVEPOINT s2;
SELECT (topic.produce('one', 'd')).partition AS d;
SAVEPOINT s3;
SELECT (topic.produce('one', 'e')).partition AS e;
ROLLBACK TO s3;
SELECT (topic.produce('one', 'f')).partition AS f;
RELEASE s2;
SELECT (topic.produce('one', 'g')).partition AS g;
COMMIT;
SELECT string_agg(text_of(value), ' ' ORDER BY log_offset) FROM one;

-- what rolls back never reaches the log: offsets have no gap; order of calls across savepoints
SELECT topic.create('loop', 2);
DO $$
BEGIN
	FOR i IN 1..2000 LOOP
		BEGIN
			PERFORM topic.produce('loop', to_char(i, 'FM0000'), partition => i % 2);
			IF i % 10 = 3 THEN
				RAISE EXCEPTION 'no';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT partition, count(*), min(log_offset), max(log_offset), bool_and(in_order) AS in_order
	FROM (SELECT partition, log_offset, value > lag(value) OVER (PARTITION BY partition ORDER BY log_offset) IS NOT FALSE AS in_order
		FROM loop) AS x
	GROUP BY partition ORDER BY partition;

-- a small buffer appends early, each nesting level under its own transaction id
SET pgtopic.produce_buffer = '64kB';
TRUNCATE loop;
BEGIN;
SELECT sum(topic.produce_batch('loop', array_fill('a'::text, ARRAY[100]), partition => 0)) FROM generate_series(1, 50);
SAVEPOINT s1;
SELECT sum(topic.produce_batch('loop', array_fill('b'::text, ARRAY[100]), partition => 0)) FROM generate_series(1, 100);
ROLLBACK TO s1;
SELECT sum(topic.produce_batch('loop', array_fill('c'::text, ARRAY[100]), partition => 0)) FROM generate_series(1, 100);
SAVEPOINT s2;
SELECT sum(topic.produce_batch('loop', array_fill('d'::text, ARRAY[100]), partition => 0)) FROM generate_series(1, 100);
RELEASE s2;
SELECT text_of(value) AS value, count(*) FROM loop GROUP BY 1 ORDER BY 1;
COMMIT;
SELECT text_of(value) AS value, count(*), max(log_offset) - min(log_offset) + 1 AS offsets FROM loop GROUP BY 1 ORDER BY 1;
SELECT sum(last_offset - first_offset + 1) FROM topic.last_produced();
BEGIN;
SELECT sum(topic.produce_batch('loop', array_fill('e'::text, ARRAY[100]), partition => 0)) FROM generate_series(1, 100);
ROLLBACK;
SELECT count(*) FROM loop WHERE value = 'e';
RESET pgtopic.produce_buffer;

-- the topic goes while messages wait
SELECT topic.create('gone');
BEGIN;
SELECT (topic.produce('gone', 'x')).partition AS x;
DROP TABLE gone;
SELECT (topic.produce('one', 'after the drop')).partition AS y;
COMMIT;
SELECT text_of(value) FROM one ORDER BY log_offset DESC LIMIT 1;
SELECT topic FROM topic.last_produced();
SELECT topic.create('gone');
BEGIN;
SELECT (topic.produce('gone', 'before')).partition AS x;
SAVEPOINT s;
SELECT (topic.produce('gone', 'never')).partition AS y;
DROP TABLE gone;
ROLLBACK TO s;
SELECT (topic.produce('gone', 'after')).partition AS z;
COMMIT;
SELECT text_of(value) FROM gone ORDER BY log_offset;
BEGIN;
SELECT topic.create('new', 2);
SELECT (topic.produce('new', 'x', partition => 1)).partition AS x;
SELECT text_of(value) FROM new;
ROLLBACK;

-- triggers and functions as callers, deferred ones too
CREATE TABLE orders (id int PRIMARY KEY);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM topic.produce('loop', 'order ' || NEW.id, NEW.id::text, partition => 1);
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO orders VALUES (1), (2);
SELECT text_of(value) FROM loop WHERE partition = 1 ORDER BY log_offset;

-- an append that fails before it has begun is no concern of what was produced before the savepoint
TRUNCATE loop;
BEGIN;
SELECT (topic.produce('loop', 'outer 1', partition => 0)).partition;
SAVEPOINT s;
SELECT (topic.produce('loop', 'inner', partition => 0, expected_offset => 1000000)).partition;
\set VERBOSITY sqlstate
SELECT count(*) FROM loop;
\set VERBOSITY default
ROLLBACK TO s;
SELECT (topic.produce('loop', 'outer 2', partition => 0)).partition;
COMMIT;
SELECT text_of(value) FROM loop ORDER BY log_offset;

-- a STABLE function in the query that produces sees what earlier commands have produced, and only that
TRUNCATE loop;
CREATE FUNCTION stable_values() RETURNS text STABLE LANGUAGE sql AS
	'SELECT string_agg(producer_test.text_of(value), '' '' ORDER BY log_offset) FROM producer_test.loop';
CREATE FUNCTION produce_twice(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM topic.produce('producer_test.loop', value, partition => 0, headers => '{"h": "v"}');
	PERFORM topic.produce('producer_test.loop', value || '!', partition => 0, event_time => '2020-01-01 00:00:00+00');
	RETURN value;
END
$$;
BEGIN;
SELECT (topic.produce('loop', 'a', partition => 0)).partition;
SELECT (topic.produce('loop', 'b', partition => 0)).partition;
SELECT produce_twice('c'), stable_values(), produce_twice('d'), stable_values();
SELECT stable_values();
SAVEPOINT s;
SELECT (topic.produce('loop', 'gone', partition => 0)).partition, stable_values();
ROLLBACK TO s;
-- also where the buffer fills up on the way
SET LOCAL pgtopic.produce_buffer = '64kB';
SELECT (topic.produce('loop', 'gone', partition => 0)).partition;
SELECT length(produce_twice(repeat('f', 40000))), stable_values();
ROLLBACK TO s;
COMMIT;
SELECT log_offset - min(log_offset) OVER () AS log_offset, text_of(value), headers IS NULL AS plain, timestamp < '2021-01-01' AS old
	FROM loop ORDER BY log_offset;

-- a parallel query whose function reads the topic, which has pending messages
CREATE TABLE many AS SELECT g FROM generate_series(1, 1000) AS g;
CREATE FUNCTION pending_seen(int) RETURNS bigint PARALLEL SAFE LANGUAGE plpgsql AS
	'BEGIN RETURN (SELECT count(*) FROM producer_test.loop); END';
ALTER TABLE many SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
BEGIN;
SELECT (topic.produce('loop', 'pending', partition => 0)).partition;
SELECT min(pending_seen(g)), max(pending_seen(g)) FROM many WHERE g < 20;
SELECT min(pending_seen(g)), max(pending_seen(g)) FROM many WHERE g < 20;
COMMIT;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- restoring: explicit offsets
SELECT topic.create('restored');
INSERT INTO restored (partition, log_offset, timestamp, value)
	VALUES (0, 100, '2020-01-01 00:00:00+00', 'a'), (0, 105, '2999-01-01 00:00:00+00', 'b'), (2, 7, NULL, 'c')
	RETURNING partition, log_offset;
SELECT partition, log_offset, text_of(value) FROM restored ORDER BY 1, 2;
SELECT partition, log_start_offset, log_end_offset FROM topic.list_offsets('restored') ORDER BY 1;
SELECT topic.produce('restored', 'd', partition => 2);
INSERT INTO restored (partition, log_offset, value) VALUES (0, 105, 'x');
INSERT INTO restored (partition, log_offset, value) VALUES (0, -1, 'x');
INSERT INTO restored (partition, log_offset, value) VALUES (16384, 0, 'x');
INSERT INTO restored (log_offset, value) VALUES (1000, 'x');
BEGIN;
SELECT topic.produce('restored', 'pending', partition => 0);
COPY restored (partition, log_offset, value) FROM stdin;
0	200	e
0	\N	f
0	300	g
1	5	h
0	301	i
\.
COMMIT;
SELECT partition, log_offset, text_of(value) FROM restored ORDER BY 1, 2;
SELECT * FROM topic.last_produced();
CREATE ROLE pgtopic_restorer;
GRANT USAGE ON SCHEMA producer_test TO pgtopic_restorer;
GRANT INSERT ON restored TO pgtopic_restorer;
SET ROLE pgtopic_restorer;
INSERT INTO restored (partition, value) VALUES (0, 'allowed');
INSERT INTO restored (partition, log_offset, value) VALUES (0, 400, 'x');
RESET ROLE;

-- the next user of a pooled connection has produced nothing
SELECT count(*) > 0 AS known FROM topic.last_produced();
DISCARD ALL;
SELECT count(*) FROM topic.last_produced();
SET client_min_messages = warning;
SET search_path = producer_test, public;

-- all of it is sound
SELECT t, v FROM (VALUES ('one'), ('three'), ('compacted'), ('stamped'), ('small'), ('loop'), ('gone'), ('restored')) AS n (t), topic.verify(t) AS v;
DROP SCHEMA producer_test CASCADE;
DROP ROLE pgtopic_restorer;
