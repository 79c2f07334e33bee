import type net from 'node:net';
import { message, query } from '../src/engines/postgres/wire-messages.ts';
import { startSite, WORK } from '../test/fixtures/gateway.ts';
import { asSuperuser, servers } from '../test/fixtures/postgres.ts';
import { connectRaw } from '../test/fixtures/raw-client.ts';
import { type Report, ROUNDS, spread } from './report.ts';

const ROWS = 1_000_000;
/** Few rows, so that they stay within what a task may write without approval; what counts is the bytes. */
const COPIED_ROWS = 64;
const COPIED_BYTES_EACH = 1024 * 1024;
const READY = 0x5a;

/** Large results and COPY both ways, in bytes a second against the database itself. */
export async function results(report: Report): Promise<void> {
  const [first] = servers;
  report.section('large results and COPY, bytes a second', 'of the database itself');
  if (first === undefined) return report.tell('all', 'skipped: no server');
  const site = await startSite(first.binaries, { scale: 0.02 });
  try {
    await asSuperuser(
      site.databaseUrl,
      `SELECT set_config('role', (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.customers'::regclass), false);
       CREATE TABLE public.parcels (id int, content text)`,
    );
    await site.serve();
    const task = await site.openTask(WORK.replace('public.notes]', 'public.notes, public.parcels]'));
    const urls = [site.databaseUrl, task.postgres] as const;
    const rows = `SELECT id, md5(id::text) FROM generate_series(1, ${ROWS}) AS id`;
    for (const [what, sql] of [
      ['1 million rows', rows],
      ['COPY of them to the client', `COPY (${rows}) TO STDOUT`],
    ] as const) {
      report.tell(what, await inTurns(urls, (url) => drain(url, sql)));
    }
    report.tell(
      'COPY from the client, 64 MB',
      await inTurns(urls, async (url) => {
        const seconds = await copyIn(url);
        await asSuperuser(site.databaseUrl, 'TRUNCATE public.parcels');
        return seconds;
      }),
    );
  } finally {
    await site.remove();
  }
}

/** @returns how fast the second is of the first. */
async function inTurns(
  [peer, ours]: readonly [string, string],
  secondsOf: (url: string) => Promise<number>,
): Promise<string> {
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const direct = await secondsOf(peer);
    ratios.push(direct / (await secondsOf(ours)));
  }
  return spread(ratios);
}

/** Reads a result to its end as fast as it comes, and keeps nothing of it. */
async function drain(url: string, sql: string): Promise<number> {
  const client = await connectRaw(url);
  client.socket.removeAllListeners('data');
  const startedMs = performance.now();
  await new Promise<void>((resolve, reject) => {
    client.socket.on('error', reject);
    client.socket.on('data', (chunk: Buffer) => {
      // ReadyForQuery is the last message, of six bytes.
      if (chunk.length >= 6 && chunk[chunk.length - 6] === READY && chunk.readUInt32BE(chunk.length - 5) === 5)
        resolve();
    });
    client.socket.write(query(sql));
  });
  const seconds = (performance.now() - startedMs) / 1000;
  client.socket.destroy();
  return seconds;
}

async function copyIn(url: string): Promise<number> {
  const client = await connectRaw(url);
  client.send(query('COPY public.parcels FROM STDIN'));
  await client.until('G');
  const row = message('d', Buffer.from(`1\t${'x'.repeat(COPIED_BYTES_EACH)}\n`));
  const startedMs = performance.now();
  for (let n = 0; n < COPIED_ROWS; n++) await written(client.socket, row);
  client.send(message('c', Buffer.alloc(0)));
  await client.until('Z');
  const seconds = (performance.now() - startedMs) / 1000;
  await client.close();
  return seconds;
}

function written(socket: net.Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.write(bytes)) resolve();
    else socket.once('drain', () => resolve());
  });
}
