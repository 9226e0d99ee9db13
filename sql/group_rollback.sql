--
-- Groups: what was noted before is void when the group or its offsets are
-- deleted in the same transaction, and what a cursor has consumed comes again
-- when its savepoint is rolled back
--
SELECT topic.create('ends', partitions => 2);
SELECT topic.produce_batch('ends', ARRAY['a', 'b', 'c', 'd', 'e'], partition => 0);
SELECT topic.produce('ends', 'f', partition => 1);
CREATE VIEW stored AS
	SELECT group_id, topic, partition, committed_offset FROM topic.lag WHERE group_id LIKE 'ends%' ORDER BY 1, 2, 3;

-- noted, then deleted: the group does not come back
SELECT topic.create_group('ends1');
BEGIN;
SELECT * FROM topic.reset_offsets('ends1', 'ends', 'latest');
SELECT topic.delete_group('ends1');
COMMIT;
SELECT count(*) FROM topic.groups WHERE group_id = 'ends1';

-- the same where it has offsets already, and metadata
SELECT topic.commit('ends1', 'ends', 0, 2, 'note');
BEGIN;
SELECT topic.commit('ends1', 'ends', 0, 3, 'newer');
SELECT topic.commit('ends1', 'ends', 1, 1);
SELECT topic.delete_group('ends1');
COMMIT;
SELECT count(*) FROM topic.groups WHERE group_id = 'ends1';

-- what is noted afterwards makes it anew
BEGIN;
SELECT topic.commit('ends2', 'ends', 0, 1);
COMMIT;
BEGIN;
SELECT topic.commit('ends2', 'ends', 0, 2);
SELECT topic.delete_group('ends2');
SELECT topic.commit('ends2', 'ends', 1, 1);
COMMIT;
SELECT * FROM stored;

-- a deletion that is rolled back voids nothing
BEGIN;
SELECT topic.commit('ends2', 'ends', 0, 4);
SAVEPOINT s;
SELECT topic.delete_group('ends2');
ROLLBACK TO s;
COMMIT;
SELECT * FROM stored;

-- offsets of one topic; another group and another topic are not meant
SELECT topic.create('ends_other');
SELECT topic.produce('ends_other', 'x');
BEGIN;
SELECT topic.commit('ends2', 'ends', 0, 5);
SELECT topic.commit('ends2', 'ends_other', 0, 1);
SELECT topic.commit('ends3', 'ends', 0, 3);
SELECT topic.delete_offsets('ends2', 'ends');
COMMIT;
SELECT * FROM stored;

-- a topic that is dropped by the transaction that has committed there
BEGIN;
SELECT topic.commit('ends2', 'ends_other', 0, 0, 'm');
SELECT topic.drop('ends_other');
COMMIT;
SELECT * FROM stored;

-- a cursor that is first fetched from inside a savepoint
SELECT topic.subscribe('ends4', ARRAY['ends']) IS NOT NULL AS joined;
BEGIN;
DECLARE c CURSOR FOR SELECT convert_from(value, 'UTF8') AS value FROM topic.consume('ends4', 3);
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
FETCH 1 FROM c;
ROLLBACK TO s;
SELECT string_agg(value, ',' ORDER BY partition, log_offset) FROM topic.consume_text('ends4', 10);
SELECT topic.commit('ends4');
COMMIT;
SELECT * FROM stored WHERE group_id = 'ends4';

-- and outside of it, or in one that is released: it goes on
SELECT topic.seek_to('ends4', 'earliest');
BEGIN;
SAVEPOINT outside;
DECLARE c CURSOR FOR SELECT convert_from(value, 'UTF8') AS value FROM topic.consume('ends4', 3);
DECLARE d CURSOR FOR SELECT convert_from(value, 'UTF8') AS value FROM topic.consume('ends4', 3);
FETCH 1 FROM c;
SAVEPOINT inside;
FETCH 1 FROM d;
RELEASE inside;
RELEASE outside;
SAVEPOINT s;
SELECT count(*) FROM topic.consume('ends4', 10);
ROLLBACK TO s;
SELECT count(*) FROM topic.consume('ends4', 10);
FETCH ALL FROM c;
FETCH ALL FROM d;
ROLLBACK;

-- so it is with rows that a node of the plan keeps, and in a select list
SELECT topic.seek_to('ends4', 'earliest');
BEGIN;
DECLARE c CURSOR FOR SELECT value FROM topic.consume_text('ends4', 3) ORDER BY value DESC;
DECLARE d CURSOR FOR SELECT ordinality FROM topic.consume_text('ends4', 3) WITH ORDINALITY;
DECLARE e CURSOR FOR SELECT (m).value FROM (SELECT topic.consume_text('ends4', 3) AS m) c;
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
FETCH 1 FROM c;
ROLLBACK TO s;
FETCH 1 FROM d;
ROLLBACK TO s;
FETCH 1 FROM d;
ROLLBACK TO s;
FETCH 1 FROM e;
ROLLBACK TO s;
FETCH 1 FROM e;
ROLLBACK TO s;
CLOSE c;
CLOSE d;
CLOSE e;
SELECT count(*) FROM topic.consume('ends4', 10);
ROLLBACK;

