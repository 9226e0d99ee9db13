/* sql/install/2-slots.sql: where committed offsets and states of producers are */

------------------------------------------------------------------------------
-- Access method
------------------------------------------------------------------------------

CREATE FUNCTION topic.slots_am_handler(internal) RETURNS pg_catalog.table_am_handler
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'pgtopic_slots_am_handler';
COMMENT ON FUNCTION topic.slots_am_handler(internal) IS
'Handler of access method topic_slots; called by PostgreSQL only.';
REVOKE ALL ON FUNCTION topic.slots_am_handler(internal) FROM PUBLIC;

CREATE ACCESS METHOD topic_slots TYPE TABLE HANDLER topic.slots_am_handler;
COMMENT ON ACCESS METHOD topic_slots IS
'Numbers that are overwritten in place, transactionally and without dead rows: committed offsets of groups, last sequences of producers. For topic.offset_slots only.';

------------------------------------------------------------------------------
-- Committed offsets, and states of producers.  Not dumped as they stand:
-- topic.group_offsets and topic.producer_states say whose they are.
------------------------------------------------------------------------------

CREATE TABLE topic.offset_slots (
	slot pg_catalog.int8,
	key pg_catalog.int8,
	log_offset pg_catalog.int8,
	lost pg_catalog.int8,
	xid pg_catalog.xid
) USING topic_slots;
COMMENT ON TABLE topic.offset_slots IS
'Committed offsets as they are now, whatever the snapshot; written by topic.commit(). Read topic.lag or topic.committed() instead. Producers that number their messages have slots here, too: read topic.producers.';
COMMENT ON COLUMN topic.offset_slots.slot IS 'Number of the slot, from 1 on; topic.group_offsets or topic.producer_states says whose it is.';
COMMENT ON COLUMN topic.offset_slots.key IS 'What the owner of the slot calls it; a slot with another key is not found.';
COMMENT ON COLUMN topic.offset_slots.log_offset IS 'The offset to read next. Kafka: committed offset. Of a producer: its last sequence.';
COMMENT ON COLUMN topic.offset_slots.lost IS 'How many offsets were gone before the group read them, in all. Of a producer: its epoch * 2^32 + when it was last used, in seconds since 1970.';
COMMENT ON COLUMN topic.offset_slots.xid IS 'The transaction that committed it; 2 = an old one.';
REVOKE ALL ON topic.offset_slots FROM PUBLIC;
