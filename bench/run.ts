import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { analyse } from '../src/analysis/analyse.ts';
import { instantOf } from '../src/domain/ids.ts';
import type { StateLocation } from '../src/domain/state-location.ts';
import { type Ledger, openLedger } from '../src/ledger/ledger.ts';
import { createSigningKey, loadSigningKey } from '../src/ledger/signing-key.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { openStore } from '../src/store/open-store.ts';
import type { Store } from '../src/store/store.ts';
import { trappedCatalogue } from '../test/fixtures/catalogue.ts';
import { startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { startPostgresPlace } from '../test/fixtures/state.ts';

/**
 * Measures Countersign against a peer in one run, in turns, so that both meet the same machine; what counts is the
 * ratio. `npm run bench`, or `npm run bench -- ledgers` for one part.
 */
const ROUNDS = 5;
const SECONDS = 2;
const POINT_READ = `\\set id random(1, 200)
SELECT full_name FROM public.customers WHERE id = :id;
`;

const pgbench = readdirSync('/usr/lib/postgresql', { withFileTypes: true })
  .map((entry) => join('/usr/lib/postgresql', entry.name, 'bin/pgbench'))
  .find((path) => existsSync(path));

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

function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(2);
  return `${at(0.5)}  (${at(0)} to ${at(1)})`;
}

const lines: string[] = [];
function tell(what: string, figure: string): void {
  const line = `${what.padEnd(52)} ${figure}`;
  lines.push(line);
  process.stdout.write(`${line}\n`);
}

async function pointReads(): Promise<void> {
  const [first] = servers;
  if (first === undefined || pgbench === undefined)
    return tell('point reads', 'skipped: no PostgreSQL server or no pgbench');
  const site = await startSite(first.binaries, { scale: 0.02 });
  try {
    await site.serve();
    const task = await site.openTask(WORK);
    const script = join(site.directory, 'point.sql');
    writeFileSync(script, POINT_READ);
    for (const mode of ['simple', 'extended', 'prepared']) {
      for (const clients of [1, 16]) {
        const ratios: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          const direct = await tps(site.databaseUrl, mode, clients, script);
          ratios.push((await tps(task.postgres, mode, clients, script)) / direct);
        }
        tell(`point read, ${mode}, ${clients} clients: tps of direct`, spread(ratios));
      }
    }
  } finally {
    await site.remove();
  }
}

async function analysing(): Promise<void> {
  const catalogue = await trappedCatalogue();
  const count = 2000;
  const startedMs = performance.now();
  for (let n = 0; n < count; n++) {
    analyse(
      `SELECT c.full_name, r.id FROM customers c JOIN reservations r ON r.customer_id = c.id WHERE r.id = ${n}`,
      catalogue,
      ['public'],
    );
  }
  tell('analysis of a new text, a join', `${(((performance.now() - startedMs) / count) * 1000).toFixed(0)} µs`);
}

/** @param nodes how many processes' worth of ledgers append at once to the same state. */
async function ledger(where: string, location: StateLocation, nodes: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const keyFile = join(directory, 'ledger.key');
  createSigningKey(keyFile);
  const key = loadSigningKey(keyFile, 'bench');
  const stores: Store[] = [];
  for (let n = 0; n < nodes; n++) stores.push(await openStore(location));
  const ledgers: Ledger[] = [];
  for (const store of stores) ledgers.push(await openLedger({ store, key, clock: { now: Date.now } }));
  const alone: number[] = [];
  for (let n = 0; n < 50; n++) {
    const sinceMs = performance.now();
    await ledgers[0]?.record({ entries: [{ v: 1, kind: 'intent', at: AT, subject: 's', body: { n } }] });
    alone.push(performance.now() - sinceMs);
  }
  tell(`ledger${where}: one entry alone`, `${(alone.sort((a, b) => a - b)[25] ?? 0).toFixed(1)} ms (median of 50)`);
  const count = 50_000;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      ledgers[n % nodes]?.record({ entries: [{ v: 1, kind: 'intent', at: AT, subject: `s${n}`, body: { n } }] }),
    ),
  );
  const perSecond = count / ((performance.now() - startedMs) / 1000);
  tell(`ledger${where}: durable entries a second`, String(Math.round(perSecond)));
  for (const each of ledgers) await each.close();
  for (const store of stores) await store.close();
  const verifyingMs = performance.now();
  const verdict = await verifyLedger(typeof location === 'string' ? location.slice('sqlite:'.length) : location);
  if (verdict.verdict !== 'sound') throw new Error(`the ledger is ${verdict.verdict}: ${verdict.problem}`);
  tell(
    `ledger${where}: verified entries a second`,
    String(Math.round(count / ((performance.now() - verifyingMs) / 1000))),
  );
  rmSync(directory, { recursive: true, force: true });
}

const AT = instantOf(0);

async function ledgers(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  await ledger('', `sqlite:${join(directory, 'state.db')}`, 1);
  rmSync(directory, { recursive: true, force: true });
  const [first] = servers;
  if (first === undefined) return;
  const place = await startPostgresPlace(first.binaries, { durable: true });
  try {
    await ledger(' on PostgreSQL', await place.make(), 1);
    await ledger(' on PostgreSQL, two nodes', await place.make(), 2);
  } finally {
    await place.remove();
  }
}

const [only] = process.argv.slice(2);
for (const part of [pointReads, analysing, ledgers]) if (only === undefined || only === part.name) await part();
