-- LISTEN for news: names of channels, privileges, errors.  What is told, and
-- when, is in test/t/019_notify.pl.
SET client_min_messages = warning;
CREATE ROLE regress_listener;
CREATE ROLE regress_listen_stranger;
CREATE SCHEMA notify_test;
GRANT USAGE ON SCHEMA notify_test TO PUBLIC;
SET search_path = notify_test;
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ': ' || SQLERRM || coalesce(' / ' || nullif(hint, ''), '');
END $$;
CREATE TABLE heap (i int);
SELECT topic.create('t'), topic.create('"Quoted, ""name"""');

-- channels of topics: the schema belongs to the name, and it is quoted as SQL does it
SELECT topic.channel('t'), topic.channel('notify_test.t'), topic.channel('"Quoted, ""name"""');
SELECT topic.channel(NULL) IS NULL AS null_topic;
SELECT state_of($$SELECT topic.channel('nowhere')$$);
SELECT state_of($$SELECT topic.channel('heap')$$);
SELECT state_of($$SELECT topic.channel('')$$);

-- 63 bytes are a name, one more is hashed; anybody can compute it
SELECT topic.create(repeat('x', 45)), topic.create(repeat('x', 46));
SELECT n, channel, octet_length(channel) AS bytes,
	channel = 'topic:#' || left(encode(sha256(convert_to('notify_test.' || repeat('x', n), 'UTF8')), 'hex'), 40) AS hashed
FROM (VALUES (45), (46)) v(n), LATERAL topic.channel(repeat('x', n)) channel;
SELECT n, topic.group_channel(repeat('g', n)) AS channel,
	topic.group_channel(repeat('g', n)) = 'group:#' || left(encode(sha256(convert_to(repeat('g', n), 'UTF8')), 'hex'), 40) AS hashed
FROM (VALUES (1), (57), (58), (255)) v(n);

-- channels of groups need no group
SELECT topic.group_channel('no such group'), topic.group_channel(NULL) IS NULL AS null_group;
SELECT state_of($$SELECT topic.group_channel('')$$);
SELECT state_of($$SELECT topic.group_channel(repeat('g', 256))$$);

-- listen: READ on the group, not membership.  Statements that stand in one
-- message, so that no notification comes in between
SELECT topic.create_group('notify_group');
SELECT topic.grant_group('notify_group', 'regress_listener');
BEGIN \; SELECT state_of($$SELECT topic.listen('notify_group')$$) \; COMMIT \; SELECT * FROM pg_listening_channels() \; SELECT state_of($$SELECT topic.unlisten('notify_group')$$);
SELECT * FROM pg_listening_channels();
SELECT state_of($$SELECT topic.unlisten('no such group')$$);
SET ROLE regress_listener;
SELECT state_of($$SELECT topic.listen('notify_group')$$) \; SELECT state_of($$SELECT topic.unlisten('notify_group')$$);
SET ROLE regress_listen_stranger;
SELECT state_of($$SELECT topic.listen('notify_group')$$);
RESET ROLE;
SELECT topic.revoke_group('notify_group', 'regress_listener');
SELECT topic.grant_group('notify_group', 'regress_listener', 'DESCRIBE');
SET ROLE regress_listener;
SELECT state_of($$SELECT topic.listen('notify_group')$$);
RESET ROLE;
SELECT state_of($$SELECT topic.listen('no such group')$$);
SELECT state_of($$SELECT topic.listen(NULL)$$);
SELECT state_of($$SELECT topic.unlisten(NULL)$$);
SELECT state_of($$SELECT topic.listen('')$$);
SELECT state_of($$SELECT topic.listen(repeat('g', 256))$$);
SET pgtopic.session_groups = off;
SELECT state_of($$SELECT topic.listen('notify_group')$$);
RESET pgtopic.session_groups;

-- it is part of the transaction, and of savepoints
BEGIN;
SELECT topic.listen('notify_group');
ROLLBACK;
SELECT * FROM pg_listening_channels();
BEGIN;
SAVEPOINT s;
SELECT topic.listen('notify_group');
ROLLBACK TO s;
COMMIT;
SELECT * FROM pg_listening_channels();
BEGIN READ ONLY \; SELECT topic.listen('notify_group') \; COMMIT \; SELECT * FROM pg_listening_channels() \;
BEGIN \; SELECT topic.unlisten('notify_group') \; ROLLBACK \; SELECT * FROM pg_listening_channels() \;
BEGIN \; SELECT topic.unlisten('notify_group'), topic.listen('notify_group'), topic.unlisten('notify_group') \; COMMIT \; SELECT * FROM pg_listening_channels();

-- what runs for another role's maintenance does not listen in its name
CREATE FUNCTION listens() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM topic.listen('notify_group');
	RETURN 1;
END $$;
SELECT state_of($$CREATE INDEX ON heap (notify_test.listens())$$);
SELECT state_of($$CREATE MATERIALIZED VIEW listener AS SELECT notify_test.listens()$$);

SHOW pgtopic.notify_queue_limit;
SELECT state_of($$SET pgtopic.notify_queue_limit = 0.9$$);

DROP SCHEMA notify_test CASCADE;
SELECT topic.delete_group('notify_group');
DROP ROLE regress_listener, regress_listen_stranger;
