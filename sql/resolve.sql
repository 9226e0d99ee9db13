-- Every form of produce resolves, whatever types a driver gives its parameters
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA resolve_test;
SET search_path = resolve_test, public;
SELECT topic.create('t');

-- The functions, with a value for each argument.
CREATE TABLE forms (form text, names text[], args text[], types text[]);
INSERT INTO forms VALUES
	('produce', '{topic,value,key,headers,partition,event_time,producer_id,sequence,expected_offset,producer_epoch}',
		ARRAY['t', '{"n": 1}', 'k', '{"h": "x"}', '0', '2001-02-03 04:05:06.789Z', NULL, NULL, NULL, NULL],
		'{text,NULL,text,jsonb,int,timestamptz,text,bigint,bigint,int}'),
	('produce_record', '{topic,value,key,headers,partition,event_time,producer_id,sequence,expected_offset,producer_epoch}',
		ARRAY['t', 'v', 'k', '{"(h,x)"}', '0', '2001-02-03 04:05:06.789Z', NULL, NULL, NULL, NULL],
		'{text,bytea,bytea,topic.header[],int,timestamptz,text,bigint,bigint,int}'),
	('produce_batch', '{topic,messages,keys,headers,partition,producer_id,sequence,expected_offset,producer_epoch}',
		ARRAY['t', '{v}', '{k}', '{"{\"h\": \"x\"}"}', '0', NULL, NULL, NULL, NULL],
		'{text,text[],text[],jsonb[],int,text,bigint,bigint,int}'),
	('produce_batch_json', '{topic,messages,keys,headers,partition,producer_id,sequence,expected_offset,producer_epoch}',
		ARRAY['t', '{"{\"n\": 1}"}', '{k}', '{"{\"h\": \"x\"}"}', '0', NULL, NULL, NULL, NULL],
		'{text,jsonb[],text[],jsonb[],int,text,bigint,bigint,int}'),
	('produce_batch_bytes', '{topic,messages,keys,partition,producer_id,sequence,expected_offset,producer_epoch}',
		ARRAY['t', '{v}', '{k}', '0', NULL, NULL, NULL, NULL],
		'{text,bytea[],bytea[],int,text,bigint,bigint,int}');

