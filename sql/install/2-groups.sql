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
CREATE INDEX group_offsets_topic ON topic.group_offsets (topic);
COMMENT ON INDEX topic.group_offsets_topic IS 'For DROP TABLE of a topic.';
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

------------------------------------------------------------------------------
-- Dump and restore
------------------------------------------------------------------------------

CREATE FUNCTION topic.group_restored() RETURNS trigger
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_group_restored';
COMMENT ON FUNCTION topic.group_restored() IS
'Trigger function of topic.consumer_groups: turns the owner''s name of a dump into the role.';
CREATE TRIGGER group_restored BEFORE INSERT ON topic.consumer_groups
	FOR EACH ROW EXECUTE FUNCTION topic.group_restored();
COMMENT ON TRIGGER group_restored ON topic.consumer_groups IS
'Turns the owner''s name of a dump into the role.';

CREATE FUNCTION topic.grant_restored() RETURNS trigger
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_grant_restored';
COMMENT ON FUNCTION topic.grant_restored() IS
'Trigger function of topic.group_grants: turns the grantee''s name of a dump into the role.';
CREATE TRIGGER grant_restored BEFORE INSERT ON topic.group_grants
	FOR EACH ROW EXECUTE FUNCTION topic.grant_restored();
COMMENT ON TRIGGER grant_restored ON topic.group_grants IS
'Turns the grantee''s name of a dump into the role.';

CREATE FUNCTION topic.offset_restored() RETURNS trigger
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_offset_restored';
COMMENT ON FUNCTION topic.offset_restored() IS
'Trigger function of topic.group_offsets: puts the offset of a dump into a slot.';
CREATE TRIGGER offset_restored BEFORE INSERT ON topic.group_offsets
	FOR EACH ROW EXECUTE FUNCTION topic.offset_restored();
COMMENT ON TRIGGER offset_restored ON topic.group_offsets IS
'Puts the offset of a dump into a slot.';
-- Also where logical replication brings rows: slots of another server mean nothing here.
ALTER TABLE topic.group_offsets ENABLE ALWAYS TRIGGER offset_restored;

CREATE FUNCTION topic.consumer_groups_to_dump() RETURNS SETOF topic.consumer_groups
LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
	SELECT g.group_id, NULL::pg_catalog.oid, g.epoch, r.rolname
	FROM topic.consumer_groups g
		LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.owner
$$;
COMMENT ON FUNCTION topic.consumer_groups_to_dump() IS
'What COPY topic.consumer_groups TO reads, and so pg_dump: owners by name. Needs SELECT on the table.';

CREATE FUNCTION topic.group_grants_to_dump() RETURNS SETOF topic.group_grants
LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
	SELECT g.group_id, NULL::pg_catalog.oid, g.privilege, COALESCE(r.rolname, 'public')
	FROM topic.group_grants g
		LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) g.grantee
	WHERE g.grantee OPERATOR(pg_catalog.=) 0 OR r.rolname IS NOT NULL
$$;
COMMENT ON FUNCTION topic.group_grants_to_dump() IS
'What COPY topic.group_grants TO reads, and so pg_dump: grantees by name. Needs SELECT on the table.';

CREATE FUNCTION topic.offset_to_dump(group_id pg_catalog.text, topic pg_catalog.uuid,
	partition pg_catalog.int4, slot pg_catalog.int8, key pg_catalog.int8,
	OUT log_offset pg_catalog.int8, OUT lost pg_catalog.int8)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'pgtopic_offset_to_dump';
COMMENT ON FUNCTION topic.offset_to_dump(pg_catalog.text, pg_catalog.uuid, pg_catalog.int4, pg_catalog.int8, pg_catalog.int8) IS
'The committed offset in a slot, NULL if there is none. Used by topic.group_offsets_to_dump().';

