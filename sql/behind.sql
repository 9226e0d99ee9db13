-- A member that commits steadily, but some messages behind what it consumes,
-- is not late; and offsets of a topic that goes in the same transaction.
SET client_min_messages = warning;
SELECT topic.create('steady');
SELECT count(*) FROM topic.produce_batch('steady', array_fill('x'::text, ARRAY[20]));

CREATE PROCEDURE follow(behind int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 14 LOOP
		PERFORM topic.consume('behind', 1);
		COMMIT;
		IF i > behind THEN
			PERFORM topic.commit('behind', 'steady', 0, i - behind);
			COMMIT;
		END IF;
		PERFORM pg_sleep(0.25);
	END LOOP;
END $$;

SELECT topic.subscribe('behind', ARRAY['steady'], max_poll_interval => '2 s') IS NOT NULL AS subscribed;
CALL follow(2);
SELECT topic, partition, next_position, committed FROM topic.assignment('behind');
SELECT topic.unsubscribe('behind');

-- no row is left of a topic that the transaction has dropped
BEGIN;
SELECT topic.commit('nothing', 'steady', 0, 3);
DROP TABLE steady;
COMMIT;
SELECT count(*) FROM topic.group_offsets WHERE group_id IN ('behind', 'nothing');

-- but a rollback to before that brings it back
SELECT topic.create('steady');
BEGIN;
SELECT topic.commit('nothing', 'steady', 0, 0);
SAVEPOINT before;
DROP TABLE steady;
ROLLBACK TO before;
COMMIT;
SELECT count(*) FROM topic.group_offsets WHERE group_id = 'nothing';

DROP PROCEDURE follow;
SELECT topic.drop('steady');
SELECT topic.delete_group(group_id) FROM topic.groups WHERE group_id IN ('behind', 'nothing');
