// A worker in a consumer group, driven by LISTEN/NOTIFY, with Node pg.
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { Client } = require('pg');

// One transaction: consume, act, commit.
async function work(client) {
  await client.query('BEGIN');
  const { rows } = await client.query("SELECT key, value FROM topic.consume_text('billing', 500)");
  for (const { key, value } of rows)
    await client.query("INSERT INTO invoice VALUES ($1, ($2::jsonb->>'price')::int)", [key, value]);
  await client.query("SELECT topic.commit('billing')");
  await client.query('COMMIT');
  return rows.length;
}

async function session(client) {
  let news = false;
  client.on('notification', () => { news = true; });
  await client.query("SELECT topic.subscribe('billing', ARRAY['orders'])");
  await client.query("SELECT topic.listen('billing')");
  for (;;) {
    news = false;
    while (await work(client) > 0);
    if (!news) await once(client, 'notification');   // rejects when the server is lost
  }
}

async function main() {
  for (;;) {
    const client = new Client();
    client.on('error', () => {});
    try {
      await client.connect();
      await session(client);
    } catch (error) {                                // server lost, removed from the group, ...
      console.error(error.message);
      client.end().catch(() => {});                // not awaited: it may never come
      await sleep(1000);
    }
  }
}

main();
