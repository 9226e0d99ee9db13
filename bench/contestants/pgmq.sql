-- PGMQ: read makes messages invisible for a time, delete removes them.
-- @setup
SELECT pgmq.drop_queue('queue') FROM pgmq.meta WHERE queue_name = 'queue';
SELECT pgmq.create('queue')
-- @consumed
yes
-- @fill
TRUNCATE pgmq.q_queue;
INSERT INTO pgmq.q_queue (vt, message)
SELECT now(), jsonb_build_object('key', key, 'value', value) FROM source WHERE id <= {messages} ORDER BY id;
VACUUM ANALYZE pgmq.q_queue
-- @produce
SELECT count(*) FROM pgmq.send_batch('queue', (SELECT array_agg(jsonb_build_object('key', k, 'value', v))
    FROM unnest(:keys::text[], :values::text[]) AS u(k, v)))
-- @fetch
SELECT msg_id, message FROM pgmq.read('queue', 60, :n::int)
-- @commit
SELECT count(*) FROM pgmq.delete('queue', :ids::bigint[])
-- @size
SELECT pg_total_relation_size('pgmq.q_queue')
