-- list_offsets: where partitions begin and end

SET client_min_messages = warning;
CREATE SCHEMA listing;
SET search_path = listing, public;
SET timezone = 'UTC';

-- empty partitions
SELECT topic.create('log', partitions => 3, retention => NULL);
SELECT * FROM topic.list_offsets('log');

-- messages a minute apart, in two of three partitions
SELECT count(topic.produce('log', 'message ' || i, partition => i % 2,
						   event_time => '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 minute'))
FROM generate_series(0, 99) i;
SELECT * FROM topic.list_offsets('log');

-- by time: the first message that is not earlier
SELECT partition, offset_at FROM topic.list_offsets('log', '2026-01-01 00:10:00+00');
SELECT partition, offset_at FROM topic.list_offsets('log', '2026-01-01 00:10:00.000001+00');
SELECT partition, offset_at FROM topic.list_offsets('log', '2025-01-01 00:00:00+00');
SELECT partition, offset_at FROM topic.list_offsets('log', '2027-01-01 00:00:00+00');
SELECT partition, offset_at FROM topic.list_offsets('log', '-infinity');
SELECT partition, offset_at FROM topic.list_offsets('log', 'infinity');
SELECT partition, offset_at FROM topic.list_offsets('log', NULL);
SELECT partition, offset_at FROM topic.list_offsets(topic => 'listing.log', at => '2026-01-01 01:38:00+00');

-- times that do not ascend: still the first one in the log
SELECT topic.create('jumpy', retention => NULL);
SELECT count(topic.produce('jumpy', 'm', event_time => '2026-01-01 00:00:00+00'::timestamptz + t * interval '1 minute'))
FROM unnest(ARRAY[5, 1, 9, 3, 9, 2]) t;
SELECT t, offset_at FROM generate_series(0, 10) t,
	topic.list_offsets('jumpy', '2026-01-01 00:00:00+00'::timestamptz + t * interval '1 minute');

-- in a large partition, at the edges and inside
SELECT topic.create('large', retention => NULL);
SELECT count(topic.produce('large', repeat('x', 100),
						   event_time => '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 second'))
FROM generate_series(0, 19999) i;
SELECT count(*) FROM generate_series(0, 19999, 1111) i,
	topic.list_offsets('large', '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 second')
WHERE offset_at IS DISTINCT FROM i;

-- after delete_records
SELECT topic.delete_records('log', 0, 10);
SELECT * FROM topic.list_offsets('log', '2025-01-01 00:00:00+00');
SELECT topic.delete_records('log', 0, -1);
SELECT * FROM topic.list_offsets('log', '2025-01-01 00:00:00+00');
SELECT partition FROM topic.produce('log', 'next', partition => 0);
SELECT partition, log_start_offset, last_stable_offset, log_end_offset FROM topic.list_offsets('log');

-- an unfinished transaction holds the last stable offset, also one's own
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT partition, log_offset FROM topic.produce('log', 'open', partition => 1);
SELECT partition, log_start_offset, last_stable_offset, log_end_offset FROM topic.list_offsets('log');
SELECT partition, offset_at FROM topic.list_offsets('log', '2026-01-01 01:40:00+00');
ROLLBACK;
SELECT partition, log_start_offset, last_stable_offset, log_end_offset FROM topic.list_offsets('log');

-- rolled-back messages are not found by time
SELECT partition, offset_at FROM topic.list_offsets('log', '2026-01-01 01:40:00+00') WHERE partition = 1;

-- partitions grow; TRUNCATE keeps the ends
SELECT topic.alter('log', partitions => 4);
TRUNCATE log;
SELECT * FROM topic.list_offsets('log', '2025-01-01 00:00:00+00');

-- arguments
SELECT * FROM topic.list_offsets(NULL);
SELECT * FROM topic.list_offsets('nowhere');
SELECT * FROM topic.list_offsets('pg_class');

DROP SCHEMA listing CASCADE;
