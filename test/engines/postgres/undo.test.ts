import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanId } from '../../../src/domain/ids.ts';
import { layCapture, liftCapture } from '../../../src/engines/postgres/capture.ts';
import { connectOwn } from '../../../src/engines/postgres/connect.ts';
import { readFingerprint } from '../../../src/engines/postgres/fingerprint.ts';
import { dropSoftly } from '../../../src/engines/postgres/quarantine/drop-softly.ts';
import { bringBack } from '../../../src/engines/postgres/quarantine/restore.ts';
import { runStatements } from '../../../src/engines/postgres/run-statements.ts';
import { undoChange } from '../../../src/engines/postgres/undo/undo-change.ts';
import { newest, servers } from '../../fixtures/postgres.ts';
import { applyCredential, openRentalTarget, planId, type RentalTarget } from './rental-target.ts';
import { DEFINITIONS_SCHEMA, IRREVERSIBLE, REVERSIBLE } from './undo/definitions.ts';
import { DROPS, UNMOVABLE } from './undo/drops.ts';
import { EVERY_VALUE, ROWS, STATEMENTS, type UndoCase } from './undo/matrix.ts';

const ROWS_SCHEMA = readFileSync(new URL('./undo/matrix-schema.sql', import.meta.url), 'utf8');
const DROPS_SCHEMA = readFileSync(new URL('./undo/drops-schema.sql', import.meta.url), 'utf8');

/** All of it with UNDO_MATRIX=whole; else a part of each kind. */
const WHOLE = process.env['UNDO_MATRIX'] === 'whole';

