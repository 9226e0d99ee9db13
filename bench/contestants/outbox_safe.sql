-- The same without the loss: in the order of transactions, and only below the
-- oldest one that still runs.
-- @setup
DROP TABLE IF EXISTS outbox_safe, outbox_safe_offsets;
CREATE TABLE outbox_safe (id bigserial, txid xid8 NOT NULL DEFAULT pg_current_xact_id(), topic text NOT NULL,
    key text, value bytea, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (txid, id));
CREATE TABLE outbox_safe_offsets (group_id text PRIMARY KEY, txid xid8 NOT NULL, position bigint NOT NULL)
-- @fill
INSERT INTO outbox_safe (topic, key, value)
SELECT 'orders', key, convert_to(value, 'UTF8') FROM source WHERE id <= {messages} ORDER BY id;
VACUUM (FREEZE, ANALYZE) outbox_safe
-- @group
INSERT INTO outbox_safe_offsets VALUES ('{group}', '0', 0)
-- @produce
INSERT INTO outbox_safe (topic, key, value)
SELECT 'orders', k, v FROM unnest(:keys::text[], :values::bytea[]) AS u(k, v)
-- @transaction
yes
-- @fetch
WITH batch AS MATERIALIZED (
    SELECT o.txid, o.id, o.key, o.value FROM outbox_safe o
    WHERE (o.txid, o.id) > ((SELECT txid FROM outbox_safe_offsets WHERE group_id = :group),
                            (SELECT position FROM outbox_safe_offsets WHERE group_id = :group))
      AND o.txid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY o.txid, o.id LIMIT :n),
store AS (
    UPDATE outbox_safe_offsets f SET txid = l.txid, position = l.id
    FROM (SELECT txid, id FROM batch ORDER BY txid DESC, id DESC LIMIT 1) l WHERE f.group_id = :group)
SELECT id, key, value FROM batch ORDER BY txid, id
-- @size
SELECT pg_total_relation_size('outbox_safe_offsets')
