-- Retention by size, groups for which it waits, and what groups lose
CREATE ROLE regress_keep_owner;
CREATE ROLE regress_keep_stranger;
CREATE SCHEMA retention_test;
GRANT ALL ON SCHEMA retention_test TO PUBLIC;
SET search_path = retention_test;
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
-- n times 50 messages of 1000 bytes, a transaction each
CREATE PROCEDURE fill(topic text, n int, partition int DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM topic.produce_batch(topic, array_fill(repeat('x', 1000), ARRAY[50]), partition => partition);
		COMMIT;
	END LOOP;
END $$;
-- messages, and so about as many kB
CREATE FUNCTION kept(topic text, number int DEFAULT 0) RETURNS int LANGUAGE sql AS $$
	SELECT (log_end_offset - log_start_offset)::int FROM topic.list_offsets(topic) WHERE partition = number
$$;

--
-- By size: whole extents, oldest first
--
SELECT topic.create('sized', retention => NULL, retention_bytes => 100000);
CALL fill('sized', 40);
SELECT kept('sized') BETWEEN 85 AND 2100 AS limited;
SELECT topic.alter('sized', retention_bytes => 500000);
CALL fill('sized', 40);
SELECT kept('sized') BETWEEN 430 AND 2500 AS limited;
SELECT topic.verify('sized');

--
-- Protected groups
--
SHOW pgtopic.protect_max_bytes;
SELECT topic.create('held', 2, retention => NULL, retention_bytes => 100000);
SELECT topic.create_group('slow');
SELECT topic.commit('slow', 'held', 0, 0);
SELECT topic.protect('slow', 'held');
SELECT group_id, topic, partition, committed_offset, log_end_offset, lost, protected_bytes FROM topic.lag WHERE group_id = 'slow' ORDER BY partition;
CALL fill('held', 50, 0);
CALL fill('held', 50, 1);
-- nothing is committed in partition 1: all of it is kept
SELECT partition, log_start_offset, log_end_offset FROM topic.list_offsets('held') ORDER BY partition;
-- what the group has committed may go
SELECT topic.commit('slow', 'held', 0, 2000), topic.commit('slow', 'held', 1, 10);
CALL fill('held', 30, 0);
CALL fill('held', 30, 1);
SELECT partition, log_start_offset BETWEEN 1000 AND 2000 AS up_to_committed, log_start_offset <= 10 AS none
	FROM topic.list_offsets('held') ORDER BY partition;
-- the cap: what goes is lost
SELECT topic.protect('slow', 'held', 2000000);
CALL fill('held', 30, 1);
SELECT kept('held', 1) BETWEEN 1600 AND 3200 AS up_to_cap;
SELECT partition, committed_offset, lost > 0 AS lost, lost = (SELECT log_start_offset - 10 FROM topic.list_offsets('held') WHERE partition = 1) AS counted, protected_bytes
	FROM topic.lag WHERE group_id = 'slow' ORDER BY partition;
-- a reset goes on from there; how many messages its warning tells is the extents' business
SET client_min_messages = error;
SELECT count(*) FROM topic.reset_offsets('slow', 'held', 'earliest', 1);
RESET client_min_messages;
SELECT partition, lag = kept('held', 1) AS at_the_start, lost > 0 AS lost FROM topic.lag WHERE group_id = 'slow' AND partition = 1;

-- each group has its own cap, and who is far behind holds nothing beyond his
SELECT topic.create('shared', retention => NULL, retention_bytes => 100000);
SELECT topic.commit('dead', 'shared', 0, 0), topic.commit('alive', 'shared', 0, 0);
SELECT topic.protect('dead', 'shared', 200000), topic.protect('alive', 'shared', -1);
CALL fill('shared', 60);
SELECT kept('shared');
SELECT topic.commit('alive', 'shared', 0, 3000);
CALL fill('shared', 30);
SELECT kept('shared') BETWEEN 1500 AND 2600 AS alive_holds, lost > 0 AS dead_lost FROM topic.lag WHERE group_id = 'dead';
SELECT lost FROM topic.lag WHERE group_id = 'alive';
-- a rollback changes nothing, and offsets that are deleted hold all
BEGIN;
SELECT topic.unprotect('alive', 'shared');
ROLLBACK;
SELECT topic.delete_offsets('alive', 'shared');
SELECT log_start_offset AS before FROM topic.list_offsets('shared') \gset
CALL fill('shared', 30);
SELECT log_start_offset = :before AS held FROM topic.list_offsets('shared');
SELECT topic.commit('alive', 'shared', 0, 4500);
CALL fill('shared', 30);
SELECT log_start_offset > :before AS goes_on FROM topic.list_offsets('shared');
-- delete_records does not wait
SELECT topic.delete_records('shared', 0, -1) = log_end_offset AS deleted FROM topic.list_offsets('shared');
-- unprotected, and once more
SELECT topic.unprotect('slow', 'held'), topic.unprotect('slow', 'held');
SELECT partition, protected_bytes FROM topic.lag WHERE group_id = 'slow' ORDER BY partition;
CALL fill('held', 30, 1);
SELECT kept('held', 1) BETWEEN 85 AND 2100 AS limited;
-- a group or topic that goes takes its protection along
SELECT count(*) FROM topic.group_protections;
SELECT topic.delete_group('dead');
SELECT group_id, max_bytes FROM topic.group_protections;
DROP TABLE shared;
SELECT count(*) FROM topic.group_protections;

--
-- Who may, and what is no protection
--
SELECT topic.create('own', retention => NULL);
ALTER TABLE own OWNER TO regress_keep_owner;
SELECT topic.create_group('visible'), topic.create_group('hidden');
SELECT topic.grant_group('visible', 'regress_keep_owner', 'DESCRIBE');
SET ROLE regress_keep_owner;
SELECT state_of($$SELECT topic.protect('visible', 'own')$$), state_of($$SELECT topic.unprotect('visible', 'own')$$);
SELECT state_of($$SELECT topic.protect('hidden', 'own')$$);
SELECT state_of($$SELECT topic.unprotect('hidden', 'own')$$);
SELECT state_of($$SELECT topic.protect('visible', 'held')$$);
SET ROLE regress_keep_stranger;
SELECT state_of($$SELECT topic.protect('visible', 'own')$$);
SELECT state_of($$SELECT topic.delete_records('own', 0, -1)$$);
SELECT state_of('TABLE topic.group_protections');
RESET ROLE;
SELECT state_of($$SELECT topic.protect('nobody', 'own')$$);
SELECT state_of($$SELECT topic.unprotect('nobody', 'own')$$);
SELECT state_of($$SELECT topic.protect('visible', 'nowhere')$$);
SELECT state_of($$SELECT topic.protect('visible', 'pg_catalog.pg_class')$$);
SELECT state_of($$SELECT topic.protect('visible', 'own', 0)$$);
SELECT state_of($$SELECT topic.protect('visible', 'own', -2)$$);
SELECT state_of($$SELECT topic.protect(NULL, 'own')$$);
SELECT state_of($$SELECT topic.protect('visible', NULL)$$);
SELECT state_of($$SELECT topic.protect('visible', 'own', NULL)$$);
BEGIN READ ONLY;
SELECT topic.protect('visible', 'own');
ROLLBACK;

--
-- topic.take of a group whose offset was trimmed
--
SELECT topic.create('taken', retention => NULL);
SELECT topic.produce_batch('taken', ARRAY['0', '1', '2', '3', '4', '5']);
BEGIN;
SELECT log_offset FROM topic.take('takers', ARRAY['taken'], 1);
SELECT * FROM topic.commit('takers');
COMMIT;
SELECT topic.delete_records('taken', 0, 4);
BEGIN;
SELECT log_offset FROM topic.take('takers', ARRAY['taken'], 1);
ROLLBACK;
SELECT committed_offset, lost FROM topic.lag WHERE group_id = 'takers';
BEGIN;
SELECT log_offset FROM topic.take('takers', ARRAY['taken'], 1);
SELECT * FROM topic.commit('takers');
COMMIT;
SELECT committed_offset, lost FROM topic.lag WHERE group_id = 'takers';
-- all of it is gone
SELECT topic.delete_records('taken', 0, -1);
BEGIN;
SELECT log_offset FROM topic.take('takers', ARRAY['taken']);
SELECT * FROM topic.commit('takers');
COMMIT;
SELECT committed_offset, lag, lost FROM topic.lag WHERE group_id = 'takers';
SELECT count(*) FROM topic.take('takers', ARRAY['taken']);

SET client_min_messages = warning;
SELECT count(topic.delete_group(group_id)) FROM topic.groups WHERE group_id IN ('slow', 'alive', 'visible', 'hidden', 'takers');
RESET search_path;
DROP SCHEMA retention_test CASCADE;
DROP ROLE regress_keep_owner, regress_keep_stranger;
