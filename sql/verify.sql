-- topic.verify() has nothing to say about a sound topic, whatever happened to it
SET client_min_messages = warning;
CREATE SCHEMA verify_test;
SET search_path = verify_test;

-- empty, then with small and large messages, and with what rolled back
SELECT topic.create('t', partitions => 3);
SELECT topic.verify('t');
INSERT INTO t (partition, value) SELECT g % 3, convert_to(g || repeat('x', 200), 'UTF8') FROM generate_series(0, 29999) AS g;
SELECT topic.produce('t', repeat('x', 100000), partition => 1);
SET pgtopic.append_at = 'call';
BEGIN;
SAVEPOINT s;
SELECT topic.produce('t', repeat('y', 100000), partition => 1);
ROLLBACK TO s;
SELECT topic.produce('t', repeat('z', 100000), partition => 1);
SELECT topic.verify('t');
ROLLBACK;
RESET pgtopic.append_at;
SELECT topic.verify('t');

-- trimmed within a batch, at a batch's end and completely; then rewritten
SELECT topic.delete_records('t', 0, 7000), topic.delete_records('t', 1, 10000), topic.delete_records('t', 2, -1);
SELECT topic.verify('t');
VACUUM t;
SELECT topic.verify('t');
VACUUM FULL t;
SELECT topic.verify('t');
SELECT partition, count(*), min(log_offset), max(log_offset) FROM t GROUP BY partition ORDER BY partition;
SELECT topic.produce_batch('t', array_fill('a'::text, '{1000}'), partition => p) FROM generate_series(0, 2) AS p;
SELECT topic.verify('t');
VACUUM FULL t;
SELECT topic.delete_records('t', p, -1) FROM generate_series(0, 2) AS p;
VACUUM FULL t;
SELECT topic.verify('t');

-- emptied, restored with gaps, copied
TRUNCATE t;
SELECT topic.verify('t');
INSERT INTO t (partition, log_offset, value) SELECT 5, 1000000 + g * g, 'v' FROM generate_series(0, 1999) AS g;
SELECT topic.verify('t');
CREATE TABLE u USING topic AS SELECT * FROM t;
SELECT topic.verify('u');

-- refused
SELECT topic.verify('nowhere');
SELECT topic.verify('pg_class');
SELECT topic.verify(NULL);

DROP SCHEMA verify_test CASCADE;
