import type pg from 'pg';
import { quoteIdentifier, quoteLiteral } from '../quote.ts';
import type { UndoTable } from './undo-tables.ts';

/**
 * Moves a column's sequence past the values that came back: TRUNCATE … RESTART IDENTITY has set it to its start, and the
 * next rows would take keys that are there again. Sequences are never set back. ALTER SEQUENCE is undone with its
 * transaction, as setval would not be.
 */
export async function passRestoredValues(client: pg.Client, tables: readonly UndoTable[]): Promise<void> {
  const { rows: owned } = await client.query<OwnedSequence>(OWNED, [tables.map(({ oid }) => oid)]);
  for (const { oid, sequence, column, step } of owned) {
    const table = tables.find((one) => one.oid === oid);
    if (table === undefined) continue;
    const back = quoteIdentifier(column);
    const { rows } = await client.query<{ next: string }>(
      `SELECT (b.highest + ${step})::text AS next
       FROM (SELECT pg_catalog.max(${back})::numeric AS highest FROM ${table.net} WHERE "~copies" > 0 AND NOT "~paired") AS b, ${sequence} AS s
       WHERE b.highest >= CASE WHEN s.is_called THEN s.last_value + ${step} ELSE s.last_value END`,
    );
    const next = rows[0]?.next;
    if (next !== undefined) await client.query(`ALTER SEQUENCE ${sequence} RESTART WITH ${BigInt(next)}`);
  }
}

interface OwnedSequence {
  readonly oid: string;
  /** Quoted. */
  readonly sequence: string;
  readonly column: string;
  readonly step: string;
}

const OWNED = `
  SELECT a.attrelid::text AS oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS sequence, a.attname AS column, s.seqincrement::text AS step
  FROM pg_catalog.pg_depend AS d
  JOIN pg_catalog.pg_class AS c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = c.oid
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attgenerated = ''
  WHERE d.classid = ${quoteLiteral('pg_catalog.pg_class')}::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.deptype IN ('a', 'i') AND s.seqincrement > 0 AND d.refobjid = ANY ($1::oid[])
    AND a.atttypid IN ('smallint'::pg_catalog.regtype, 'integer'::pg_catalog.regtype, 'bigint'::pg_catalog.regtype)`;
