/* sql/install/5-notify.sql: LISTEN for news of topics and groups */

CREATE FUNCTION topic.channel(topic pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgtopic_channel';
COMMENT ON FUNCTION topic.channel(pg_catalog.text) IS
'The channel on which LISTEN is told which partitions of a topic have news: "topic:schema.name", each part quoted where SQL needs it; where that has more than 63 bytes, "topic:#" and the first 40 hexadecimal digits of the SHA-256 of what stands after the colon. The payload is the partitions, in order, with commas between them; "*" if they are too many, or not known. Errors: 42P01, 42809.';

CREATE FUNCTION topic.group_channel(group_id pg_catalog.text) RETURNS pg_catalog.text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgtopic_group_channel';
COMMENT ON FUNCTION topic.group_channel(pg_catalog.text) IS
'The channel to which topic.listen() listens: "group:" and the group''s name, or where that has more than 63 bytes, "group:#" and the first 40 hexadecimal digits of its SHA-256. Errors: 22023.';

CREATE FUNCTION topic.listen(group_id pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgtopic_listen';
COMMENT ON FUNCTION topic.listen(pg_catalog.text) IS
'LISTEN for this session on the group''s channel, from COMMIT on. The payload is "messages" when a topic that the group subscribes to has news, and "rebalance" when partitions have moved or should; call topic.consume() in both cases. A notification may come without need, and several may become one; none is lost. Needs READ on the group, not membership. Errors: TP005 no such group, 42501, 22023, 25006 on a standby, 0A000 when pgtopic.session_groups is off.';

CREATE FUNCTION topic.unlisten(group_id pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgtopic_unlisten';
COMMENT ON FUNCTION topic.unlisten(pg_catalog.text) IS
'UNLISTEN for this session on the group''s channel. No error if it does not listen. Errors: 22023.';
