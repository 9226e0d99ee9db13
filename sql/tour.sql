-- The tour in README.md quotes this file and its output; test/readme compares
SET client_min_messages = warning;
SET timezone = 'UTC';

SELECT topic.create('orders', partitions => 4);

SELECT * FROM topic.produce('orders', '{"item": "book", "price": 30}', key => 'alice');
SELECT * FROM topic.last_produced();

SELECT topic.produce_batch('orders',
    ARRAY['{"item": "pen", "price": 2}', '{"item": "ink", "price": 5}', '{"item": "cup", "price": 9}'],
    keys => ARRAY['alice', 'bob', 'alice']);

SELECT log_offset, key, value
FROM topic.fetch_text('orders', 1, from_offset => 0);

SELECT log_offset, key, value->'price' AS price
FROM topic.fetch_json('orders', 1, from_offset => 1, max_messages => 1);

CREATE TABLE account (name text PRIMARY KEY, balance int);
INSERT INTO account VALUES ('alice', 100);

BEGIN;
UPDATE account SET balance = balance - 40 WHERE name = 'alice';
SELECT topic.produce('orders', '{"item": "lamp", "price": 40}', key => 'alice');
ROLLBACK;
SELECT * FROM topic.list_offsets('orders');

BEGIN;
UPDATE account SET balance = balance - 40 WHERE name = 'alice';
SELECT topic.produce('orders', '{"item": "lamp", "price": 40}', key => 'alice');
COMMIT;
SELECT log_offset, value FROM topic.fetch_text('orders', 1, from_offset => 3);

SELECT convert_from(key, 'UTF8') AS customer, count(*),
       sum((convert_from(value, 'UTF8')::jsonb->'price')::int) AS spent
FROM orders GROUP BY key ORDER BY spent DESC;

EXPLAIN (COSTS OFF)
SELECT value FROM orders WHERE partition = 1 AND log_offset >= 2;

SELECT topic.subscribe('billing', ARRAY['orders']) IS NOT NULL AS subscribed;
CREATE TABLE invoice (customer text, price int);
BEGIN;
INSERT INTO invoice
SELECT key, (value->>'price')::int FROM topic.consume_json('billing', max_messages => 500);
SELECT * FROM topic.commit('billing');
COMMIT;
SELECT customer, sum(price) FROM invoice GROUP BY customer ORDER BY customer;
SELECT topic, partition, committed_offset, log_end_offset, lag FROM topic.lag WHERE group_id = 'billing' ORDER BY partition;

SELECT topic.unsubscribe('billing');
SELECT * FROM topic.reset_offsets('billing', 'orders', 'earliest', partition => 1);

SELECT topic.delete_records('orders', 1, before_offset => 2);
SELECT * FROM topic.fetch('orders', 1, from_offset => 0);

UPDATE orders SET value = NULL;

SELECT * FROM topic.verify('orders');

DROP TABLE account, invoice;
SELECT topic.delete_group('billing');
SELECT topic.drop('orders');
