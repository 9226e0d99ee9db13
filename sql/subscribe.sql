-- Members of consumer groups: subscribe, unsubscribe, assignment
SET client_min_messages = warning;
CREATE ROLE regress_subscriber;
CREATE ROLE regress_subscribe_stranger;
CREATE SCHEMA subscribe_test;
GRANT USAGE ON SCHEMA subscribe_test TO PUBLIC;
SET search_path = subscribe_test;
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ': ' || SQLERRM || coalesce(' / ' || nullif(hint, ''), '');
END $$;
-- what has left is gone with the coordinator's next decision
CREATE PROCEDURE wait_until_empty(group_id text) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM topic.members m WHERE m.group_id = wait_until_empty.group_id);
		PERFORM pg_catalog.pg_sleep(0.01);
	END LOOP;
END $$;

CREATE TABLE heap (i int);
SELECT topic.create('orders', 3), topic.create('payments', 2), topic.create('refunds');
GRANT SELECT ON orders TO regress_subscriber;
SELECT count(*) FROM generate_series(0, 29) i, LATERAL topic.produce('orders', 'o' || i, partition => i % 3) p;

-- arguments
SELECT state_of($$SELECT topic.subscribe(NULL, ARRAY['orders'])$$);
SELECT state_of($$SELECT topic.subscribe('', ARRAY['orders'])$$);
SELECT state_of($$SELECT topic.subscribe(repeat('x', 256), ARRAY['orders'])$$);
SELECT state_of($$SELECT topic.subscribe('s')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], 'ord')$$);
SELECT state_of($$SELECT topic.subscribe('s', '{}')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders', NULL])$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['nowhere'])$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['heap'])$$);
SELECT state_of($$SELECT topic.subscribe('s', pattern => '')$$);
SELECT state_of($$SELECT topic.subscribe('s', pattern => '(')$$);
SELECT state_of($$SELECT topic.subscribe('s', pattern => repeat('x', 1024))$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], assignor => 'sticky')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], assignor => NULL)$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], instance_id => '')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], instance_id => repeat('x', 256))$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], auto_offset_reset => 'newest')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], max_poll_interval => '0')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], session_timeout => '-1 s')$$);
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'], session_timeout => NULL)$$);
SELECT state_of($$SELECT topic.unsubscribe(NULL)$$);
SELECT state_of($$SELECT topic.unsubscribe('s')$$);
SELECT state_of($$SELECT * FROM topic.assignment('s')$$);
SELECT state_of($$SELECT * FROM topic.consume('s')$$);
SELECT state_of($$SELECT * FROM topic.commit('s')$$);
SELECT count(*) FROM topic.groups WHERE group_id = 's';

-- a member, its position, and what ROLLBACK takes back
SELECT length(topic.subscribe('s', ARRAY['orders', 'subscribe_test.orders']));
SELECT * FROM topic.assignment('s');
BEGIN;
SELECT partition, min(log_offset), max(log_offset) FROM topic.consume('s', 5) GROUP BY 1;
SELECT * FROM topic.commit('s');
SAVEPOINT a;
SELECT partition, min(log_offset), max(log_offset) FROM topic.consume('s', 5) GROUP BY 1;
SELECT topic.seek('s', 'orders', 0, 9);
SELECT * FROM topic.commit('s');
SELECT next_position, committed FROM topic.assignment('s');
ROLLBACK TO a;
SELECT next_position, committed FROM topic.assignment('s');
COMMIT;
SELECT next_position, committed FROM topic.assignment('s');
SELECT partition, committed_offset FROM topic.lag WHERE group_id = 's' ORDER BY 1;
BEGIN;
SELECT count(*) FROM topic.consume('s');
SELECT next_position FROM topic.assignment('s');
ROLLBACK;
SELECT next_position FROM topic.assignment('s');
-- the newest note wins, also against what a savepoint noted before
BEGIN;
SELECT topic.commit('s', 'orders', 1, 5);
SAVEPOINT a;
SELECT topic.commit('s', 'orders', 1, 10);
ROLLBACK TO a;
COMMIT;
BEGIN;
SELECT topic.commit('s', 'orders', 2, 5);
SAVEPOINT a;
SELECT topic.commit('s', 'orders', 2, 10);
RELEASE a;
COMMIT;
SELECT partition, committed_offset FROM topic.lag WHERE group_id = 's' ORDER BY 1;
-- nothing of it can be prepared
BEGIN;
SELECT count(*) FROM topic.consume('s', 1);
PREPARE TRANSACTION 'p';
BEGIN;
SELECT topic.seek('s', 'orders', 0, 0);
PREPARE TRANSACTION 'p';
BEGIN;
SELECT topic.commit('s', 'orders', 0, 0);
PREPARE TRANSACTION 'p';

