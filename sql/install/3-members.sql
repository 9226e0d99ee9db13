/* sql/install/3-members.sql: a session as a member of a consumer group */

CREATE FUNCTION topic.subscribe(group_id pg_catalog.text, topics pg_catalog.text[] DEFAULT NULL,
	pattern pg_catalog.text DEFAULT NULL, assignor pg_catalog.text DEFAULT 'uniform',
	instance_id pg_catalog.text DEFAULT NULL, auto_offset_reset pg_catalog.text DEFAULT 'earliest',
	max_poll_interval pg_catalog.interval DEFAULT '5 minutes',
	session_timeout pg_catalog.interval DEFAULT '45 seconds')
RETURNS pg_catalog.text
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'pgtopic_subscribe';
COMMENT ON FUNCTION topic.subscribe(pg_catalog.text, pg_catalog.text[], pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.interval) IS
'Makes this session a member of the group, which is created if need be, and returns its member id; to the topics named, or to those whose name or schema.name a regular expression matches. Acts at once, is not undone by ROLLBACK, and ends with the session. Waits up to a second for its share of the partitions. Subscribing again replaces the subscription. assignor: uniform or range; auto_offset_reset: earliest, latest or none, where the group has no committed offset; instance_id: a static member, whose partitions wait session_timeout for it; max_poll_interval: a member that holds messages uncommitted for longer is removed. Needs SELECT on the topics, and READ on a group of somebody else. Errors: TP004 transactions are taking from the group, TP005, TP006 instance_id in use, 22023, 22004, 2201B, 42P01, 42809, 42501, 25006, 53200, 0A000 when pgtopic.session_groups is off, 55000 not preloaded. Kafka: Consumer.subscribe.';

CREATE FUNCTION topic.unsubscribe(group_id pg_catalog.text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 100 AS 'MODULE_PATHNAME', 'pgtopic_unsubscribe';
COMMENT ON FUNCTION topic.unsubscribe(pg_catalog.text) IS
'Leaves the group at once; not undone by ROLLBACK. What this transaction has still to commit for the group fails at COMMIT. Errors: TP002 not subscribed. Kafka: Consumer.unsubscribe.';

CREATE FUNCTION topic.assignment(group_id pg_catalog.text,
	OUT topic pg_catalog.text, OUT partition pg_catalog.int4, OUT next_position pg_catalog.int8,
	OUT committed pg_catalog.int8, OUT paused pg_catalog.bool)
RETURNS SETOF pg_catalog.record
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10 AS 'MODULE_PATHNAME', 'pgtopic_assignment';
COMMENT ON FUNCTION topic.assignment(pg_catalog.text) IS
'The partitions that are assigned to this session in the group: the offset that topic.consume() returns next (NULL: auto_offset_reset decides when it is first read), and the one that is stored for the group (NULL: none). Errors: TP002 not subscribed or removed. Kafka: Consumer.assignment, position, committed.';
