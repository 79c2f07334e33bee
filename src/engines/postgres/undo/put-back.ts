import type pg from 'pg';
import { quoteIdentifier } from '../quote.ts';
import { failureFrom } from '../run-statements.ts';
import { columnList, imageOf, sameKey } from './net-rows.ts';
import { UndoConflict } from './undo-conflict.ts';
import type { Reference, UndoTable } from './undo-tables.ts';

type Step = 'insert' | 'update' | 'delete';

/**
 * Most changes can be put back in the first order: what rows refer to comes before they do, and goes after. Where a value
 * that may be there only once is still taken, another order may free it first. Steps of one stage are done table by
 * table; rows are taken away and updated where they refer to others first, and brought back there last.
 */
const ORDERS: readonly (readonly (readonly Step[])[])[] = [
  [['insert'], ['update'], ['delete']],
  [['delete', 'update'], ['insert']],
  [['insert'], ['delete', 'update']],
  [['update', 'insert'], ['delete']],
  [['delete'], ['update', 'insert']],
  [['update', 'delete'], ['insert']],
  [['delete'], ['insert'], ['update']],
  [['update'], ['insert'], ['delete']],
];

/** unique_violation, exclusion_violation, foreign_key_violation, and a parent that must stay (restrict_violation). */
const ORDER_MATTERS = new Set(['23505', '23P01', '23503', '23001']);

/** Puts the net of every table back, and changes nothing else. @throws what stands in the way when no order does it. */
export async function putBack(
  client: pg.Client,
  tables: readonly UndoTable[],
  references: readonly Reference[],
): Promise<void> {
  const parentsFirst = inOrder(tables, references);
  let refused: unknown;
  for (const order of ORDERS) {
    await client.query('SAVEPOINT countersign_order');
    try {
      await nothingElse(client, await inThisOrder(client, order, parentsFirst));
      await client.query('RELEASE SAVEPOINT countersign_order');
      return;
    } catch (error) {
      if (!ORDER_MATTERS.has(failureFrom(error)?.sqlstate ?? '') && !(error instanceof UndoConflict)) throw error;
      // The first order's reason is the one that says what stands in the way.
      refused ??= error;
      await client.query('ROLLBACK TO SAVEPOINT countersign_order');
    }
  }
  throw refused;
}

async function inThisOrder(
  client: pg.Client,
  order: readonly (readonly Step[])[],
  parentsFirst: readonly UndoTable[],
): Promise<ReadonlyMap<string, number>> {
  const done = new Map<string, number>();
  await client.query('SET CONSTRAINTS ALL DEFERRED');
  for (const stage of order) {
    for (const table of stage.includes('insert') ? parentsFirst : parentsFirst.toReversed()) {
      for (const step of stage) {
        done.set(table.relation, (done.get(table.relation) ?? 0) + (await take(client, step, table)));
      }
    }
  }
  await client.query('SET CONSTRAINTS ALL IMMEDIATE');
  return done;
}

/** @returns how many rows it has changed. @throws UndoConflict where others were to be met: keys have moved rows along. */
async function take(client: pg.Client, step: Step, table: UndoTable): Promise<number> {
  const { rows } = await client.query<{ expected: string }>(EXPECTED[step](table));
  const expected = Number(rows[0]?.expected ?? 0);
  if (expected === 0) return 0;
  const { rowCount } = await client.query(STEPS[step](table));
  if (rowCount !== expected)
    throw new UndoConflict([`${step} would meet ${rowCount ?? 0} rows of ${table.relation} in place of ${expected}`]);
  return expected;
}

/** Capture sees every row, also those that a foreign key moves along: no more may have changed than were put back. */
async function nothingElse(client: pg.Client, done: ReadonlyMap<string, number>): Promise<void> {
  const { rows } = await client.query<{ relation: string; rows: string }>(
    'SELECT relation, pg_catalog.sum(rows)::text AS rows FROM pg_temp.countersign_captured GROUP BY relation',
  );
  const beyond = rows.flatMap(({ relation, rows: count }) => {
    const own = done.get(relation) ?? 0;
    return Number(count) === own ? [] : [`${count} rows of ${relation} would change, and ${own} are to be put back`];
  });
  if (beyond.length > 0) throw new UndoConflict(beyond);
}

const EXPECTED: Readonly<Record<Step, (table: UndoTable) => string>> = {
  insert: ({ net }) => counted(`${net} WHERE "~copies" > 0 AND NOT "~paired"`),
  update: ({ net }) => counted(`${net} WHERE "~copies" > 0 AND "~paired"`),
  delete: ({ net }) => counted(`${net} WHERE "~copies" < 0 AND NOT "~paired"`),
};

function counted(rows: string): string {
  return `SELECT coalesce(pg_catalog.sum(pg_catalog.abs("~copies")), 0) AS expected FROM ${rows}`;
}

const STEPS: Readonly<Record<Step, (table: UndoTable) => string>> = {
  insert: ({ name, net, columns }) => `
    INSERT INTO ${name} (${columnList(columns)}) OVERRIDING SYSTEM VALUE
    SELECT ${columnList(columns, 'n')} FROM ${net} AS n, pg_catalog.generate_series(1, n."~copies") WHERE n."~copies" > 0 AND NOT n."~paired"`,
  update: ({ rows, net, assignable, key }) => `
    UPDATE ${rows} AS t SET ${assignable.map((column) => `${quoteIdentifier(column)} = n.${quoteIdentifier(column)}`).join(', ')}
    FROM ${net} AS n WHERE n."~copies" > 0 AND n."~paired" AND ${sameKey(key, 't', 'n')}`,
  delete: (table) =>
    table.key.length > 0
      ? `DELETE FROM ${table.rows} AS t USING ${table.net} AS n WHERE n."~copies" < 0 AND NOT n."~paired" AND ${sameKey(table.key, 't', 'n')}`
      : `
    DELETE FROM ${table.rows} AS t USING (
      SELECT t.tableoid AS "in", t.ctid AS place, n."~copies" AS copies, pg_catalog.row_number() OVER (PARTITION BY n."~image") AS nth
      FROM ${table.rows} AS t JOIN ${table.net} AS n ON n."~image" = ${imageOf(table, 't')} WHERE n."~copies" < 0
    ) AS d WHERE d.nth <= -d.copies AND t.tableoid = d."in" AND t.ctid = d.place`,
};

/** Tables that others refer to come first; where they refer to each other in a circle, any of them does. */
function inOrder(tables: readonly UndoTable[], references: readonly Reference[]): readonly UndoTable[] {
  const ordered: UndoTable[] = [];
  const met = new Set<string>();
  const visit = (table: UndoTable): void => {
    if (met.has(table.relation)) return;
    met.add(table.relation);
    for (const { childRelation, parentRelation } of references) {
      const parent = childRelation === table.relation && tables.find(({ relation }) => relation === parentRelation);
      if (parent) visit(parent);
    }
    ordered.push(table);
  };
  for (const table of tables) visit(table);
  return ordered;
}
