/* sql/install/4-consuming.sql: reading and committing in a consumer group */

CREATE TYPE topic.committed AS (
	topic pg_catalog.text,
	partition pg_catalog.int4,
	log_offset pg_catalog.int8
);
COMMENT ON TYPE topic.committed IS
'An offset that COMMIT stores for a group: topic as schema.name, partition, and the offset of the next message to read. Kafka: OffsetAndMetadata.';

------------------------------------------------------------------------------
-- Reading
------------------------------------------------------------------------------

CREATE FUNCTION topic.consume(group_id pg_catalog.text, max_messages pg_catalog.int4 DEFAULT 500,
	timeout pg_catalog.interval DEFAULT '0', max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_consume';
COMMENT ON FUNCTION topic.consume(pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.int4) IS
'The next messages of the partitions that are assigned to this session, partition by partition in offset order; at most max_messages and about max_bytes, but at least one if there is one. If there is none it waits up to timeout. The position moves past all of them, and back if the transaction or savepoint rolls back; topic.commit() stores it. Needs topic.subscribe() before, and SELECT on the topics. Errors: TP002 not subscribed or removed, TP001 no offset and auto_offset_reset none, 42501, 22023, 25006, 0A000 when pgtopic.session_groups is off. Kafka: Consumer.poll.';

CREATE FUNCTION topic.consume_text(group_id pg_catalog.text, max_messages pg_catalog.int4 DEFAULT 500,
	timeout pg_catalog.interval DEFAULT '0', max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message_text
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_consume_text';
COMMENT ON FUNCTION topic.consume_text(pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.int4) IS
'As topic.consume, with key and value as text; bytes that are not valid in the encoding of the database are an error (22021) that names topic, partition and offset.';

CREATE FUNCTION topic.consume_json(group_id pg_catalog.text, max_messages pg_catalog.int4 DEFAULT 500,
	timeout pg_catalog.interval DEFAULT '0', max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message_json
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_consume_json';
COMMENT ON FUNCTION topic.consume_json(pg_catalog.text, pg_catalog.int4, pg_catalog.interval, pg_catalog.int4) IS
'As topic.consume, with the key as text and the value as jsonb; a message that is not JSON is an error (22P02) that names its topic, partition and offset.';

CREATE FUNCTION topic.take(group_id pg_catalog.text, topics pg_catalog.text[],
	max_messages pg_catalog.int4 DEFAULT 500, max_bytes pg_catalog.int4 DEFAULT 52428800)
RETURNS SETOF topic.message
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 500 AS 'MODULE_PATHNAME', 'pgtopic_take';
COMMENT ON FUNCTION topic.take(pg_catalog.text, pg_catalog.text[], pg_catalog.int4, pg_catalog.int4) IS
'Consumes without a session: claims partitions of the topics that have messages and that nobody holds, and returns their messages from the committed offset on. topic.commit(group_id) stores how far it came; the end of the transaction gives the partitions back. Never waits for another taker. Needs SELECT on the topics. Errors: TP004 sessions have subscribed to the group, 42P01, 42809, 42501, 22023, 25006.';

CREATE PROCEDURE topic.wait(group_id pg_catalog.text, timeout pg_catalog.interval)
LANGUAGE C AS 'MODULE_PATHNAME', 'pgtopic_group_wait';
COMMENT ON PROCEDURE topic.wait(pg_catalog.text, pg_catalog.interval) IS
'Returns when there are messages for this member, when its assignment has changed, or after timeout. Holds no snapshot and no lock while it waits. Errors: TP002 not subscribed or removed, 25001 inside a transaction block.';

------------------------------------------------------------------------------
-- Positions
------------------------------------------------------------------------------

CREATE FUNCTION topic.commit(group_id pg_catalog.text)
RETURNS SETOF topic.committed
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_commit';
COMMENT ON FUNCTION topic.commit(pg_catalog.text) IS
'Stores, with COMMIT of this transaction, every position of this member that has moved since the last commit, and returns them. Errors: TP002 not subscribed or removed, TP003 a partition was taken away meanwhile, 25006. Kafka: Consumer.commitSync.';

CREATE FUNCTION topic.commit(group_id pg_catalog.text, topic pg_catalog.text, partition pg_catalog.int4,
	next_offset pg_catalog.int8, metadata pg_catalog.text DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_commit_offset';
COMMENT ON FUNCTION topic.commit(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int8, pg_catalog.text) IS
'Stores one offset, of the next message to read, with COMMIT of this transaction; the position stays where it is, and going back is allowed. Without a subscription: for a group that has no members. Errors: TP003 the partition is not assigned, TP002 not subscribed and the group has members, 22023 negative or past the log end, 42P01, 42809, 42501, 25006. Kafka: Consumer.commitSync with offsets, kafka-consumer-groups --reset-offsets.';

CREATE FUNCTION topic.seek(group_id pg_catalog.text, topic pg_catalog.text, partition pg_catalog.int4,
	to_offset pg_catalog.int8)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_seek';
COMMENT ON FUNCTION topic.seek(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int8) IS
'Sets the position of an assigned partition; undone by ROLLBACK. Errors: TP002, TP003 not assigned, TP001 below the log start or past the end, 42P01, 42809, 42501, 22023. Kafka: Consumer.seek.';

CREATE FUNCTION topic.seek_to(group_id pg_catalog.text, target pg_catalog.text,
	topic pg_catalog.text DEFAULT NULL, partition pg_catalog.int4 DEFAULT NULL)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_seek_to';
COMMENT ON FUNCTION topic.seek_to(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4) IS
'Sets the position of all assigned partitions, or of those of a topic or with a number, to earliest, latest, committed, or the first message at or after a timestamp (latest if there is none); undone by ROLLBACK. Errors: TP002, TP003 the partition named is not assigned, 22023 no such target. Kafka: Consumer.seekToBeginning, seekToEnd, offsetsForTimes.';

CREATE FUNCTION topic.pause(group_id pg_catalog.text, topic pg_catalog.text, partition pg_catalog.int4)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_pause';
COMMENT ON FUNCTION topic.pause(pg_catalog.text, pg_catalog.text, pg_catalog.int4) IS
'Consume returns nothing of the partition until topic.resume() or the next assignment; acts at once and is not undone by ROLLBACK. Errors: TP002, TP003 not assigned. Kafka: Consumer.pause.';

CREATE FUNCTION topic.resume(group_id pg_catalog.text, topic pg_catalog.text, partition pg_catalog.int4)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_resume';
COMMENT ON FUNCTION topic.resume(pg_catalog.text, pg_catalog.text, pg_catalog.int4) IS
'Ends topic.pause(). Kafka: Consumer.resume.';
