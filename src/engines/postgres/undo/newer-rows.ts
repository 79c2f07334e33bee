import type pg from 'pg';
import { quoteIdentifier } from '../quote.ts';
import { columnList, imageOf, sameKey } from './net-rows.ts';
import { UndoConflict } from './undo-conflict.ts';
import type { Reference, UndoTable } from './undo-tables.ts';

/** A row that is no longer as the change has left it. */
export interface NewerRow {
  readonly relation: string;
  /** The row by its key, or whole where it has none. */
  readonly row: string;
  readonly why: string;
}

/** Rows that somebody has changed since, and rows that others have come to refer to. */
export async function newerRows(
  client: pg.Client,
  tables: readonly UndoTable[],
  references: readonly Reference[],
): Promise<readonly NewerRow[]> {
  const newer: NewerRow[] = [];
  for (const table of tables) {
    const questions = table.key.length === 0 ? [lacking(table)] : [changedSince(table), thereAgain(table)];
    for (const sql of questions) newer.push(...(await ask(client, table, sql)));
  }
  for (const reference of references) {
    const parent = tables.find(({ relation }) => relation === reference.parentRelation);
    if (parent === undefined || parent.key.length === 0) continue;
    const child = tables.find(({ relation }) => relation === reference.childRelation);
    newer.push(...(await ask(client, parent, referredTo(reference, parent, child))));
  }
  return newer;
}

async function ask(client: pg.Client, { relation }: UndoTable, sql: string): Promise<readonly NewerRow[]> {
  const { rows } = await client.query<{ row: string; why: string }>(sql);
  return rows.map(({ row, why }) => ({ relation, row, why }));
}

/** As a person knows a row: `id = 5`. */
function keyText({ key }: UndoTable, alias: string): string {
  const parts = key.map(
    ({ column }) => `pg_catalog.concat(${literal(`${column} = `)}, ${alias}.${quoteIdentifier(column)}::text)`,
  );
  return `pg_catalog.concat_ws(', ', ${parts.join(', ')})`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function changedSince(table: UndoTable): string {
  return `
    SELECT ${keyText(table, 'n')} AS row, CASE WHEN t.tableoid IS NULL THEN 'is gone' ELSE 'has been changed since' END AS why
    FROM ${table.net} AS n LEFT JOIN ${table.rows} AS t ON ${sameKey(table.key, 't', 'n')}
    WHERE n."~copies" < 0 AND (t.tableoid IS NULL OR ${imageOf(table, 't')} <> n."~image") ORDER BY 1`;
}

function thereAgain(table: UndoTable): string {
  return `
    SELECT ${keyText(table, 'n')} AS row, 'is there again' AS why
    FROM ${table.net} AS n JOIN ${table.rows} AS t ON ${sameKey(table.key, 't', 'n')}
    WHERE n."~copies" > 0 AND NOT n."~paired"
      AND NOT EXISTS (SELECT FROM ${table.net} AS o WHERE o."~copies" < 0 AND ${sameKey(table.key, 'o', 'n')}) ORDER BY 1`;
}

/** Without a key a row is what it says, as often as it is there. */
function lacking(table: UndoTable): string {
  return `
    SELECT n."~image" AS row, 'is there ' || coalesce(t.copies, 0) || ' times in place of ' || -n."~copies" AS why
    FROM ${table.net} AS n LEFT JOIN (
      SELECT ${imageOf(table, 't')} AS image, pg_catalog.count(*) AS copies FROM ${table.rows} AS t GROUP BY 1
    ) AS t ON t.image = n."~image"
    WHERE n."~copies" < 0 AND coalesce(t.copies, 0) < -n."~copies" ORDER BY 1`;
}

/** A row that is to go takes rows along that refer to it, or can't go: unless the change has made those too. */
function referredTo(reference: Reference, parent: UndoTable, child: UndoTable | undefined): string {
  const joined = reference.columns.map(
    (column) => `n.${quoteIdentifier(column.parent)} ${column.equals} c.${quoteIdentifier(column.child)}`,
  );
  const own =
    child === undefined
      ? 'true'
      : `NOT EXISTS (SELECT FROM ${child.net} AS x WHERE x."~copies" < 0 AND x."~image" = ${imageOf(child, 'c')})`;
  return `
    SELECT ${keyText(parent, 'n')} AS row, 'is referred to by ' || pg_catalog.count(*) || ${literal(` newer rows of ${reference.childRelation}`)} AS why
    FROM ${parent.net} AS n JOIN ${reference.child} AS c ON ${joined.join(' AND ')}
    WHERE n."~copies" < 0 AND NOT n."~paired" AND ${own}
    GROUP BY ${columnList(
      parent.key.map(({ column }) => column),
      'n',
    )} ORDER BY 1`;
}

/**
 * Leaves newer rows as they are: they are neither put back nor taken away.
 *
 * @throws UndoConflict where a table has no key: which row became which, nobody can say.
 */
export async function leaveNewer(
  client: pg.Client,
  tables: readonly UndoTable[],
  newer: readonly NewerRow[],
): Promise<void> {
  for (const table of tables) {
    const rows = newer.filter(({ relation }) => relation === table.relation).map(({ row }) => row);
    if (rows.length === 0) continue;
    if (table.key.length === 0)
      throw new UndoConflict([`${table.relation} has no key: which of its rows to leave can’t be told`]);
    await client.query(`DELETE FROM ${table.net} AS n WHERE ${keyText(table, 'n')} = ANY ($1::text[])`, [rows]);
  }
}
