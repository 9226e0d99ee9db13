-- Queue table: whoever comes locks the first free rows and deletes them.
-- @setup
DROP TABLE IF EXISTS skiplocked;
CREATE TABLE skiplocked (id bigserial PRIMARY KEY, topic text NOT NULL, key text, value bytea,
    created_at timestamptz NOT NULL DEFAULT now())
-- @consumed
yes
-- @fill
TRUNCATE skiplocked;
INSERT INTO skiplocked (topic, key, value)
SELECT 'orders', key, convert_to(value, 'UTF8') FROM source WHERE id <= {messages} ORDER BY id;
VACUUM ANALYZE skiplocked
-- @produce
INSERT INTO skiplocked (topic, key, value)
SELECT 'orders', k, v FROM unnest(:keys::text[], :values::bytea[]) AS u(k, v)
-- @transaction
yes
-- @fetch
SELECT id, key, value FROM skiplocked ORDER BY id LIMIT :n FOR UPDATE SKIP LOCKED
-- @commit
DELETE FROM skiplocked WHERE id = ANY (:ids::bigint[])
-- @size
SELECT pg_total_relation_size('skiplocked')
