-- Producers that number their messages, and optimistic appends
SET client_min_messages = warning;
CREATE SCHEMA idempotent_test;
SET search_path = idempotent_test, public;
SELECT topic.create('one'), topic.create('three', 3);
CREATE VIEW contents AS SELECT partition, log_offset, convert_from(value, 'UTF8') AS value FROM one
	UNION ALL SELECT partition, log_offset, convert_from(value, 'UTF8') FROM three;
CREATE VIEW producers AS SELECT producer_id, topic, partition, epoch, last_sequence,
		last_used BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now
	FROM topic.producers WHERE topic LIKE 'idempotent\_test.%';
CREATE FUNCTION put(value text, producer_id text, sequence bigint, partition int DEFAULT 0, producer_epoch int DEFAULT NULL)
RETURNS topic.record_metadata LANGUAGE sql AS $$
	SELECT topic.produce('one', value, partition => partition, producer_id => producer_id, sequence => sequence, producer_epoch => producer_epoch)
$$;

-- arguments that say nothing
SELECT topic.produce('one', 'v', partition => 0, producer_id => 'p');
SELECT topic.produce('one', 'v', partition => 0, sequence => 1);
SELECT topic.produce('one', 'v', partition => 0, producer_epoch => 1);
SELECT topic.produce('one', 'v', producer_id => 'p', sequence => 0);
SELECT topic.produce('three', 'v', expected_offset => 0);
SELECT topic.produce('one', 'v', partition => 0, expected_offset => -1);
SELECT topic.produce_batch('one', '{a,b}', partition => 0, expected_offset => 9223372036854775806);
SELECT put('v', '', 0);
SELECT put('v', repeat('x', 256), 0);
SELECT put('v', 'p', -1);
SELECT put('v', 'p', 0, producer_epoch => -1);
SELECT put('v', 'p', 9223372036854775807);
SELECT put('v', 'p', 0, 7);
SELECT topic.produce_batch('one', '{a,b}', producer_id => 'p', sequence => 0);
SELECT topic.produce_batch('one', '{a,b}', keys => '{k,k}', expected_offset => 0);
SELECT topic.produce_batch('one', '{a,b}', partition => 0, sequence => 0);
SELECT count(*) FROM contents;
SELECT * FROM producers;

-- a producer may begin anywhere; then only the next sequence is new
SELECT put('five', 'p', 5);
SELECT put('five', 'p', 5);
SELECT put('four', 'p', 4);
SELECT put('six', 'p', 6);
SELECT put('eight', 'p', 8);
SELECT * FROM contents ORDER BY 1, 2;
SELECT * FROM producers;

-- every form
BEGIN;
SELECT topic.produce('one', '7'::json, partition => 0, producer_id => 'p', sequence => 7);
SELECT topic.produce('one', '8'::jsonb, partition => 0, producer_id => 'p', sequence => 8);
SELECT topic.produce('one', '\x39'::bytea, partition => 0, producer_id => 'p', sequence => 9);
SELECT topic.produce_record('one', '\x3130', partition => 0, producer_id => 'p', sequence => 10);
SELECT topic.produce_batch('one', '{11,12}', partition => 0, producer_id => 'p', sequence => 11);
SELECT topic.produce_batch_json('one', '{13,14}', partition => 0, producer_id => 'p', sequence => 13);
SELECT topic.produce_batch_bytes('one', '{"\\x3135"}', partition => 0, producer_id => 'p', sequence => 15);
SELECT topic.produce_batch('one', '{}', partition => 0, producer_id => 'p', sequence => 100);
COMMIT;
SELECT string_agg(value, ' ' ORDER BY log_offset) FROM contents;

-- batches are new, or repeats, as a whole
SELECT topic.produce_batch('one', '{11,12,13}', partition => 0, producer_id => 'p', sequence => 11);
SELECT topic.produce_batch('one', '{15,16}', partition => 0, producer_id => 'p', sequence => 15);
SELECT topic.produce_batch('one', '{17}', partition => 0, producer_id => 'p', sequence => 17);
SELECT topic.produce_batch('one', '{16,17}', partition => 0, producer_id => 'p', sequence => 16);
SELECT topic.produce_batch('one', '{16,17}', partition => 0, producer_id => 'p', sequence => 16);

