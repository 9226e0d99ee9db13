-- Permissions: the table's own privileges decide what the functions do
SET client_min_messages = warning;
CREATE ROLE regress_topic_owner;
CREATE ROLE regress_topic_producer;
CREATE ROLE regress_topic_consumer;
CREATE ROLE regress_topic_trimmer;
CREATE ROLE regress_topic_column;
CREATE ROLE regress_topic_stranger;
CREATE ROLE regress_topic_monitor IN ROLE pg_monitor;
CREATE SCHEMA acl_test AUTHORIZATION regress_topic_owner;
CREATE SCHEMA acl_closed;
GRANT USAGE ON SCHEMA acl_test TO PUBLIC;
CREATE FUNCTION acl_test.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SET search_path = acl_test;

-- creating needs CREATE on the schema; the creator owns the topic
SET ROLE regress_topic_owner;
SELECT topic.create('acl_test.events', 2);
SELECT topic.create('acl_closed.events');
SELECT topic.create('acl_test.hidden');
SELECT topic, owner FROM topic.topics WHERE topic LIKE 'acl\_test.%' ORDER BY topic COLLATE "C";
SELECT topic FROM topic.produce('events', 'from the owner', partition => 0);
GRANT INSERT ON events TO regress_topic_producer;
GRANT SELECT ON events TO regress_topic_consumer;
GRANT TRUNCATE ON events TO regress_topic_trimmer;
GRANT SELECT (value) ON events TO regress_topic_column;

-- what each role may do
RESET ROLE;
CREATE TABLE actions (n int, action text, statement text);
INSERT INTO actions VALUES
	(1, 'produce', $$SELECT topic.produce('events', 'x', partition => 0)$$),
	(2, 'produce_batch', $$SELECT topic.produce_batch('events', '{x,y}', partition => 0)$$),
	(3, 'produce_batch_bytes', $$SELECT topic.produce_batch_bytes('events', '{x,y}', partition => 0)$$),
	(4, 'produce_record', $$SELECT topic.produce_record('events', 'x', partition => 0)$$),
	(5, 'INSERT', $$INSERT INTO events (value) VALUES ('x')$$),
	(6, 'INSERT at offset', $$INSERT INTO events ("partition", log_offset, value) VALUES (1, 1000000 + (SELECT max(log_end_offset) FROM topic.describe_partitions('events'::regclass)), 'x')$$),
	(7, 'fetch', $$SELECT topic.fetch('events', 0, 0)$$),
	(8, 'fetch_text', $$SELECT topic.fetch_text('events', 0, 0)$$),
	(9, 'fetch in FROM', $$SELECT * FROM topic.fetch('events', 0, 0)$$),
	(10, 'tail', $$SELECT topic.tail('events')$$),
	(11, 'list_offsets', $$SELECT topic.list_offsets('events')$$),
	(12, 'verify', $$SELECT topic.verify('events')$$),
	(13, 'SELECT', $$SELECT * FROM events$$),
	(14, 'SELECT value', $$SELECT value FROM events$$),
	(15, 'delete_records', $$SELECT topic.delete_records('events', 0, 1)$$),
	(16, 'alter', $$SELECT topic.alter('events', max_message_bytes => 2000)$$),
	(17, 'alter_reset', $$SELECT topic.alter_reset('events', 'max_message_bytes')$$),
	(18, 'drop', $$SELECT topic.drop('events')$$),
	(19, 'drop if exists', $$SELECT topic.drop('events', true)$$),
	(20, 'UPDATE', $$UPDATE events SET value = 'x'$$),
	(21, 'settings', $$SELECT * FROM topic.settings$$),
	(22, 'change settings', $$UPDATE topic.settings SET partitions = 3$$);