-- PREPARE with the given types, EXECUTE with the given values: how the parser
-- understood the parameters, and the message as it is stored.
CREATE FUNCTION attempt(form text, types text[], args text[], names text[] DEFAULT NULL,
	OUT resolved regtype[], OUT stored text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('PREPARE attempt(%s) AS SELECT topic.%I(%s)', array_to_string(types, ', '), form,
		(SELECT string_agg(concat(names[i] || ' => ', '$' || i), ', ' ORDER BY i)
		 FROM generate_subscripts(types, 1) AS i));
	SELECT parameter_types INTO resolved FROM pg_prepared_statements WHERE name = 'attempt';
	EXECUTE format('EXECUTE attempt(%s)',
		(SELECT string_agg(quote_nullable(args[i]), ', ' ORDER BY i) FROM generate_subscripts(types, 1) AS i));
	DEALLOCATE attempt;
	SELECT concat_ws(' ', partition,
			coalesce(convert_from(key, 'UTF8'), 'NULL'), coalesce(convert_from(value, 'UTF8'), 'NULL'), headers,
			CASE WHEN timestamp < '2002-01-01' THEN timestamp END)
		INTO stored FROM t ORDER BY log_offset DESC LIMIT 1;
EXCEPTION WHEN OTHERS THEN
	DEALLOCATE ALL;
	stored := SQLSTATE || ': ' || SQLERRM;
END $$;

\pset format unaligned
-- untyped, as psql and most drivers send them: 2 arguments up to all
SELECT form, n, a.* FROM forms, generate_series(2, cardinality(args)) AS n,
	attempt(form, array_fill('unknown'::text, ARRAY[n]), args[:n]) AS a
ORDER BY form COLLATE "C", n;

-- text and varchar where text is wanted, the others untyped
SELECT form, kind, n, a.* FROM forms, unnest('{text,varchar}'::text[]) AS kind,
	generate_series(2, cardinality(args)) AS n,
	attempt(form, (SELECT array_agg(CASE WHEN coalesce(types[i], 'text') = 'text' THEN kind ELSE 'unknown' END ORDER BY i)
		FROM generate_series(1, n) AS i), args[:n]) AS a
ORDER BY form COLLATE "C", kind, n;

-- the value's type chooses the function of that name
SELECT kind, n, a.* FROM forms, unnest('{text,varchar,json,jsonb,bytea}'::text[]) AS kind,
	generate_series(2, cardinality(args)) AS n,
	attempt(form, (SELECT array_agg(CASE WHEN i = 2 THEN kind ELSE coalesce(types[i], 'text') END ORDER BY i)
		FROM generate_series(1, n) AS i), args[:n]) AS a
WHERE form = 'produce' ORDER BY kind, n;

-- every parameter of the very type
SELECT form, a.* FROM forms, attempt(form, types, args) AS a
WHERE form <> 'produce' ORDER BY form COLLATE "C";

-- NULL: of no type, and of each type; the value too, where it is one
SELECT form, kind, n, a.* FROM forms,
	(VALUES ('unknown'), ('text'), ('varchar'), ('typed')) AS kinds (kind),
	generate_series(2, cardinality(args)) AS n,
	attempt(form, (SELECT array_agg(CASE WHEN kind = 'typed' THEN coalesce(types[i], 'bytea')
				WHEN coalesce(types[i], 'text') = 'text' THEN kind ELSE 'unknown' END ORDER BY i)
			FROM generate_series(1, n) AS i),
		(SELECT array_agg(CASE WHEN i = 1 OR (i = 2 AND form LIKE 'produce\_batch%') THEN args[i] END ORDER BY i)
			FROM generate_series(1, n) AS i)) AS a
ORDER BY form COLLATE "C", kind, n;

-- by name: all of them, and each optional one alone
SELECT form, n, a.* FROM forms, generate_series(3, cardinality(args)) AS n,
	attempt(form, '{unknown,unknown,unknown}', ARRAY[args[1], args[2], args[n]], ARRAY[names[1], names[2], names[n]]) AS a
ORDER BY form COLLATE "C", n;
SELECT form, kind, a.* FROM forms, unnest('{unknown,text,varchar}'::text[]) AS kind,
	attempt(form, (SELECT array_agg(CASE WHEN coalesce(t, 'text') = 'text' THEN kind ELSE 'unknown' END ORDER BY i DESC)
			FROM unnest(types) WITH ORDINALITY AS u (t, i)),
		(SELECT array_agg(v ORDER BY i DESC) FROM unnest(args) WITH ORDINALITY AS u (v, i)),
		(SELECT array_agg(v ORDER BY i DESC) FROM unnest(names) WITH ORDINALITY AS u (v, i))) AS a
ORDER BY form COLLATE "C", kind;

-- integers that drivers make as short as the number allows
SELECT kind, a.* FROM unnest('{smallint,int}'::text[]) AS kind,
	attempt('produce', ARRAY['unknown', 'unknown', kind], '{t,v,0}', '{topic,value,partition}') AS a
ORDER BY kind;

-- literals, as psql and simple queries have them
SELECT topic.produce('t', 'v');
SELECT topic.produce('t', NULL);
SELECT topic.produce('t', NULL, NULL, NULL, NULL, NULL);
SELECT topic.produce('t', 'v', 'k', '{"h": null}', 0, '2001-02-03');
SELECT topic.produce('t', value => 'v'::varchar, key => 'k'::varchar, event_time => now());
SELECT topic.produce('t', '{"n": 1}'::json), topic.produce('t', '{"n": 1}'::jsonb), topic.produce('t', '\x00'::bytea);
SELECT topic.produce_record('t', NULL), topic.produce_record('t', '\x00', '\x01', NULL, NULL, NULL);
SELECT topic.produce_batch('t', '{v,NULL}'), topic.produce_batch('t', ARRAY['v'], NULL, NULL, NULL);
SELECT topic.produce_batch_json('t', '{1,null,NULL}'), topic.produce_batch_json('t', ARRAY['1'::jsonb], NULL);
SELECT topic.produce_batch_bytes('t', '{"\\x00",NULL}'), topic.produce_batch_bytes('t', ARRAY['\x00'::bytea], NULL, NULL);
SELECT topic.produce_batch('t', '{v}'::varchar[], '{k}'::varchar[]);
SELECT count(*) FROM t;

DROP SCHEMA resolve_test CASCADE;
