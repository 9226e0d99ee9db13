/* sql/install/2-groups.sql: consumer groups: what is kept of them, operators' functions, views */

------------------------------------------------------------------------------
-- Tables.  The library reads and writes them; pg_dump takes them along, and
-- COPY ... TO reads topic.<table>_to_dump() instead of the table.
------------------------------------------------------------------------------

CREATE TABLE topic.consumer_groups (
	group_id pg_catalog.text COLLATE "C" PRIMARY KEY,
	owner pg_catalog.oid,
	epoch pg_catalog.int4 NOT NULL DEFAULT 0,
	owner_name pg_catalog.name
) USING heap;
SELECT pg_catalog.pg_extension_config_dump('topic.consumer_groups', '');
COMMENT ON TABLE topic.consumer_groups IS
'Consumer groups, written by topic.subscribe(), topic.create_group() and the like. Read topic.groups instead.';
COMMENT ON COLUMN topic.consumer_groups.group_id IS 'Name of the group. Kafka: group.id.';
COMMENT ON COLUMN topic.consumer_groups.owner IS 'OID of the owning role; if there is no such role, the database''s owner owns the group.';
COMMENT ON COLUMN topic.consumer_groups.epoch IS 'Group epochs up to here may have been used.';
COMMENT ON COLUMN topic.consumer_groups.owner_name IS 'In dumps only: the owner by name.';

CREATE TABLE topic.group_grants (
	group_id pg_catalog.text COLLATE "C",
	grantee pg_catalog.oid,
	privilege pg_catalog.text COLLATE "C" CHECK (privilege IN ('READ', 'DESCRIBE', 'DELETE')),
	grantee_name pg_catalog.name,
	PRIMARY KEY (group_id, grantee, privilege)
) USING heap;
SELECT pg_catalog.pg_extension_config_dump('topic.group_grants', '');
COMMENT ON TABLE topic.group_grants IS
'Privileges on consumer groups, written by topic.grant_group() and topic.revoke_group().';
COMMENT ON COLUMN topic.group_grants.group_id IS 'The group.';
COMMENT ON COLUMN topic.group_grants.grantee IS 'OID of the role; 0 = PUBLIC.';
COMMENT ON COLUMN topic.group_grants.privilege IS 'READ, DESCRIBE or DELETE.';
COMMENT ON COLUMN topic.group_grants.grantee_name IS 'In dumps only: the role by name.';

CREATE TABLE topic.group_offsets (
	group_id pg_catalog.text COLLATE "C",
	topic pg_catalog.uuid,
	partition pg_catalog.int4,
	slot pg_catalog.int8 NOT NULL,
	key pg_catalog.int8 NOT NULL,
	metadata pg_catalog.text,
	metadata_offset pg_catalog.int8,
	log_offset pg_catalog.int8,
	lost pg_catalog.int8,
	PRIMARY KEY (group_id, topic, partition)
) USING heap;
SELECT pg_catalog.pg_extension_config_dump('topic.group_offsets', '');
COMMENT ON TABLE topic.group_offsets IS
'In which slot of topic.offset_slots a group keeps its committed offset in a partition. Read topic.lag or topic.committed() instead.';
COMMENT ON COLUMN topic.group_offsets.group_id IS 'The group.';
COMMENT ON COLUMN topic.group_offsets.topic IS 'UUID of the topic.';
COMMENT ON COLUMN topic.group_offsets.partition IS 'Partition number.';
COMMENT ON COLUMN topic.group_offsets.slot IS 'Number of the slot.';
COMMENT ON COLUMN topic.group_offsets.key IS 'A number that no other row ever had; the slot has it, too.';
COMMENT ON COLUMN topic.group_offsets.metadata IS 'What topic.commit() was last given beside an offset.';
COMMENT ON COLUMN topic.group_offsets.metadata_offset IS 'The offset that it was given with.';
COMMENT ON COLUMN topic.group_offsets.log_offset IS 'In dumps only: the committed offset.';
COMMENT ON COLUMN topic.group_offsets.lost IS 'In dumps only: messages that were trimmed before the group read them.';

CREATE TABLE topic.free_slots (slot pg_catalog.int8 NOT NULL) USING heap;
COMMENT ON TABLE topic.free_slots IS 'Slots that have been used and are free again.';
COMMENT ON COLUMN topic.free_slots.slot IS 'Number of the slot.';

CREATE SEQUENCE topic.slot_numbers;
COMMENT ON SEQUENCE topic.slot_numbers IS 'Slots that have never been used.';
CREATE SEQUENCE topic.slot_keys;
COMMENT ON SEQUENCE topic.slot_keys IS 'Column key of topic.group_offsets.';

-- The library writes these; nobody else is to.
REVOKE ALL ON topic.consumer_groups, topic.group_grants, topic.group_offsets, topic.free_slots FROM PUBLIC;
REVOKE ALL ON SEQUENCE topic.slot_numbers, topic.slot_keys FROM PUBLIC;
