/* sql/install/6-producers.sql: producers that number their messages */

------------------------------------------------------------------------------
-- What is kept of them.  pg_dump takes it along: COPY ... TO reads
-- topic.producer_states_to_dump() instead of the table.
------------------------------------------------------------------------------

CREATE TABLE topic.producer_states (
	producer_id pg_catalog.text COLLATE "C",
	topic pg_catalog.uuid,
	partition pg_catalog.int4,
	slot pg_catalog.int8 NOT NULL,
	key pg_catalog.int8 NOT NULL,
	epoch pg_catalog.int4,
	sequence pg_catalog.int8,
	last_used pg_catalog.timestamptz,
	PRIMARY KEY (producer_id, topic, partition)
) USING heap;
CREATE INDEX producer_states_topic ON topic.producer_states (topic);
COMMENT ON INDEX topic.producer_states_topic IS 'For DROP TABLE of a topic.';
SELECT pg_catalog.pg_extension_config_dump('topic.producer_states', '');
COMMENT ON TABLE topic.producer_states IS
'In which slot of topic.offset_slots the state of an idempotent producer in a partition is. Read topic.producers instead.';
COMMENT ON COLUMN topic.producer_states.producer_id IS 'What the producer calls itself.';
COMMENT ON COLUMN topic.producer_states.topic IS 'UUID of the topic.';
COMMENT ON COLUMN topic.producer_states.partition IS 'Partition number.';
COMMENT ON COLUMN topic.producer_states.slot IS 'Number of the slot.';
COMMENT ON COLUMN topic.producer_states.key IS 'A number that no other row ever had; the slot has it, too.';
COMMENT ON COLUMN topic.producer_states.epoch IS 'In dumps only: the producer''s epoch.';
COMMENT ON COLUMN topic.producer_states.sequence IS 'In dumps only: its last sequence.';
COMMENT ON COLUMN topic.producer_states.last_used IS 'In dumps only: when it was last used.';

-- The library writes it; nobody else is to.
REVOKE ALL ON topic.producer_states FROM PUBLIC;

CREATE FUNCTION topic.producer_restored() RETURNS trigger
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_producer_restored';
COMMENT ON FUNCTION topic.producer_restored() IS
'Trigger function of topic.producer_states: puts the state of a dump into a slot.';
CREATE TRIGGER producer_restored BEFORE INSERT ON topic.producer_states
	FOR EACH ROW EXECUTE FUNCTION topic.producer_restored();
COMMENT ON TRIGGER producer_restored ON topic.producer_states IS
'Puts the state of a dump into a slot.';
-- Also where logical replication brings rows: slots of another server mean nothing here.
ALTER TABLE topic.producer_states ENABLE ALWAYS TRIGGER producer_restored;

CREATE FUNCTION topic.producer_to_dump(producer_id pg_catalog.text, topic pg_catalog.uuid,
	partition pg_catalog.int4, slot pg_catalog.int8, key pg_catalog.int8,
	OUT epoch pg_catalog.int4, OUT sequence pg_catalog.int8, OUT last_used pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgtopic_producer_to_dump';
COMMENT ON FUNCTION topic.producer_to_dump(pg_catalog.text, pg_catalog.uuid, pg_catalog.int4, pg_catalog.int8, pg_catalog.int8) IS
'The state in a slot, NULL if there is none. Used by topic.producer_states_to_dump().';

CREATE FUNCTION topic.producer_states_to_dump() RETURNS SETOF topic.producer_states
LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
	SELECT p.producer_id, p.topic, p.partition, NULL::pg_catalog.int8, NULL::pg_catalog.int8,
		d.epoch, d.sequence, d.last_used
	FROM topic.producer_states p,
		LATERAL topic.producer_to_dump(p.producer_id, p.topic, p.partition, p.slot, p.key) d
	WHERE d.sequence IS NOT NULL
$$;
COMMENT ON FUNCTION topic.producer_states_to_dump() IS
'What COPY topic.producer_states TO reads, and so pg_dump: the states instead of the slots they are in. Needs SELECT on the table.';

------------------------------------------------------------------------------
-- For operators
------------------------------------------------------------------------------

CREATE FUNCTION topic.expire_producers(unused_for pg_catalog.interval DEFAULT NULL) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_expire_producers';
COMMENT ON FUNCTION topic.expire_producers(pg_catalog.interval) IS
'Forgets what idempotent producers that have not produced for so long had as their last sequences; NULL = for pgtopic.producer_expiration. Waits for nobody. Returns how many states were deleted: call it again, in another transaction, until it returns 0. Superusers, and whom they grant EXECUTE. Errors: 25006 read-only. Kafka: producer.id.expiration.ms.';

CREATE VIEW topic.producers WITH (security_barrier) AS
	SELECT p.producer_id, t.topic, p.partition,
		(s.lost OPERATOR(pg_catalog.>>) 32)::pg_catalog.int4 AS epoch,
		s.log_offset AS last_sequence,
		pg_catalog.to_timestamp((s.lost OPERATOR(pg_catalog.&) 4294967295)::pg_catalog.float8) AS last_used
	FROM topic.producer_states p
		JOIN topic.offset_slots s ON s.slot OPERATOR(pg_catalog.=) p.slot AND s.key OPERATOR(pg_catalog.=) p.key
		JOIN topic.topics t ON t.uuid OPERATOR(pg_catalog.=) p.topic;
COMMENT ON VIEW topic.producers IS
'Idempotent producers in the topics of topic.topics: a row for each partition that they have produced to with a producer_id.';
COMMENT ON COLUMN topic.producers.producer_id IS 'What the producer calls itself. Kafka: producer id.';
COMMENT ON COLUMN topic.producers.topic IS 'schema.name, quoted where needed.';
COMMENT ON COLUMN topic.producers.partition IS 'Partition number.';
COMMENT ON COLUMN topic.producers.epoch IS 'The highest producer_epoch that was used.';
COMMENT ON COLUMN topic.producers.last_sequence IS 'The last sequence that was committed in this epoch.';
COMMENT ON COLUMN topic.producers.last_used IS 'When that was, to the second.';

REVOKE ALL ON FUNCTION topic.producer_restored, topic.expire_producers FROM PUBLIC;
GRANT SELECT ON topic.producers TO PUBLIC;
