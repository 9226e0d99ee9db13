-- INSERT and COPY into a topic, and what a statement sees of its own

SET client_min_messages = warning;
CREATE SCHEMA inserting;
SET search_path = inserting, public;
SET timezone = 'UTC';

SELECT topic.create('events', partitions => 2);

--
-- What INSERT returns and what comes back
--
INSERT INTO events (partition, timestamp, key, value, headers)
	VALUES (0, '2026-01-02 03:04:05.678901+00', 'k', 'v',
			ARRAY[ROW('a', '1'), ROW('a', NULL), ROW('', '')]::topic.header[]),
		   (0, '2026-01-02 03:04:05.678901+00', NULL, NULL, NULL),
		   (1, '1969-12-31 23:59:59.999999+00', '', '', '{}')
	RETURNING *, tableoid::regclass;
SELECT * FROM events;
SELECT h.* FROM events, unnest(headers) h;

-- chosen and stamped where NULL
INSERT INTO events (value) VALUES ('x')
	RETURNING partition IN (0, 1) AS partition, log_offset, timestamp - now() BETWEEN '-1 s' AND '1 min' AS stamped;
INSERT INTO events DEFAULT VALUES RETURNING partition IN (0, 1) AS partition, key, value;
SELECT count(*) FROM events WHERE timestamp > now() - interval '1 minute';

-- appended at once, the offset and the place are known
TRUNCATE events;
SET pgtopic.append_at = 'call';
INSERT INTO events (partition, value) VALUES (1, 'a'), (1, 'b')
	RETURNING partition, log_offset IS NOT NULL AS has_offset, ctid IS NOT NULL AS has_ctid, value;
RESET pgtopic.append_at;
DROP TABLE events;
SELECT topic.create('events', partitions => 2);

--
-- A statement does not see what it appends
--
INSERT INTO events (partition, value)
	SELECT i % 2, convert_to(i::text, 'UTF8') FROM generate_series(1, 1000) i;
INSERT INTO events (partition, value) SELECT partition, value FROM events;
SELECT count(*), count(DISTINCT value), max(log_offset) FROM events;
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
INSERT INTO events (partition, value) SELECT partition, value FROM events;
SELECT count(*), count(DISTINCT value), max(log_offset) FROM events;
WITH more AS (INSERT INTO events (partition, value) VALUES (0, 'more') RETURNING 1)
SELECT (SELECT count(*) FROM more), (SELECT count(*) FROM events);
SELECT count(*) FROM events;
-- nor does a cursor that was open before
DECLARE before CURSOR FOR SELECT value FROM events WHERE value = 'late';
INSERT INTO events (value) VALUES ('late');
FETCH ALL FROM before;
SELECT convert_from(value, 'UTF8') AS value FROM events WHERE value = 'late';
ROLLBACK;
SELECT count(*) FROM events;

-- own messages, savepoints
BEGIN;
INSERT INTO events (partition, value) VALUES (0, 'one');
SELECT count(*) FROM events;
SAVEPOINT a;
INSERT INTO events (partition, value) VALUES (0, 'two');
SELECT count(*) FROM events;
ROLLBACK TO a;
SELECT count(*) FROM events;
SELECT count(*) FROM events WHERE timestamp >= date_trunc('milliseconds', now());
COMMIT;
SELECT partition, log_offset >= 1000 AS at_end, convert_from(value, 'UTF8') AS value
	FROM events WHERE value IN ('one', 'two');

-- a function that inserts and reads
CREATE FUNCTION put_and_count(bytea) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO events (value) VALUES ($1);
	RETURN (SELECT count(*) FROM events WHERE value = $1);
END $$;
SELECT put_and_count('twice'), put_and_count('twice');

--
-- COPY
--
SELECT topic.create('copied', partitions => 2);
COPY copied (partition, timestamp, key, value, headers) FROM stdin;
0	2026-01-01 00:00:00+00	k	v	{"(a,\\\\\\\\x31)"}
0	2026-01-01 00:00:01+00	\N	\N	\N
1	2026-01-01 00:00:02+00	\\x00ff		{}
\.
COPY copied TO stdout;
COPY copied (partition) FROM stdin;
2
\.
-- with offsets: appended there
COPY copied FROM stdin;
1	10	2026-01-01 00:00:03+00	\N	ten	\N
1	12	2026-01-01 00:00:04+00	\N	twelve	\N
\.
COPY copied FROM stdin;
1	12	2026-01-01 00:00:04+00	\N	again	\N
\.
COPY (SELECT * FROM copied WHERE partition = 1) TO stdout;
COPY copied (value) FROM '/dev/null' WITH (FREEZE);

--
-- Read-only transactions
--
BEGIN READ ONLY;
INSERT INTO events (value) VALUES ('x');
ROLLBACK;

--
-- Sizes: records cross pages and extents
--
SELECT topic.create('sizes', max_message_bytes => 20000000);
INSERT INTO sizes (key, value)
	SELECT decode(repeat(to_hex(n % 16), n % 3 * 2), 'hex'), decode(repeat(lpad(to_hex(n % 256), 2, '0'), n), 'hex')
	FROM (VALUES (0), (1), (62), (63), (64), (125), (126), (127), (8000), (8063), (8064), (8065), (8192),
				 (16384), (100000), (1000000), (3000000), (5), (8100), (8104)) v(n);
SELECT log_offset, length(key) AS key, length(value) AS value,
	   value = decode(repeat(lpad(to_hex(length(value) % 256), 2, '0'), length(value)), 'hex') AS same
	FROM sizes;
SELECT log_offset, length(value) FROM sizes ORDER BY partition DESC, log_offset DESC;
SELECT topic.verify('sizes'), topic.verify('events'), topic.verify('copied');

DROP SCHEMA inserting CASCADE;
