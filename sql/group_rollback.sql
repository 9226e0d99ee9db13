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

SELECT topic.unsubscribe('ends4');
DROP VIEW stored;
SELECT topic.drop('ends');
