import type pg from 'pg';
import type { KeptRows } from '../../engine.ts';
import { KEPT_AS } from '../kept-writes.ts';

/**
 * As what the rows of a change are kept: a plan's under its id, those of a write within limits under its transaction, which
 * its mark names.
 */
export async function keptAs(client: pg.Client, change: string): Promise<string> {
  const { rows } = await client.query<{ keptAs: string }>(
    `SELECT ${KEPT_AS} AS "keptAs" FROM countersign.written AS w WHERE intent = $1 AND at <> '-infinity'`,
    [change],
  );
  return rows[0]?.keptAs ?? change;
}

/** What there is to undo a change with; `undefined` where nothing is. */
export async function keptRows(client: pg.Client, change: string): Promise<KeptRows | undefined> {
  const { rows } = await client.query<{ tables: string[] | null; rows: string }>(
    `SELECT pg_catalog.array_agg(DISTINCT relation ORDER BY relation) AS tables, coalesce(pg_catalog.sum(rows), 0)::text AS rows
     FROM countersign.captured_rows WHERE change = $1`,
    [await keptAs(client, change)],
  );
  const tables = rows[0]?.tables ?? [];
  return tables.length === 0 ? undefined : { tables, rows: Number(rows[0]?.rows) };
}
