-- Consumer groups: owners, grants, committed offsets, views
SET client_min_messages = warning;
CREATE ROLE regress_group_owner;
CREATE ROLE regress_group_reader;
CREATE ROLE regress_group_heir;
CREATE ROLE regress_group_stranger;
CREATE ROLE regress_group_monitor IN ROLE pg_monitor;
CREATE SCHEMA groups_test;
GRANT ALL ON SCHEMA groups_test TO PUBLIC;
SET search_path = groups_test;
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
-- what a statement would come to, without its effect
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		EXECUTE statement;
		RAISE EXCEPTION USING ERRCODE = 'TTTTT';
	EXCEPTION WHEN OTHERS THEN
		RETURN CASE WHEN SQLSTATE = 'TTTTT' THEN 'yes' ELSE SQLSTATE END;
	END;
END $$;
SELECT topic.create('orders', 3, retention => NULL), topic.create('payments', retention => NULL);
SELECT count(*) FROM generate_series(1, 30) i, LATERAL topic.produce('orders', 'o' || i, partition => i % 3) p;
GRANT SELECT ON orders TO regress_group_owner, regress_group_reader;

-- creating
SHOW pgtopic.auto_create_groups;
SELECT topic.create_group('billing');
SELECT topic.create_group('shipping', 'regress_group_owner');
SELECT state_of($$SELECT topic.create_group('billing')$$);
SELECT state_of($$SELECT topic.create_group('')$$);
SELECT state_of($$SELECT topic.create_group(repeat('x', 255))$$);
SELECT state_of($$SELECT topic.create_group(repeat('x', 256))$$);
SELECT state_of($$SELECT topic.create_group(NULL)$$);
SELECT state_of($$SELECT topic.create_group('other', 'nobody_here')$$);
SELECT topic.delete_group(repeat('x', 255));
BEGIN READ ONLY;
SELECT topic.create_group('readonly');
ROLLBACK;
BEGIN;
SELECT topic.create_group('rolled back');
SELECT group_id FROM topic.groups WHERE group_id ~ '^(bill|ship|roll)' ORDER BY 1;
ROLLBACK;
SELECT group_id, state, assignor, members, owner = current_user AS mine FROM topic.groups WHERE group_id ~ '^(bill|ship|roll)' ORDER BY 1;
SET ROLE regress_group_owner;
SELECT try($$SELECT topic.create_group('for another', 'regress_group_reader')$$);
RESET ROLE;

-- what each role may do, before and after grants
CREATE TABLE actions (n int, action text, statement text);
INSERT INTO actions VALUES
	(1, 'see it', $$SELECT 1 / count(*) FROM topic.groups WHERE group_id = 'shipping'$$),
	(2, 'committed', $$SELECT * FROM topic.committed('shipping')$$),
	(3, 'dry run', $$SELECT * FROM topic.reset_offsets('shipping', 'orders', 'latest', dry_run => true)$$),
	(4, 'reset', $$SELECT * FROM topic.reset_offsets('shipping', 'orders', 'earliest')$$),
	(5, 'reset unread topic', $$SELECT * FROM topic.reset_offsets('shipping', 'payments', 'earliest')$$),
	(6, 'delete offsets', $$SELECT topic.delete_offsets('shipping', 'orders')$$),
	(7, 'delete', $$SELECT topic.delete_group('shipping')$$),
	(8, 'grant', $$SELECT topic.grant_group('shipping', 'public')$$),
	(9, 'revoke', $$SELECT topic.revoke_group('shipping', 'public')$$),
	(10, 'give away', $$SELECT topic.alter_group_owner('shipping', current_user)$$);
GRANT SELECT ON actions TO PUBLIC;
CREATE PROCEDURE as_roles() LANGUAGE plpgsql AS $$
DECLARE role name;
BEGIN
	DROP TABLE IF EXISTS results;
	CREATE TABLE results (role name, n int, result text);
	GRANT ALL ON results TO PUBLIC;
	FOREACH role IN ARRAY ARRAY['owner', 'reader', 'stranger', 'monitor'] LOOP
		EXECUTE format('SET ROLE regress_group_%s', role);
		INSERT INTO results SELECT role, n, try(statement) FROM actions;
		RESET ROLE;
	END LOOP;
END $$;
CREATE FUNCTION matrix() RETURNS TABLE (action text, owner text, reader text, stranger text, monitor text) LANGUAGE plpgsql AS $$
BEGIN
	CALL as_roles();
	RETURN QUERY SELECT a.action, max(r.result) FILTER (WHERE r.role = 'owner'), max(r.result) FILTER (WHERE r.role = 'reader'),
		max(r.result) FILTER (WHERE r.role = 'stranger'), max(r.result) FILTER (WHERE r.role = 'monitor')
	FROM actions a JOIN results r USING (n) GROUP BY a.n, a.action ORDER BY a.n;
