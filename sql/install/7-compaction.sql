------------------------------------------------------------------------------
-- Compaction
------------------------------------------------------------------------------

CREATE FUNCTION topic.compact(topic pg_catalog.text,
	OUT removed pg_catalog.int8, OUT bytes_before pg_catalog.int8, OUT bytes_after pg_catalog.int8,
	OUT passes pg_catalog.int8)
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME', 'pgtopic_compact';
COMMENT ON FUNCTION topic.compact(pg_catalog.text) IS
'Compacts a topic with cleanup_policy compact or compact,delete now, without waiting until half of a partition is new: of the messages with the same key only the newest stays. Leaves alone what is younger than min_compaction_lag, what a transaction may still see otherwise, and the newest extent of each partition. Returns how many messages were removed, the size of what was compacted before and after, and how often a partition was written. Takes effect at once and is not undone by ROLLBACK. The owner only. Errors: 42P01, 42809, 42501, 55000 not a compacted topic, 25006. Kafka: the log cleaner.';

CREATE FUNCTION topic.running_compactions()
RETURNS TABLE (relid pg_catalog.oid, pid pg_catalog.int4, started pg_catalog.timestamptz,
	partition pg_catalog.int4, bytes_done pg_catalog.int8, bytes_total pg_catalog.int8)
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'pgtopic_running_compactions';
COMMENT ON FUNCTION topic.running_compactions() IS
'Compactions that run in this database, for view topic.compactions.';

CREATE VIEW topic.compactions WITH (security_barrier) AS
	SELECT t.topic, c.pid, c.started, c.partition, c.bytes_done, c.bytes_total
	FROM topic.running_compactions() c
		JOIN topic.topics t ON t.relid::pg_catalog.oid OPERATOR(pg_catalog.=) c.relid;
COMMENT ON VIEW topic.compactions IS
'Compactions that run now, of the topics in topic.topics.';
COMMENT ON COLUMN topic.compactions.topic IS 'schema.name, quoted where needed.';
COMMENT ON COLUMN topic.compactions.pid IS 'Process that compacts it.';
COMMENT ON COLUMN topic.compactions.started IS 'Since when.';
COMMENT ON COLUMN topic.compactions.partition IS 'Partition that it is at.';
COMMENT ON COLUMN topic.compactions.bytes_done IS 'Bytes of the partition read and written.';
COMMENT ON COLUMN topic.compactions.bytes_total IS 'What that will be, about.';

REVOKE ALL ON FUNCTION topic.compact, topic.running_compactions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION topic.compact, topic.running_compactions TO PUBLIC;
GRANT SELECT ON topic.compactions TO PUBLIC;
