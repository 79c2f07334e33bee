import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanId } from '../../../src/domain/ids.ts';
import { layCapture, liftCapture } from '../../../src/engines/postgres/capture.ts';
import { connectOwn } from '../../../src/engines/postgres/connect.ts';
import { runStatements } from '../../../src/engines/postgres/run-statements.ts';
import { undoChange } from '../../../src/engines/postgres/undo/undo-change.ts';
import { newest, servers } from '../../fixtures/postgres.ts';
import { applyCredential, openRentalTarget, planId, type RentalTarget } from './rental-target.ts';
import { EVERY_VALUE, ROWS, STATEMENTS, type UndoCase } from './undo/matrix.ts';

const SCHEMA = readFileSync(new URL('./undo/matrix-schema.sql', import.meta.url), 'utf8');

describe.each(servers)('G8 undo, on $name', ({ binaries }) => {
  let rental: RentalTarget;
  let client: pg.Client;
  let plans = 0;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries, { settings: { autovacuum: 'off' } });
    await rental.sql(`SET ROLE countersign_apply; ${SCHEMA}`);
    client = await connectOwn(rental.target, applyCredential);
  }, 60_000);
  afterAll(async () => {
    await client?.end();
    await rental?.remove();
  });

  async function content(): Promise<Record<string, string>> {
    const { rows } = await client.query<{ all: Record<string, string> }>(CONTENT);
    return rows[0]?.all ?? {};
  }

  /** As an apply does it, without what it compares. @returns the change as whose its rows are kept. */
  async function captured(tables: readonly string[], work: () => Promise<unknown>): Promise<PlanId> {
    const change = planId(++plans);
    expect(await layCapture(client, { tables, maxRows: 10_000, masked: {}, sums: false, change })).toEqual([]);
    await work();
    await liftCapture(client);
    await client.query('DROP TABLE pg_temp.countersign_captured');
    return change;
  }
  const run = (sql: readonly string[]) =>
    runStatements(
      client,
      sql.map((text) => ({ text, parameters: [] })),
      [],
    );

  async function thereAndBack({ sql, tables }: Pick<UndoCase, 'sql' | 'tables'>): Promise<void> {
    const takenBack = (change: PlanId) => captured(tables, () => undoChange(client, { change, keepNewer: false }));
    await client.query('BEGIN');
    try {
      const before = await content();
      const change = await captured(tables, () => run(sql));
      const after = await content();
      expect(after).not.toEqual(before);
      const undo = await takenBack(change);
      expect(await content()).toEqual(before);
      const redo = await takenBack(undo);
      expect(await content()).toEqual(after);
      await takenBack(redo);
      expect(await content()).toEqual(before);
    } finally {
      await client.query('ROLLBACK');
    }
  }

  // What is put back is said in SQL that older servers have too: there a part of the cases shows it.
  const cases = newest.some(({ binaries: own }) => own === binaries)
    ? STATEMENTS
    : STATEMENTS.filter((_, at) => at % 4 === 0);
  it.each(cases)('takes back $name, and takes that back too', thereAndBack);

  describe('with values of each type', () => {
    beforeAll(async () => {
      await client.query('BEGIN');
      await run(EVERY_VALUE);
      await client.query('COMMIT');
    });
    it.each(ROWS)('takes back $name, and takes that back too', thereAndBack);
  });
});

/** Content of each table in whatever order it lies. */
const CONTENT = `
  SELECT pg_catalog.jsonb_object_agg(t.name, (pg_catalog.xpath('/row/h/text()', pg_catalog.query_to_xml(pg_catalog.format(
    'SELECT md5(coalesce(string_agg(t::text, ''|'' ORDER BY t::text COLLATE "C"), '''')) || count(*) AS h FROM ONLY %s AS t', t.name), false, true, '')))[1]::text) AS all
  FROM (SELECT c.oid::pg_catalog.regclass::text AS name FROM pg_catalog.pg_class AS c
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::pg_catalog.regnamespace AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
          AND pg_catalog.pg_get_userbyid(c.relowner) = 'countersign_apply') AS t`;
