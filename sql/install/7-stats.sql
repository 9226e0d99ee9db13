/* sql/install/7-stats.sql: what goes in and out of topics */

CREATE FUNCTION topic.describe_stats(relid pg_catalog.oid,
	OUT messages_in pg_catalog.int8,
	OUT bytes_in pg_catalog.int8,
	OUT batches_in pg_catalog.int8,
	OUT messages_out pg_catalog.int8,
	OUT bytes_out pg_catalog.int8,
	OUT batches_out pg_catalog.int8,
	OUT since pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgtopic_describe_stats';
COMMENT ON FUNCTION topic.describe_stats(pg_catalog.oid) IS
'What view topic.stat_topics shows of one topic; NULL if the caller may not see it.';

CREATE VIEW topic.stat_topics WITH (security_barrier) AS
	SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS topic,
		n.nspname AS schema_name,
		c.relname AS topic_name,
		c.oid AS relid,
		s.messages_in,
		s.bytes_in,
		s.batches_in,
		s.messages_out,
		s.bytes_out,
		s.batches_out,
		s.since
	FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
		JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace,
		LATERAL topic.describe_stats(c.oid) s
	WHERE a.amname OPERATOR(pg_catalog.=) 'topic'
		AND s.messages_in IS NOT NULL;
COMMENT ON VIEW topic.stat_topics IS
'What went in and out of the topics in topic.topics, on this server, since it started. Kafka: the metrics BrokerTopicMetrics.';
COMMENT ON COLUMN topic.stat_topics.topic IS 'schema.name, quoted where needed.';
COMMENT ON COLUMN topic.stat_topics.schema_name IS 'Schema.';
COMMENT ON COLUMN topic.stat_topics.topic_name IS 'Name within the schema.';
COMMENT ON COLUMN topic.stat_topics.relid IS 'OID of the table.';
COMMENT ON COLUMN topic.stat_topics.messages_in IS 'Messages produced by transactions that have committed or been prepared. Kafka: MessagesInPerSec.';
COMMENT ON COLUMN topic.stat_topics.bytes_in IS 'Their bytes in the log, without what pages and batches add. Kafka: BytesInPerSec.';
COMMENT ON COLUMN topic.stat_topics.batches_in IS 'Batches that they were appended in; messages_in / batches_in says how well producers batch. Kafka: ProduceRequestsPerSec.';
COMMENT ON COLUMN topic.stat_topics.messages_out IS 'Messages returned by topic.fetch(), consume() and take(), again whenever they were returned again; SELECT and topic.tail() are not counted.';
COMMENT ON COLUMN topic.stat_topics.bytes_out IS 'Their bytes, counted as bytes_in. Kafka: BytesOutPerSec.';
COMMENT ON COLUMN topic.stat_topics.batches_out IS 'Calls that returned some of them. Kafka: FetchRequestsPerSec.';
COMMENT ON COLUMN topic.stat_topics.since IS 'When counting began: at the first message since the server started, or since the counters had made room for those of busier topics. NULL = nothing was counted.';

REVOKE ALL ON FUNCTION topic.describe_stats FROM PUBLIC;
GRANT EXECUTE ON FUNCTION topic.describe_stats TO PUBLIC;
GRANT SELECT ON topic.stat_topics TO PUBLIC;
