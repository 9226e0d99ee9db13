-- Topics by name, and their settings
SET client_min_messages = warning;
CREATE SCHEMA topic_test;
CREATE SCHEMA "Odd.Schema";
SET search_path = topic_test, public;
SET intervalstyle = postgres;
CREATE VIEW shown AS
	SELECT topic, partitions, retention, retention_bytes, cleanup_policy, max_message_bytes,
		timestamp_type, compression, min_compaction_lag, delete_retention, timestamp_after_max
	FROM topic.topics WHERE schema_name IN ('topic_test', 'Odd.Schema');

-- creating: defaults, every setting, names
SELECT topic.create('plain');
SELECT topic.create('topic_test.full', 8, '30 days', 1000000, 'compact,delete', 2000, 'logappendtime',
	'zstd', '1 hour', '2 days', '-1');
SELECT topic.create('"Odd.Schema"."Quoted Name"', retention => NULL, cleanup_policy => 'COMPACT');
SELECT topic.create('MixedCase', partitions => NULL, cleanup_policy => NULL, max_message_bytes => NULL,
	timestamp_type => NULL, compression => NULL, min_compaction_lag => NULL, delete_retention => NULL,
	timestamp_after_max => NULL, if_not_exists => NULL);
SELECT * FROM shown ORDER BY topic COLLATE "C" \gx
SELECT count(DISTINCT uuid), min(size) > 0 AS size FROM topic.topics WHERE schema_name IN ('topic_test', 'Odd.Schema');
\d plain
SELECT relname, amname, relpersistence, relreplident FROM pg_class c JOIN pg_am a ON a.oid = relam
	WHERE c.oid = 'plain'::regclass;

-- there already
SELECT topic.create('plain');
SET client_min_messages = notice;
SELECT topic.create('plain', if_not_exists => true);
SET client_min_messages = warning;
SELECT topic.create('shown');
SELECT topic.create('shown', if_not_exists => true);

-- refused
SELECT topic.create('wrong', partitions => 0);
SELECT topic.create('wrong', partitions => 16385);
SELECT topic.create('wrong', retention => '-1 day');
SELECT topic.create('wrong', retention_bytes => -2);
SELECT topic.create('wrong', cleanup_policy => 'keep');
SELECT topic.create('wrong', max_message_bytes => 0);
SELECT topic.create('wrong', max_message_bytes => 523239425);
SELECT topic.create('wrong', timestamp_type => 'Never');
SELECT topic.create('wrong', compression => 'gzip');
SELECT topic.create('wrong', min_compaction_lag => '-1');
SELECT topic.create('wrong', delete_retention => '-1 hour');
SELECT topic.create('wrong', timestamp_after_max => '-2 hours');
SELECT topic.create('wrong', retention => '178000000 years');
\set VERBOSITY sqlstate
SELECT topic.create(NULL);
SELECT topic.create('');
SELECT topic.create('a.b.c.d');
SELECT topic.create('otherdb.topic_test.wrong');
SELECT topic.create('no_such_schema.wrong');
SELECT topic.create(repeat('x', 64));
SELECT topic.create('topic_test."' || repeat('x', 64) || '"');
BEGIN READ ONLY;
SELECT topic.create('wrong');
ROLLBACK;
\set VERBOSITY default
SELECT to_regclass('wrong');
SELECT topic.create('long_' || repeat('x', 58)) IS NOT NULL AS fits;

-- rolled back
BEGIN;
SELECT topic.create('gone', 3);
SELECT partitions FROM shown WHERE topic = 'topic_test.gone';
ROLLBACK;
SELECT count(*) FROM topic.settings WHERE relid::text = 'gone';
BEGIN;
SAVEPOINT s;
SELECT topic.create('gone', 3);
ROLLBACK TO s;
SELECT topic.create('gone', 4);
COMMIT;
SELECT partitions FROM shown WHERE topic = 'topic_test.gone';