describe.each(servers)('G8 undo, on $name', ({ binaries }) => {
  let rental: RentalTarget;
  let client: pg.Client;
  let plans = 0;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries, { settings: { autovacuum: 'off' } });
    await rental.sql(`SET ROLE countersign_apply; ${ROWS_SCHEMA} ${DEFINITIONS_SCHEMA}`);
    await rental.sql(
      `CREATE ROLE seller; GRANT seller TO countersign_apply; GRANT CREATE ON DATABASE rental TO seller; GRANT CREATE ON SCHEMA public TO seller;
       ALTER DEFAULT PRIVILEGES FOR ROLE seller GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countersign_session WITH GRANT OPTION;
       SET ROLE seller; ${DROPS_SCHEMA} RESET ROLE; CREATE PUBLICATION told FOR TABLE public.told;
       CREATE ROLE clerk; GRANT USAGE ON SCHEMA shop TO clerk, countersign_session WITH GRANT OPTION; GRANT USAGE, CREATE ON SCHEMA shop TO countersign_apply;
       GRANT SELECT ON shop.goods, shop.cheap TO clerk; GRANT UPDATE (name) ON shop.goods TO clerk`,
    );
    client = await connectOwn(rental.target, applyCredential);
  }, 60_000);
  afterAll(async () => {
    await client?.end();
    await rental?.remove();
  });

  const content = async (owner: string): Promise<Record<string, string>> =>
    (await client.query<{ all: Record<string, string> }>(CONTENT, [owner])).rows[0]?.all ?? {};
  const run = (sql: readonly string[]) =>
    runStatements(
      client,
      sql.map((text) => ({ text, parameters: [] })),
      [],
    );
  async function rolledBack(work: () => Promise<void>): Promise<void> {
    await client.query('BEGIN');
    try {
      await work();
    } finally {
      await client.query('ROLLBACK');
    }
  }

  /** What is put back is said in SQL that older servers have too: there a part of the cases shows it. */
  const isNewest = newest.some(({ binaries: own }) => own === binaries);
  const some = <Case>(cases: readonly Case[], nth: number): readonly Case[] =>
    WHOLE ? cases : cases.filter((_, at) => (isNewest ? at % nth === 0 : at % 10 === 0));
  const named = (cases: readonly (readonly string[])[]) => cases.map((sql) => ({ name: sql.join('; '), sql }));

  describe('of rows', () => {
    /** As an apply does it, without what it compares. @returns the change as whose its rows are kept. */
    async function captured(tables: readonly string[], work: () => Promise<unknown>): Promise<PlanId> {
      const change = planId(++plans);
      expect(await layCapture(client, { tables, maxRows: 10_000, masked: {}, sums: false, change })).toEqual([]);
      await work();
      await liftCapture(client);
      await client.query('DROP TABLE pg_temp.countersign_captured');
      return change;
    }

    const thereAndBack = ({ sql, tables }: Pick<UndoCase, 'sql' | 'tables'>): Promise<void> =>
      rolledBack(async () => {
        const takenBack = (change: PlanId) => captured(tables, () => undoChange(client, { change, keepNewer: false }));
        const before = await content('countersign_apply');
        const change = await captured(tables, () => run(sql));
        const after = await content('countersign_apply');
        expect(after).not.toEqual(before);
        const undo = await takenBack(change);
        expect(await content('countersign_apply')).toEqual(before);
        const redo = await takenBack(undo);
        expect(await content('countersign_apply')).toEqual(after);
        await takenBack(redo);
        expect(await content('countersign_apply')).toEqual(before);
      });

    it.each(some(STATEMENTS, 2))('takes back $name, and takes that back too', thereAndBack);

    it('reads what was kept by no cast that somebody has made since', () =>
      rolledBack(async () => {
        const change = await captured(['public.loose'], () => run(['DELETE FROM public.loose']));
        await client.query(`
          CREATE FUNCTION public.forge(text) RETURNS public.loose LANGUAGE sql AS 'SELECT NULL::public.loose';
          CREATE CAST (text AS public.loose) WITH FUNCTION public.forge(text) AS ASSIGNMENT`);
        await expect(undoChange(client, { change, keepNewer: false })).rejects.toMatchObject({
          conflicts: [expect.stringContaining('somebody has made a cast to rows of public.loose')],
        });
      }));

    describe('with values of each type', () => {
      beforeAll(async () => {
        await client.query('BEGIN');
        await run(EVERY_VALUE);
        await client.query('COMMIT');
      });
      it.each(ROWS)('takes back $name, and takes that back too', thereAndBack);
    });
  });

  describe('of drops', () => {
    /** @returns what was left, or why it can't be done. */
    async function dropped(sql: readonly string[], change: string | null) {
      const done = await dropSoftly(client, {
        run: () => run(sql),
        before: await readFingerprint(client),
        keepMs: 1000,
        change,
        rows: new Map(),
      });
      return 'why' in done ? done.why : done.answers.map(({ command }) => command.split(' ')[0]);
    }

    it.each(some(named(DROPS), 3))('takes back $name, and takes that back too', ({ sql }) =>
      rolledBack(async () => {
        const before = { rows: await content('seller'), definitions: await readFingerprint(client) };
        await client.query('SAVEPOINT real');
        await run(sql);
        const wanted = await readFingerprint(client);
        await client.query('ROLLBACK TO real');
        // Tried first, as a dry run does it: that leaves nothing.
        expect(await dropped(sql, null)).toEqual(sql.map(() => 'DROP'));
        await client.query('ROLLBACK TO real');
        const change = planId(++plans);
        expect(await dropped(sql, change)).toEqual(sql.map(() => 'DROP'));
        expect(await readFingerprint(client)).toEqual(wanted);
        const { drops } = await bringBack(client, change);
        expect(await readFingerprint(client)).toEqual(before.definitions);
        expect(await content('seller')).toEqual(before.rows);
        const again = planId(++plans);
        expect(await dropped(drops, again)).toEqual(drops.map(() => 'DROP'));
        expect(await readFingerprint(client)).toEqual(wanted);
        await bringBack(client, again);
        expect(await readFingerprint(client)).toEqual(before.definitions);
      }),
    );

    it.each(some(UNMOVABLE, 1))('says why it can’t be for $sql', ({ sql, why }) =>
      rolledBack(async () => {
        const before = await readFingerprint(client);
        expect(await dropped([sql], null)).toContain(why);
        expect(await readFingerprint(client)).toEqual(before);
      }),
    );
  });

  describe.runIf(isNewest)('of definitions', () => {
    async function inverseOf(sql: string) {
      const { measurement, failure } = await rental.measure([sql], ['public.thing', 'public.piece'], {
        repeatable: true,
      });
      if (!measurement.measured) throw new Error(failure?.message ?? measurement.why);
      return measurement.effect.inverse;
    }

    it.each(some(REVERSIBLE, 2))('is told for: %s', async (sql) => {
      const inverse = await inverseOf(sql);
      if (inverse === undefined || 'why' in inverse) throw new Error(inverse?.why ?? 'nothing has changed');
      await rolledBack(async () => {
        const before = await readFingerprint(client);
        await client.query(sql);
        expect(await readFingerprint(client)).not.toEqual(before);
        for (const statement of inverse.statements) await client.query(statement);
        expect(await readFingerprint(client)).toEqual(before);
      });
    });

    it.each(some(IRREVERSIBLE, 2))('is said not to be there for: %s', async (sql) => {
      expect(await inverseOf(sql)).toMatchObject({ why: expect.stringContaining('only a backup brings it back') });
    });
  });
});

/** Content of each table of an owner, in whatever order it lies. */
const CONTENT = `
  SELECT pg_catalog.jsonb_object_agg(t.name, (pg_catalog.xpath('/row/h/text()', pg_catalog.query_to_xml(pg_catalog.format(
    'SELECT md5(coalesce(string_agg(t::text, ''|'' ORDER BY t::text COLLATE "C"), '''')) || count(*) AS h FROM ONLY %s AS t', t.name), false, true, '')))[1]::text) AS all
  FROM (SELECT c.oid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(countersign|pg_)' AND pg_catalog.pg_get_userbyid(c.relowner) = $1) AS t`;