CREATE FUNCTION topic.group_offsets_to_dump() RETURNS SETOF topic.group_offsets
LANGUAGE sql VOLATILE PARALLEL RESTRICTED AS $$
	SELECT o.group_id, o.topic, o.partition, NULL::pg_catalog.int8, NULL::pg_catalog.int8,
		o.metadata, o.metadata_offset, d.log_offset, d.lost
	FROM topic.group_offsets o,
		LATERAL topic.offset_to_dump(o.group_id, o.topic, o.partition, o.slot, o.key) d
	WHERE d.log_offset IS NOT NULL
$$;
COMMENT ON FUNCTION topic.group_offsets_to_dump() IS
'What COPY topic.group_offsets TO reads, and so pg_dump: the committed offsets instead of the slots they are in. Needs SELECT on the table.';

------------------------------------------------------------------------------
-- For operators
------------------------------------------------------------------------------

CREATE FUNCTION topic.create_group(group_id pg_catalog.text, owner pg_catalog.name DEFAULT CURRENT_USER)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_create_group';
COMMENT ON FUNCTION topic.create_group(pg_catalog.text, pg_catalog.name) IS
'Creates a consumer group without members or offsets. The first topic.subscribe() does it, too, unless pgtopic.auto_create_groups is off. For another owner the caller must be able to SET ROLE to it. Errors: 42710 exists, 22023 bad group_id, 42704 no such role, 42501 not permitted, 25006 read-only.';

CREATE FUNCTION topic.alter_group_owner(group_id pg_catalog.text, owner pg_catalog.name)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_alter_group_owner';
COMMENT ON FUNCTION topic.alter_group_owner(pg_catalog.text, pg_catalog.name) IS
'Gives a consumer group to another role. The owner only, who must be able to SET ROLE to the new one. Errors: TP005 no such group, 42704 no such role, 42501 not permitted, 25006 read-only.';

