-- What a topic cannot honour is refused with 0A000 and a hint, on every path.
-- VERBOSITY sqlstate shows the code alone; the first of each kind is shown in full.
CREATE SCHEMA ddl_test;
SET search_path = ddl_test;
SET client_min_messages = warning;
SELECT topic.create('events', 2);
CREATE TABLE plain (id int PRIMARY KEY, t text);
INSERT INTO plain VALUES (1, 'one');

-- columns
CREATE TABLE wrong (a int) USING topic;
\set VERBOSITY sqlstate
CREATE TABLE wrong () USING topic;
CREATE TABLE wrong ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value text, headers topic.header[]) USING topic;
CREATE TABLE wrong ("partition" int, log_offset bigint, "timestamp" timestamptz(3), key bytea, value bytea, headers topic.header[]) USING topic;
CREATE TABLE wrong ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea) USING topic;
CREATE TABLE wrong ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[], more int) USING topic;
CREATE TABLE wrong (log_offset bigint, "partition" int, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
CREATE TABLE wrong USING topic AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW wrong USING topic AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW wrong USING topic AS SELECT * FROM events;
SET default_table_access_method = topic;
CREATE TABLE wrong (a int);
SELECT 1 AS a INTO wrong;
CREATE TEMP TABLE wrong (a int);
DO $$ BEGIN CREATE TABLE ddl_test.wrong (a int); END $$;
RESET default_table_access_method;
SELECT count(*) FROM pg_class WHERE relname = 'wrong';

-- the right columns, on the same paths
CREATE TABLE bare ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
CREATE TABLE alike (LIKE events) USING topic;
SET default_table_access_method = topic;
CREATE TABLE alike2 (LIKE events INCLUDING ALL);
RESET default_table_access_method;
CREATE TABLE copied USING topic AS SELECT * FROM events;
SELECT topic, partitions FROM topic.topics WHERE schema_name = 'ddl_test' ORDER BY 1;

-- persistence, inheritance, partitioning, types, parameters
\set VERBOSITY default
CREATE TABLE wrong (LIKE events) USING topic WITH (fillfactor = 50);
\set VERBOSITY sqlstate
CREATE UNLOGGED TABLE wrong (LIKE events) USING topic;
CREATE TEMP TABLE wrong (LIKE events) USING topic;
SELECT topic.create('pg_temp.wrong');
CREATE TABLE parent (LIKE events);
CREATE TABLE wrong () INHERITS (parent) USING topic;
CREATE TABLE wrong () INHERITS (events);
CREATE TABLE partitioned (LIKE events) PARTITION BY LIST ("partition");
CREATE TABLE wrong PARTITION OF partitioned FOR VALUES IN (1) USING topic;
ALTER TABLE partitioned ATTACH PARTITION events FOR VALUES IN (1);
ALTER TABLE events INHERIT parent;
ALTER TABLE parent INHERIT events;
CREATE TYPE row_type AS ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]);
CREATE TABLE wrong OF row_type USING topic;
ALTER TABLE events OF row_type;
CREATE TABLE tuned (LIKE events) USING topic WITH (autovacuum_enabled = off, parallel_workers = 2);
ALTER TABLE tuned SET (autovacuum_enabled = on);
ALTER TABLE tuned RESET (autovacuum_enabled);
ALTER TABLE tuned SET (fillfactor = 50);