-- epochs: a higher one begins with 0 and ends the lower one; NULL is 0
SELECT put('epoch 2', 'p', 18, producer_epoch => 2);
SELECT put('epoch 2', 'p', 0, producer_epoch => 2);
SELECT put('epoch 2', 'p', 0, producer_epoch => 2);
SELECT put('late', 'p', 18);
SELECT put('late', 'p', 1, producer_epoch => 1);
SELECT put('epoch 2', 'p', 1, producer_epoch => 2);
SELECT put('last', 'q', 9223372036854775806, producer_epoch => 2147483647);
SELECT put('last', 'q', 9223372036854775806, producer_epoch => 2147483647);
SELECT * FROM producers ORDER BY 1;

-- with a key, each partition has sequences of its own
SELECT (topic.produce('three', 'first ' || k, k, producer_id => 'p', sequence => 0)).partition FROM unnest('{a,b,c,d,e,f}'::text[]) AS k;
SELECT (topic.produce('three', 'second', 'a', producer_id => 'p', sequence => 1)).partition;
SELECT (topic.produce_record('three', 'first', 'd', producer_id => 'p', sequence => 0)).partition;
SELECT value, partition FROM contents WHERE partition > 0 OR value ~ 'first|second' ORDER BY 2, log_offset;
SELECT partition, last_sequence FROM producers WHERE topic ~ 'three' ORDER BY 1;

-- SET TRANSACTION READ ONLY forbids statements that come later, not what COMMIT still has to write
BEGIN;
SELECT put('then READ ONLY', 'read only', 0);
SET TRANSACTION READ ONLY;
SELECT put('not any more', 'read only', 1);
ROLLBACK;
BEGIN;
SELECT put('then READ ONLY', 'read only', 0);
SET TRANSACTION READ ONLY;
COMMIT;
SELECT producer_id, last_sequence FROM producers WHERE producer_id = 'read only';

-- what rolls back has not been
BEGIN;
SELECT put('gone', 'r', 0);
ROLLBACK;
SELECT count(*) FROM topic.producer_states WHERE producer_id = 'r';
BEGIN;
SELECT put('0', 'r', 0);
SAVEPOINT a;
SELECT put('gone', 'r', 1);
SELECT put('gone', 's', 0);
SELECT put('gone', 's', 0);
SAVEPOINT b;
SELECT put('gone', 'r', 2);
RELEASE b;
ROLLBACK TO a;
SELECT put('too far', 'r', 2);
ROLLBACK TO a;
SELECT put('1', 'r', 1);
SAVEPOINT b;
SELECT put('2', 'r', 2);
SELECT put('2', 'r', 2);
RELEASE b;
RELEASE a;
SAVEPOINT c;
SELECT put('2', 'r', 2);
SELECT put('gone', 'r', 3);
ROLLBACK TO c;
SELECT put('3', 'r', 3);
SELECT put('5 of s', 's', 5);
COMMIT;
SELECT * FROM producers WHERE producer_id IN ('r', 's') ORDER BY 1;
SELECT put('3', 'r', 3);
-- a savepoint for each message
BEGIN;
DO $$
BEGIN
	FOR i IN 0 .. 99 LOOP
		BEGIN
			PERFORM idempotent_test.put('loop ' || i, 'loop', i);
			IF i % 10 = 9 THEN
				RAISE EXCEPTION 'no';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			PERFORM idempotent_test.put('again ' || i, 'loop', i);
		END;
	END LOOP;
END $$;
COMMIT;
SELECT count(*), min(value), max(value) FROM contents WHERE value ~ '^(loop|again)';
SELECT last_sequence FROM producers WHERE producer_id = 'loop';

-- an error when the message is added takes the sequence back
SELECT topic.alter('one', max_message_bytes => 20);
BEGIN;
SAVEPOINT a;
SELECT put(repeat('x', 100), 'r', 4);
ROLLBACK TO a;
SELECT put('4', 'r', 4);
COMMIT;
SELECT put(repeat('x', 100), 'r', 4);
SELECT last_sequence FROM producers WHERE producer_id = 'r';
SELECT topic.alter_reset('one', 'max_message_bytes');

-- appended at the call: a repeat has no offset
SET pgtopic.append_at = call;
BEGIN;
SELECT (put('5', 'r', 5)).log_offset IS NULL AS is_null;
SELECT (put('5', 'r', 5)).log_offset IS NULL AS is_null;
SAVEPOINT a;
SELECT (put('gone', 'r', 6)).log_offset IS NULL AS is_null;
ROLLBACK TO a;
SELECT (put('6', 'r', 6)).log_offset IS NULL AS is_null;
COMMIT;
SELECT (put('6', 'r', 6)).log_offset IS NULL AS is_null;
RESET pgtopic.append_at;
SELECT value FROM contents WHERE partition = 0 ORDER BY log_offset DESC LIMIT 2;

