import fc from 'fast-check';
import {
  bind,
  close,
  copyFail,
  describe as describeFrame,
  execute,
  FLUSH,
  message,
  parse,
  query,
  SYNC,
  TERMINATE,
} from '../../../src/engines/postgres/wire-messages.ts';

/** What a client may say, in any order: sequences that a gateway must answer as the database behind it does. */

/** A table to copy into; no statement reads it, so that it doesn't matter what is in it. It tells who wrote. */
export const INBOX = `
CREATE TABLE public.inbox (id int2, note text, writer name DEFAULT current_user);
`;

/** None leaves anything behind that another would see, so that the order of the runs doesn't matter. */
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
  'COPY (SELECT 1 / (2 - n) FROM generate_series(1, 3) AS n) TO STDOUT',
  'PREPARE sql AS SELECT 1',
  'DEALLOCATE sql',
  'EXPLAIN (COSTS OFF) SELECT 1',
];
const SLOW: readonly string[] = [
  'SELECT count(*) FROM generate_series(1, 300000)',
  'UPDATE drafts SET score = score WHERE (SELECT count(*) FROM generate_series(1, 300000)) > 0',
];
const COPY = 'COPY inbox (id, note) FROM STDIN';
const COPIES: readonly string[] = [
  COPY,
  'COPY inbox (id) FROM STDIN WITH (FORMAT csv)',
  'COPY inbox (nope) FROM STDIN',
];

const statement = fc.constantFrom(...STATEMENTS);
/** Left out of texts and batches of several statements: for the server those are a transaction of their own, where these work. */
const preparable = fc.constantFrom(...STATEMENTS.filter((sql) => !/^(?:DECLARE|SET LOCAL)/.test(sql)));
/**
 * For the server several statements without BEGIN are a transaction of their own, of which it makes the actor's when BEGIN
 * comes in their middle; the gateway has begun one that the server takes for the actor's already, and says so.
 */
const TRANSACTION = /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)/;
/** What is set stays set when the batch fails in which it was; for the server it was never set. */
const SETTING = /^(?:SET|RESET)/;
const plain = preparable.filter((sql) => !TRANSACTION.test(sql));
// With a name that is taken and a fault in the text, the server finds the fault first and the gateway the name. Settings are
// left out: their portal is gone once it was executed.
const named = fc.constantFrom(
  'SELECT 1',
  'SELECT 1/0',
  'DELETE FROM drafts WHERE id = -1',
  'SELECT id FROM vehicles ORDER BY id LIMIT 3',
  'UPDATE drafts SET score = score WHERE id < 3 RETURNING true',
  'COPY inbox (id, note) FROM STDIN',
);
const NAME = 's';
// The unnamed portal is also what a simple query leaves behind when it fails.
const PORTAL = 'p';
const rowLimit = fc.constantFrom(0, 1, 2);

type Step = readonly Buffer[];

export const COPY_DONE = message('c', Buffer.alloc(0));

export function copyData(rows: string): Buffer {
  return message('d', Buffer.from(rows));
}

function unbound(portal: string, name: string): Buffer {
  return bind({ portal, statement: name, formats: [], values: [], resultFormats: [] });
}

function whole(sql: string, rows = 0): Step {
  return [parse('', sql, []), unbound('', ''), describeFrame('portal', ''), execute('', rows)];
}

const rows = fc.constantFrom('1\tx\n', '2\tx\n3\ty\n', 'x\n', '99999\n', '4', '', '\\.\n').map(copyData);
const copyEnd = fc.constantFrom(COPY_DONE, copyFail('enough'));
/** Rows and their end; before them what means nothing there, and what libpq sends all the same. */
const rowsToTheEnd = fc
  .tuple(fc.constantFrom<Step>([], [], [SYNC], [FLUSH]), fc.array(rows, { maxLength: 3 }), copyEnd)
  .map(([before, some, end]) => [...before, ...some, end]);
const copyIn = fc
  .tuple(fc.constantFrom(...COPIES), fc.boolean(), rowsToTheEnd)
  .map(([sql, simple, all]) => (simple ? [SYNC, query(sql), ...all] : [SYNC, ...whole(sql), ...all, SYNC]));

/** A portal that is fetched in parts, with something in between. */
const resumed = fc
  .tuple(
    named,
    fc.array(fc.tuple(rowLimit, fc.constantFrom<Step>([], [FLUSH], [SYNC], whole('SELECT 1'))), { maxLength: 3 }),
  )
  .map(([sql, parts]) => [
    close('statement', NAME),
    close('portal', PORTAL),
    parse(NAME, sql, []),
    unbound(PORTAL, NAME),
    ...parts.flatMap(([limit, between]) => [execute(PORTAL, limit), ...between]),
  ]);

