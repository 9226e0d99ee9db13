-- PgQ: a tick cuts the events into batches, here one for as many as the others
-- read at once.
-- @setup
SELECT pgq.drop_queue('queue', true) FROM pgq.queue WHERE queue_name = 'queue';
SELECT pgq.create_queue('queue'), pgq.set_queue_config('queue', 'ticker_max_count', '1'),
    pgq.set_queue_config('queue', 'ticker_max_lag', '1 millisecond'),
    pgq.set_queue_config('queue', 'rotation_period', '{rotation}')
-- @fill
CREATE TABLE IF NOT EXISTS pgq_first_tick (id bigint);
TRUNCATE pgq_first_tick;
INSERT INTO pgq_first_tick SELECT max(tick_id) FROM pgq.tick;
DO $$ BEGIN
    FOR i IN 0 .. {messages} / 500 - 1 LOOP
        PERFORM pgq.insert_event('queue', key, value) FROM source WHERE id > i * 500 AND id <= (i + 1) * 500;
        COMMIT;
        PERFORM pgq.ticker('queue');
        COMMIT;
    END LOOP;
END $$;
VACUUM (FREEZE, ANALYZE) pgq.tick;
DO $$ BEGIN EXECUTE 'ANALYZE ' || pgq.current_event_table('queue'); END $$
-- @group
SELECT pgq.register_consumer_at('queue', '{group}', id) FROM pgq_first_tick
-- @start
SELECT pgq.register_consumer('queue', '{group}')
-- @produce
SELECT count(pgq.insert_event('queue', k, v)) FROM unnest(:keys::text[], :values::text[]) AS u(k, v)
-- @transaction
yes
-- @next
SELECT pgq.next_batch('queue', :group)
-- @fetch
SELECT ev_id, ev_type, ev_data FROM pgq.get_batch_events(:batch)
-- @commit
SELECT pgq.finish_batch(:batch)
-- @tick
SELECT pgq.ticker('queue')
-- @maintenance
SELECT pgq.maint_rotate_tables_step1('queue')
-- @maintenance
SELECT pgq.maint_rotate_tables_step2()
-- @maintenance
VACUUM pgq.tick, pgq.subscription, pgq.queue, pgq.consumer
-- @size
SELECT pg_total_relation_size('pgq.tick') + pg_total_relation_size('pgq.subscription')
