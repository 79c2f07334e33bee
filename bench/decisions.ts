import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { analyse } from '../src/analysis/analyse.ts';
import { createAnalysisCache } from '../src/analysis/analysis-cache.ts';
import { instantOf } from '../src/domain/ids.ts';
import type { StateLocation } from '../src/domain/state-location.ts';
import { type Ledger, openLedger } from '../src/ledger/ledger.ts';
import { createSigningKey, loadSigningKey } from '../src/ledger/signing-key.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { openStore } from '../src/store/open-store.ts';
import type { Store } from '../src/store/store.ts';
import { trappedCatalogue } from '../test/fixtures/catalogue.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { startPostgresPlace } from '../test/fixtures/state.ts';
import type { Report } from './report.ts';

const AT = instantOf(0);

/** Analysis of a statement's text: seen before, and new. */
export async function analysing(report: Report): Promise<void> {
  report.section('analysis of a statement (a join of two tables)', '');
  const catalogue = await trappedCatalogue();
  const count = 2000;
  const join = (n: number) =>
    `SELECT c.full_name, r.id FROM customers c JOIN reservations r ON r.customer_id = c.id WHERE r.id = ${n}`;
  const micros = (run: (n: number) => unknown): string => {
    for (let n = 0; n < 200; n++) run(-n);
    const startedMs = performance.now();
    for (let n = 0; n < count; n++) run(n);
    return `${(((performance.now() - startedMs) / count) * 1000).toFixed(1)} µs`;
  };
  const path = ['public'];
  report.tell(
    'a text that is new',
    micros((n) => analyse(join(n), catalogue, path)),
  );
  const cached = createAnalysisCache();
  report.tell(
    'a text seen before',
    micros(() => cached(join(1), catalogue, path)),
  );
}

/** The ledger: durable, and verified, on both stores. */
export async function ledgers(report: Report): Promise<void> {
  report.section('ledger', '');
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  await ledger(report, 'SQLite', `sqlite:${join(directory, 'state.db')}`, 1);
  rmSync(directory, { recursive: true, force: true });
  const [first] = servers;
  if (first === undefined) return;
  const place = await startPostgresPlace(first.binaries, { durable: true });
  try {
    await ledger(report, 'PostgreSQL', await place.make(), 1);
    await ledger(report, 'PostgreSQL, two nodes at once', await place.make(), 2);
  } finally {
    await place.remove();
  }
}

/** @param nodes how many processes' worth of ledgers append at once to the same state. */
async function ledger(report: Report, where: string, location: StateLocation, nodes: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const keyFile = join(directory, 'ledger.key');
  createSigningKey(keyFile);
  const key = loadSigningKey(keyFile, 'bench');
  const stores: Store[] = [];
  for (let n = 0; n < nodes; n++) stores.push(await openStore(location));
  const all: Ledger[] = [];
  for (const store of stores) all.push(await openLedger({ store, key, clock: { now: Date.now } }));
  const alone: number[] = [];
  for (let n = 0; n < 50; n++) {
    const sinceMs = performance.now();
    await all[0]?.record({ entries: [{ v: 1, kind: 'intent', at: AT, subject: 's', body: { n } }] });
    alone.push(performance.now() - sinceMs);
  }
  report.tell(`${where}: one entry alone`, `${(alone.sort((a, b) => a - b)[25] ?? 0).toFixed(1)} ms (median of 50)`);
  const count = 50_000;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      all[n % nodes]?.record({ entries: [{ v: 1, kind: 'intent', at: AT, subject: `s${n}`, body: { n } }] }),
    ),
  );
  const perSecond = (sinceMs: number) => String(Math.round(count / ((performance.now() - sinceMs) / 1000)));
  report.tell(`${where}: durable entries a second`, perSecond(startedMs));
  for (const each of all) await each.close();
  for (const store of stores) await store.close();
  const verifyingMs = performance.now();
  const verdict = await verifyLedger(typeof location === 'string' ? location.slice('sqlite:'.length) : location);
  if (verdict.verdict !== 'sound') throw new Error(`the ledger is ${verdict.verdict}: ${verdict.problem}`);
  report.tell(`${where}: verified entries a second`, perSecond(verifyingMs));
  rmSync(directory, { recursive: true, force: true });
}