END $$;
SELECT * FROM matrix();
SELECT topic.grant_group('shipping', 'regress_group_reader', 'DESCRIBE');
SELECT * FROM matrix();
SELECT topic.revoke_group('shipping', 'regress_group_reader', 'describe');
SELECT topic.grant_group('shipping', 'regress_group_reader');
SELECT topic.grant_group('shipping', 'regress_group_reader', 'read');
SELECT topic.grant_group('shipping', 'public', 'DELETE');
SELECT * FROM matrix();
SELECT topic.revoke_group('shipping', 'public', 'ALL');
SELECT topic.grant_group('shipping', 'regress_group_heir', 'ALL');
SELECT group_id, grantee::regrole, privilege FROM topic.group_grants WHERE group_id = 'shipping' ORDER BY grantee::regrole::text COLLATE "C", privilege COLLATE "C";
SELECT state_of($$SELECT topic.grant_group('shipping', 'regress_group_reader', 'WRITE')$$);
SELECT state_of($$SELECT topic.revoke_group('shipping', 'regress_group_reader', '')$$);
SELECT state_of($$SELECT topic.grant_group('shipping', 'nobody_here')$$);
SELECT state_of($$SELECT topic.grant_group('no such group', 'public')$$);
SELECT state_of($$SELECT topic.grant_group('shipping', NULL)$$);

-- the tables themselves are closed
SET ROLE regress_group_owner;
SELECT state_of('SELECT * FROM topic.consumer_groups'), state_of('SELECT * FROM topic.group_offsets'),
	state_of('SELECT * FROM topic.free_slots'), state_of($$SELECT nextval('topic.slot_keys')$$);
SELECT state_of('SELECT * FROM topic.offset_slots');
SELECT state_of($$SELECT topic.offset_to_dump('g', gen_random_uuid(), 0, 1, 1)$$);
SELECT state_of('SELECT * FROM topic.consumer_groups_to_dump()');
RESET ROLE;

-- owners
SET ROLE regress_group_owner;
SELECT try($$SELECT topic.alter_group_owner('shipping', 'regress_group_heir')$$);
RESET ROLE;
GRANT regress_group_heir TO regress_group_owner;
SET ROLE regress_group_owner;
SELECT topic.alter_group_owner('shipping', 'regress_group_heir');
SELECT group_id, owner FROM topic.groups WHERE group_id ~ '^(bill|ship|roll)' ORDER BY 1;
RESET ROLE;
SELECT state_of($$SELECT topic.alter_group_owner('no such group', 'regress_group_heir')$$);
SELECT topic.alter_group_owner('shipping', 'regress_group_owner');
SELECT topic.create_group('orphan', 'regress_group_heir');
SELECT topic.create_group('granted');
SELECT topic.grant_group('granted', 'regress_group_heir');
DROP ROLE regress_group_heir;
SELECT group_id, g.owner = pg_get_userbyid(d.datdba) AS of_database_owner FROM topic.groups g, pg_database d
	WHERE datname = current_database() AND group_id = 'orphan';
SELECT topic.delete_group('orphan'), topic.delete_group('granted');

-- resetting offsets
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'latest', dry_run => true);
SELECT * FROM topic.committed('shipping');
SELECT * FROM topic.reset_offsets('shipping', 'orders', '5');
SELECT * FROM topic.committed('shipping');
SELECT * FROM topic.reset_offsets('shipping', 'orders', '+2', 1);
SELECT * FROM topic.reset_offsets('shipping', 'orders', '-100', 2);
SELECT * FROM topic.reset_offsets('shipping', 'orders', '+9223372036854775807', 0);
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'Earliest', 0);
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'latest', 0);
SELECT * FROM topic.reset_offsets('shipping', 'orders', '1000', 0, true);
SELECT * FROM topic.reset_offsets('shipping', 'orders', '2001-01-01', 0, true);
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'tomorrow', 0, true);
SELECT * FROM topic.reset_offsets('shipping', 'orders', '-infinity', 0, true);
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'infinity', 1, true);
SELECT count(topic.produce('payments', 'p' || i, event_time => '2024-01-01 00:00+00'::timestamptz + i * interval '1 hour'))
	FROM generate_series(0, 4) i;
SELECT * FROM topic.reset_offsets('shipping', 'payments', '2024-01-01 02:00:00.0005+00');
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'orders', 'somewhere')$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'orders', '')$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'orders', '2024-13-13')$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'orders', '99999999999999999999')$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'orders', NULL)$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'orders', 'earliest', 3)$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('shipping', 'missing', 'earliest')$$);
SELECT state_of($$SELECT * FROM topic.reset_offsets('no such group', 'orders', 'earliest')$$);
SELECT topic.reset_offsets('shipping', 'orders', 'somewhere');
BEGIN READ ONLY;
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'earliest', 0, true);
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'earliest');
ROLLBACK;
BEGIN;
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'earliest', 1);
ROLLBACK;
SELECT * FROM topic.committed('shipping') ORDER BY topic, partition;
SELECT * FROM topic.lag WHERE group_id = 'shipping' ORDER BY topic, partition;