-- altering; the change is seen at once, and undone by ROLLBACK
BEGIN;
SELECT topic.alter('gone', partitions => 5, retention => '1 mon 2 days 03:04:05.678');
SELECT partitions, retention FROM shown WHERE topic = 'topic_test.gone';
ROLLBACK;
SELECT partitions, retention FROM shown WHERE topic = 'topic_test.gone';
SELECT topic.alter('gone', 6, '-1', -1, 'compact', 77, 'LogAppendTime', 'lz4', '1 min', '2 min', '3 min');
SELECT * FROM shown WHERE topic = 'topic_test.gone' \gx
SELECT topic.alter('gone');
SELECT topic.alter('gone', partitions => 6, compression => NULL);
SELECT topic.alter('gone', partitions => 5);
SELECT topic.alter('gone', partitions => 16385);
SELECT topic.alter('gone', retention => '-1 day');
SELECT topic.alter_reset('gone', 'retention', 'cleanup_policy', 'timestamp_type');
SELECT topic.alter_reset('gone', VARIADIC ARRAY['max_message_bytes', 'compression']);
SELECT * FROM shown WHERE topic = 'topic_test.gone' \gx
SELECT topic.alter_reset('gone', 'partitions');
SELECT topic.alter_reset('gone', 'no_such_setting');
SELECT topic.alter_reset('gone', NULL::text);

-- names that are no topics
CREATE TABLE heap_table (a int);
SELECT topic.alter('no_such_topic');
SELECT topic.alter('no_such_schema.no_such_topic');
SELECT topic.alter('heap_table');
SELECT topic.alter_reset('shown', 'retention');
SELECT topic.drop('heap_table');
SELECT topic.delete_records('heap_table', 0, 0);
SELECT topic.alter('pg_class');
SELECT topic.alter(NULL);

-- a topic made by CREATE TABLE has one partition and the defaults, and no row
CREATE TABLE bare ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
SELECT partitions, retention, cleanup_policy FROM shown WHERE topic = 'topic_test.bare';
SELECT count(*) FROM topic.settings WHERE relid = 'bare'::regclass;
SELECT uuid AS bare_uuid FROM topic.topics WHERE relid = 'bare'::regclass \gset
SELECT topic.alter('bare', partitions => 2);
SELECT partitions, retention, uuid = :'bare_uuid' AS same_uuid FROM topic.topics WHERE relid = 'bare'::regclass;

-- what pg_restore does: rows of settings come before or after the topic's messages
CREATE TABLE restored (LIKE bare) USING topic;
COPY topic.settings (relid, uuid, partitions, retention_ms) FROM STDIN;
topic_test.restored	01234567-89ab-cdef-0123-456789abcdef	3	-1
\.
SELECT partitions, retention, uuid FROM topic.topics WHERE relid = 'restored'::regclass;
UPDATE topic.settings SET partitions = 4 WHERE relid = 'restored'::regclass;
SELECT partitions FROM topic.topics WHERE relid = 'restored'::regclass;
INSERT INTO restored ("partition", log_offset, value) VALUES (1, 10, 'ten'), (1, 11, 'eleven'), (6, 5, 'five');
SELECT partitions FROM topic.topics WHERE relid = 'restored'::regclass;
DELETE FROM topic.settings WHERE relid = 'restored'::regclass;
SELECT partitions, retention FROM topic.topics WHERE relid = 'restored'::regclass;
SELECT topic.alter('restored', partitions => 6);
SELECT topic.alter('restored', partitions => 8);
SELECT partition, log_start_offset, last_stable_offset, log_end_offset FROM topic.partitions
	WHERE topic = 'topic_test.restored' ORDER BY 1;

-- pending messages of the transaction are there for every statement that reads
CREATE TABLE copied (v text);
CREATE VIEW texts AS SELECT convert_from(value, 'UTF8') AS v FROM plain;
BEGIN;
SELECT topic FROM topic.produce('plain', 'one');
SELECT * FROM texts;
COPY (SELECT * FROM texts) TO STDOUT;
SELECT topic FROM topic.produce('plain', 'two');
COPY plain (value) TO STDOUT;
SELECT topic FROM topic.produce('plain', 'three');
INSERT INTO copied SELECT * FROM texts;
SELECT topic FROM topic.produce('plain', 'four');
DECLARE c CURSOR FOR SELECT * FROM texts;
SELECT topic FROM topic.produce('plain', 'five');
FETCH ALL FROM c;
SELECT topic FROM topic.produce('plain', 'six');
SELECT count(*) FROM texts WHERE v = (SELECT max(v) FROM texts WHERE v LIKE 's%');
ROLLBACK;
SELECT * FROM texts;
SELECT * FROM copied;