/** A transaction that may fail before it ends, and what is said in it then. */
const inTransaction = fc
  .tuple(
    fc.array(
      fc.oneof(
        plain.map((sql) => [query(sql)]),
        plain.map((sql) => [...whole(sql), SYNC]),
        copyIn,
      ),
      { maxLength: 3 },
    ),
    fc.constantFrom('COMMIT', 'ROLLBACK'),
  )
  .map(([inside, end]) => [SYNC, query('BEGIN'), ...inside.flat(), SYNC, query(end)]);

/** One thing that a client says. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(preparable, fc.constantFrom(0, 0, 1))
      .map(([sql, limit]) => [
        ...(TRANSACTION.test(sql) ? [SYNC] : []),
        ...whole(sql, limit),
        ...(SETTING.test(sql) ? [SYNC] : []),
      ]),
  },
  { weight: 4, arbitrary: statement.map((sql) => [SYNC, query(sql)]) },
  // In the middle of a batch that is still open.
  { weight: 2, arbitrary: plain.map((sql) => [query(sql)]) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.oneof(fc.constant('BEGIN'), plain), plain)
      .map(([one, two]) => [SYNC, query(`${one}; ${two}`)]),
  },
  { weight: 4, arbitrary: fc.constant([SYNC]) },
  { weight: 2, arbitrary: fc.constant([FLUSH]) },
  { weight: 3, arbitrary: copyIn },
  { weight: 2, arbitrary: inTransaction },
  { weight: 1, arbitrary: fc.constantFrom(...COPIES).map((sql) => [SYNC, query(sql)]) },
  { weight: 1, arbitrary: fc.oneof(rows, copyEnd).map((frame) => [frame]) },
  { weight: 2, arbitrary: resumed },
  { weight: 1, arbitrary: named.map((sql) => [parse(NAME, sql, [])]) },
  { weight: 1, arbitrary: plain.map((sql) => [parse('', sql, [])]) },
  { weight: 1, arbitrary: fc.constantFrom('', PORTAL).map((portal) => [unbound(portal, portal === '' ? '' : NAME)]) },
  { weight: 1, arbitrary: fc.constant([describeFrame('statement', NAME)]) },
  { weight: 1, arbitrary: fc.constant([describeFrame('portal', PORTAL)]) },
  { weight: 1, arbitrary: rowLimit.map((limit) => [execute(PORTAL, limit)]) },
  { weight: 1, arbitrary: fc.constant([close('portal', PORTAL)]) },
  { weight: 1, arbitrary: fc.constant([close('statement', NAME)]) },
);

/** What is said from the first word to the last; it may leave midway. */
export const sequence: fc.Arbitrary<{ readonly frames: Step; readonly midway: boolean }> = fc
  .tuple(fc.array(step, { minLength: 1, maxLength: 8 }), fc.constantFrom(false, false, false, true))
  .map(([steps, midway]) => ({ frames: [...steps.flat(), ...(midway ? [] : [SYNC]), TERMINATE], midway }))
  .filter(({ frames }) => !asksAmidBatch(frames) && !syncsAmidRows(frames));

/** Other commands that say how many rows they copied. */
const uncopied = plain.filter((sql) => !sql.startsWith('COPY'));

/** Statements and copies, each committed by itself and answered by one ReadyForQuery. */
export const units: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: uncopied.map((sql) => [query(sql)]) },
    { weight: 2, arbitrary: uncopied.map((sql) => [...whole(sql), SYNC]) },
    { weight: 1, arbitrary: fc.constantFrom(...SLOW).map((sql) => [query(sql)]) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.boolean(), fc.array(rows, { maxLength: 3 }), copyEnd)
        .map(([simple, some, end]) => (simple ? [query(COPY), ...some, end] : [...whole(COPY), ...some, end, SYNC])),
    },
  ),
  { minLength: 1, maxLength: 6 },
);

/**
 * For the server a simple query that comes after an Execute, and before the Sync, belongs to the batch and ends with it; in
 * older versions, and for the gateway, it ends it.
 */
function asksAmidBatch(frames: readonly Buffer[]): boolean {
  let executed = false;
  for (const frame of frames) {
    const type = String.fromCharCode(frame[0] ?? 0);
    if (type === 'S') executed = false;
    else if (type === 'E') executed = true;
    else if (type === 'Q' && executed) return true;
  }
  return false;
}

/** Whether a Sync among rows counts depends on whether the server has found fault with one of them by then. */
function syncsAmidRows(frames: readonly Buffer[]): boolean {
  let rowsAreOpen = false;
  for (const frame of frames) {
    const type = String.fromCharCode(frame[0] ?? 0);
    if (type === 'd') rowsAreOpen = true;
    else if (type === 'S' && rowsAreOpen) return true;
    else if (type !== 'H') rowsAreOpen = false;
  }
  return false;
}

/** Frames as one reads them in a report. */
export function spokenOf(frames: readonly Buffer[]): string {
  return frames
    .map(
      (frame) => `${String.fromCharCode(frame[0] ?? 0)} ${frame.subarray(5).toString('latin1').replaceAll('\0', '·')}`,
    )
    .join('\n');
}
