/* sql/install/1-topics.sql: topics, producing, reading without a group */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pgtopic" to load this file. \quit

-- Refuse at once, and say what to set, on a server that does not preload us.
CREATE FUNCTION topic.check_preloaded() RETURNS void
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_check_preloaded';
SELECT topic.check_preloaded();
DROP FUNCTION topic.check_preloaded();

------------------------------------------------------------------------------
-- Types
------------------------------------------------------------------------------

CREATE TYPE topic.header AS (key pg_catalog.text, value pg_catalog.bytea);
COMMENT ON TYPE topic.header IS
'One header of a message: a key that is never NULL, and bytes or NULL. Order and duplicates are kept. Kafka: Header.';

CREATE TYPE topic.record_metadata AS (
	topic pg_catalog.text,
	partition pg_catalog.int4,
	log_offset pg_catalog.int8
);
COMMENT ON TYPE topic.record_metadata IS
'Where a produced message went: topic as schema.name, partition, and its offset, which is NULL while the message waits for COMMIT. Kafka: RecordMetadata.';

CREATE TYPE topic.produced_range AS (
	topic pg_catalog.text,
	partition pg_catalog.int4,
	first_offset pg_catalog.int8,
	last_offset pg_catalog.int8
);
COMMENT ON TYPE topic.produced_range IS
'Offsets, both ends included, that a transaction''s messages got in one partition.';

CREATE TYPE topic.message AS (
	topic pg_catalog.text,
	partition pg_catalog.int4,
	log_offset pg_catalog.int8,
	"timestamp" pg_catalog.timestamptz,
	key pg_catalog.bytea,
	value pg_catalog.bytea,
	headers topic.header[]
);
COMMENT ON TYPE topic.message IS
'A message as it is read: topic as schema.name, partition, offset, timestamp with ms precision, key, value, headers. Kafka: ConsumerRecord.';

CREATE TYPE topic.message_text AS (
	topic pg_catalog.text,
	partition pg_catalog.int4,
	log_offset pg_catalog.int8,
	"timestamp" pg_catalog.timestamptz,
	key pg_catalog.text,
	value pg_catalog.text,
	headers topic.header[]
);
COMMENT ON TYPE topic.message_text IS
'topic.message with key and value as text in the encoding of the database.';

CREATE TYPE topic.message_json AS (
	topic pg_catalog.text,
	partition pg_catalog.int4,
	log_offset pg_catalog.int8,
	"timestamp" pg_catalog.timestamptz,
	key pg_catalog.text,
	value pg_catalog.jsonb,
	headers topic.header[]
);
COMMENT ON TYPE topic.message_json IS
'topic.message with the key as text in the encoding of the database and the value as JSON.';

------------------------------------------------------------------------------
-- Access method
------------------------------------------------------------------------------

CREATE FUNCTION topic.topic_am_handler(internal) RETURNS pg_catalog.table_am_handler
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'pgtopic_am_handler';
COMMENT ON FUNCTION topic.topic_am_handler(internal) IS
'Handler of access method topic; called by PostgreSQL only.';

CREATE ACCESS METHOD topic TYPE TABLE HANDLER topic.topic_am_handler;
COMMENT ON ACCESS METHOD topic IS
'Append-only tables that are Kafka''s topics: partitions are ordered logs inside one relation. Create them with topic.create().';

------------------------------------------------------------------------------
-- Settings of topics.  A topic without a row has one partition and defaults.
------------------------------------------------------------------------------

CREATE TABLE topic.settings (
	relid pg_catalog.regclass PRIMARY KEY,
	uuid pg_catalog.uuid,
	partitions pg_catalog.int4 CHECK (partitions BETWEEN 1 AND 16384),
	retention_ms pg_catalog.int8 CHECK (retention_ms >= -1),
	retention_bytes pg_catalog.int8 CHECK (retention_bytes >= -1),
	cleanup_policy pg_catalog.text CHECK (cleanup_policy IN ('delete', 'compact', 'compact,delete')),
	max_message_bytes pg_catalog.int4 CHECK (max_message_bytes BETWEEN 1 AND 523239424),
	timestamp_type pg_catalog.text CHECK (timestamp_type IN ('CreateTime', 'LogAppendTime')),
	compression pg_catalog.text CHECK (compression IN ('none', 'lz4', 'zstd')),
	min_compaction_lag_ms pg_catalog.int8 CHECK (min_compaction_lag_ms >= 0),
	delete_retention_ms pg_catalog.int8 CHECK (delete_retention_ms >= 0),
	timestamp_after_max_ms pg_catalog.int8 CHECK (timestamp_after_max_ms >= -1),
	log_ends pg_catalog.int8[]
) USING heap;
SELECT pg_catalog.pg_extension_config_dump('topic.settings', '');

