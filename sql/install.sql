-- What CREATE EXTENSION pgtopic brings
SET client_min_messages = warning;
SELECT extname, extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'pgtopic';
SELECT amname, amtype FROM pg_am WHERE amname = 'topic';
SELECT extconfig::regclass[], extcondition FROM pg_extension WHERE extname = 'pgtopic';

\pset format unaligned
-- the functions of the contract, with their defaults and results
SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ')' AS function,
	pg_get_function_result(p.oid) AS result,
	p.provolatile AS vol, p.proparallel AS par, p.proisstrict AS strict, p.prorows AS rows
FROM pg_proc p WHERE p.pronamespace = 'topic'::regnamespace
ORDER BY p.proname COLLATE "C", pg_get_function_arguments(p.oid) COLLATE "C";

-- types, tables and views
SELECT t.typname || '.' || a.attname AS attribute, format_type(a.atttypid, a.atttypmod)
FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
WHERE t.typnamespace = 'topic'::regnamespace AND a.attnum > 0
ORDER BY t.typname COLLATE "C", a.attnum;

-- everything is explained
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend d
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pgtopic')
	AND obj_description(objid, classid::regclass::name) IS NULL
	AND classid <> 'pg_type'::regclass
UNION ALL
SELECT format_type(oid, NULL) FROM pg_type
WHERE typnamespace = 'topic'::regnamespace AND typtype = 'c' AND obj_description(oid, 'pg_type') IS NULL
	AND (SELECT relkind FROM pg_class WHERE oid = typrelid) = 'c'
UNION ALL
SELECT attrelid::regclass || '.' || attname FROM pg_attribute
WHERE attnum > 0 AND col_description(attrelid, attnum) IS NULL
	AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'topic'::regnamespace AND relkind IN ('r', 'v'));

\pset format aligned

-- every form of produce resolves with untyped, NULL, text, varchar and typed parameters
PREPARE untyped AS SELECT topic.produce($1, $2, $3, $4, $5, $6);
PREPARE all_text(text, text, text, text, int, timestamptz) AS SELECT topic.produce($1, $2, $3, $4::jsonb, $5, $6);
PREPARE all_varchar(varchar, varchar, varchar) AS SELECT topic.produce($1, $2, $3);
PREPARE short AS SELECT topic.produce($1, $2);
PREPARE named AS SELECT topic.produce(topic => $1, value => $2, partition => $3);
PREPARE as_json(text, json) AS SELECT topic.produce($1, $2);
PREPARE as_jsonb(text, jsonb) AS SELECT topic.produce($1, $2);
PREPARE as_bytea(text, bytea) AS SELECT topic.produce($1, $2);
PREPARE record AS SELECT topic.produce_record($1, $2, $3, $4, $5, $6);
PREPARE batch AS SELECT topic.produce_batch($1, $2, $3, $4, $5);
PREPARE batch_json AS SELECT topic.produce_batch_json($1, $2, $3, $4, $5);
PREPARE batch_bytes AS SELECT topic.produce_batch_bytes($1, $2, $3, $4);
PREPARE fetching AS SELECT * FROM topic.fetch($1, $2, $3, $4, $5, $6);
PREPARE tailing AS SELECT * FROM topic.tail($1, $2, $3);
PREPARE listing AS SELECT * FROM topic.list_offsets($1, $2);
PREPARE creating AS SELECT topic.create($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);
PREPARE altering AS SELECT topic.alter($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
SELECT name, parameter_types FROM pg_prepared_statements ORDER BY name COLLATE "C";
DEALLOCATE ALL;
EXPLAIN (VERBOSE, COSTS OFF) SELECT topic.produce('t', 'x');
EXPLAIN (VERBOSE, COSTS OFF) SELECT topic.produce('t', NULL);
EXPLAIN (VERBOSE, COSTS OFF) SELECT topic.produce('t', 'x'::varchar, 'k'::varchar);

-- the extension is in its schema and nowhere else
CREATE SCHEMA install_test;
ALTER EXTENSION pgtopic SET SCHEMA install_test;
DROP SCHEMA install_test;
