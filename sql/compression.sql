-- Compressed batches: what they save, and that every way of reading gives the
-- same as from a topic that is not compressed

SET client_min_messages = warning;
CREATE SCHEMA compressing;
SET search_path = compressing, public;
SET timezone = 'UTC';

-- an event of about 200 bytes, with an id that no codec can shorten
CREATE FUNCTION event(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT format('{"id": "%s", "type": "%s", "customer": %s, "amount": %s, "currency": "EUR", "created_at": "%s", "channel": "web", "items": %s}',
		md5(i::text)::uuid, (ARRAY['order.created', 'order.paid', 'order.shipped'])[1 + i % 3],
		100000 + i::bigint * 7919 % 900000, i::bigint * 104729 % 100000 / 100.0,
		timestamptz '2026-01-01' + i * interval '1.234 s', i % 7)
$$;
SELECT round(avg(length(event(i)))) AS bytes FROM generate_series(0, 9999) i;

-- partition 0: batches of 100, whose times jump; partition 1: other sizes
CREATE PROCEDURE fill(topic text) LANGUAGE plpgsql AS $$
BEGIN
	FOR b IN 0..99 LOOP
		EXECUTE format('INSERT INTO %I (partition, timestamp, key, value, headers)
			SELECT 0, timestamptz ''2026-01-01'' + (i + i %% 7 * 9) * interval ''1 s'', CASE i %% 5 WHEN 0 THEN NULL ELSE convert_to(''k'' || i %% 11, ''UTF8'') END,
				convert_to(event(i), ''UTF8''), CASE i %% 50 WHEN 0 THEN ARRAY[(''h'', ''\x01'')]::topic.header[] END
			FROM generate_series(%s, %s) i', topic, b * 100, b * 100 + 99);
		COMMIT;
	END LOOP;
	FOR b IN 1..40 LOOP
		EXECUTE format('INSERT INTO %I (partition, timestamp, value)
			SELECT 1, ''2026-01-02'', convert_to(repeat(event(i), %s), ''UTF8'') FROM generate_series(1, %s) i', topic, b, b * 5);
		IF b % 10 = 5 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
-- from 16 on string_agg() is made in parallel too, in any order
SET max_parallel_workers_per_gather = 0;
SELECT topic.create('plain', partitions => 3, retention => NULL), topic.create('lz4', partitions => 3, compression => 'lz4', retention => NULL),
	topic.create('zstd', partitions => 3, compression => 'zstd', retention => NULL);
CALL fill('plain');
CALL fill('lz4');
CALL fill('zstd');

--
-- Every way of reading
--
CREATE FUNCTION differs(topic text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	expected text;
	found text;
BEGIN
	EXECUTE format('SELECT md5(string_agg(q::text, '';'')) FROM (%s) q', replace(query, 'TOPIC', 'plain')) INTO expected;
	EXECUTE format('SELECT md5(string_agg(replace(q::text, %L, ''plain''), '';'')) FROM (%s) q', topic, replace(query, 'TOPIC', topic)) INTO found;
	IF expected IS NULL THEN
		RETURN NEXT 'no rows: ' || query;
	ELSIF found IS DISTINCT FROM expected THEN
		RETURN NEXT topic || ': ' || query;
	END IF;
END $$;
CREATE FUNCTION all_differences(topic text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	query text;
BEGIN
	FOREACH query IN ARRAY ARRAY[
		'SELECT * FROM TOPIC',
		'SELECT count(*) FROM TOPIC',
		'SELECT partition, log_offset, key FROM TOPIC',
		'SELECT key, headers FROM TOPIC WHERE headers IS NOT NULL',
		'SELECT * FROM TOPIC WHERE log_offset BETWEEN 250 AND 449',
		'SELECT * FROM TOPIC WHERE partition = 0 AND log_offset = 1234',
		'SELECT t.* FROM generate_series(17, 9999, 331) o, LATERAL (SELECT * FROM TOPIC WHERE partition = 0 AND log_offset = o) t',
		'SELECT * FROM TOPIC WHERE timestamp >= timestamptz ''2026-01-01 00:30:00'' AND timestamp < timestamptz ''2026-01-01 00:35:00''',
		'SELECT * FROM TOPIC WHERE partition = 0 AND timestamp >= timestamptz ''2026-01-01 02:46:00''',
		'SELECT o, f.* FROM generate_series(0, 320) o, topic.fetch(''TOPIC'', 0, o, 3) f',
		'SELECT o, f.* FROM generate_series(0, 9999, 487) o, topic.fetch(''TOPIC'', 0, o, 500) f',
		'SELECT o, f.* FROM generate_series(1, 3300, 97) o, topic.fetch(''TOPIC'', 1, o, 5) f',
		'SELECT f.* FROM topic.fetch_json(''TOPIC'', 0, 77, 400) f',
		'SELECT f.* FROM topic.fetch(''TOPIC'', 1, 300, 100000, max_bytes => 300000) f',
		'SELECT * FROM topic.tail(''TOPIC'', 130)',
		'SELECT h, o.* FROM generate_series(0, 10000, 613) h, topic.list_offsets(''TOPIC'', timestamptz ''2026-01-01'' + h * interval ''1 s'') o',
		'SELECT o, t.key FROM generate_series(5, 9999, 713) o, LATERAL (SELECT * FROM TOPIC WHERE partition = 0 AND log_offset > o LIMIT 2) t']
	LOOP
		RETURN QUERY SELECT * FROM differs(topic, query);
	END LOOP;
END $$;
SELECT * FROM all_differences('lz4');
SELECT * FROM all_differences('zstd');

-- a cursor, to and fro
CREATE FUNCTION to_and_fro(topic text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	r record;
	result text = '';
	moves int[] = ARRAY[150, -20, 333, -333, 9500, -70, -900, 30];
	move int;
BEGIN
	OPEN c SCROLL FOR EXECUTE format('SELECT partition, log_offset, key, md5(value) FROM %I', topic);
	FOREACH move IN ARRAY moves LOOP
		FOR i IN 1..abs(move) LOOP
			IF move > 0 THEN FETCH NEXT FROM c INTO r; ELSE FETCH PRIOR FROM c INTO r; END IF;
			result = md5(result || r::text);
		END LOOP;
	END LOOP;
	FETCH LAST FROM c INTO r;
	FOR i IN 1..2500 LOOP
		result = md5(result || r::text);
		FETCH PRIOR FROM c INTO r;
	END LOOP;
	RETURN result;
END $$;
SELECT t, to_and_fro(t) = to_and_fro('plain') AS same FROM unnest(ARRAY['lz4', 'zstd']) t;

-- two readers of one topic at a time
SELECT count(*) FROM zstd a JOIN LATERAL (SELECT * FROM zstd WHERE partition = 0 AND log_offset = a.log_offset + 150) b
	ON a.value < b.value OR a.value >= b.value WHERE a.partition = 0 AND a.log_offset BETWEEN 100 AND 400;

-- parallel
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM zstd;
SELECT t.name, p.count, p.sum FROM (VALUES ('plain'), ('lz4'), ('zstd')) t (name),
	LATERAL (SELECT count(*), sum(hashtextextended(z::text, 0)) FROM (SELECT * FROM plain WHERE t.name = 'plain' UNION ALL SELECT * FROM lz4 WHERE t.name = 'lz4' UNION ALL SELECT * FROM zstd WHERE t.name = 'zstd') z) p;
SELECT count(*), sum(hashtextextended(z::text, 0)) FROM lz4 z;
SELECT count(*), sum(hashtextextended(z::text, 0)) FROM zstd z;
SELECT count(*), sum(hashtextextended(z::text, 0)) FROM zstd z WHERE log_offset BETWEEN 1010 AND 7777;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;

-- a group
SELECT topic.subscribe('readers', ARRAY['zstd'], auto_offset_reset => 'earliest') IS NOT NULL AS member;
DO $$
DECLARE
	n int;
	total int = 0;
	seen bigint = 0;
BEGIN
	LOOP
		SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM plain p WHERE (p.partition, p.log_offset) = (c.partition, c.log_offset) AND p.value = c.value))
			INTO n, seen FROM topic.consume('readers', 700) c;
		EXIT WHEN n = 0;
		IF n <> seen THEN RAISE 'consumed % of % alike', seen, n; END IF;
		total = total + n;
		PERFORM topic.commit('readers');
		COMMIT;
		EXIT WHEN total >= 5000;
	END LOOP;
	RAISE INFO 'consumed %', total >= 5000;
END $$;
SELECT topic.unsubscribe('readers');

--
-- What it saves: disk and WAL, of 200 bytes of JSON in batches of 100
--
SET wal_consistency_checking = '';
CREATE TABLE saved (compression text, plain_bytes bigint, disk_bytes bigint, wal_bytes bigint);
DO $$
DECLARE
	codec text;
	before pg_lsn;
	events text[];
BEGIN
	FOREACH codec IN ARRAY ARRAY['none', 'lz4', 'zstd'] LOOP
		PERFORM topic.create('size_' || codec, compression => codec);
		PERFORM topic.produce('size_' || codec, 'the first extents are small');
		COMMIT;
		before = pg_current_wal_insert_lsn();
		FOR b IN 0..299 LOOP
			SELECT array_agg(event(b * 100 + i) ORDER BY i) INTO events FROM generate_series(0, 99) i;
			PERFORM topic.produce_batch('size_' || codec, events);
			COMMIT;
		END LOOP;
		EXECUTE format('INSERT INTO saved SELECT %L, sum(length(value)), pg_relation_size(%L), %L FROM %I',
			codec, 'size_' || codec, pg_current_wal_insert_lsn() - before, 'size_' || codec);
		COMMIT;
	END LOOP;
END $$;
SELECT compression, disk_bytes::numeric / plain_bytes <= wanted AS disk, wal_bytes::numeric / plain_bytes <= wanted AS wal
FROM saved JOIN (VALUES ('lz4', 0.5), ('zstd', 0.35), ('none', 1.2)) w (compression, wanted) USING (compression) ORDER BY 1;
RESET wal_consistency_checking;

--
-- The setting changes: what is there stays readable
--
SELECT topic.create('mixed', retention => NULL);
CREATE FUNCTION mixed() RETURNS TABLE (count bigint, md5 text, findings bigint) LANGUAGE sql AS $$
	SELECT count(*), md5(string_agg(convert_from(value, 'UTF8'), ';' ORDER BY log_offset)), (SELECT count(*) FROM topic.verify('mixed')) FROM mixed
$$;
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(1, 100) i;
SELECT topic.alter('mixed', compression => 'zstd');
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(101, 200) i;
SELECT topic.alter('mixed', compression => 'lz4');
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(201, 300) i;
SELECT topic.alter_reset('mixed', 'compression');
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(301, 400) i;
SELECT m.count, m.findings, m.md5 = (SELECT md5(string_agg(event(i), ';' ORDER BY i)) FROM generate_series(1, 400) i) AS same FROM mixed() m;
-- in one transaction; append_at; savepoints; own messages
BEGIN;
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(401, 500) i;
SELECT topic.alter('mixed', compression => 'zstd');
SAVEPOINT s;
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(501, 600) i;
ROLLBACK TO s;
SET LOCAL pgtopic.append_at = 'call';
SELECT topic.produce_batch('mixed', array_agg(event(i))) FROM generate_series(501, 600) i;
SELECT topic.produce('mixed', event(601)), topic.produce('mixed', ''), topic.produce('mixed', NULL);
SELECT count(*), count(value), sum(length(value)) > 0 FROM mixed WHERE log_offset >= 400;
SELECT count(*) FROM topic.fetch('mixed', 0, 350);
COMMIT;
SELECT count(*), count(value) FROM topic.fetch('mixed', 0, 350);
SELECT m.count, m.findings, m.md5 = (SELECT md5(string_agg(e, ';' ORDER BY o)) FROM (SELECT i, event(i) FROM generate_series(1, 601) i UNION ALL SELECT 602, '') x (o, e)) AS same FROM mixed() m;

-- one message alone; LogAppendTime; the buffer is full; what cannot be compressed
SELECT topic.create('single', compression => 'zstd', timestamp_type => 'LogAppendTime', max_message_bytes => 3000000, retention => NULL);
SELECT topic.produce('single', repeat(event(1), 2));
SELECT topic.produce('single', repeat('a', 1000000), key => 'a'), topic.produce('single', repeat('b', 2500000));
INSERT INTO single (value) SELECT string_agg(sha256(i::text::bytea), '') FROM generate_series(1, 40000) i;
SET pgtopic.produce_buffer = '64kB';
INSERT INTO single (value) SELECT convert_to(event(i), 'UTF8') FROM generate_series(1, 20000) i;
RESET pgtopic.produce_buffer;
SELECT count(*), sum(length(value)), count(DISTINCT value), bool_and(timestamp > now() - interval '1 hour') FROM single;
SELECT log_offset, length(value), md5(value) FROM topic.fetch('single', 0, 0, 4);
SELECT count(*), min(log_offset), max(length(value)) FROM topic.fetch('single', 0, 3, 10);
SELECT pg_relation_size('single') BETWEEN 1280000 AND 4000000 AS compressed;
SELECT topic.verify('single');

--
-- Trimmed within a batch, vacuumed, analyzed, rewritten, copied, restored
--
SELECT topic.delete_records(t, 0, 4250), topic.delete_records(t, 1, 1333) FROM unnest(ARRAY['plain', 'lz4', 'zstd']) t;
VACUUM ANALYZE lz4;
VACUUM FREEZE zstd;
SELECT (SELECT count(*) FROM differs('lz4', 'SELECT * FROM TOPIC')), (SELECT count(*) FROM differs('zstd', 'SELECT * FROM TOPIC')),
	(SELECT count(*) FROM differs('zstd', 'SELECT o, f.* FROM generate_series(4250, 4400) o, topic.fetch(''TOPIC'', 0, o, 3) f'));
SELECT abs(1 - reltuples / (SELECT count(*) FROM lz4)) < 0.3 AS estimated FROM pg_class WHERE oid = 'lz4'::regclass;
VACUUM FULL lz4;
VACUUM FULL zstd;
SELECT (SELECT count(*) FROM differs('lz4', 'SELECT * FROM TOPIC')), (SELECT count(*) FROM differs('zstd', 'SELECT * FROM TOPIC'));
SELECT topic.create('restored', partitions => 3, compression => 'lz4', retention => NULL);
INSERT INTO restored (partition, log_offset, timestamp, key, value, headers)
	SELECT partition, log_offset * 2, timestamp, key, value, headers FROM zstd WHERE log_offset % 3 > 0;
SELECT count(*), bool_and(r.value = p.value AND r.timestamp = p.timestamp AND r.key IS NOT DISTINCT FROM p.key)
FROM restored r JOIN plain p ON p.partition = r.partition AND p.log_offset * 2 = r.log_offset;
SELECT pg_relation_size('restored') < pg_relation_size('plain') / 2 AS compressed;
CREATE TABLE copied USING topic AS SELECT * FROM zstd;
SELECT t, v.* FROM unnest(ARRAY['plain', 'lz4', 'zstd', 'mixed', 'single', 'restored', 'copied', 'size_zstd']) t, topic.verify(t) v;

SET client_min_messages = warning;
DROP SCHEMA compressing CASCADE;