COMMENT ON TABLE topic.settings IS
'Settings of topics, written by topic.create(), topic.alter() and pg_restore. NULL = the default. Read topic.topics instead.';
COMMENT ON COLUMN topic.settings.relid IS 'The topic.';
COMMENT ON COLUMN topic.settings.uuid IS 'The topic''s permanent identity; NULL = the one that its storage was born with. Kafka: topic id.';
COMMENT ON COLUMN topic.settings.partitions IS 'Number of partitions; restored rows in higher partitions raise what is in force. Kafka: partitions.';
COMMENT ON COLUMN topic.settings.retention_ms IS 'How long messages are kept, in ms; -1 = for ever. Kafka: retention.ms.';
COMMENT ON COLUMN topic.settings.retention_bytes IS 'How many bytes a partition keeps; -1 = no limit. Kafka: retention.bytes.';
COMMENT ON COLUMN topic.settings.cleanup_policy IS 'delete, compact, or compact,delete. Kafka: cleanup.policy.';
COMMENT ON COLUMN topic.settings.max_message_bytes IS 'Largest message, in bytes. Kafka: max.message.bytes.';
COMMENT ON COLUMN topic.settings.timestamp_type IS 'CreateTime or LogAppendTime. Kafka: message.timestamp.type.';
COMMENT ON COLUMN topic.settings.compression IS 'none, lz4 or zstd. Kafka: compression.type.';
COMMENT ON COLUMN topic.settings.min_compaction_lag_ms IS 'Age in ms before which a message is not compacted. Kafka: min.compaction.lag.ms.';
COMMENT ON COLUMN topic.settings.delete_retention_ms IS 'How long tombstones are kept, in ms. Kafka: delete.retention.ms.';
COMMENT ON COLUMN topic.settings.timestamp_after_max_ms IS 'How far ahead of now a CreateTime may be, in ms; -1 = any. Kafka: message.timestamp.after.max.ms.';

COMMENT ON COLUMN topic.settings.log_ends IS 'In dumps only: where partitions without messages end. COPY topic.settings TO reads topic.settings_to_dump().';

CREATE FUNCTION topic.settings_changed() RETURNS trigger
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_settings_changed';
COMMENT ON FUNCTION topic.settings_changed() IS
'Trigger function of topic.settings: makes all sessions read a topic''s settings anew.';

CREATE TRIGGER settings_changed AFTER INSERT OR UPDATE OR DELETE ON topic.settings
	FOR EACH ROW EXECUTE FUNCTION topic.settings_changed();
COMMENT ON TRIGGER settings_changed ON topic.settings IS
'Makes all sessions read the settings anew, also after pg_restore.';

------------------------------------------------------------------------------
-- Topics
------------------------------------------------------------------------------