-- constraints, defaults, indexes
\set VERBOSITY default
CREATE TABLE wrong (LIKE events, CHECK ("partition" > 0)) USING topic;
CREATE INDEX ON events (log_offset);
\set VERBOSITY sqlstate
CREATE TABLE wrong (LIKE events, PRIMARY KEY ("partition", log_offset)) USING topic;
CREATE TABLE wrong (LIKE events, UNIQUE ("partition", log_offset)) USING topic;
CREATE TABLE wrong (LIKE events, EXCLUDE ("partition" WITH =)) USING topic;
CREATE TABLE wrong (LIKE events, FOREIGN KEY ("partition") REFERENCES plain (id)) USING topic;
CREATE TABLE wrong ("partition" int NOT NULL, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
CREATE TABLE wrong ("partition" int DEFAULT 1, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
CREATE TABLE wrong ("partition" int, log_offset bigint GENERATED ALWAYS AS IDENTITY, "timestamp" timestamptz, key bytea, value bytea, headers topic.header[]) USING topic;
CREATE TABLE wrong ("partition" int, log_offset bigint, "timestamp" timestamptz, key bytea, value bytea GENERATED ALWAYS AS (key) STORED, headers topic.header[]) USING topic;
CREATE INDEX CONCURRENTLY ON events (log_offset);
CREATE UNIQUE INDEX ON events (key);
CREATE INDEX ON events USING gin (headers);
CREATE TABLE referencing ("partition" int REFERENCES events ("partition"));

-- ALTER TABLE
\set VERBOSITY default
ALTER TABLE events ADD COLUMN more int;
ALTER TABLE events SET ACCESS METHOD heap;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
\set VERBOSITY sqlstate
ALTER TABLE events DROP COLUMN headers;
ALTER TABLE events ALTER COLUMN value TYPE text USING 'x';
ALTER TABLE events RENAME COLUMN value TO payload;
ALTER TABLE events ALTER COLUMN value SET DEFAULT 'x';
ALTER TABLE events ALTER COLUMN value SET NOT NULL;
ALTER TABLE events ALTER COLUMN log_offset ADD GENERATED ALWAYS AS IDENTITY;
ALTER TABLE events ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE events ALTER COLUMN value SET COMPRESSION pglz;
ALTER TABLE events ADD CHECK (value IS NOT NULL);
ALTER TABLE events ADD PRIMARY KEY ("partition", log_offset);
ALTER TABLE events SET UNLOGGED;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
ALTER TABLE events REPLICA IDENTITY FULL;
ALTER TABLE events CLUSTER ON nothing;
ALTER TABLE plain SET ACCESS METHOD topic;
ALTER TABLE events ALTER COLUMN value SET STATISTICS 10, ADD COLUMN more int;
CREATE POLICY p ON events USING (true);
CLUSTER events;

-- what works as on any table
ALTER TABLE events ALTER COLUMN value SET STATISTICS 10;
ALTER TABLE events ALTER COLUMN value SET (n_distinct = 5);
ALTER TABLE events SET LOGGED;
ALTER TABLE events SET ACCESS METHOD topic;
ALTER TABLE events REPLICA IDENTITY DEFAULT;
ALTER TABLE events DISABLE ROW LEVEL SECURITY;
ALTER TABLE events SET TABLESPACE pg_default;
ALTER TABLE events RENAME TO renamed;
ALTER TABLE renamed RENAME TO events;
CREATE SCHEMA ddl_other;
ALTER TABLE events SET SCHEMA ddl_other;
ALTER TABLE ddl_other.events SET SCHEMA ddl_test;
COMMENT ON TABLE events IS 'a topic';
COMMENT ON COLUMN events.value IS 'its values';
CREATE STATISTICS events_stats ON "partition", key FROM events;
BEGIN;
LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
COMMIT;
REINDEX TABLE events;
VACUUM events;
VACUUM FULL events;
ANALYZE events;
TRUNCATE events;

-- triggers and rules
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RAISE WARNING '% % %', TG_WHEN, TG_OP, TG_LEVEL; RETURN NULL; END $$;
\set VERBOSITY default
CREATE TRIGGER wrong BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION noop();
CREATE RULE wrong AS ON INSERT TO events DO INSTEAD NOTHING;
\set VERBOSITY sqlstate
CREATE TRIGGER wrong AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION noop();
CREATE CONSTRAINT TRIGGER wrong AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noop();
CREATE TRIGGER wrong AFTER INSERT ON events REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION noop();
CREATE TRIGGER wrong BEFORE UPDATE ON events FOR EACH STATEMENT EXECUTE FUNCTION noop();
CREATE TRIGGER wrong AFTER DELETE ON events FOR EACH STATEMENT EXECUTE FUNCTION noop();
-- PostgreSQL 16 and later refuse this one by themselves, with another code
DO $$
BEGIN
	CREATE RULE "_RETURN" AS ON SELECT TO events DO INSTEAD SELECT * FROM bare;
	RAISE 'a rule on a topic';
EXCEPTION WHEN feature_not_supported OR wrong_object_type THEN
END $$;
CREATE TRIGGER fine AFTER INSERT OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION noop();
\set VERBOSITY default
INSERT INTO events (value) VALUES ('a');
TRUNCATE events;
ALTER TABLE events DISABLE TRIGGER fine;

-- queries
UPDATE events SET value = 'x';
DELETE FROM events;
INSERT INTO events (value) VALUES ('a') ON CONFLICT DO NOTHING;
SELECT * FROM events FOR UPDATE;
SELECT * FROM events TABLESAMPLE system (10);
MERGE INTO events USING plain ON false WHEN NOT MATCHED THEN INSERT (value) VALUES ('x');
COPY events FROM '/dev/null' WITH (FREEZE);
\set VERBOSITY sqlstate
EXPLAIN UPDATE events SET value = 'x';
EXPLAIN (ANALYZE) DELETE FROM events;
WITH gone AS (DELETE FROM events RETURNING *) SELECT count(*) FROM gone;
SELECT * FROM (SELECT * FROM events FOR SHARE) s;
SELECT 1 WHERE EXISTS (SELECT 1 FROM events FOR KEY SHARE);
SELECT * FROM plain, events FOR UPDATE;
WITH c AS (SELECT * FROM events FOR NO KEY UPDATE) SELECT * FROM c;
INSERT INTO events (value) VALUES ('a') ON CONFLICT ("partition") DO UPDATE SET value = 'b';
PREPARE wrong AS UPDATE events SET value = $1;
EXECUTE wrong ('x');
CREATE VIEW over_events AS SELECT * FROM events;
UPDATE over_events SET value = 'x';
DELETE FROM over_events;
SELECT * FROM over_events FOR UPDATE;
BEGIN;
DECLARE wrong CURSOR FOR SELECT * FROM events FOR UPDATE;
ROLLBACK;
DO $$ BEGIN DELETE FROM ddl_test.events; END $$;
CREATE FUNCTION wrong() RETURNS void LANGUAGE sql AS 'DELETE FROM ddl_test.events';
SELECT wrong();
\set VERBOSITY default
-- a topic beside the table that is locked or changed is fine
INSERT INTO over_events (value) VALUES ('through a view');
SELECT plain.id, convert_from(value, 'UTF8') FROM plain, events FOR UPDATE OF plain;
UPDATE plain SET t = convert_from(value, 'UTF8') FROM events RETURNING id, t;
MERGE INTO plain USING events ON plain.id = 1 WHEN MATCHED THEN DELETE;
SELECT * FROM plain;

-- publications
SET client_min_messages = error;
CREATE PUBLICATION wrong FOR TABLE events;
\set VERBOSITY sqlstate
CREATE PUBLICATION wrong FOR TABLE plain, events;
CREATE PUBLICATION fine FOR TABLE plain;
ALTER PUBLICATION fine ADD TABLE events;
ALTER PUBLICATION fine SET TABLE events;
DROP PUBLICATION fine;
SET client_min_messages = warning;
\set VERBOSITY default
DO $$
BEGIN
	-- the server's own warning about wal_level depends on the server
	SET LOCAL client_min_messages = error;
	CREATE PUBLICATION ddl_schema FOR TABLES IN SCHEMA ddl_other;
	DROP PUBLICATION ddl_schema;
END $$;

-- dropping forgets the settings, in whatever way it happens
SELECT topic.create('ddl_other.one', 3), topic.create('ddl_other.two', 3);
SELECT relid FROM topic.settings WHERE relid::text LIKE 'ddl\_%' ORDER BY relid::text;
DROP TABLE ddl_other.one;
DROP SCHEMA ddl_other CASCADE;
SELECT relid FROM topic.settings WHERE relid::text LIKE '%ddl\_other%';
SELECT count(*) FROM topic.settings s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relid);

-- the extension's own objects hold on to each other
DROP TABLE topic.settings;
DROP ACCESS METHOD topic;
DROP TYPE topic.header CASCADE;

DROP SCHEMA ddl_test CASCADE;
