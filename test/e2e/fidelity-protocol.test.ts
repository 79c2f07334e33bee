import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  close,
  describe as describeFrame,
  execute,
  FLUSH,
  parse,
  query,
  type readBind,
  SYNC,
} from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { connectRaw, type RawClient } from '../fixtures/raw-client.ts';
import { SPECIMENS } from './fidelity/schema.ts';

const text = (value: string) => Buffer.from(value);
const bound = (options: Partial<ReturnType<typeof readBind>> = {}) =>
  bind({ portal: '', statement: '', formats: [], values: [], resultFormats: [], ...options });
const run = [describeFrame('portal', ''), execute('', 0), SYNC];

/** What a client says in the extended protocol; every message of the answer must be the same, byte for byte. */
const CONVERSATIONS: Readonly<Record<string, readonly Buffer[]>> = {
  'nothing at all': [SYNC],
  'an empty statement': [parse('', '', []), bound(), ...run],
  'a comment': [parse('', '-- nothing', []), bound(), ...run],
  'no columns': [parse('', 'SELECT FROM vehicles LIMIT 2', []), bound(), ...run],
  'a named statement, described, used twice, closed': [
    parse('s', 'SELECT id, plate FROM vehicles WHERE id = $1', []),
    describeFrame('statement', 's'),
    bound({ statement: 's', values: [text('1')] }),
    ...run,
    bound({ statement: 's', values: [text('2')], resultFormats: [1, 0] }),
    ...run,
    close('statement', 's'),
    SYNC,
    describeFrame('statement', 's'),
    SYNC,
  ],
  'types that are left to the server': [
    parse('', 'SELECT $1, $2 + 1, $3::mood, $4 || $4', [0, 0, 0, 1043]),
    describeFrame('statement', ''),
    bound({ values: [text('a'), text('1'), text('ok'), text('x')] }),
    ...run,
  ],
  NULLs: [parse('', 'SELECT $1::int, $2::text', []), bound({ values: [null, null], resultFormats: [1] }), ...run],
  'a portal in parts': [
    query('BEGIN'),
    parse('', 'SELECT id FROM vehicles ORDER BY id LIMIT 5', []),
    bound({ portal: 'p' }),
    describeFrame('portal', 'p'),
    execute('p', 2),
    FLUSH,
    execute('p', 2),
    execute('p', 2),
    execute('p', 2),
    close('portal', 'p'),
    SYNC,
    query('COMMIT'),
  ],
  'a pipeline with an error in the middle': [
    parse('', 'SELECT 1', []),
    bound(),
    ...run.slice(0, 2),
    parse('', 'SELECT 1/0', []),
    bound(),
    ...run.slice(0, 2),
    parse('', 'SELECT 2', []),
    bound(),
    ...run,
    parse('', 'SELECT 3', []),
    bound(),
    ...run,
  ],
  'an error of the parser': [parse('', 'SELEC 1', []), bound(), ...run],
  'an error of the analysis': [parse('', 'SELECT\n nope', []), SYNC],
  'an error with a type': [parse('', 'SELECT $1::int', []), bound({ values: [text('x')] }), ...run],
  'too few values': [parse('', 'SELECT $1::int', []), bound(), ...run],
  'too many values': [parse('', 'SELECT 1', []), bound({ values: [text('1')] }), ...run],
  'a binary value of the wrong length': [
    parse('', 'SELECT $1', [23]),
    bound({ formats: [1], values: [text('abc')] }),
    ...run,
  ],
  'a text that is not UTF-8': [parse('', 'SELECT $1::text', []), bound({ values: [Buffer.from([0xff])] }), ...run],
  'a text with a NUL': [parse('', 'SELECT $1::text', []), bound({ values: [Buffer.from('a\0b')] }), ...run],
  'a statement that does not exist': [bound({ statement: 'nope' }), SYNC, describeFrame('statement', 'nope'), SYNC],
  'a portal that does not exist': [execute('nope', 0), SYNC, describeFrame('portal', 'nope'), SYNC],
  'a close of what does not exist': [close('statement', 'nope'), close('portal', 'nope'), SYNC],
  'a name that is taken': [parse('t', 'SELECT 1', []), parse('t', 'SELECT 2', []), SYNC, close('statement', 't'), SYNC],
  'two statements in one': [parse('', 'SELECT 1; SELECT 2', []), SYNC],
  'a simple query between': [parse('', 'SELECT 1', []), bound(), SYNC, query('SELECT 2'), bound(), ...run],
  'a transaction': [
    parse('', 'BEGIN', []),
    bound(),
    ...run,
    parse('', 'SELECT 1/0', []),
    bound(),
    ...run,
    parse('', 'SELECT 1', []),
    bound(),
    ...run,
    parse('', 'ROLLBACK', []),
    bound(),
    ...run,
  ],
  'a savepoint': [
    query('BEGIN'),
    parse('', 'SAVEPOINT a', []),
    bound(),
    ...run,
    parse('', 'SELECT nope', []),
    SYNC,
    parse('', 'ROLLBACK TO a', []),
    bound(),
    ...run,
    query('COMMIT'),
  ],
  'settings and what shows them': [
    parse('', "SET TIME ZONE 'Asia/Tokyo'", []),
    bound(),
    ...run,
    parse('', 'SHOW TIME ZONE', []),
    bound(),
    ...run,
    query('RESET TIME ZONE'),
  ],
  'a write': [
    parse('', 'UPDATE drafts SET score = score WHERE id = $1 RETURNING id, score, tags', []),
    bound({ values: [text('1')], resultFormats: [1] }),
    ...run,
  ],
  'a write that fails': [
    parse('', 'UPDATE drafts SET score = $1 WHERE id = 1', []),
    bound({ values: [text('101')] }),
    ...run,
  ],
  'copy out': [parse('', 'COPY (SELECT 1, NULL) TO STDOUT', []), bound(), ...run],
  explain: [parse('', 'EXPLAIN (COSTS OFF) SELECT 1', []), bound(), ...run],
  'several in a simple query': [query('SELECT 1; SELECT NULL; SELECT 1/0; SELECT 2')],
  'notices of every level': [
    query('SET client_min_messages = debug5'),
    query('COMMIT'),
    query('RESET client_min_messages'),
  ],
};