-- without workers, which do not know what this transaction has appended
SELECT topic.produce_batch('plain', array_agg(i::text)) FROM generate_series(1, 20000) i;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
BEGIN;
SELECT topic FROM topic.produce('plain', 'mine');
SELECT count(*), count(*) FILTER (WHERE v = 'mine') AS mine FROM texts;
SELECT topic FROM topic.produce('plain', 'mine');
SELECT count(*), count(*) FILTER (WHERE v = 'mine') AS mine FROM texts;
PREPARE counted AS SELECT count(*) FROM texts;
EXECUTE counted;
COMMIT;
EXECUTE counted;
DEALLOCATE counted;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- pending messages of a topic that is rewritten, truncated, dropped
BEGIN;
SELECT topic FROM topic.produce('bare', 'before', partition => 1);
ALTER TABLE bare SET TABLESPACE pg_default;
TRUNCATE bare;
SELECT topic FROM topic.produce('bare', 'after', partition => 1);
COMMIT;
SELECT partition, log_offset, convert_from(value, 'UTF8') FROM bare;
BEGIN;
SELECT topic FROM topic.produce('bare', 'kept', partition => 0);
SAVEPOINT s;
SELECT topic.drop('bare');
ROLLBACK TO s;
COMMIT;
SELECT partition, log_offset, convert_from(value, 'UTF8') FROM bare ORDER BY 1;
BEGIN;
SELECT topic FROM topic.produce('bare', 'lost');
DROP TABLE bare;
COMMIT;

-- deleting records
SELECT topic.create('trimmed', 2);
SELECT topic.produce_batch('trimmed', ARRAY['a', 'b', 'c', 'd'], partition => 1);
SELECT topic.delete_records('trimmed', 1, 2);
SELECT topic.delete_records('trimmed', 1, 1);
SELECT log_offset, convert_from(value, 'UTF8') FROM trimmed;
SELECT topic.delete_records('trimmed', 1, 5);
SELECT topic.delete_records('trimmed', 1, -2);
SELECT topic.delete_records('trimmed', 2, 0);
SELECT topic.delete_records('trimmed', NULL, 0);
SELECT topic.delete_records('no_such_topic', 0, 0);
BEGIN;
SELECT topic FROM topic.produce('trimmed', 'e', partition => 1);
SELECT count(*) FROM trimmed;
SELECT topic.delete_records('trimmed', 1, -1);
COMMIT;
SELECT log_offset, convert_from(value, 'UTF8') FROM trimmed;
SELECT topic.delete_records('trimmed', 1, -1), topic.delete_records('trimmed', 0, -1);
SELECT partition, log_start_offset, log_end_offset FROM topic.partitions WHERE topic = 'topic_test.trimmed' ORDER BY 1;
\set VERBOSITY sqlstate
SELECT topic.delete_records('trimmed', 1, 6);
BEGIN READ ONLY;
SELECT topic.delete_records('trimmed', 1, -1);
ROLLBACK;
BEGIN READ ONLY;
SELECT topic.alter('trimmed', partitions => 3);
ROLLBACK;
\set VERBOSITY default

-- dropping
SELECT topic.drop('trimmed');
SELECT topic.drop('trimmed');
SET client_min_messages = notice;
SELECT topic.drop('trimmed', if_exists => true);
SET client_min_messages = warning;
SELECT topic.drop('plain');
DROP VIEW texts;
SELECT topic.drop('plain');
SELECT topic.create('plain', 2);

-- moved and renamed, a topic keeps its settings and its identity
SELECT uuid FROM topic.topics WHERE topic_name = 'full' \gset
ALTER TABLE "full" RENAME TO renamed;
ALTER TABLE renamed SET SCHEMA "Odd.Schema";
SELECT topic, partitions, retention, uuid = :'uuid' AS same_uuid FROM topic.topics WHERE topic_name = 'renamed';
TRUNCATE "Odd.Schema".renamed;
VACUUM FULL "Odd.Schema".renamed;
SELECT partitions, uuid = :'uuid' AS same_uuid FROM topic.topics WHERE topic_name = 'renamed';

-- event triggers see what the functions do
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS
	$$ BEGIN
		IF current_setting('search_path') LIKE 'topic_test%' THEN
			RAISE WARNING '% %', TG_EVENT, TG_TAG;
		END IF;
	END $$;
CREATE EVENT TRIGGER topic_test_tell ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION tell();
CREATE EVENT TRIGGER topic_test_tell_drop ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION tell();
SELECT topic.create('announced');
SELECT topic.drop('announced');
DROP EVENT TRIGGER topic_test_tell;
DROP EVENT TRIGGER topic_test_tell_drop;

DROP SCHEMA topic_test, "Odd.Schema" CASCADE;
