import pg from 'pg';
import { openRentalTarget, type RentalTarget } from '../test/engines/postgres/rental-target.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { type Report, ROUNDS, spread } from './report.ts';

const ROWS = 100_000;
const TABLE = 'public.parcels';
const STATEMENT = `UPDATE ${TABLE} SET weight = weight + 1`;

/** A change of 100,000 rows: bare, tried in a dry run, and applied with every row before and after kept. */
export async function plans(report: Report): Promise<void> {
  const [first] = servers;
  report.section('a plan that changes 100,000 rows', 'of the bare statement’s time');
  if (first === undefined) return report.tell('all', 'skipped: no server');
  const rental = await openRentalTarget(first.binaries);
  try {
    await rental.sql(
      `SELECT set_config('role', (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.customers'::regclass), false);
       CREATE TABLE ${TABLE} AS SELECT id, md5(id::text) AS label, 0 AS weight, now() AS at FROM generate_series(1, ${ROWS}) AS id`,
    );
    const dryRuns: number[] = [];
    const applies: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await rental.sql(`VACUUM ANALYZE ${TABLE}`);
      const bare = await seconds(() => bareRun(rental));
      await rental.sql(`VACUUM ANALYZE ${TABLE}`);
      let measured: Awaited<ReturnType<RentalTarget['measure']>> | undefined;
      const dryRun = await seconds(async () => {
        measured = await rental.measure([STATEMENT], [TABLE]);
      });
      if (measured?.measurement.measured !== true) throw new Error(`not measured: ${JSON.stringify(measured)}`);
      await rental.sql(`VACUUM ANALYZE ${TABLE}`);
      const found = measured;
      const apply = await seconds(async () => {
        const { outcome } = await rental.apply([STATEMENT], [TABLE], found);
        if (outcome !== 'applied') throw new Error(`not applied: ${outcome}`);
      });
      dryRuns.push(dryRun / bare);
      applies.push(apply / bare);
    }
    report.tell('dry run (it runs twice, to know what differs from run to run)', `${spread(dryRuns)} ×`);
    report.tell('apply, with capture and comparison', `${spread(applies)} ×`);
  } finally {
    await rental.remove();
  }
}

async function bareRun({ url }: RentalTarget): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(STATEMENT);
  await client.end();
}

async function seconds(run: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await run();
  return (performance.now() - startedMs) / 1000;
}