-- appended early, because it does not fit into memory
SET pgtopic.produce_buffer = '64kB';
BEGIN;
SELECT count(put(repeat('x', 1000), 'spill', n)) FROM generate_series(0, 299) AS n;
ROLLBACK;
BEGIN;
SELECT count(put(repeat('x', 1000), 'spill', n % 300)) FROM generate_series(0, 599) AS n;
COMMIT;
RESET pgtopic.produce_buffer;
SELECT count(*) FROM contents WHERE length(value) = 1000;
SELECT last_sequence FROM producers WHERE producer_id = 'spill';

-- in REPEATABLE READ, too, what counts is what there is now
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT put('7', 'r', 7);
SELECT put('7', 'r', 7);
COMMIT;

-- a prepared transaction
BEGIN;
SELECT put('prepared', 'prepared', 0);
PREPARE TRANSACTION 'idempotent_test';
SET lock_timeout = '10ms';
SELECT put('prepared', 'prepared', 0);
RESET lock_timeout;
SELECT topic.expire_producers('-1 hour') > 0 AS expired;
ROLLBACK PREPARED 'idempotent_test';
BEGIN;
SELECT put('prepared', 'prepared', 0);
PREPARE TRANSACTION 'idempotent_test';
COMMIT PREPARED 'idempotent_test';
SELECT put('prepared', 'prepared', 0);
SELECT * FROM producers;
SELECT count(*) FROM contents WHERE value = 'prepared';

-- expiry: who is forgotten may begin anywhere
SELECT topic.expire_producers();
SELECT topic.expire_producers('1 hour');
BEGIN;
SELECT put('1', 'prepared', 1);
SELECT topic.expire_producers('-1 hour');
COMMIT;
SELECT * FROM producers;
SELECT topic.expire_producers('-1 hour');
SELECT topic.expire_producers('-1 hour');
SELECT * FROM producers;
SELECT put('99', 'prepared', 99);
SELECT * FROM producers;
BEGIN;
SELECT topic.expire_producers('-1 hour');
SELECT put('5', 'prepared', 5);
ROLLBACK;
SELECT put('99', 'prepared', 99);
SHOW pgtopic.producer_expiration;
BEGIN READ ONLY;
SELECT topic.expire_producers();
ROLLBACK;

