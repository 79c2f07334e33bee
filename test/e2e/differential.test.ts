import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  close,
  describe as describeFrame,
  execute,
  FLUSH,
  parse,
  query,
  SYNC,
  TERMINATE,
} from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { connectRaw } from '../fixtures/raw-client.ts';
import { SPECIMENS } from './fidelity/schema.ts';

/** How long sequences are tried; more by `FUZZ_SECONDS=600 vitest run test/e2e/differential.test.ts`. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 8);
const SEED = Number(process.env['FUZZ_SEED'] ?? 20260130);

/** None leaves anything behind, so that the order of the runs doesn't matter. */
const STATEMENTS: readonly string[] = [
  'SELECT 1',
  'SELECT id FROM vehicles ORDER BY id LIMIT 3',
  'SELECT 1/0',
  'SELECT nope',
  'SELEC',
  '',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT a',
  'ROLLBACK TO a',
  'RELEASE a',
  'UPDATE drafts SET score = score WHERE id = 1 RETURNING id',
  'UPDATE drafts SET score = 101 WHERE id = 1',
  'INSERT INTO drafts (id, title) VALUES (1, NULL)',
  'DELETE FROM drafts WHERE id = -1',
  'SELECT id FROM drafts WHERE id = 1 FOR UPDATE',
  'DECLARE c CURSOR FOR SELECT generate_series(1, 3)',
  'FETCH 2 FROM c',
  'CLOSE c',
  "SET TIME ZONE 'Asia/Tokyo'",
  "SET LOCAL TIME ZONE 'UTC'",
  'RESET TIME ZONE',
  'SHOW TIME ZONE',
  'COPY (SELECT 1) TO STDOUT',
  'PREPARE sql AS SELECT 1',
  'DEALLOCATE sql',
  'EXPLAIN (COSTS OFF) SELECT 1',
];

const statement = fc.constantFrom(...STATEMENTS);
/** Left out of texts and batches of several statements: for the server those are a transaction of their own, where these work. */
const preparable = fc.constantFrom(...STATEMENTS.filter((sql) => !/^(?:DECLARE|SET LOCAL)/.test(sql)));
/**
 * For the server several statements without BEGIN are a transaction of their own, of which it makes the actor's when BEGIN
 * comes in their middle; the gateway has begun one that the server takes for the actor's already, and says so.
 */
const TRANSACTION = /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)/;
const plain = preparable.filter((sql) => !TRANSACTION.test(sql));
const statementName = fc.constant('s');
// With a name that is taken and a fault in the text, the server finds the fault first and the gateway the name.
const named = fc.constantFrom('SELECT 1', 'SELECT 1/0', 'SHOW TIME ZONE', 'DELETE FROM drafts WHERE id = -1');
// The unnamed portal is also what a simple query leaves behind when it fails.
const portalName = fc.constant('p');
const whole = fc
  .tuple(preparable, fc.constantFrom(0, 0, 1))
  .map(([sql, rows]) => [
    ...(TRANSACTION.test(sql) ? [SYNC] : []),
    parse('', sql, []),
    bind({ portal: '', statement: '', formats: [], values: [], resultFormats: [] }),
    describeFrame('portal', ''),
    execute('', rows),
  ]);
// A simple query in the middle of a batch that is still open is left out: what it means is the server's own riddle.
const step: fc.Arbitrary<readonly Buffer[]> = fc.oneof(
  { weight: 5, arbitrary: whole },
  { weight: 4, arbitrary: statement.map((sql) => [SYNC, query(sql)]) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.oneof(fc.constant('BEGIN'), plain), plain)
      .map(([one, two]) => [SYNC, query(`${one}; ${two}`)]),
  },
  { weight: 4, arbitrary: fc.constant([SYNC]) },
  { weight: 1, arbitrary: fc.constant([FLUSH]) },
  { weight: 1, arbitrary: fc.tuple(statementName, named).map(([name, sql]) => [parse(name, sql, [])]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(portalName, statementName)
      .map(([portal, name]) => [bind({ portal, statement: name, formats: [], values: [], resultFormats: [] })]),
  },
  { weight: 1, arbitrary: statementName.map((name) => [describeFrame('statement', name)]) },
  { weight: 1, arbitrary: portalName.map((name) => [describeFrame('portal', name)]) },
  { weight: 1, arbitrary: fc.tuple(portalName, fc.constantFrom(0, 1)).map(([name, rows]) => [execute(name, rows)]) },
  { weight: 1, arbitrary: portalName.map((name) => [close('portal', name)]) },
  { weight: 1, arbitrary: statementName.map((name) => [close('statement', name)]) },
);

const [newest] = servers;
describe.skipIf(newest === undefined)(`any order of messages before ${newest?.name}`, () => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { schema: SPECIMENS });
    await site.serve();
    task = await site.openTask(WORK.replace('write: [', 'write: [public.drafts, '));
  }, 60_000);
  afterAll(() => site?.remove());

  async function answersOf(url: string, frames: readonly Buffer[]): Promise<readonly string[]> {
    const client = await connectRaw(url);
    client.send(...frames, SYNC, TERMINATE);
    return (await client.closed)
      .filter(({ type }) => type !== 'S')
      .map(({ type, body }) => `${type} ${body.toString('latin1').replace(/\0F[^\0]*\0L\d+\0R[^\0]*/, '')}`);
  }

  it('is skipped up to the next Sync after an error, simple queries too', async () => {
    const frames = [execute('nope', 0), query('SELECT 1'), SYNC, query('SELECT 2')];
    expect(await answersOf(task.postgres, frames)).toEqual(await answersOf(site.databaseUrl, frames));
  });

  it(
    'is answered as the database itself answers it',
    async () => {
      let tried = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
          tried++;
          const frames = steps.flat();
          const [governed, direct] = [
            await answersOf(task.postgres, frames),
            await answersOf(site.databaseUrl, frames),
          ];
          // What it says it doesn't carry it may answer otherwise.
          fc.pre(!governed.some((line) => line.includes('CCS008')));
          expect(governed, spokenOf(frames)).toEqual(direct);
        }),
        { seed: SEED, numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000 },
      );
      console.log(`${tried} sequences in ${SECONDS} s, seed ${SEED}`);
    },
    120_000 + SECONDS * 4000,
  );
});

/** Frames as one reads them in a report. */
function spokenOf(frames: readonly Buffer[]): string {
  return frames
    .map(
      (frame) => `${String.fromCharCode(frame[0] ?? 0)} ${frame.subarray(5).toString('latin1').replaceAll('\0', '·')}`,
    )
    .join('\n');
}
