// Node pg: the extended query protocol; parameters have no type, Buffers are binary.
'use strict';

const { Client } = require('pg');
const cases = require('./cases.json');

// As in common.py.
const STORED = `SELECT encode(key, 'escape'), encode(value, 'escape'),
       (SELECT string_agg(h.key || '=' || coalesce(encode(h.value, 'escape'), 'NULL'), ',')
        FROM unnest(headers) AS h),
       CASE WHEN timestamp < '2002-01-01' THEN (timestamp AT TIME ZONE 'UTC')::text END
FROM drivers ORDER BY log_offset DESC LIMIT 1`;

function argument(spec) {
  if (spec === null) return null;
  if (Array.isArray(spec)) return spec.map(argument);
  const [, kind, text] = spec.match(/^(\w+):(.*)$/s);
  switch (kind) {
    case 'int': return Number(text);
    case 'bytes': return Buffer.from(text, 'hex');
    case 'time': return new Date(text);
    case 'json':
    case 'jsonb': return JSON.parse(text);
    default: return text;
  }
}

const compact = (value) => (value && value.startsWith('{') ? value.replaceAll('": ', '":') : value);

async function wrong(client, test, name) {
  let state;
  let value;
  try {
    const result = await client.query({ name, text: test.sql, values: test.args.map(argument), rowMode: 'array' });
    value = result.rows[0][0];
  } catch (error) {
    state = error.code || 'an error of the driver';
    value = error.message;
  }
  if (state !== test.error) return `${state}: ${value}`;
  if ('returns' in test && String(value) !== test.returns) return `returned ${value}, not ${test.returns}`;
  if ('stored' in test) {
    const { rows } = await client.query({ text: STORED, rowMode: 'array' });
    const row = JSON.stringify(rows[0].map(compact));
    if (row !== JSON.stringify(test.stored)) return `stored ${row}, not ${JSON.stringify(test.stored)}`;
  }
  return null;
}

async function main() {
  const client = new Client();
  let failed = false;
  await client.connect();
  await client.query("DROP TABLE IF EXISTS drivers; SELECT topic.create('drivers')");
  for (const named of [false, true]) {
    for (const [number, test] of cases.entries()) {
      const problem = await wrong(client, test, named ? `case ${number}` : undefined);
      console.log(`${problem ? 'not ok' : 'ok'} - Node pg${named ? ', prepared' : ''}: ${test.name}`);
      if (problem) {
        failed = true;
        console.log(`# ${problem}`);
      }
    }
  }
  await client.end();
  process.exitCode = failed ? 1 : 0;
}

main().catch((error) => {
  console.log(`not ok - Node pg: ${error.message}`);
  process.exitCode = 1;
});
