/* sql/install/8-protection.sql: groups for which retention waits */

CREATE TABLE topic.group_protections (
	group_id pg_catalog.text COLLATE "C",
	topic pg_catalog.uuid,
	max_bytes pg_catalog.int8,
	PRIMARY KEY (group_id, topic)
) USING heap;
SELECT pg_catalog.pg_extension_config_dump('topic.group_protections', '');
COMMENT ON TABLE topic.group_protections IS
'For which groups retention waits, written by topic.protect() and topic.unprotect(). Read topic.lag instead.';
COMMENT ON COLUMN topic.group_protections.group_id IS 'The group.';
COMMENT ON COLUMN topic.group_protections.topic IS 'UUID of the topic.';
COMMENT ON COLUMN topic.group_protections.max_bytes IS 'Size of a partition up to which it is kept; -1: any; NULL: pgtopic.protect_max_bytes.';
REVOKE ALL ON topic.group_protections FROM PUBLIC;

CREATE FUNCTION topic.protection_restored() RETURNS trigger
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'pgtopic_protection_restored';
COMMENT ON FUNCTION topic.protection_restored() IS
'Trigger function of topic.group_protections: tells all sessions what a restore brings.';
CREATE TRIGGER protection_restored BEFORE INSERT ON topic.group_protections
	FOR EACH ROW EXECUTE FUNCTION topic.protection_restored();
COMMENT ON TRIGGER protection_restored ON topic.group_protections IS
'Tells all sessions what a restore brings.';
REVOKE ALL ON FUNCTION topic.protection_restored FROM PUBLIC;

CREATE FUNCTION topic.protect(group_id pg_catalog.text, topic pg_catalog.text,
	max_bytes pg_catalog.int8 DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_protect';
COMMENT ON FUNCTION topic.protect(pg_catalog.text, pg_catalog.text, pg_catalog.int8) IS
'From COMMIT on, retention keeps what the group has not committed in the topic, until a partition is as large as max_bytes: so a group that nobody uses any more does not fill the disk. What goes then is counted as lost in topic.lag. max_bytes -1 is no limit, NULL that of pgtopic.protect_max_bytes (1 GB). Where the group has committed no offset, everything is kept. Calling it again changes max_bytes; topic.delete_records() and TRUNCATE do not wait. The topic''s owner only, who must see the group. Errors: TP005 no such group, 42P01 unknown topic, 42809 not a topic, 42501 not permitted, 22023 bad max_bytes, 25006 read-only.';

CREATE FUNCTION topic.unprotect(group_id pg_catalog.text, topic pg_catalog.text)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_unprotect';
COMMENT ON FUNCTION topic.unprotect(pg_catalog.text, pg_catalog.text) IS
'From COMMIT on, retention does not wait for the group any more; nothing happens if it did not. The topic''s owner only, who must see the group. Errors: as topic.protect().';
