import type pg from 'pg';
import type { KeptRows } from '../../engine.ts';

/** Read by the login that applies plans: nobody else may see what was kept. */
export async function keptRows(client: pg.Client, change: string): Promise<KeptRows | undefined> {
  const { rows } = await client.query<{ tables: string[] | null; rows: string }>(
    `SELECT pg_catalog.array_agg(DISTINCT relation ORDER BY relation) AS tables, coalesce(pg_catalog.sum(rows), 0)::text AS rows
     FROM countersign.captured_rows WHERE change = $1`,
    [change],
  );
  const tables = rows[0]?.tables ?? [];
  return tables.length === 0 ? undefined : { tables, rows: Number(rows[0]?.rows) };
}