-- the newest of a transaction counts, and goes with its savepoint
BEGIN;
SELECT * FROM topic.reset_offsets('shipping', 'orders', '1', 0);
SELECT * FROM topic.reset_offsets('shipping', 'orders', '2', 0);
SAVEPOINT s;
SELECT * FROM topic.reset_offsets('shipping', 'orders', '3', 0);
ROLLBACK TO s;
COMMIT;
SELECT log_offset FROM topic.committed('shipping') WHERE topic = 'groups_test.orders' AND partition = 0;
BEGIN;
SELECT * FROM topic.reset_offsets('shipping', 'orders', '3', 0);
PREPARE TRANSACTION 'groups_test';
BEGIN;
SELECT * FROM topic.reset_offsets('shipping', 'orders', '4', 0);
SELECT topic.delete_offsets('shipping', 'orders');
SELECT * FROM topic.reset_offsets('shipping', 'orders', '5', 2);
COMMIT;
SELECT topic, partition, log_offset FROM topic.committed('shipping') ORDER BY topic, partition;
SELECT * FROM topic.reset_offsets('shipping', 'orders', '7');

-- trimmed messages that were not read are lost
SELECT topic.delete_records('orders', 1, 9);
SELECT committed_offset, log_end_offset, lag, lost FROM topic.lag WHERE group_id = 'shipping' AND topic = 'groups_test.orders' AND partition = 1;
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'earliest');
SELECT committed_offset, log_end_offset, lag, lost FROM topic.lag WHERE group_id = 'shipping' AND topic = 'groups_test.orders' AND partition = 1;

-- lag shows topics that one may see
SELECT topic.grant_group('shipping', 'regress_group_stranger', 'DESCRIBE');
SET ROLE regress_group_stranger;
SELECT * FROM topic.lag WHERE group_id = 'shipping';
RESET ROLE;
SET ROLE regress_group_owner;
SELECT DISTINCT topic FROM topic.lag WHERE group_id = 'shipping';
RESET ROLE;
SET ROLE regress_group_monitor;
SELECT DISTINCT topic FROM topic.lag WHERE topic LIKE 'groups\_test%' ORDER BY 1;
RESET ROLE;

-- deleting offsets and groups frees slots, which the next one takes with another key
SELECT count(*) AS free FROM topic.free_slots \gset
SELECT topic.delete_offsets('shipping', 'orders');
SELECT topic, partition FROM topic.committed('shipping');
SELECT count(*) - :free AS freed FROM topic.free_slots;
SELECT * FROM topic.reset_offsets('billing', 'orders', '3', 0);
SELECT count(*) - :free AS freed FROM topic.free_slots;
BEGIN;
SELECT topic.delete_offsets('billing', 'orders');
SELECT * FROM topic.reset_offsets('billing', 'orders', '4', 0);
ROLLBACK;
SELECT * FROM topic.committed('billing');
SELECT state_of($$SELECT topic.delete_offsets('billing', 'missing')$$);
SELECT state_of($$SELECT topic.delete_offsets('no such group', 'orders')$$);
SELECT state_of($$SELECT topic.delete_group('no such group')$$);
SELECT state_of($$SELECT topic.committed('no such group')$$);
SELECT topic.delete_group('billing');
SELECT count(*) - :free AS freed FROM topic.free_slots;
SELECT count(*) = count(DISTINCT slot) AS every_slot_once
	FROM (SELECT slot FROM topic.free_slots UNION ALL SELECT slot FROM topic.group_offsets) s;

-- a dropped topic takes its offsets along; TRUNCATE does not
SELECT * FROM topic.reset_offsets('shipping', 'orders', 'latest', 0);
TRUNCATE orders;
SELECT topic, partition, log_offset FROM topic.committed('shipping') ORDER BY 1, 2;
DROP TABLE orders;
SELECT topic, partition, log_offset FROM topic.committed('shipping');
SELECT count(*) FROM topic.group_offsets WHERE group_id = 'shipping';

-- groups that are not created by themselves
SET pgtopic.auto_create_groups = off;
SELECT topic.reset_offsets('no such group', 'payments', 'latest');
SET ROLE regress_group_owner;
SET pgtopic.auto_create_groups = on;
RESET ROLE;
RESET pgtopic.auto_create_groups;

SELECT * FROM topic.members WHERE group_id = 'shipping';
SELECT topic.delete_group('shipping');
SELECT count(*) FROM topic.group_grants WHERE group_id = 'shipping';
SELECT count(*) FROM topic.groups WHERE group_id IN ('shipping', 'billing');
DROP SCHEMA groups_test CASCADE;
DROP ROLE regress_group_owner, regress_group_reader, regress_group_stranger, regress_group_monitor;