CREATE FUNCTION topic.delete_group(group_id pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_delete_group';
COMMENT ON FUNCTION topic.delete_group(pg_catalog.text) IS
'Deletes a consumer group with its offsets and grants. The owner, or with DELETE on the group. Errors: TP004 it has members (now, or at COMMIT), TP005 no such group, 42501 not permitted, 25006 read-only. Kafka: kafka-consumer-groups --delete.';

CREATE FUNCTION topic.delete_offsets(group_id pg_catalog.text, topic pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_delete_offsets';
COMMENT ON FUNCTION topic.delete_offsets(pg_catalog.text, pg_catalog.text) IS
'Deletes a group''s committed offsets in a topic. The owner, or with DELETE on the group; needs SELECT on the topic. Errors: TP004 a member subscribes to the topic, TP005 no such group, 42P01 unknown topic, 42809 not a topic, 42501 not permitted, 25006 read-only. Kafka: kafka-consumer-groups --delete-offsets.';

CREATE FUNCTION topic.reset_offsets(group_id pg_catalog.text, topic pg_catalog.text, target pg_catalog.text,
	partition pg_catalog.int4 DEFAULT NULL, dry_run pg_catalog.bool DEFAULT false)
RETURNS TABLE (partition pg_catalog.int4, old_offset pg_catalog.int8, new_offset pg_catalog.int8)
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_reset_offsets';
COMMENT ON FUNCTION topic.reset_offsets(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.bool) IS
'Sets a group''s committed offsets in a topic, or in one partition, when the transaction commits; with dry_run it only shows what they would be. target: earliest, latest (the first offset whose transaction is open), an offset, +n or -n from the committed offset, or a timestamp; kept within what there is. Trimmed messages that it skips are a WARNING and count as lost. Needs READ on the group (dry_run: DESCRIBE) and SELECT on the topic. Errors: TP004 the group has members (now, or at COMMIT), TP005 no such group, 22023 bad target or partition, 42P01 unknown topic, 42809 not a topic, 42501 not permitted, 25006 read-only. Kafka: kafka-consumer-groups --reset-offsets.';

CREATE FUNCTION topic.grant_group(group_id pg_catalog.text, grantee pg_catalog.name,
	privilege pg_catalog.text DEFAULT 'READ')
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_grant_group';
COMMENT ON FUNCTION topic.grant_group(pg_catalog.text, pg_catalog.name, pg_catalog.text) IS
'Lets a role (or public) use a consumer group: READ = subscribe, consume, commit, reset; DESCRIBE = see it; DELETE = delete it or its offsets; ALL. READ and DELETE include DESCRIBE. The owner only. Errors: TP005 no such group, 42704 no such role, 22023 no such privilege, 42501 not the owner, 25006 read-only. Kafka: kafka-acls --add --group.';

CREATE FUNCTION topic.revoke_group(group_id pg_catalog.text, grantee pg_catalog.name,
	privilege pg_catalog.text DEFAULT 'READ')
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_revoke_group';
COMMENT ON FUNCTION topic.revoke_group(pg_catalog.text, pg_catalog.name, pg_catalog.text) IS
'Takes back what topic.grant_group() gave; members stay until their next call. The owner only. Errors: as topic.grant_group(). Kafka: kafka-acls --remove --group.';

------------------------------------------------------------------------------
-- What there is
------------------------------------------------------------------------------

CREATE FUNCTION topic.describe_groups()
RETURNS TABLE (group_id pg_catalog.text, state pg_catalog.text, assignor pg_catalog.text,
	epoch pg_catalog.int4, members pg_catalog.int4, owner pg_catalog.name)
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_describe_groups';
COMMENT ON FUNCTION topic.describe_groups() IS
'Consumer groups that the caller may see. Used by view topic.groups.';

CREATE FUNCTION topic.describe_members()
RETURNS TABLE (group_id pg_catalog.text, member_id pg_catalog.text, instance_id pg_catalog.text,
	pid pg_catalog.int4, usename pg_catalog.name, client_addr pg_catalog.inet,
	epoch pg_catalog.int4, target_epoch pg_catalog.int4, state pg_catalog.text,
	topics pg_catalog.text[], assigned pg_catalog.text[])
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 100 AS 'MODULE_PATHNAME', 'pgtopic_describe_members';
COMMENT ON FUNCTION topic.describe_members() IS
'Members of the groups that the caller may see. Used by view topic.members.';

CREATE FUNCTION topic.describe_lag()
RETURNS TABLE (group_id pg_catalog.text, topic pg_catalog.text, partition pg_catalog.int4,
	committed_offset pg_catalog.int8, log_end_offset pg_catalog.int8, lag pg_catalog.int8, lost pg_catalog.int8,
	member_id pg_catalog.text, pid pg_catalog.int4, client_addr pg_catalog.inet, protected_bytes pg_catalog.int8)
LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 1000 AS 'MODULE_PATHNAME', 'pgtopic_describe_lag';
COMMENT ON FUNCTION topic.describe_lag() IS
'How far groups have come in topics, for groups and topics that the caller may see. Used by view topic.lag.';

CREATE FUNCTION topic.committed(group_id pg_catalog.text)
RETURNS TABLE (topic pg_catalog.text, partition pg_catalog.int4, log_offset pg_catalog.int8, metadata pg_catalog.text)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_committed';
COMMENT ON FUNCTION topic.committed(pg_catalog.text) IS
'The committed offsets of a group in the topics that the caller may see, each with the metadata that topic.commit() was given with it. Needs DESCRIBE on the group. Errors: TP005 no such group, 42501 not permitted. Kafka: Consumer.committed.';

CREATE VIEW topic.groups AS
	SELECT group_id, state, assignor, epoch, members, owner FROM topic.describe_groups();
COMMENT ON VIEW topic.groups IS
'Consumer groups that the reader owns, has a privilege on, or may see as a member of pg_read_all_stats. Kafka: kafka-consumer-groups --list --state.';
COMMENT ON COLUMN topic.groups.group_id IS 'Name of the group. Kafka: group.id.';
COMMENT ON COLUMN topic.groups.state IS 'Empty: no members. Assigning: somebody came or went, and the assignment is being made. Reconciling: members are giving up and taking over partitions. Stable. Kafka: group state.';
COMMENT ON COLUMN topic.groups.assignor IS 'uniform or range, as most members ask for; NULL without members.';
COMMENT ON COLUMN topic.groups.epoch IS 'Rises with each change of members, subscriptions or partitions; without members, the last one reserved. Kafka: group epoch.';
COMMENT ON COLUMN topic.groups.members IS 'Number of members, sessions that use topic.take() at the moment included.';
COMMENT ON COLUMN topic.groups.owner IS 'Role that owns the group.';

CREATE VIEW topic.members AS
	SELECT group_id, member_id, instance_id, pid, usename, client_addr, epoch, target_epoch, state, topics, assigned
	FROM topic.describe_members();
COMMENT ON VIEW topic.members IS
'Members of the groups in topic.groups. Kafka: kafka-consumer-groups --describe --members --verbose.';
COMMENT ON COLUMN topic.members.group_id IS 'The group.';
COMMENT ON COLUMN topic.members.member_id IS 'What topic.subscribe() returned. Kafka: member id.';
COMMENT ON COLUMN topic.members.instance_id IS 'Name of a static member; NULL for a dynamic one. Kafka: group.instance.id.';
COMMENT ON COLUMN topic.members.pid IS 'Process of its session; NULL while a static member is away.';
COMMENT ON COLUMN topic.members.usename IS 'Role of its session.';
COMMENT ON COLUMN topic.members.client_addr IS 'Address of its client; NULL for a local one.';
COMMENT ON COLUMN topic.members.epoch IS 'The epoch whose assignment it has come to. Kafka: member epoch.';
COMMENT ON COLUMN topic.members.target_epoch IS 'The epoch of the group''s newest assignment. Kafka: target assignment epoch.';
COMMENT ON COLUMN topic.members.state IS 'Stable; Unrevoked partitions: has to give some back, and has messages of them; Unreleased partitions: waits for others to do so; Away: a static member without a session; Taking: a transaction that uses topic.take().';
COMMENT ON COLUMN topic.members.topics IS 'Topics that it subscribes to, as schema.name; those that match, if by pattern.';
COMMENT ON COLUMN topic.members.assigned IS 'Partitions that are its own, as schema.name:partition.';

CREATE VIEW topic.lag AS
	SELECT group_id, topic, partition, committed_offset, log_end_offset, lag, lost, member_id, pid, client_addr, protected_bytes
	FROM topic.describe_lag();
COMMENT ON VIEW topic.lag IS
'How far the groups in topic.groups have come in the topics in topic.topics: a row for each partition with a committed offset or of a topic that a member subscribes to or retention waits in for the group. Kafka: kafka-consumer-groups --describe.';
COMMENT ON COLUMN topic.lag.group_id IS 'The group.';
COMMENT ON COLUMN topic.lag.topic IS 'schema.name, quoted where needed.';
COMMENT ON COLUMN topic.lag.partition IS 'Partition number.';
COMMENT ON COLUMN topic.lag.committed_offset IS 'Next offset that the group reads; NULL if it has committed none.';
COMMENT ON COLUMN topic.lag.log_end_offset IS 'Offset that the next message gets.';
COMMENT ON COLUMN topic.lag.lag IS 'Offsets from committed_offset to log_end_offset; NULL if the group has committed none.';
COMMENT ON COLUMN topic.lag.lost IS 'Messages that were trimmed before the group committed them.';
COMMENT ON COLUMN topic.lag.member_id IS 'The member that the partition is assigned to.';
COMMENT ON COLUMN topic.lag.pid IS 'Process of its session.';
COMMENT ON COLUMN topic.lag.client_addr IS 'Address of its client; NULL for a local one.';
COMMENT ON COLUMN topic.lag.protected_bytes IS 'Size of the partition up to which retention waits for the group: topic.protect(). -1: any; NULL: it does not wait.';

------------------------------------------------------------------------------
-- Permissions: what PUBLIC may call checks for itself
------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION topic.group_restored, topic.grant_restored, topic.offset_restored FROM PUBLIC;
GRANT SELECT ON topic.groups, topic.members, topic.lag TO PUBLIC;