-- subscribing acts at once
SELECT topic.subscribe('s', ARRAY['orders']) AS id \gset
SELECT epoch AS epoch FROM topic.groups WHERE group_id = 's' \gset
SELECT topic.subscribe('s', ARRAY['orders']) = :'id' AS same_id;
SELECT epoch = :epoch AS same_epoch FROM topic.groups WHERE group_id = 's';
BEGIN;
SELECT topic.subscribe('s', ARRAY['orders', 'payments'], assignor => 'RANGE') = :'id' AS same_id;
ROLLBACK;
SELECT topic, partition FROM topic.assignment('s');
SELECT epoch > :epoch AS next_epoch, assignor FROM topic.groups WHERE group_id = 's';
BEGIN;
SELECT topic.subscribe('s2', pattern => '^subscribe_test.(pay|ref)') = :'id' AS same_id;
ROLLBACK;
SELECT topic, partition FROM topic.assignment('s2');
-- a new subscription begins at the committed offsets, also in the same transaction,
-- which does not get away with what it had consumed
BEGIN;
SELECT count(*) FROM topic.consume('s');
SELECT topic.unsubscribe('s');
SELECT topic.subscribe('s', ARRAY['orders']) = :'id' AS same_id;
SELECT partition, next_position, committed FROM topic.assignment('s');
SELECT * FROM topic.commit('s');
COMMIT;
-- what was noted before leaving is not stored
BEGIN;
SELECT topic.commit('s', 'orders', 0, 9);
SELECT topic.unsubscribe('s');
COMMIT;
SELECT state_of($$SELECT * FROM topic.consume('s')$$);

-- auto_offset_reset
SELECT length(topic.subscribe('none', ARRAY['orders'], auto_offset_reset => 'none'));
SELECT state_of($$SELECT * FROM topic.consume('none')$$);
SELECT length(topic.subscribe('latest', ARRAY['orders'], auto_offset_reset => 'Latest'));
SELECT count(*) FROM topic.consume('latest');
SELECT next_position FROM topic.assignment('latest');

-- DISCARD ALL leaves all groups
DISCARD ALL;
SET search_path = subscribe_test;
SELECT state_of($$SELECT * FROM topic.assignment('none')$$);
SELECT state_of($$SELECT * FROM topic.assignment('s2')$$);
CALL wait_until_empty('s');
CALL wait_until_empty('s2');
CALL wait_until_empty('none');
CALL wait_until_empty('latest');
SELECT group_id, state, members FROM topic.groups WHERE group_id IN ('s', 's2', 'none', 'latest') ORDER BY 1;

-- offsets of a group without members
BEGIN;
SELECT topic.commit('s', 'orders', 0, 3);
SELECT length(topic.subscribe('s', ARRAY['orders']));
COMMIT;
SELECT topic.unsubscribe('s');
CALL wait_until_empty('s');
SELECT topic.commit('s', 'orders', 0, 3);
SELECT partition, committed_offset FROM topic.lag WHERE group_id = 's' ORDER BY 1;

-- members and takers exclude each other
BEGIN;
SELECT count(*) FROM topic.take('s', ARRAY['orders'], 1);
SELECT length(topic.subscribe('s', ARRAY['orders']));
ROLLBACK;
BEGIN;
SELECT count(*) FROM topic.take('s', ARRAY['orders'], 1);
SELECT topic.unsubscribe('s');
ROLLBACK;
BEGIN;
SELECT count(*) FROM topic.take('s', ARRAY['orders'], 1);
PREPARE TRANSACTION 'p';
SELECT length(topic.subscribe('s', ARRAY['orders']));
SELECT state_of($$SELECT * FROM topic.take('s', ARRAY['orders'])$$);
SELECT topic.unsubscribe('s');

-- where sessions must not be members
SET pgtopic.session_groups = off;
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'])$$);
SELECT state_of($$SELECT * FROM topic.consume('s')$$);
RESET pgtopic.session_groups;

-- privileges
SET ROLE regress_subscriber;
SELECT state_of($$SELECT topic.subscribe('s', ARRAY['orders'])$$);
SELECT state_of($$SELECT topic.subscribe('own', ARRAY['payments'])$$);
SELECT length(topic.subscribe('own', ARRAY['orders']));
SELECT length(topic.subscribe('matching', pattern => '.*'));
SELECT DISTINCT topic FROM topic.assignment('matching');
SET ROLE regress_subscribe_stranger;
SELECT state_of($$SELECT * FROM topic.consume('own')$$);
SELECT state_of($$SELECT * FROM topic.assignment('own')$$);
RESET ROLE;
SELECT group_id, owner FROM topic.groups WHERE group_id IN ('own', 'matching') ORDER BY 1;

-- a read-only transaction may join, also a group that is new
BEGIN READ ONLY;
SELECT length(topic.subscribe('own', ARRAY['orders']));
SELECT topic.subscribe('new', ARRAY['orders']) IS NOT NULL AS subscribed;
ROLLBACK;

-- a failed subtransaction does not undo it either
DO $$
BEGIN
	PERFORM topic.subscribe('inside', ARRAY['refunds']);
	RAISE EXCEPTION 'no';
EXCEPTION WHEN OTHERS THEN
	NULL;
END $$;
SELECT topic, partition FROM topic.assignment('inside');
-- a topic that is dropped is not assigned any more
DROP TABLE refunds;
DO $$
BEGIN
	FOR i IN 1 .. 500 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM topic.assignment('inside'));
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT count(*) FROM topic.assignment('inside');

DISCARD ALL;
CALL subscribe_test.wait_until_empty('s');
CALL subscribe_test.wait_until_empty('own');
CALL subscribe_test.wait_until_empty('matching');
CALL subscribe_test.wait_until_empty('inside');
SELECT group_id, topic.delete_group(group_id) FROM topic.groups WHERE group_id IN ('s', 'own', 'matching', 'none', 'latest') ORDER BY 1;
SET client_min_messages = warning;
DROP SCHEMA subscribe_test CASCADE;
DROP ROLE regress_subscriber, regress_subscribe_stranger;
