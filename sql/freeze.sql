-- VACUUM resolves transactions for good: what was rolled back stays away,
-- wherever on its page a batch begins.

SELECT topic.create('edge');
SET pgtopic.append_at = 'call';

-- this record leaves room for one envelope on the first page, and no more
SELECT (topic.produce('edge', repeat('a', 8031), partition => 0)).log_offset;
VACUUM edge;
BEGIN;
SELECT (topic.produce('edge', 'rolled back'::text, partition => 0)).log_offset;
ROLLBACK;
SELECT (topic.produce('edge', 'committed'::text, partition => 0)).log_offset;
SELECT log_offset, length(value) FROM edge;
VACUUM edge;
SELECT log_offset, length(value) FROM edge;
SELECT * FROM topic.verify('edge');

DROP TABLE edge;
RESET pgtopic.append_at;