-- in a select list: each row of the query consumes, and savepoints count
BEGIN;
SELECT i, (topic.consume_text('ends4', 2)).value FROM generate_series(1, 2) i;
SAVEPOINT s;
SELECT i, (SELECT (topic.consume_text('ends4', 1)).value) FROM generate_series(5, 5) i;
ROLLBACK TO s;
SELECT (m).value FROM (SELECT topic.consume_text('ends4', 10) AS m OFFSET 0) c WHERE (m).partition = 0 LIMIT 1;
SAVEPOINT t;
SELECT count(*) FROM (SELECT topic.consume_text('ends4')) c;
RELEASE t;
ROLLBACK TO s;
SELECT * FROM topic.commit('ends4');
COMMIT;

-- a block with an exception in PL/pgSQL: what it has consumed comes again
CREATE FUNCTION consume_in_blocks(fail_from int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := '';
BEGIN
	FOR i IN 1 .. 3 LOOP
		BEGIN
			result := result || (SELECT coalesce(string_agg(value, ''), '-') FROM topic.consume_text('ends4', 1));
			IF i >= fail_from THEN
				RAISE division_by_zero;
			END IF;
			PERFORM topic.commit('ends4');
		EXCEPTION WHEN division_by_zero THEN
			result := result || '!';
		END;
	END LOOP;
	RETURN result;
END $$;
SELECT topic.seek_to('ends4', 'earliest', partition => 0);
SELECT consume_in_blocks(3);
SELECT consume_in_blocks(2);
SELECT * FROM stored WHERE group_id = 'ends4';

-- a loop that rolls back does not go on with what comes again
CREATE TABLE effects (value text);
CREATE PROCEDURE work(ends_with text) LANGUAGE plpgsql AS $$
DECLARE
	m record;
BEGIN
	FOR m IN SELECT value FROM topic.consume_text('ends4', 3) LOOP
		INSERT INTO effects VALUES (m.value);
		IF ends_with = 'ROLLBACK' THEN
			ROLLBACK;
		ELSE
			PERFORM topic.commit('ends4');
			COMMIT;
		END IF;
	END LOOP;
END $$;
SELECT topic.seek_to('ends4', 'earliest', partition => 0);
\set VERBOSITY sqlstate
CALL work('ROLLBACK');
\set VERBOSITY default
SELECT * FROM effects;
CALL work('COMMIT');
SELECT * FROM effects;
-- nor does a cursor that COMMIT was to keep, and did not
SELECT topic.seek_to('ends4', 'earliest', partition => 0);
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT value FROM topic.consume_text('ends4', 3);
SELECT topic.commit('ends5', 'ends', 0, 1);
SELECT topic.subscribe('ends5', ARRAY['ends']) IS NOT NULL AS joined;
COMMIT;
FETCH ALL FROM h;
SELECT topic.unsubscribe('ends5');
SELECT string_agg(value, ',' ORDER BY partition, log_offset) FROM topic.consume_text('ends4', 3);

-- whoever leaves the group gives up what it has consumed, also if it comes back
SELECT topic.seek_to('ends4', 'committed', partition => 0);
SELECT topic.seek_to('ends4', 'earliest', partition => 0);
SELECT topic.commit('ends4') IS NOT NULL AS committed;
BEGIN;
SELECT count(*) FROM topic.consume('ends4', 2);
SELECT topic.unsubscribe('ends4');
SELECT topic.subscribe('ends4', ARRAY['ends']) IS NOT NULL AS joined;
SELECT * FROM topic.commit('ends4');
ROLLBACK;
BEGIN;
SELECT count(*) FROM topic.consume('ends4', 2);
SELECT topic.unsubscribe('ends4');
SELECT topic.subscribe('ends4', ARRAY['ends']) IS NOT NULL AS joined;
SELECT topic.commit('ends4', 'ends', 0, 2);
ROLLBACK;
BEGIN;
SELECT count(*) FROM topic.consume('ends4', 2);
SELECT topic.unsubscribe('ends4');
SELECT topic.commit('ends4', 'ends', 0, 2);
ROLLBACK;
-- what was rolled back before is no matter
SELECT topic.subscribe('ends4', ARRAY['ends']) IS NOT NULL AS joined;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM topic.consume('ends4', 2);
ROLLBACK TO s;
SELECT topic.unsubscribe('ends4');
SELECT topic.subscribe('ends4', ARRAY['ends']) IS NOT NULL AS joined;
SELECT count(*) FROM topic.consume('ends4', 2);
SELECT * FROM topic.commit('ends4');
COMMIT;

-- a TRUNCATE that is rolled back takes no message from those who begin at the latest
SELECT topic.subscribe('ends6', ARRAY['ends'], auto_offset_reset => 'latest') IS NOT NULL AS joined;
SELECT topic.seek_to('ends6', 'earliest');
BEGIN;
TRUNCATE ends;
SELECT count(*) FROM topic.consume('ends6');
ROLLBACK;
SELECT string_agg(value, ',' ORDER BY partition, log_offset) FROM topic.consume_text('ends6', 10);
SELECT topic.unsubscribe('ends6');

-- partitions that were added in a transaction that is rolled back
BEGIN;
SELECT topic.alter('ends', partitions => 4);
SELECT topic.unsubscribe('ends4');
SELECT topic.subscribe('ends4', ARRAY['ends']) IS NOT NULL AS joined;
ROLLBACK;
DO $$ BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN (SELECT count(*) FROM topic.assignment('ends4')) = 2;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT partition, next_position FROM topic.assignment('ends4') ORDER BY 1;

SELECT topic.unsubscribe('ends4');
DROP FUNCTION consume_in_blocks;
DROP PROCEDURE work;
DROP TABLE effects;
DROP VIEW stored;
SELECT topic.drop('ends');
