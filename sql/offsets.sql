-- Offsets with gaps, and the end of all offsets.

SELECT topic.create('far', partitions => 2);

-- what lies in a gap is the next message
INSERT INTO far (partition, log_offset, value) VALUES
	(1, 0, 'a'), (1, 5000000000, 'b'), (1, 1000000000000000, 'c'),
	(1, 9223372036854775806, 'd');
SELECT log_offset FROM topic.fetch('far', 1, 1, 1);
SELECT log_offset FROM topic.fetch('far', 1, 5000000001, 1);
SELECT log_offset FROM topic.fetch('far', 1, 9223372036854775805);
SELECT log_offset FROM far WHERE partition = 1 AND log_offset > 6;
SELECT log_offset FROM far WHERE partition = 1 AND log_offset <= 6000000000
	ORDER BY log_offset DESC;

-- no offset is left
INSERT INTO far (partition, log_offset, value) VALUES (1, 9223372036854775807, 'e');
SELECT topic.produce('far', 'e'::text, partition => 1);
INSERT INTO far (partition, log_offset, value) VALUES (0, 9223372036854775805, 'a');
SELECT topic.produce('far', 'b'::text, partition => 0);
SELECT topic.produce('far', 'c'::text, partition => 0);
SELECT partition, log_offset, value FROM far ORDER BY 1, 2;
SELECT * FROM topic.list_offsets('far');
SELECT * FROM topic.verify('far');

DROP TABLE far;
