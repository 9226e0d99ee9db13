-- A topic with {partitions} partitions; a group; offsets committed together
-- with what was consumed.
-- @setup
SELECT topic.drop('orders', if_exists => true);
SELECT topic.create('orders', {partitions}, retention => NULL, retention_bytes => 536870912)
-- @fill
INSERT INTO orders (key, value)
SELECT convert_to(key, 'UTF8'), convert_to(value, 'UTF8') FROM source WHERE id <= {messages} ORDER BY id;
VACUUM ANALYZE orders
-- @produce
SELECT topic.produce_batch('orders', :values::text[], :keys::text[])
-- @session
SELECT topic.subscribe(:group, ARRAY['orders'])
-- @transaction
yes
-- @fetch
SELECT log_offset, key, value FROM topic.consume(:group, :n::int)
-- @commit
SELECT topic.commit(:group)
-- @size
SELECT pg_total_relation_size('topic.offset_slots') + pg_total_relation_size('topic.group_offsets')
