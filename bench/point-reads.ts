import { execFile } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Site, startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { startPgbouncer } from './pgbouncer.ts';
import { type Report, spread } from './report.ts';

const ROUNDS = 5;
const SECONDS = 2;
const SCRIPT = `\\set id random(1, 200)
SELECT full_name FROM public.customers WHERE id = :id;
`;

const pgbench = readdirSync('/usr/lib/postgresql', { withFileTypes: true })
  .map((entry) => join('/usr/lib/postgresql', entry.name, 'bin/pgbench'))
  .find((path) => existsSync(path));

/** Point reads by pgbench: the database itself, PgBouncer and Countersign in turns, and Countersign with TLS. */
export async function pointReads(report: Report): Promise<void> {
  const [first] = servers;
  report.section('point reads, transactions a second', 'of PgBouncer · of the database itself');
  if (first === undefined || pgbench === undefined) return report.tell('all', 'skipped: no server or no pgbench');
  const site = await startSite(first.binaries, { scale: 0.02, settings: { max_connections: '200' } });
  const pooler = await startPgbouncer(site.databaseUrl);
  try {
    await site.serve();
    const task = await site.openTask(WORK);
    const script = join(site.directory, 'point.sql');
    writeFileSync(script, SCRIPT);
    const governed = `${task.postgres}?sslmode=disable`;
    for (const mode of ['simple', 'extended', 'prepared']) {
      for (const clients of [1, 16, 64]) {
        const ofPooler: number[] = [];
        const ofDirect: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          const direct = await tps(site.databaseUrl, mode, clients, script);
          const pooled = pooler === undefined ? Number.NaN : await tps(pooler.url, mode, clients, script);
          const ours = await tps(governed, mode, clients, script);
          ofPooler.push(ours / pooled);
          ofDirect.push(ours / direct);
        }
        report.tell(`${mode}, ${clients} clients`, `${spread(ofPooler)} · ${spread(ofDirect)}`);
      }
    }
    await encrypted(report, site, task.postgres, script);
  } finally {
    pooler?.stop();
    await site.remove();
  }
}

async function encrypted(report: Report, site: Site, url: string, script: string): Promise<void> {
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const direct = await tps(site.databaseUrl, 'simple', 16, script);
    ratios.push((await tps(`${url}?sslmode=require`, 'simple', 16, script)) / direct);
  }
  report.tell('simple, 16 clients, with TLS between client and gateway', `– · ${spread(ratios)}`);
}

function tps(url: string, mode: string, clients: number, script: string): Promise<number> {
  return new Promise((resolve, reject) => {
    execFile(
      pgbench ?? 'pgbench',
      ['-n', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(SECONDS), '-f', script, url],
      (error, stdout) => {
        const found = /tps = ([\d.]+)/.exec(stdout)?.[1];
        if (error !== null || found === undefined) reject(error ?? new Error('pgbench told no figure'));
        else resolve(Number(found));
      },
    );
  });
}
