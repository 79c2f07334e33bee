import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { query } from '../src/engines/postgres/wire-messages.ts';
import { startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { connectRaw, type RawClient } from '../test/fixtures/raw-client.ts';
import { type Report, ROUNDS, spread } from './report.ts';

const SESSIONS = 64;

/** How soon a gateway serves, and how soon it stops what runs. */
export async function stopping(report: Report): Promise<void> {
  const [first] = servers;
  report.section('starting and stopping', '');
  if (first === undefined) return report.tell('all', 'skipped: no server');
  const site = await startSite(first.binaries, { scale: 0.02, settings: { max_connections: '200' } });
  try {
    const began = await site.serve();
    const task = await site.openTask(WORK);
    await began.stop();
    const starts: number[] = [];
    let served = began;
    for (let round = 0; round < ROUNDS; round++) {
      const sinceMs = performance.now();
      served = await site.serve();
      const url = new URL(task.postgres);
      url.host = served.pg;
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      await client.query('SELECT count(*) FROM customers');
      starts.push(performance.now() - sinceMs);
      await client.end();
      if (round < ROUNDS - 1) await served.stop();
    }
    report.tell('start of the process to the first governed query', `${spread(starts, 0)} ms`);
    const url = new URL(task.postgres);
    url.host = served.pg;
    const lasts: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const clients: RawClient[] = [];
      for (let n = 0; n < SESSIONS; n++) clients.push(await connectRaw(url.href));
      for (const client of clients) client.send(query('SELECT pg_sleep(60)'));
      await sleep(500);
      const stopped = Promise.all(clients.map((client) => client.until('Z').then(() => Date.now())));
      const { at } = await site.ask<{ at: string }>('halt', '--task', task.task, '--reason', 'bench');
      lasts.push(Math.max(...(await stopped)) - Date.parse(at));
      for (const client of clients) client.socket.destroy();
      await site.ask('resume', '--task', task.task, '--reason', 'bench');
      await sleep(500);
    }
    report.tell(`halt to the last of ${SESSIONS} busy sessions stopped`, `${spread(lasts, 0)} ms`);
    await served.stop();
  } finally {
    await site.remove();
  }
}
