-- topic.stat_topics: what goes in and out
SET client_min_messages = warning;
CREATE SCHEMA stats_test;
SET search_path = stats_test;
CREATE VIEW seen AS
	SELECT topic_name, messages_in, bytes_in > 0 AS bytes_in, batches_in, messages_out, bytes_out > 0 AS bytes_out, batches_out
	FROM topic.stat_topics WHERE schema_name = 'stats_test' ORDER BY topic_name COLLATE "C";

SELECT topic.create('orders', 2), topic.create('bills');
SELECT topic, topic_name, relid = 'orders'::regclass AS relid, messages_in, bytes_in, batches_in,
	messages_out, bytes_out, batches_out, since
FROM topic.stat_topics WHERE relid = 'orders'::regclass;

-- a transaction counts when it commits, by the batches that it appended
BEGIN;
SELECT count(topic.produce('orders', 'v' || i, partition => i % 2)) FROM generate_series(1, 10) i;
SELECT topic_name, messages_in FROM seen;
COMMIT;
SELECT * FROM seen;
SELECT since BETWEEN now() - interval '1 minute' AND now() AS since
FROM topic.stat_topics WHERE relid = 'orders'::regclass;

-- what rolls back does not, also where it had been appended; what was produced
-- in savepoints that are released does
BEGIN;
SELECT topic FROM topic.produce('orders', 'rolled back');
ROLLBACK;
BEGIN;
SET LOCAL pgtopic.append_at = 'call';
SELECT topic FROM topic.produce('bills', 'kept');
SAVEPOINT s;
SELECT topic FROM topic.produce('bills', 'rolled back');
SAVEPOINT t;
SELECT topic FROM topic.produce('bills', 'rolled back');
RELEASE t;
ROLLBACK TO s;
SAVEPOINT u;
SELECT topic FROM topic.produce('bills', 'kept');
RELEASE u;
COMMIT;
SELECT * FROM seen;

-- rows and COPY; several topics in one transaction
BEGIN;
INSERT INTO bills (value) SELECT 'x' FROM generate_series(1, 3);
COPY orders (partition, value) FROM STDIN;
0	a
0	b
\.
COMMIT;
SELECT * FROM seen;

-- out: as often as it is returned, and the bytes that went in
SELECT count(*) FROM topic.fetch('bills', 0, 0);
SELECT topic.subscribe('stats', ARRAY['orders', 'bills']) IS NOT NULL AS joined;
SELECT count(*) FROM topic.consume('stats');
SELECT count(*) FROM topic.consume('stats');
SELECT topic.unsubscribe('stats');
SELECT * FROM seen;
SELECT topic_name, bytes_out / bytes_in AS times, bytes_out % bytes_in AS rest
FROM topic.stat_topics WHERE schema_name = 'stats_test' ORDER BY topic_name COLLATE "C";
SELECT log_offset FROM topic.fetch('bills', 0, 0) LIMIT 2;
SELECT count(*) FROM topic.fetch('bills', 0, 1, max_bytes => 0);
SELECT count(*) FROM topic.fetch('bills', 0, (SELECT max(log_end_offset) FROM topic.partitions WHERE topic = 'stats_test.bills'));
SELECT count(*) FROM bills;
SELECT topic_name, messages_out, batches_out FROM seen WHERE topic_name = 'bills';

-- it stays through a rename, and is a new topic's own
ALTER TABLE bills RENAME TO invoices;
SELECT topic_name, messages_in FROM seen;
SELECT topic.drop('orders');
SELECT topic.create('orders');
SELECT topic_name, messages_in FROM seen;

-- whoever may not see the topic does not see this
CREATE ROLE regress_stats_reader;
GRANT USAGE ON SCHEMA stats_test TO regress_stats_reader;
GRANT SELECT ON seen TO regress_stats_reader;
SET ROLE regress_stats_reader;
SELECT count(*) FROM topic.stat_topics WHERE schema_name = 'stats_test';
SELECT topic.describe_stats('invoices'::regclass) IS NULL AS hidden;
RESET ROLE;
GRANT INSERT ON invoices TO regress_stats_reader;
SET ROLE regress_stats_reader;
SELECT topic_name, messages_in FROM topic.stat_topics WHERE schema_name = 'stats_test';
RESET ROLE;
SELECT topic.describe_stats('seen'::regclass) IS NULL AS no_topic, topic.describe_stats(0) IS NULL AS nothing;

SELECT topic.delete_group('stats');
DROP SCHEMA stats_test CASCADE;
DROP ROLE regress_stats_reader;