CREATE FUNCTION topic.create(topic pg_catalog.text,
	partitions pg_catalog.int4 DEFAULT 1,
	retention pg_catalog.interval DEFAULT '7 days',
	retention_bytes pg_catalog.int8 DEFAULT NULL,
	cleanup_policy pg_catalog.text DEFAULT 'delete',
	max_message_bytes pg_catalog.int4 DEFAULT 1048576,
	timestamp_type pg_catalog.text DEFAULT 'CreateTime',
	compression pg_catalog.text DEFAULT 'none',
	min_compaction_lag pg_catalog.interval DEFAULT '0',
	delete_retention pg_catalog.interval DEFAULT '1 day',
	timestamp_after_max pg_catalog.interval DEFAULT '1 hour',
	if_not_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_create';
COMMENT ON FUNCTION topic.create(pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.int8, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval, pg_catalog.bool) IS
'Creates a topic, in the named schema or the first one of search_path, and returns it; needs CREATE on the schema. retention NULL or -1 = for ever, retention_bytes (per partition) NULL or -1 = no limit, timestamp_after_max -1 = any; NULL elsewhere = the default. A month counts 30 days, a year 360. cleanup_policy: delete, compact, compact,delete; timestamp_type: CreateTime, LogAppendTime; compression: none, lz4, zstd. Errors: 22023 bad value, 54000 more than 16384 partitions, 42P07 exists (a notice with if_not_exists), 42501 not permitted. Kafka: kafka-topics --create.';

CREATE FUNCTION topic.alter(topic pg_catalog.text,
	partitions pg_catalog.int4 DEFAULT NULL,
	retention pg_catalog.interval DEFAULT NULL,
	retention_bytes pg_catalog.int8 DEFAULT NULL,
	cleanup_policy pg_catalog.text DEFAULT NULL,
	max_message_bytes pg_catalog.int4 DEFAULT NULL,
	timestamp_type pg_catalog.text DEFAULT NULL,
	compression pg_catalog.text DEFAULT NULL,
	min_compaction_lag pg_catalog.interval DEFAULT NULL,
	delete_retention pg_catalog.interval DEFAULT NULL,
	timestamp_after_max pg_catalog.interval DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_alter';
COMMENT ON FUNCTION topic.alter(pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.int8, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval) IS
'Changes settings of a topic; NULL leaves a setting as it is. retention => ''-1'' = for ever, retention_bytes => -1 = no limit, timestamp_after_max => ''-1'' = any. Partitions only grow, and new ones are empty: keys may go to other partitions from then on. The owner only. Errors: 42P01 unknown topic, 42809 not a topic, 42501 not the owner, 22023 bad value or fewer partitions, 54000 more than 16384. Kafka: kafka-configs --alter, kafka-topics --alter.';

CREATE FUNCTION topic.alter_reset(topic pg_catalog.text, VARIADIC settings pg_catalog.text[])
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_alter_reset';
COMMENT ON FUNCTION topic.alter_reset(pg_catalog.text, pg_catalog.text[]) IS
'Sets the named settings of a topic back to their defaults, those of topic.create(); partitions cannot be reset. The owner only. Errors: 42P01, 42809, 42501 as topic.alter(), 22023 no such setting. Kafka: kafka-configs --delete-config.';

CREATE FUNCTION topic.drop(topic pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_drop';
COMMENT ON FUNCTION topic.drop(pg_catalog.text, pg_catalog.bool) IS
'Drops a topic with all its messages; the same as DROP TABLE. The owner only. Errors: 42P01 unknown topic (a notice with if_exists), 42809 not a topic, 42501 not the owner, 2BP01 a view or the like needs it. Kafka: kafka-topics --delete.';

CREATE FUNCTION topic.delete_records(topic pg_catalog.text, partition pg_catalog.int4, before_offset pg_catalog.int8)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_delete_records';
COMMENT ON FUNCTION topic.delete_records(pg_catalog.text, pg_catalog.int4, pg_catalog.int8) IS
'Removes all messages of a partition below before_offset; -1 = up to the first unfinished transaction. Never passes an unfinished transaction. Takes effect at once and is not undone by ROLLBACK. Returns the new log start offset. Needs TRUNCATE on the topic. Errors: 42P01, 42809, 42501, 22023 bad partition or offset, TP001 past the log end. Kafka: kafka-delete-records.';

CREATE FUNCTION topic.list_offsets(topic pg_catalog.text, at pg_catalog.timestamptz DEFAULT NULL)
RETURNS TABLE (partition pg_catalog.int4, log_start_offset pg_catalog.int8,
	last_stable_offset pg_catalog.int8, log_end_offset pg_catalog.int8, offset_at pg_catalog.int8)
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_list_offsets';
COMMENT ON FUNCTION topic.list_offsets(pg_catalog.text, pg_catalog.timestamptz) IS
'One row per partition: first offset still there, first offset whose transaction is open, offset that the next message gets, and the first offset with timestamp >= at (NULL if there is none). Needs SELECT on the topic. Errors: 42P01, 42809, 42501. Kafka: ListOffsets, kafka-get-offsets.';

CREATE FUNCTION topic.verify(topic pg_catalog.text) RETURNS SETOF pg_catalog.text
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_verify';
COMMENT ON FUNCTION topic.verify(pg_catalog.text) IS
'Checks pages, extents, offsets, counts and CRCs of a topic; one row per fault, no row = sound. Reads the whole topic. Needs SELECT on it. Errors: 42P01, 42809, 42501.';

------------------------------------------------------------------------------
-- Producing
------------------------------------------------------------------------------

CREATE FUNCTION topic.produce(topic pg_catalog.text, value pg_catalog.text,
	key pg_catalog.text DEFAULT NULL, headers pg_catalog.jsonb DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL, event_time pg_catalog.timestamptz DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS topic.record_metadata
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgtopic_produce_text';
COMMENT ON FUNCTION topic.produce(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces one message with a text value; it is appended when the transaction commits (or at once with pgtopic.append_at = call). key NULL = any partition, else murmur2(key) as in Kafka; headers: an object, or an array of [key, value] pairs; event_time NULL = now. producer_id with sequence: a sequence that this producer has already committed in the partition is not produced again (log_offset is NULL), the next one is, any other is 22023; a lower producer_epoch (NULL = 0) than it has used is 55000, a higher one begins with sequence 0. expected_offset: 40001 unless the message gets this offset. Both need a partition or a key. Needs INSERT on the topic. Errors: 42P01 unknown topic, 42809 not a topic, 42501, 22023 bad partition or headers, 22008 event_time too far ahead, 54000 too large, 25006 read-only. Kafka: Producer.send.';

CREATE FUNCTION topic.produce(topic pg_catalog.text, value pg_catalog.json,
	key pg_catalog.text DEFAULT NULL, headers pg_catalog.jsonb DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL, event_time pg_catalog.timestamptz DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS topic.record_metadata
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgtopic_produce_json';
COMMENT ON FUNCTION topic.produce(pg_catalog.text, pg_catalog.json, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces one message whose value is JSON, as written. Otherwise as topic.produce with a text value. Kafka: Producer.send.';

CREATE FUNCTION topic.produce(topic pg_catalog.text, value pg_catalog.jsonb,
	key pg_catalog.text DEFAULT NULL, headers pg_catalog.jsonb DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL, event_time pg_catalog.timestamptz DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS topic.record_metadata
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgtopic_produce_jsonb';
COMMENT ON FUNCTION topic.produce(pg_catalog.text, pg_catalog.jsonb, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces one message whose value is the text of a jsonb. Otherwise as topic.produce with a text value. Kafka: Producer.send.';

CREATE FUNCTION topic.produce(topic pg_catalog.text, value pg_catalog.bytea,
	key pg_catalog.text DEFAULT NULL, headers pg_catalog.jsonb DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL, event_time pg_catalog.timestamptz DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS topic.record_metadata
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgtopic_produce_bytea';
COMMENT ON FUNCTION topic.produce(pg_catalog.text, pg_catalog.bytea, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces one message whose value is bytes. Otherwise as topic.produce with a text value. Kafka: Producer.send.';

CREATE FUNCTION topic.produce_record(topic pg_catalog.text, value pg_catalog.bytea,
	key pg_catalog.bytea DEFAULT NULL, headers topic.header[] DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL, event_time pg_catalog.timestamptz DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS topic.record_metadata
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgtopic_produce_record';
COMMENT ON FUNCTION topic.produce_record(pg_catalog.text, pg_catalog.bytea, pg_catalog.bytea, topic.header[], pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces one message with key, value and header values as bytes. Otherwise as topic.produce. Kafka: ProducerRecord<byte[], byte[]>.';

CREATE FUNCTION topic.produce_batch(topic pg_catalog.text, messages pg_catalog.text[],
	keys pg_catalog.text[] DEFAULT NULL, headers pg_catalog.jsonb[] DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_produce_batch';
COMMENT ON FUNCTION topic.produce_batch(pg_catalog.text, pg_catalog.text[], pg_catalog.text[], pg_catalog.jsonb[], pg_catalog.int4, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces an array of messages with text values, in order; keys and headers are NULL or arrays of the same length (22023). Returns the number of messages. With producer_id or expected_offset, which are the first message''s and count up, partition must be given; an array that was produced before returns 0, one of which only a part was is 22023. Otherwise as topic.produce.';

CREATE FUNCTION topic.produce_batch_json(topic pg_catalog.text, messages pg_catalog.jsonb[],
	keys pg_catalog.text[] DEFAULT NULL, headers pg_catalog.jsonb[] DEFAULT NULL,
	partition pg_catalog.int4 DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_produce_batch_json';
COMMENT ON FUNCTION topic.produce_batch_json(pg_catalog.text, pg_catalog.jsonb[], pg_catalog.text[], pg_catalog.jsonb[], pg_catalog.int4, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces an array of messages with JSON values, in order. Otherwise as topic.produce_batch.';

CREATE FUNCTION topic.produce_batch_bytes(topic pg_catalog.text, messages pg_catalog.bytea[],
	keys pg_catalog.bytea[] DEFAULT NULL, partition pg_catalog.int4 DEFAULT NULL,
	producer_id pg_catalog.text DEFAULT NULL, sequence pg_catalog.int8 DEFAULT NULL,
	expected_offset pg_catalog.int8 DEFAULT NULL, producer_epoch pg_catalog.int4 DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_produce_batch_bytes';
COMMENT ON FUNCTION topic.produce_batch_bytes(pg_catalog.text, pg_catalog.bytea[], pg_catalog.bytea[], pg_catalog.int4, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4) IS
'Produces an array of messages whose keys and values are bytes, in order. Otherwise as topic.produce_batch.';

CREATE FUNCTION topic.last_produced() RETURNS SETOF topic.produced_range
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_last_produced';
COMMENT ON FUNCTION topic.last_produced() IS
'The offsets that the messages of this session''s last committed transaction that produced have got: one row per topic and partition.';

------------------------------------------------------------------------------
-- Consuming without a group
------------------------------------------------------------------------------

CREATE FUNCTION topic.fetch(topic pg_catalog.text, partition pg_catalog.int4, from_offset pg_catalog.int8,
	max_messages pg_catalog.int4 DEFAULT 500, timeout pg_catalog.interval DEFAULT '0',
	max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_fetch';
COMMENT ON FUNCTION topic.fetch(pg_catalog.text, pg_catalog.int4, pg_catalog.int8, pg_catalog.int4, pg_catalog.interval, pg_catalog.int4) IS
'Messages of a partition from an offset on, in order, below the first unfinished transaction; at most max_messages and about max_bytes, but at least one if there is one. At the end it waits up to timeout for the first. Needs SELECT on the topic. Errors: 42P01, 42809, 42501, 22023 bad partition or limit, TP001 below the log start or past the end. Kafka: Consumer.assign, seek, poll.';

CREATE FUNCTION topic.fetch_text(topic pg_catalog.text, partition pg_catalog.int4, from_offset pg_catalog.int8,
	max_messages pg_catalog.int4 DEFAULT 500, timeout pg_catalog.interval DEFAULT '0',
	max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message_text
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_fetch_text';
COMMENT ON FUNCTION topic.fetch_text(pg_catalog.text, pg_catalog.int4, pg_catalog.int8, pg_catalog.int4, pg_catalog.interval, pg_catalog.int4) IS
'As topic.fetch, with key and value as text; bytes that are not valid in the encoding of the database are an error (22021) that names topic, partition and offset.';

CREATE FUNCTION topic.fetch_json(topic pg_catalog.text, partition pg_catalog.int4, from_offset pg_catalog.int8,
	max_messages pg_catalog.int4 DEFAULT 500, timeout pg_catalog.interval DEFAULT '0',
	max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message_json
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_fetch_json';
COMMENT ON FUNCTION topic.fetch_json(pg_catalog.text, pg_catalog.int4, pg_catalog.int8, pg_catalog.int4, pg_catalog.interval, pg_catalog.int4) IS
'As topic.fetch, with the key as text and the value as jsonb; a message that is not JSON is an error (22P02) that names its topic, partition and offset.';

CREATE FUNCTION topic.tail(topic pg_catalog.text, n pg_catalog.int4 DEFAULT 10,
	timeout pg_catalog.interval DEFAULT '0')
RETURNS SETOF topic.message
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_tail';
COMMENT ON FUNCTION topic.tail(pg_catalog.text, pg_catalog.int4, pg_catalog.interval) IS
'The last n messages of all partitions by timestamp; waits up to timeout if there is none. Needs SELECT on the topic. Errors: 42P01, 42809, 42501, 22023. Kafka: kafka-console-consumer, roughly.';

------------------------------------------------------------------------------
-- What there is
------------------------------------------------------------------------------

CREATE FUNCTION topic.describe(relid pg_catalog.oid,
	OUT uuid pg_catalog.uuid,
	OUT partitions pg_catalog.int4,
	OUT retention pg_catalog.interval,
	OUT retention_bytes pg_catalog.int8,
	OUT cleanup_policy pg_catalog.text,
	OUT max_message_bytes pg_catalog.int4,
	OUT timestamp_type pg_catalog.text,
	OUT compression pg_catalog.text,
	OUT min_compaction_lag pg_catalog.interval,
	OUT delete_retention pg_catalog.interval,
	OUT timestamp_after_max pg_catalog.interval,
	OUT size pg_catalog.int8)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_describe';
COMMENT ON FUNCTION topic.describe(pg_catalog.oid) IS
'Settings in force and size on disk, in bytes, of one topic; all NULL if there is no such topic or the caller may not see it. Used by view topic.topics.';

CREATE FUNCTION topic.describe_partitions(relid pg_catalog.oid)
RETURNS TABLE (partition pg_catalog.int4, log_start_offset pg_catalog.int8,
	last_stable_offset pg_catalog.int8, log_end_offset pg_catalog.int8, leader_epoch pg_catalog.int8)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_describe_partitions';
COMMENT ON FUNCTION topic.describe_partitions(pg_catalog.oid) IS
'Partitions of one topic; no row if there is no such topic or the caller may not see it. Used by view topic.partitions.';

CREATE FUNCTION topic.log_ends(relid pg_catalog.oid) RETURNS pg_catalog.int8[]
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_log_ends';
COMMENT ON FUNCTION topic.log_ends(pg_catalog.oid) IS
'Log ends of the partitions of a topic that have begun but hold no message, NULL for the others; NULL if the caller may not see the topic. Used by topic.settings_to_dump().';

-- No view, since pg_dump refuses to read views here.
CREATE FUNCTION topic.settings_to_dump() RETURNS SETOF topic.settings
LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
	SELECT s.relid, s.uuid, s.partitions, s.retention_ms, s.retention_bytes, s.cleanup_policy,
		s.max_message_bytes, s.timestamp_type, s.compression, s.min_compaction_lag_ms,
		s.delete_retention_ms, s.timestamp_after_max_ms, topic.log_ends(s.relid)
	FROM topic.settings s
	UNION ALL
	SELECT c.oid::pg_catalog.regclass, d.uuid, d.partitions, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL,
		NULL, NULL, topic.log_ends(c.oid)
	FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
			AND a.amname OPERATOR(pg_catalog.=) 'topic',
		LATERAL topic.describe(c.oid) d
	WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND d.uuid IS NOT NULL
		AND NOT EXISTS (SELECT FROM topic.settings s
			WHERE s.relid::pg_catalog.oid OPERATOR(pg_catalog.=) c.oid)
$$;
COMMENT ON FUNCTION topic.settings_to_dump() IS
'What COPY topic.settings TO reads, and so pg_dump: the settings, the identity of topics without settings, and the ends of partitions without messages. Needs SELECT on topic.settings.';

CREATE VIEW topic.topics WITH (security_barrier) AS
	SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS topic,
		n.nspname AS schema_name,
		c.relname AS topic_name,
		c.oid AS relid,
		d.uuid,
		pg_catalog.pg_get_userbyid(c.relowner) AS owner,
		d.partitions,
		d.retention,
		d.retention_bytes,
		d.cleanup_policy,
		d.max_message_bytes,
		d.timestamp_type,
		d.compression,
		d.min_compaction_lag,
		d.delete_retention,
		d.timestamp_after_max,
		d.size
	FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace,
		LATERAL topic.describe(c.oid) d
	WHERE a.amname OPERATOR(pg_catalog.=) 'topic'
		AND d.partitions IS NOT NULL;
COMMENT ON VIEW topic.topics IS
'Topics that the reader owns, has any privilege on, or may see as a member of pg_read_all_stats. Kafka: kafka-topics --describe, kafka-configs --describe.';
COMMENT ON COLUMN topic.topics.topic IS 'schema.name, quoted where needed.';
COMMENT ON COLUMN topic.topics.schema_name IS 'Schema.';
COMMENT ON COLUMN topic.topics.topic_name IS 'Name within the schema.';
COMMENT ON COLUMN topic.topics.relid IS 'OID of the table.';
COMMENT ON COLUMN topic.topics.uuid IS 'Permanent identity; a dropped and re-created topic has another. Kafka: topic id.';
COMMENT ON COLUMN topic.topics.owner IS 'Role that owns the topic.';
COMMENT ON COLUMN topic.topics.partitions IS 'Number of partitions.';
COMMENT ON COLUMN topic.topics.retention IS 'How long messages are kept; NULL = for ever. Kafka: retention.ms.';
COMMENT ON COLUMN topic.topics.retention_bytes IS 'How many bytes a partition keeps; NULL = no limit. Kafka: retention.bytes.';
COMMENT ON COLUMN topic.topics.cleanup_policy IS 'delete, compact, or compact,delete. Kafka: cleanup.policy.';
COMMENT ON COLUMN topic.topics.max_message_bytes IS 'Largest message, in bytes. Kafka: max.message.bytes.';
COMMENT ON COLUMN topic.topics.timestamp_type IS 'CreateTime or LogAppendTime. Kafka: message.timestamp.type.';
COMMENT ON COLUMN topic.topics.compression IS 'none, lz4 or zstd. Kafka: compression.type.';
COMMENT ON COLUMN topic.topics.min_compaction_lag IS 'Age before which a message is not compacted. Kafka: min.compaction.lag.ms.';
COMMENT ON COLUMN topic.topics.delete_retention IS 'How long tombstones are kept. Kafka: delete.retention.ms.';
COMMENT ON COLUMN topic.topics.timestamp_after_max IS 'How far ahead of now a CreateTime may be; NULL = any. Kafka: message.timestamp.after.max.ms.';
COMMENT ON COLUMN topic.topics.size IS 'Bytes on disk.';

CREATE VIEW topic.partitions WITH (security_barrier) AS
	SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS topic,
		p.partition,
		p.log_start_offset,
		p.last_stable_offset,
		p.log_end_offset,
		p.leader_epoch
	FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace,
		LATERAL topic.describe_partitions(c.oid) p
	WHERE a.amname OPERATOR(pg_catalog.=) 'topic';
COMMENT ON VIEW topic.partitions IS
'Partitions of the topics in topic.topics, with their bounds. Kafka: kafka-get-offsets.';
COMMENT ON COLUMN topic.partitions.topic IS 'schema.name, quoted where needed.';
COMMENT ON COLUMN topic.partitions.partition IS 'Partition number, from 0.';
COMMENT ON COLUMN topic.partitions.log_start_offset IS 'First offset that retention or topic.delete_records() has left.';
COMMENT ON COLUMN topic.partitions.last_stable_offset IS 'First offset whose transaction is still open; consumers read below it.';
COMMENT ON COLUMN topic.partitions.log_end_offset IS 'Offset that the next message gets.';
COMMENT ON COLUMN topic.partitions.leader_epoch IS 'WAL timeline of the newest page: rises with promotion and point-in-time recovery. Kafka: leader epoch.';

------------------------------------------------------------------------------
-- Permissions: what PUBLIC may call checks for itself
------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA topic FROM PUBLIC;
GRANT USAGE ON SCHEMA topic TO PUBLIC;
GRANT SELECT ON topic.topics, topic.partitions TO PUBLIC;
GRANT EXECUTE ON FUNCTION
	topic.create, topic.alter, topic.alter_reset, topic.drop, topic.delete_records,
	topic.list_offsets, topic.verify,
	topic.produce(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4),
	topic.produce(pg_catalog.text, pg_catalog.json, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4),
	topic.produce(pg_catalog.text, pg_catalog.jsonb, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4),
	topic.produce(pg_catalog.text, pg_catalog.bytea, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int4, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int4),
	topic.produce_record, topic.produce_batch, topic.produce_batch_json, topic.produce_batch_bytes,
	topic.last_produced, topic.fetch, topic.fetch_text, topic.fetch_json, topic.tail,
	topic.describe, topic.describe_partitions, topic.log_ends, topic.settings_to_dump
TO PUBLIC;
