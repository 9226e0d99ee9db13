-- consume, commit, seek, pause, take: what one session can see of them

SET client_min_messages = warning;
CREATE SCHEMA consuming;
SET search_path = consuming, public;
SET timezone = 'UTC';

CREATE FUNCTION sqlstate_of(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

SELECT topic.create('orders', partitions => 2, retention => NULL);
SELECT topic.produce_batch('orders', ARRAY['a0', 'a1', 'a2', 'a3', 'a4'],
						   keys => ARRAY['k', NULL, 'k', NULL, 'k'], partition => 0);
SELECT topic.produce_batch('orders', ARRAY['b0', 'b1', 'b2'], partition => 1);

--
-- Not a member
--
SELECT * FROM topic.consume('billing');
SELECT sqlstate_of($$ SELECT * FROM topic.consume_text('billing') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume_json('billing') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.commit('billing') $$);
SELECT sqlstate_of($$ SELECT topic.seek('billing', 'orders', 0, 0) $$);
SELECT sqlstate_of($$ SELECT topic.seek_to('billing', 'earliest') $$);
SELECT sqlstate_of($$ SELECT topic.pause('billing', 'orders', 0) $$);
SELECT sqlstate_of($$ SELECT topic.resume('billing', 'orders', 0) $$);
CALL topic.wait('billing', '1 ms');

--
-- Partition by partition, in offset order; every column
--
SELECT topic.subscribe('billing', ARRAY['orders']) IS NOT NULL AS member;
SELECT topic, partition, log_offset, key, value, headers FROM topic.consume('billing');
-- nothing is left, and a wait ends
SELECT * FROM topic.consume('billing');
SELECT * FROM topic.consume('billing', timeout => '10 ms');
-- commit: every position that moved, once
SELECT * FROM topic.commit('billing') ORDER BY partition;
SELECT * FROM topic.commit('billing');
SELECT * FROM topic.assignment('billing') ORDER BY partition;

-- the committed offset is where the next member begins
SELECT topic.unsubscribe('billing');
SELECT partition FROM topic.produce('orders', 'a5', partition => 0);
SELECT topic.subscribe('billing', ARRAY['orders']) IS NOT NULL AS member;
SELECT partition, log_offset, value FROM topic.consume_text('billing');

-- what was not committed comes again
SELECT topic.unsubscribe('billing');
SELECT topic.subscribe('billing', ARRAY['orders']) IS NOT NULL AS member;
SELECT partition, log_offset, value FROM topic.consume_text('billing');
SELECT * FROM topic.commit('billing');

--
-- Limits: over the call, and at least one message; partitions take turns
--
SELECT topic.seek_to('billing', 'earliest');
SELECT partition, log_offset FROM topic.consume('billing', 2);
SELECT partition, log_offset FROM topic.consume('billing', 2);
SELECT partition, log_offset FROM topic.consume('billing', 3);
SELECT partition, log_offset FROM topic.consume('billing', 500);
SELECT topic.seek_to('billing', 'earliest');
SELECT count(*) FROM topic.consume('billing', max_bytes => 0);
SELECT count(*) FROM topic.consume('billing', max_bytes => 1);
SELECT count(*) FROM topic.consume('billing', max_bytes => 40);
SELECT count(*) FROM topic.consume('billing', 8);
-- what LIMIT and WHERE drop is consumed, too
SELECT topic.seek_to('billing', 'earliest');
SELECT count(*) FROM (SELECT * FROM topic.consume('billing', 5) LIMIT 1) m;
SELECT count(*) FROM topic.consume('billing', 3) WHERE value = 'nothing';
SELECT count(*) FROM topic.consume('billing');
-- in FROM it is a scan, which keeps rows in memory; elsewhere a function
EXPLAIN (COSTS OFF) SELECT value FROM topic.consume('billing') WHERE log_offset > 2 LIMIT 1;
EXPLAIN (COSTS OFF) SELECT * FROM topic.take('workers', ARRAY['orders']);
EXPLAIN (COSTS OFF) SELECT m FROM topic.consume('billing') m;
SELECT topic.seek_to('billing', 'earliest');
SELECT count(m) FROM topic.consume('billing', 5) m;
SELECT (topic.consume('billing', 2)).log_offset;
SELECT count(*) FROM topic.consume('billing') WITH ORDINALITY;
-- joined, it is called once
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT topic.seek_to('billing', 'earliest', 'orders', 0);
SELECT i, m.log_offset FROM generate_series(1, 2) i LEFT JOIN topic.consume('billing', 2) m ON true ORDER BY 1, 2;
-- called for each row, it goes on
SELECT topic.seek_to('billing', 'earliest', 'orders', 0);
SELECT i, m.log_offset FROM generate_series(1, 2) i, LATERAL topic.consume('billing', i) m ORDER BY 1, 2;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
-- more than work_mem
SELECT topic.create('heavy', retention => NULL);
SELECT topic.produce_batch('heavy', array_agg(repeat('x', 1000) || i)) FROM generate_series(0, 299) i;
SET work_mem = '64kB';
SELECT count(*) FROM topic.commit('billing');
SELECT topic.subscribe('billing', ARRAY['heavy']) IS NOT NULL AS member;
SELECT count(*), sum(length(value)), min(log_offset), max(log_offset),
	count(*) FILTER (WHERE value <> repeat('x', 1000) || log_offset) AS wrong
FROM topic.consume_text('billing');
SELECT topic.seek_to('billing', 'earliest');
SELECT count(*) FROM topic.consume('billing', max_bytes => 100000);
RESET work_mem;
SELECT count(*) FROM topic.commit('billing');
SELECT topic.subscribe('billing', ARRAY['orders']) IS NOT NULL AS member;
-- parameters of all kinds
SELECT topic.seek_to('billing', 'earliest');
PREPARE untyped AS SELECT count(*) FROM topic.consume_text($1, $2, $3, $4);
EXECUTE untyped('billing', 3, '0', 1000000);
PREPARE as_varchar(varchar) AS SELECT count(*) FROM topic.consume($1);
EXECUTE as_varchar('billing');
PREPARE commit_untyped AS SELECT count(*) FROM topic.commit($1);
EXECUTE commit_untyped('billing');
PREPARE commit_offset_untyped AS SELECT topic.commit($1, $2, $3, $4, $5);
EXECUTE commit_offset_untyped('billing', 'orders', 0, 6, NULL);

--
-- The position is part of the transaction
--
SELECT topic.seek_to('billing', 'earliest', 'orders', 0);
BEGIN;
SELECT log_offset, value FROM topic.consume_text('billing', 2);
ROLLBACK;
BEGIN;
SELECT log_offset, value FROM topic.consume_text('billing', 2);
SAVEPOINT s;
SELECT log_offset, value FROM topic.consume_text('billing', 2);
ROLLBACK TO s;
SELECT log_offset, value FROM topic.consume_text('billing', 1);
SAVEPOINT t;
SELECT log_offset, value FROM topic.consume_text('billing', 1);
RELEASE t;
SELECT * FROM topic.commit('billing');
COMMIT;
SELECT log_offset, value FROM topic.consume_text('billing', 1);
-- an error takes them back as well
SELECT topic.produce('orders', '\xff'::bytea, partition => 0) IS NOT NULL AS produced;
SELECT log_offset, value FROM topic.consume_text('billing');
SELECT log_offset, value FROM topic.consume('billing');
-- so do seek and commit
BEGIN;
SELECT topic.seek('billing', 'orders', 0, 2);
SELECT next_position FROM topic.assignment('billing') WHERE partition = 0;
SAVEPOINT s;
SELECT * FROM topic.commit('billing');
SELECT next_position, committed FROM topic.assignment('billing') WHERE partition = 0;
ROLLBACK TO s;
SELECT next_position, committed FROM topic.assignment('billing') WHERE partition = 0;
ROLLBACK;
SELECT next_position, committed FROM topic.assignment('billing') WHERE partition = 0;
SELECT * FROM topic.commit('billing');

-- own messages come after the commit
BEGIN;
SELECT partition FROM topic.produce('orders', 'own', partition => 1);
SELECT * FROM topic.consume('billing');
SET LOCAL pgtopic.append_at = 'call';
SELECT partition FROM topic.produce('orders', 'own, at once', partition => 1);
SELECT * FROM topic.consume('billing');
SELECT * FROM topic.consume('billing', timeout => '10 ms');
COMMIT;
SELECT partition, log_offset, value FROM topic.consume_text('billing');
-- rolled-back messages are stepped over, and commit() stores that
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT partition FROM topic.produce('orders', 'undone', partition => 1);
ROLLBACK;
SELECT * FROM topic.consume('billing');
SELECT * FROM topic.commit('billing');
-- exactly once: consume, act and commit in one transaction
CREATE TABLE seen (value text);
SELECT partition FROM topic.produce('orders', 'once', partition => 1);
BEGIN;
INSERT INTO seen SELECT value FROM topic.consume_text('billing');
SELECT * FROM topic.commit('billing');
ROLLBACK;
BEGIN;
INSERT INTO seen SELECT value FROM topic.consume_text('billing');
SELECT * FROM topic.commit('billing');
COMMIT;
SELECT * FROM seen;
-- in one autocommit statement
SELECT partition FROM topic.produce('orders', 'at most once', partition => 1);
WITH m AS MATERIALIZED (SELECT * FROM topic.consume_text('billing'))
SELECT m.value, c.log_offset FROM (SELECT value, 1 AS one FROM m OFFSET 0) m, LATERAL (SELECT * FROM topic.commit('billing') LIMIT one) c;
SELECT * FROM topic.commit('billing');
-- as a cursor, and held past the end of the transaction
SELECT topic.seek_to('billing', 'earliest', 'orders', 1);
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT log_offset, value FROM topic.consume_text('billing', 3);
FETCH 1 FROM c;
SELECT next_position FROM topic.assignment('billing') WHERE partition = 1;
FETCH 1 FROM c;
FETCH BACKWARD 1 FROM c;
COMMIT;
SELECT log_offset, value FROM topic.consume_text('billing', 1);
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT log_offset, value FROM topic.consume_text('billing', 2);
COMMIT;
SELECT next_position FROM topic.assignment('billing') WHERE partition = 1;
FETCH ALL FROM h;
CLOSE h;
-- with repeatable read no wait, since every look would see the same
SET statement_timeout = '10 s';
SELECT topic.seek_to('billing', 'latest');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM topic.consume('billing', timeout => '1 day');
COMMIT;
RESET statement_timeout;

--
-- An offset of one's own choice
--
SELECT topic.seek_to('billing', 'committed');
SELECT topic.commit('billing', 'orders', 0, 3);
SELECT partition, next_position, committed FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.commit('billing', 'orders', 0, 1, 'went back');
SELECT partition, next_position, committed FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.commit('billing', 'orders', 0, 0);
SELECT topic.commit('billing', 'orders', 0, 7);
SELECT topic.commit('billing', 'orders', 0, 8);
SELECT topic.commit('billing', 'orders', 0, -1);
SELECT topic.commit('billing', 'orders', 2, 0);
SELECT topic.commit('billing', 'nowhere', 0, 0);
SELECT topic.commit('billing', 'pg_class', 0, 0);
SELECT sqlstate_of($$ SELECT topic.commit('billing', 'orders', 0, 7, repeat('x', 4097)) $$);
SELECT topic.create('other', retention => NULL);
SELECT topic.commit('billing', 'other', 0, 0);
SELECT sqlstate_of($$ SELECT topic.commit(NULL) $$);
SELECT sqlstate_of($$ SELECT topic.commit(NULL, 'orders', 0, 0) $$);
SELECT sqlstate_of($$ SELECT topic.commit('billing', NULL, 0, 0) $$);
SELECT sqlstate_of($$ SELECT topic.commit('billing', 'orders', NULL, 0) $$);
SELECT sqlstate_of($$ SELECT topic.commit('billing', 'orders', 0, NULL) $$);

-- without a subscription: for a group without members
SELECT topic.commit('offline', 'orders', 0, 4);
SELECT topic.commit('offline', 'orders', 1, 99);
SELECT topic.commit('', 'orders', 1, 0);
BEGIN;
SELECT topic.commit('offline', 'orders', 0, 1);
SELECT topic.commit('offline', 'orders', 0, 2);
SAVEPOINT s;
SELECT topic.commit('offline', 'orders', 0, 3);
ROLLBACK TO s;
COMMIT;
SELECT topic.subscribe('offline', ARRAY['orders']) IS NOT NULL AS member;
SELECT partition, next_position, committed FROM topic.assignment('offline') ORDER BY 1;
SELECT partition, log_offset, value FROM topic.consume_text('offline', 1);
SELECT topic.unsubscribe('offline');

--
-- seek and seek_to
--
SELECT topic.seek('billing', 'orders', 1, 1);
SELECT partition, log_offset, value FROM topic.consume_text('billing', 1);
SELECT topic.seek('billing', 'orders', 1, 99);
SELECT topic.seek('billing', 'orders', 1, -1);
SELECT topic.seek('billing', 'orders', 2, 0);
SELECT topic.seek('billing', 'other', 0, 0);
SELECT sqlstate_of($$ SELECT topic.seek('billing', 'orders', 0, NULL) $$);
SELECT sqlstate_of($$ SELECT topic.seek('billing', 'nowhere', 0, 0) $$);
SELECT topic.seek_to('billing', 'earliest');
SELECT partition, next_position FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.seek_to('billing', 'latest', partition => 1);
SELECT partition, next_position FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.seek_to('billing', 'committed', 'orders', 1);
SELECT topic.seek_to('billing', 'LATEST', 'orders', 0);
SELECT partition, next_position, committed FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.seek_to('billing', 'infinity');
SELECT partition, next_position FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.seek_to('billing', '-infinity');
SELECT topic.seek_to('billing', '2001-01-01', 'orders');
SELECT partition, next_position FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.seek_to('billing', '2301-01-01 00:00+00');
SELECT partition, next_position FROM topic.assignment('billing') ORDER BY 1;
SELECT topic.seek_to('billing', 'never');
SELECT topic.seek_to('billing', '2026-13-13');
SELECT topic.seek_to('billing', 'latest', 'orders', 2);
SELECT topic.seek_to('billing', 'latest', 'other', 0);
SELECT topic.seek_to('billing', 'latest', 'other');
SELECT sqlstate_of($$ SELECT topic.seek_to('billing', NULL) $$);
SELECT sqlstate_of($$ SELECT topic.seek_to('billing', 'latest', 'nowhere') $$);
SELECT topic.create('clock', timestamp_after_max => '1 day', retention => NULL);
SELECT count(topic.produce('clock', 'message ' || i, event_time => '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 minute'))
FROM generate_series(0, 9) i;
SELECT topic.subscribe('billing', ARRAY['orders', 'clock']) IS NOT NULL AS member;
SELECT topic.seek_to('billing', '2026-01-01 00:03:30+00', 'clock');
SELECT log_offset, value FROM topic.consume_text('billing') WHERE topic = 'consuming.clock' LIMIT 2;
SELECT * FROM topic.commit('billing') ORDER BY 1, 2;

--
-- pause and resume
--
SELECT topic.seek_to('billing', 'earliest', 'orders');
SELECT topic.pause('billing', 'orders', 0);
SELECT DISTINCT partition FROM topic.consume('billing');
SELECT topic, partition, paused FROM topic.assignment('billing') ORDER BY 1, 2;
SELECT topic.resume('billing', 'orders', 0);
SELECT DISTINCT partition FROM topic.consume('billing');
BEGIN;
SELECT topic.pause('billing', 'orders', 0);
ROLLBACK;
SELECT topic, partition, paused FROM topic.assignment('billing') ORDER BY 1, 2;
SELECT topic.resume('billing', 'orders', 0);
SELECT topic.pause('billing', 'orders', 2);
SELECT topic.pause('billing', 'other', 0);
SELECT sqlstate_of($$ SELECT topic.pause('billing', 'orders', NULL) $$);
SELECT sqlstate_of($$ SELECT topic.resume('billing', 'nowhere', 0) $$);

--
-- Arguments
--
SELECT sqlstate_of($$ SELECT * FROM topic.consume(NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing', NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing', 1, NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing', 1, '0', NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing', 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing', 1, '-1 second') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing', 1, '0', -1) $$);

--
-- Text and JSON
--
SELECT topic.create('docs', retention => NULL);
SELECT topic.subscribe('readers', ARRAY['docs']) IS NOT NULL AS member;
SELECT partition FROM topic.produce('docs', '{"b": 1, "a": [true, null]}'::json, 'k', '[["h","1"],["h",null]]');
SELECT partition FROM topic.produce('docs', NULL::text, 'gone');
SELECT key, value, value -> 'a' AS a, headers FROM topic.consume_json('readers');
SELECT topic.seek_to('readers', 'earliest');
SELECT key, value, headers FROM topic.consume_text('readers');
SELECT partition FROM topic.produce('docs', 'no json');
SELECT partition FROM topic.produce('docs', '\xff00'::bytea);
SELECT log_offset, value FROM topic.consume_json('readers');
SELECT log_offset, value FROM topic.consume_text('readers');
SELECT sqlstate_of($$ SELECT * FROM topic.consume_json('readers') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.consume_text('readers') $$);
SELECT log_offset, value FROM topic.consume('readers');
SELECT * FROM topic.commit('readers');
SELECT topic.unsubscribe('readers');

--
-- auto_offset_reset
--
SELECT topic.create('trimmed', retention => NULL);
SELECT topic.produce_batch('trimmed', ARRAY['0', '1', '2', '3', '4', '5']);
-- earliest
SELECT topic.subscribe('early', ARRAY['trimmed']) IS NOT NULL AS member;
SELECT log_offset FROM topic.consume('early', 2);
SELECT * FROM topic.commit('early');
SELECT topic.delete_records('trimmed', 0, 4);
SELECT log_offset, value FROM topic.consume_text('early', 1);
SELECT log_offset, value FROM topic.consume_text('early', 1);
SELECT * FROM topic.commit('early');
SELECT topic.unsubscribe('early');
-- a group that has no offset has lost nothing
SELECT topic.subscribe('late-comers', ARRAY['trimmed']) IS NOT NULL AS member;
SELECT log_offset, value FROM topic.consume_text('late-comers', 1);
SELECT topic.unsubscribe('late-comers');
-- latest: what comes from the first look on
SELECT topic.subscribe('newest', ARRAY['trimmed'], auto_offset_reset => 'latest') IS NOT NULL AS member;
SELECT * FROM topic.consume('newest');
SELECT partition FROM topic.produce('trimmed', '6');
SELECT log_offset, value FROM topic.consume_text('newest');
SELECT topic.commit('newest', 'trimmed', 0, 4);
SELECT topic.seek_to('newest', 'committed');
SELECT topic.delete_records('trimmed', 0, 6);
SELECT log_offset, value FROM topic.consume_text('newest');
SELECT partition FROM topic.produce('trimmed', '7');
SELECT log_offset, value FROM topic.consume_text('newest');
SELECT topic.unsubscribe('newest');
-- none
SELECT topic.subscribe('strict', ARRAY['trimmed'], auto_offset_reset => 'none') IS NOT NULL AS member;
SELECT * FROM topic.consume('strict');
SELECT topic.seek_to('strict', 'earliest');
SELECT log_offset, value FROM topic.consume_text('strict', 1);
SELECT topic.delete_records('trimmed', 0, 8);
SELECT * FROM topic.consume('strict');
SELECT topic.seek_to('strict', 'latest');
SELECT * FROM topic.consume('strict');
SELECT topic.unsubscribe('strict');

--
-- A topic that goes away, and one that is emptied
--
SELECT partition FROM topic.produce('clock', 'last');
SELECT log_offset FROM topic.consume('billing');
TRUNCATE clock;
SELECT partition FROM topic.produce('clock', 'first after all');
SELECT log_offset, value FROM topic.consume_text('billing');
SELECT topic, partition, log_offset FROM topic.commit('billing') WHERE topic = 'consuming.clock';
DROP TABLE clock;
SELECT * FROM topic.consume('billing') WHERE topic = 'consuming.clock';
SELECT * FROM topic.commit('billing');

--
-- What may not be
--
BEGIN READ ONLY;
SELECT count(*) FROM topic.consume('billing');
SELECT topic.seek_to('billing', 'latest');
SELECT topic.pause('billing', 'orders', 0);
SELECT topic.resume('billing', 'orders', 0);
SAVEPOINT s;
SELECT * FROM topic.commit('billing');
ROLLBACK TO s;
SELECT topic.commit('billing', 'orders', 0, 0);
ROLLBACK;
SELECT topic.seek_to('billing', 'earliest', 'orders', 1);
BEGIN;
SELECT count(*) > 0 AS some FROM topic.consume('billing');
PREPARE TRANSACTION 'consumed';
BEGIN;
SELECT topic.seek_to('billing', 'latest');
PREPARE TRANSACTION 'sought';
BEGIN;
SELECT topic.commit('offline', 'orders', 0, 0);
PREPARE TRANSACTION 'committed';
BEGIN;
CALL topic.wait('billing', '0');
ROLLBACK;
DO $$ BEGIN CALL topic.wait('billing', '0'); END $$;
SELECT topic.seek_to('billing', 'latest');
CALL topic.wait('billing', '10 ms');
CALL topic.wait('billing', NULL);
CALL topic.wait('billing', '-1 s');
SELECT topic.seek_to('billing', 'earliest');
SET statement_timeout = '10 s';
CALL topic.wait('billing', '1 day');
SELECT count(*) > 0 AS some FROM topic.consume('billing', timeout => '1 day');
RESET statement_timeout;

--
-- Sessions may be forbidden
--
SET pgtopic.session_groups = off;
SELECT * FROM topic.consume('billing');
SELECT topic.subscribe('billing', ARRAY['orders']);
RESET pgtopic.session_groups;

--
-- Privileges, at each call
--
CREATE ROLE regress_pgtopic_consume;
GRANT USAGE ON SCHEMA consuming TO regress_pgtopic_consume;
SET ROLE regress_pgtopic_consume;
SELECT * FROM topic.consume('billing');
SELECT * FROM topic.commit('billing');
SELECT topic.commit('billing', 'orders', 0, 0);
SELECT * FROM topic.take('taken', ARRAY['orders']);
RESET ROLE;
GRANT SELECT ON orders TO regress_pgtopic_consume;
SET ROLE regress_pgtopic_consume;
SELECT * FROM topic.consume('billing');
RESET ROLE;
SELECT topic.grant_group('billing', 'regress_pgtopic_consume');
SET ROLE regress_pgtopic_consume;
SELECT count(*) FROM topic.consume('billing');
RESET ROLE;

--
-- DISCARD ALL leaves all groups
--
DISCARD ALL;
SET search_path = consuming, public;
SET client_min_messages = warning;
SELECT sqlstate_of($$ SELECT * FROM topic.consume('billing') $$);

--
-- take: a member for one transaction
--
SELECT topic.create('jobs', partitions => 2, retention => NULL);
SELECT topic.produce_batch('jobs', ARRAY['j0', 'j1', 'j2'], partition => 0);
SELECT topic.produce_batch('jobs', ARRAY['i0', 'i1'], partition => 1);
-- without a commit nothing is stored
SELECT partition, log_offset, convert_from(value, 'UTF8') AS value FROM topic.take('workers', ARRAY['jobs']) ORDER BY 1, 2;
BEGIN;
SELECT count(*) FROM topic.take('workers', ARRAY['jobs']);
SELECT * FROM topic.commit('workers') ORDER BY partition;
ROLLBACK;
BEGIN;
SELECT count(*) FROM topic.take('workers', ARRAY['jobs'], 2);
-- a second take goes on
SELECT count(*) FROM topic.take('workers', ARRAY['jobs'], 2);
SAVEPOINT s;
SELECT count(*) FROM topic.take('workers', ARRAY['jobs']);
SELECT count(*) FROM topic.take('workers', ARRAY['jobs']);
ROLLBACK TO s;
-- which partition comes first is left to chance
SELECT sum(log_offset) FROM topic.commit('workers');
COMMIT;
BEGIN;
SELECT count(*) FROM topic.take('workers', ARRAY['jobs']);
SELECT count(*) FROM topic.commit('workers');
COMMIT;
SELECT * FROM topic.take('workers', ARRAY['jobs']);
-- an offset of one's own choice
SELECT partition FROM topic.produce('jobs', 'j3', partition => 0);
SELECT partition FROM topic.produce('jobs', 'j4', partition => 0);
BEGIN;
SELECT log_offset FROM topic.take('workers', ARRAY['jobs']);
SELECT topic.commit('workers', 'jobs', 0, 4);
COMMIT;
SELECT log_offset FROM topic.take('workers', ARRAY['jobs']);
-- trimmed unread
SELECT topic.delete_records('jobs', 0, -1);
SELECT log_offset FROM topic.take('workers', ARRAY['jobs']);
BEGIN;
SELECT log_offset FROM topic.take('workers', ARRAY['jobs']);
SELECT * FROM topic.commit('workers');
COMMIT;
SELECT log_offset FROM topic.take('workers', ARRAY['jobs']);
-- sessions or takers, not both
SELECT topic.subscribe('workers', ARRAY['jobs']) IS NOT NULL AS member;
SELECT * FROM topic.take('workers', ARRAY['jobs']);
SELECT topic.unsubscribe('workers');
BEGIN;
SELECT * FROM topic.take('workers', ARRAY['jobs']);
SELECT topic.subscribe('workers', ARRAY['jobs']);
ROLLBACK;
BEGIN;
SELECT count(*) FROM topic.take('workers', ARRAY['jobs']);
PREPARE TRANSACTION 'taken';
-- it is what a pooler leaves
SET pgtopic.session_groups = off;
SELECT partition FROM topic.produce('jobs', 'j5', partition => 0);
SELECT convert_from(value, 'UTF8') AS value FROM topic.take('workers', ARRAY['jobs']);
RESET pgtopic.session_groups;
BEGIN READ ONLY;
SELECT convert_from(value, 'UTF8') AS value FROM topic.take('workers', ARRAY['jobs']);
SELECT * FROM topic.commit('workers');
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) FROM topic.take('unheard-of', ARRAY['jobs']);
ROLLBACK;
SELECT sqlstate_of($$ SELECT * FROM topic.take(NULL, ARRAY['jobs']) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', ARRAY[NULL]) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', '{}') $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', ARRAY['nowhere']) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', ARRAY['pg_class']) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', ARRAY['jobs'], 0) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', ARRAY['jobs'], NULL) $$);
SELECT sqlstate_of($$ SELECT * FROM topic.take('workers', ARRAY['jobs'], 1, -1) $$);

SELECT count(topic.delete_group(group_id))
FROM unnest(ARRAY['billing', 'offline', 'readers', 'early', 'late-comers', 'newest', 'strict', 'workers']) group_id;
DROP SCHEMA consuming CASCADE;
DROP ROLE regress_pgtopic_consume;
