import { type Site, startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { pgbench, pointReadRate } from './pgbench.ts';
import { startPgbouncer } from './pgbouncer.ts';
import { type Report, ROUNDS, spread } from './report.ts';

const SECONDS = 2;
/** Many clients are still connecting when few have long begun. */
const SECONDS_OF_MANY = 3;

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
    const { directory } = site;
    const governed = `${task.postgres}?sslmode=disable`;
    for (const mode of ['simple', 'extended', 'prepared']) {
      for (const clients of [1, 16, 64]) {
        const load = { mode, clients, seconds: clients > 16 ? SECONDS_OF_MANY : SECONDS, directory };
        const ofPooler: number[] = [];
        const ofDirect: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          const direct = await pointReadRate(site.databaseUrl, load);
          const pooled = pooler === undefined ? Number.NaN : await pointReadRate(pooler.url, load);
          const ours = await pointReadRate(governed, load);
          ofPooler.push(ours / pooled);
          ofDirect.push(ours / direct);
        }
        report.tell(`${mode}, ${clients} clients`, `${spread(ofPooler)} · ${spread(ofDirect)}`);
      }
    }
    await encrypted(report, site, task.postgres);
  } finally {
    pooler?.stop();
    await site.remove();
  }
}

async function encrypted(report: Report, site: Site, url: string): Promise<void> {
  const load = { mode: 'simple', clients: 16, seconds: SECONDS, directory: site.directory };
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const direct = await pointReadRate(site.databaseUrl, load);
    ratios.push((await pointReadRate(`${url}?sslmode=require`, load)) / direct);
  }
  report.tell('simple, 16 clients, with TLS between client and gateway', `– · ${spread(ratios)}`);
}