describe.each(newest)('fidelity of the protocol before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: SPECIMENS });
    await site.serve();
    task = await site.openTask(WORK.replace('write: [', 'write: [public.drafts, '));
  }, 60_000);
  afterAll(() => site?.remove());

  async function both<Result>(use: (url: string) => Promise<Result>): Promise<[governed: Result, direct: Result]> {
    return [await use(task.postgres), await use(site.databaseUrl)];
  }

  async function said(client: RawClient, frames: readonly Buffer[]): Promise<string[]> {
    client.send(...frames);
    const answers: string[] = [];
    for (const frame of frames) {
      if (frame[0] !== SYNC[0] && frame[0] !== 0x51) continue;
      for (const { type, body } of await client.until('Z'))
        answers.push(`${type} ${withoutSource(type, body.toString('latin1'))}`);
    }
    return answers;
  }

  it.each(Object.entries(CONVERSATIONS))('answers the same to %s', async (_name, frames) => {
    const [governed, direct] = await both(async (url) => {
      const client = await connectRaw(url);
      const answers = await said(client, frames);
      await client.close();
      return answers;
    });
    expect(governed).toEqual(direct);
  });

  it('carries every family of types in text and binary form, there and back', async () => {
    const columns = await asSuperuser<{ name: string; type: string; oid: number }>(
      site.databaseUrl,
      `SELECT attname AS name, format_type(atttypid, NULL) AS type, atttypid::int8::int AS oid FROM pg_attribute
       WHERE attrelid = 'specimens'::regclass AND attnum > 0 ORDER BY attnum`,
    );
    expect(columns.length).toBeGreaterThan(60);
    const [governed, direct] = await both((url) => connectRaw(url));
    for (const { name, type, oid } of columns) {
      for (const format of [0, 1]) {
        const read = [
          parse('', `SELECT ${name} FROM specimens ORDER BY id`, []),
          bound({ resultFormats: [format] }),
          ...run,
        ];
        const answer = await said(governed, read);
        expect(answer, `${type} in format ${format}`).toEqual(await said(direct, read));
        const values = answer.flatMap((line) =>
          line.startsWith('D ') ? [valueIn(Buffer.from(line.slice(2), 'latin1'))] : [],
        );
        for (const value of values) {
          const back = [
            parse('', `SELECT $1::${type}`, [oid]),
            bound({ formats: [format], values: [value], resultFormats: [1 - format] }),
            ...run,
          ];
          expect(await said(governed, back), `${type} from format ${format}`).toEqual(await said(direct, back));
        }
      }
    }
    await Promise.all([governed.close(), direct.close()]);
  });

  it('gives node-postgres and postgres.js the same values, as text and as binary', async () => {
    const [governed, direct] = await both(async (url) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const sql = postgres(url, { max: 1, onnotice: () => undefined });
      try {
        const select = 'SELECT * FROM specimens WHERE id <> 2 ORDER BY id';
        return [
          (await client.query(select)).rows,
          (
            await client.query({
              text: 'SELECT an_int4, an_int8, a_text, a_float8, a_bool, a_bytea, a_timestamptz, texts FROM specimens WHERE id = $1',
              values: [1],
              binary: true,
            } as pg.QueryConfig)
          ).rows,
          (await client.query({ text: select, rowMode: 'array' })).fields,
          await sql.unsafe(select),
          await sql`SELECT ${sql.array([1, 2])}::int[] AS a, ${sql.json({ a: [1] })} AS b, ${new Date(0)}::timestamptz AS c, ${Buffer.from('x')}::bytea AS d, ${null}::int AS e, ${true} AS f, ${'12'}::int8 AS g`,
        ];
      } finally {
        await client.end();
        await sql.end();
      }
    });
    expect(JSON.stringify(governed)).toBe(JSON.stringify(direct));
  });
});

/** Where in the server's source an error arose is told only of its own errors, and some of these the gateway finds first. */
function withoutSource(type: string, body: string): string {
  return type === 'E' || type === 'N' ? body.replace(/\0F[^\0]*\0L\d+\0R[^\0]*/, '') : body;
}

/** The only value of a DataRow with one column. */
function valueIn(row: Buffer): Buffer | null {
  const length = row.readInt32BE(2);
  return length === -1 ? null : row.subarray(6, 6 + length);
}
