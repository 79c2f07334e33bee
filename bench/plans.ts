import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { PlanId } from '../src/domain/ids.ts';
import { CATALOGUE_POLL_MS, type Measured } from '../src/engines/engine.ts';
import { openRentalTarget, planId, type RentalTarget } from '../test/engines/postgres/rental-target.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { type Report, ROUNDS, spread } from './report.ts';

const ROWS = 100_000;
const TABLE = 'public.parcels';
const INDEXED = 'public.shipments';
let madePlans = 0;
const STATEMENT = `UPDATE ${TABLE} SET weight = weight + 1`;

/** A change of 100,000 rows: bare, tried in a dry run, applied with every row before and after kept, and taken back. */
export async function plans(report: Report): Promise<void> {
  const [first] = servers;
  report.section(
    'a plan that changes 100,000 rows of a table with a primary key, on a durable server',
    'of the bare statement’s time',
  );
  if (first === undefined) return report.tell('all', 'skipped: no server');
  const rental = await openRentalTarget(first.binaries, { durable: true });
  try {
    await rental.sql(
      `SELECT set_config('role', (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.customers'::regclass), false);
       CREATE TABLE ${TABLE} AS SELECT id, md5(id::text) AS label, 0 AS weight, now() AS at FROM generate_series(1, ${ROWS}) AS id;
       ALTER TABLE ${TABLE} ADD PRIMARY KEY (id);
       CREATE TABLE ${INDEXED} AS SELECT id, 1 + id % 100 AS customer, md5(id::text) AS label, 0 AS weight, now() AS at FROM generate_series(1, ${ROWS}) AS id;
       ALTER TABLE ${INDEXED} ADD PRIMARY KEY (id), ADD FOREIGN KEY (customer) REFERENCES public.customers (id);
       CREATE INDEX ON ${INDEXED} (customer); CREATE INDEX ON ${INDEXED} (at)`,
    );
    const [once, twice, applies]: [number[], number[], number[]] = [[], [], []];
    const [undos, drops, returns]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      await settle(rental);
      const bare = await seconds(() => bareRun(rental));
      await settle(rental);
      const dryRun = async (more: Parameters<RentalTarget['measure']>[2]) => {
        let measured: Measured | undefined;
        const took = await seconds(async () => {
          measured = await rental.measure([STATEMENT], [TABLE], more);
        });
        if (measured?.measurement.measured !== true) throw new Error(`not measured: ${JSON.stringify(measured)}`);
        await settle(rental);
        return { took, measured };
      };
      const { took, measured } = await dryRun({ repeatable: true });
      once.push(took / bare);
      twice.push((await dryRun({})).took / bare);
      const change = planId(++madePlans);
      const apply = await seconds(async () => {
        const { outcome } = await rental.apply([STATEMENT], [TABLE], measured, { plan: change });
        if (outcome !== 'applied') throw new Error(`not applied: ${outcome}`);
      });
      applies.push(apply / bare);
      undos.push(await takenBack(rental, change));
      const dropped = planId(++madePlans);
      drops.push(await softDrop(rental, dropped));
      returns.push(await takenBack(rental, dropped));
    }
    const indexed = await withIndexes(rental);
    report.tell('dry run, where no value can differ from run to run', `${spread(once)} ×`);
    report.tell('dry run where one could: it runs twice', `${spread(twice)} ×`);
    report.tell('apply, with capture and comparison', `${spread(applies)} ×`);
    report.tell('the same of a table with a foreign key and two more indexes', `${spread(indexed)} ×`);
    report.tell('undo of it, tried and applied', `${spread(undos)} s`);
    report.tell('DROP of the table into quarantine, tried and applied', `${spread(drops)} s`);
    report.tell('undo of that, tried and applied', `${spread(returns)} s`);
  } finally {
    await rental.remove();
  }
}

/** Most tables are more work for the server than one with a single index, and no more for capture. */
async function withIndexes(rental: RentalTarget): Promise<number[]> {
  const sql = `UPDATE ${INDEXED} SET weight = weight + 1`;
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await settle(rental, INDEXED);
    const bare = await seconds(() => bareRun(rental, sql));
    await settle(rental, INDEXED);
    const measured = await rental.measure([sql], [INDEXED], { repeatable: true });
    await settle(rental, INDEXED);
    const applied = await seconds(async () => {
      const { outcome } = await rental.apply([sql], [INDEXED], measured, { plan: planId(++madePlans) });
      if (outcome !== 'applied') throw new Error(`not applied: ${outcome}`);
    });
    ratios.push(applied / bare);
  }
  return ratios;
}

async function takenBack(rental: RentalTarget, change: PlanId): Promise<number> {
  await settle(rental, '');
  const undo = { change, keepNewer: false };
  return seconds(async () => {
    const tried = await rental.measure([], [TABLE], { undo, repeatable: true });
    const { outcome } = await rental.apply([], [TABLE], tried, { plan: planId(++madePlans), undo });
    if (outcome !== 'applied') throw new Error(`not taken back: ${outcome}`);
  });
}

async function softDrop(rental: RentalTarget, plan: PlanId): Promise<number> {
  await settle(rental);
  const sql = `DROP TABLE ${TABLE}`;
  return seconds(async () => {
    const tried = await rental.measure([sql], [TABLE], { quarantine: { keepMs: 60_000 }, repeatable: true });
    const { outcome } = await rental.apply([sql], [TABLE], tried, { plan });
    if (outcome !== 'applied') throw new Error(`not dropped: ${outcome}`);
  });
}

/** Each run meets the table as it was, and nothing else that goes on: what is written is on disk, the catalogue is known. */
async function settle(rental: RentalTarget, table = TABLE): Promise<void> {
  await rental.sql(`VACUUM ANALYZE ${table}`);
  await rental.sql('CHECKPOINT');
  await sleep(CATALOGUE_POLL_MS + 300);
}

async function bareRun({ url }: RentalTarget, sql = STATEMENT): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

async function seconds(run: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await run();
  return (performance.now() - startedMs) / 1000;
}