GRANT SELECT ON actions TO PUBLIC;
SET ROLE regress_topic_producer;
SELECT action, state_of(statement) FROM actions ORDER BY n;
SET ROLE regress_topic_consumer;
SELECT action, state_of(statement) FROM actions ORDER BY n;
SET ROLE regress_topic_trimmer;
SELECT action, state_of(statement) FROM actions ORDER BY n;
SET ROLE regress_topic_column;
SELECT action, state_of(statement) FROM actions ORDER BY n;
SET ROLE regress_topic_stranger;
SELECT action, state_of(statement) FROM actions ORDER BY n;
SET ROLE regress_topic_owner;
SELECT action, state_of(statement) FROM actions WHERE action NOT LIKE 'drop%' ORDER BY n;
RESET ROLE;

-- messages name the table, as PostgreSQL's own do
SET ROLE regress_topic_stranger;
SELECT topic.produce('events', 'x');
SELECT topic.fetch('events', 0, 0);
SELECT topic.delete_records('events', 0, 0);
SELECT topic.alter('events', partitions => 3);
SELECT topic.produce('acl_closed.events', 'x');
RESET ROLE;

-- the privileges are those of current_user at the time of the call
CREATE FUNCTION as_definer() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = acl_test
	AS $$ SELECT topic FROM topic.produce('events', 'through a function', partition => 0) $$;
ALTER FUNCTION as_definer() OWNER TO regress_topic_producer;
SET ROLE regress_topic_stranger;
SELECT as_definer();
RESET ROLE;
REVOKE INSERT ON events FROM regress_topic_producer;
SET ROLE regress_topic_stranger;
SELECT as_definer();
RESET ROLE;

-- the views show what the reader may see
SET ROLE regress_topic_stranger;
SELECT topic FROM topic.topics WHERE topic LIKE 'acl\_test.%';
SELECT topic, partition FROM topic.partitions WHERE topic LIKE 'acl\_test.%';
SELECT topic.describe('events'::regclass), (SELECT count(*) FROM topic.describe_partitions('events'::regclass));
SET ROLE regress_topic_consumer;
SELECT topic FROM topic.topics WHERE topic LIKE 'acl\_test.%';
SELECT topic, partition FROM topic.partitions WHERE topic LIKE 'acl\_test.%' ORDER BY 1, 2;
SET ROLE regress_topic_column;
SELECT topic FROM topic.topics WHERE topic LIKE 'acl\_test.%';
SET ROLE regress_topic_monitor;
SELECT topic FROM topic.topics WHERE topic LIKE 'acl\_test.%' ORDER BY topic COLLATE "C";
SELECT topic, partition FROM topic.partitions WHERE topic LIKE 'acl\_test.%' ORDER BY topic COLLATE "C", 2;
SET ROLE regress_topic_owner;
REVOKE ALL ON hidden FROM regress_topic_owner;
SELECT topic FROM topic.topics WHERE topic = 'acl_test.hidden';
RESET ROLE;

-- a new owner
ALTER TABLE events OWNER TO regress_topic_consumer;
SET ROLE regress_topic_owner;
SELECT topic.alter('events', partitions => 3);
SET ROLE regress_topic_consumer;
SELECT topic.alter('events', partitions => 3);
SELECT topic.drop('events');
RESET ROLE;

-- nothing else is open to everybody
SELECT p.proname, has_function_privilege('regress_topic_stranger', p.oid, 'EXECUTE') AS execute
	FROM pg_proc p WHERE p.pronamespace = 'topic'::regnamespace
	AND NOT has_function_privilege('regress_topic_stranger', p.oid, 'EXECUTE') ORDER BY 1;
SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'topic'::regnamespace AND p.prosecdef;
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'topic'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S')
	AND has_any_column_privilege('regress_topic_stranger', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') ORDER BY 1;
SELECT has_schema_privilege('regress_topic_stranger', 'topic', 'USAGE') AS usage,
	has_schema_privilege('regress_topic_stranger', 'topic', 'CREATE') AS create;

DROP SCHEMA acl_test, acl_closed CASCADE;
DROP ROLE regress_topic_owner, regress_topic_producer, regress_topic_consumer, regress_topic_trimmer,
	regress_topic_column, regress_topic_stranger, regress_topic_monitor;
