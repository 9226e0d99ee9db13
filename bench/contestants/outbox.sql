-- Table with an ascending number, read from the last one on.  It loses rows:
-- who takes a number first may commit last.
-- @setup
DROP TABLE IF EXISTS outbox, outbox_offsets;
CREATE TABLE outbox (id bigserial PRIMARY KEY, topic text NOT NULL, key text, value bytea,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE outbox_offsets (group_id text PRIMARY KEY, position bigint NOT NULL)
-- @fill
INSERT INTO outbox (topic, key, value)
SELECT 'orders', key, convert_to(value, 'UTF8') FROM source WHERE id <= {messages} ORDER BY id;
VACUUM (FREEZE, ANALYZE) outbox
-- @group
INSERT INTO outbox_offsets VALUES ('{group}', 0)
-- @produce
INSERT INTO outbox (topic, key, value)
SELECT 'orders', k, v FROM unnest(:keys::text[], :values::bytea[]) AS u(k, v)
-- @fetch
SELECT id, key, value FROM outbox WHERE id > :last ORDER BY id LIMIT :n
-- @commit
UPDATE outbox_offsets SET position = :last WHERE group_id = :group
-- @size
SELECT pg_total_relation_size('outbox_offsets')