-- expected offsets: the message gets that offset, or nothing happens
SELECT topic.create('aggregate', 2);
SELECT topic.produce('aggregate', 'a', partition => 0, expected_offset => 0);
SELECT topic.produce('aggregate', 'b', partition => 0, expected_offset => 0);
SELECT topic.produce('aggregate', 'b', partition => 0, expected_offset => 2);
SELECT topic.produce('aggregate', 'b', partition => 0, expected_offset => 1);
SELECT topic.produce('aggregate', 'k', 'key', expected_offset => 0);
BEGIN;
SELECT topic.produce('aggregate', 'c', partition => 0, expected_offset => 2);
SELECT topic.produce('aggregate', 'd', partition => 0, expected_offset => 3);
SELECT topic.produce('aggregate', 'e', partition => 0);
SELECT topic.produce_batch('aggregate', '{f,g}', partition => 0, expected_offset => 5);
SELECT topic.produce('aggregate', 'h', partition => 0);
COMMIT;
BEGIN;
SELECT topic.produce('aggregate', 'i', partition => 0);
SELECT topic.produce('aggregate', 'j', partition => 0, expected_offset => 9);
COMMIT;
-- what can come true no more is told at the call
BEGIN;
SELECT topic.produce('aggregate', 'x', partition => 0);
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 10);
ROLLBACK;
BEGIN;
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 10);
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 10);
ROLLBACK;
BEGIN;
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 10);
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 12);
ROLLBACK;
-- savepoints
BEGIN;
SAVEPOINT a;
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 10);
ROLLBACK TO a;
SELECT topic.produce('aggregate', 'k', partition => 0, expected_offset => 10);
SAVEPOINT b;
SELECT topic.produce('aggregate', 'l', partition => 0, expected_offset => 11);
RELEASE b;
SELECT topic.produce('aggregate', 'm', partition => 0, expected_offset => 12);
SAVEPOINT c;
SELECT topic.produce('aggregate', 'n', partition => 0);
SAVEPOINT d;
SELECT topic.produce('aggregate', 'o', partition => 0, expected_offset => 14);
RELEASE d;
RELEASE c;
SELECT topic.produce('aggregate', 'p', partition => 0);
COMMIT;
SELECT string_agg(value, '' ORDER BY log_offset), max(log_offset) FROM topic.fetch_text('aggregate', 0, 0);
-- at the call
SET pgtopic.append_at = call;
BEGIN;
SELECT topic.produce('aggregate', 'q', partition => 0, expected_offset => 16);
SELECT topic.produce('aggregate', 'r', partition => 0, expected_offset => 17);
SAVEPOINT a;
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 17);
ROLLBACK TO a;
SELECT topic.produce('aggregate', 'x', partition => 0, expected_offset => 19);
ROLLBACK TO a;
SELECT topic.produce('aggregate', 's', partition => 0, expected_offset => 18);
COMMIT;
RESET pgtopic.append_at;
-- early, and in several batches
SET pgtopic.produce_buffer = '64kB';
BEGIN;
SELECT count(topic.produce('aggregate', repeat('x', 1000), partition => 1, expected_offset => 1 + n))
FROM generate_series(0, 199) AS n;
SELECT log_end_offset > 100 AS spilled FROM topic.list_offsets('aggregate') WHERE partition = 1;
COMMIT;
RESET pgtopic.produce_buffer;
BEGIN;
SELECT topic.produce_batch('aggregate', array_agg(repeat('y', 500000)), partition => 1, expected_offset => 201)
FROM generate_series(1, 5);
COMMIT;
SELECT count(*), max(log_offset) - min(log_offset) AS distance FROM aggregate WHERE partition = 1 AND length(value) = 500000;
BEGIN;
SELECT topic.produce_batch('aggregate', array_agg(repeat('y', 500000)), partition => 1, expected_offset => 207)
FROM generate_series(1, 5);
COMMIT;
-- a repeat has been appended already, and expects nothing
SELECT topic.produce('aggregate', 't', partition => 0, expected_offset => 19, producer_id => 'p', sequence => 0);
SELECT topic.produce('aggregate', 't', partition => 0, expected_offset => 19, producer_id => 'p', sequence => 0);
-- a failed append leaves no state
SELECT topic.produce('aggregate', 'u', partition => 0, expected_offset => 30, producer_id => 'p', sequence => 1);
SELECT last_sequence FROM producers WHERE topic ~ 'aggregate';
SELECT topic.verify('aggregate');

-- who sees what
CREATE ROLE regress_idempotent_producer;
CREATE ROLE regress_idempotent_stranger;
GRANT USAGE ON SCHEMA idempotent_test TO regress_idempotent_producer, regress_idempotent_stranger;
GRANT INSERT ON one TO regress_idempotent_producer;
SET ROLE regress_idempotent_producer;
SELECT topic.produce('one', 'v', partition => 0, producer_id => 'p', sequence => 0);
SELECT producer_id, topic FROM topic.producers ORDER BY 1, 2;
SELECT topic.produce('three', 'v', partition => 0, producer_id => 'p', sequence => 0);
SELECT topic.expire_producers();
SELECT * FROM topic.producer_states;
SELECT topic.producer_to_dump('p', '00000000-0000-0000-0000-000000000000', 0, 1, 1);
SET ROLE regress_idempotent_stranger;
SELECT producer_id, topic FROM topic.producers;
SELECT topic.produce('one', 'v', partition => 0, producer_id => 'p', sequence => 0);
RESET ROLE;

-- TRUNCATE keeps them, DROP takes them away, also where the transaction has produced
TRUNCATE one;
SELECT topic.produce('one', 'v', partition => 0, producer_id => 'p', sequence => 0);
SELECT count(*) FROM contents WHERE value = 'v';
BEGIN;
SELECT topic.produce('one', 'v', partition => 0, producer_id => 'p', sequence => 1);
DROP TABLE one CASCADE;
COMMIT;
SELECT producer_id, topic, partition, last_sequence FROM producers ORDER BY 1, 2;
SELECT count(*) FROM topic.producer_states p WHERE NOT EXISTS (SELECT FROM topic.topics t WHERE t.uuid = p.topic);
DROP TABLE three, aggregate CASCADE;
SELECT count(*) FROM topic.producer_states;

-- other topics of the same name are other topics
SELECT topic.create('three', 3);
SELECT topic.produce('three', 'v', partition => 0, producer_id => 'p', sequence => 7);
SELECT producer_id, partition, last_sequence FROM producers;

DROP OWNED BY regress_idempotent_producer, regress_idempotent_stranger;
DROP ROLE regress_idempotent_producer, regress_idempotent_stranger;
DROP SCHEMA idempotent_test CASCADE;
