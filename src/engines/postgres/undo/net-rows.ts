import type pg from 'pg';
import { arrayOf } from '../capture.ts';
import { quoteIdentifier, quoteLiteral } from '../quote.ts';
import type { KeyColumn, UndoTable } from './undo-tables.ts';

/** A row as one text, for comparing: generated columns follow from the others. */
export function imageOf(table: Pick<UndoTable, 'columns'>, alias: string): string {
  return `ROW(${table.columns.map((column) => `${alias}.${quoteIdentifier(column)}`).join(', ')})::text`;
}

/** Whether two rows have the same key. */
export function sameKey(key: readonly KeyColumn[], one: string, other: string): string {
  return key
    .map(({ column, equals }) => `${one}.${quoteIdentifier(column)} ${equals} ${other}.${quoteIdentifier(column)}`)
    .join(' AND ');
}

export function columnList(columns: readonly string[], alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return columns.map((column) => `${prefix}${quoteIdentifier(column)}`).join(', ');
}

/**
 * Finds out what a change has made of a table from first to last, and keeps it in a temporary table: rows that must come
 * back (`~copies` above zero) and rows that must go (below).
 *
 * Each statement took some rows out and put others in. So what the table has lost is all rows before without all rows
 * after, counted as often as they occur, and what it has gained the other way round. That holds in whatever order
 * statements, triggers and cascades were captured, and where nothing tells two rows apart. A row on both sides with one
 * key is `~paired`: it is updated, so that what refers to it stays.
 */
export async function layNet(client: pg.Client, change: string, table: UndoTable): Promise<void> {
  const { net, key } = table;
  const of = `FROM countersign.captured_rows AS k, pg_catalog.unnest(k`;
  const oneForm = isOneForm(table);
  // Where there is one form, its columns would only make each of many comparisons longer; where there are more, they come
  // last. By bytes: what language the database is in is nothing to whether two rows are the same.
  const [columns, alike] = oneForm ? ['', ''] : ['k.columns, ', 'columns, '];
  const where = `WHERE k.change = ${quoteLiteral(change)} AND k.relation = ${quoteLiteral(table.relation)}`;
  await client.query(`
    CREATE TEMPORARY TABLE ${net.replace('pg_temp.', '')} ON COMMIT DROP AS
    WITH met AS MATERIALIZED (
      SELECT ${alike}image, pg_catalog.sum(sign)::integer AS copies FROM (
        SELECT ${columns}i.image COLLATE pg_catalog."C" AS image, 1 AS sign ${of}.before) AS i (image) ${where}
        UNION ALL SELECT ${columns}i.image COLLATE pg_catalog."C", -1 ${of}.after) AS i (image) ${where}
      ) AS images GROUP BY image${oneForm ? '' : ', columns'} HAVING pg_catalog.sum(sign) <> 0
    )
    ${oneForm ? readAsKept(table) : readAndSummed(table)}`);
  if (key.length > 0) {
    await client.query(`
      UPDATE ${net} AS n SET "~paired" = true FROM ${net} AS o
      WHERE ${sameKey(key, 'n', 'o')} AND (n."~copies" > 0) <> (o."~copies" > 0) AND ${sameIdentity(table, 'n', 'o')}`);
  }
  await client.query(`ANALYZE ${net}`);
}

/** Rows were kept in one form, and hold nothing but what can be written: then what was kept is the row's text already. */
function isOneForm({ forms, columns }: UndoTable): boolean {
  return forms.length === 1 && forms[0]?.columns.join('\0') === columns.join('\0');
}

function readAsKept({ columns, forms }: UndoTable): string {
  return `
    SELECT ${columnList(columns, '(r.read)')}, r.image AS "~image", r.copies AS "~copies", false AS "~paired"
    FROM (SELECT image, copies, image::${forms[0]?.type} AS read FROM met OFFSET 0) AS r`;
}

/** Partitions may have their columns in another order, and generated ones are left out: only then are rows the same text. */
function readAndSummed(table: UndoTable): string {
  const { columns } = table;
  const forms = table.forms.map(
    ({ type, columns: kept }) => `
      SELECT copies AS "~sum", ${columnList(columns, '(r.image)')} FROM (
        SELECT copies, image::${type} AS image FROM met WHERE columns = ${quoteLiteral(arrayOf(kept))}::text[] OFFSET 0) AS r`,
  );
  return `
    SELECT ${columnList(columns)}, "~image", "~copies"::integer AS "~copies", false AS "~paired"
    FROM (
      SELECT read.*, ${imageOf(table, 'read')} AS "~image", pg_catalog.sum("~sum") OVER (PARTITION BY ${imageOf(table, 'read')}) AS "~copies",
             pg_catalog.row_number() OVER (PARTITION BY ${imageOf(table, 'read')}) AS "~nth"
      FROM (${forms.join('\n      UNION ALL ')}) AS read
    ) AS summed WHERE "~nth" = 1 AND "~copies" <> 0`;
}

/** What an UPDATE can't write has to be the same already. */
function sameIdentity({ columns, assignable }: UndoTable, one: string, other: string): string {
  const fixed = columns.filter((column) => !assignable.includes(column)).map(quoteIdentifier);
  return fixed.length === 0
    ? 'true'
    : fixed.map((column) => `${one}.${column} IS NOT DISTINCT FROM ${other}.${column}`).join(' AND ');
}
