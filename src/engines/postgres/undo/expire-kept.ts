import type pg from 'pg';
import type { ExpiredChange, KeepBounds } from '../../engine.ts';
import { KEPT_AS } from '../kept-writes.ts';

/** Changes whose rows have been kept long enough, and the oldest beyond the size; those that nothing is known of any more too. */
export async function beyondKeeping(client: pg.Client, bounds: KeepBounds): Promise<readonly ExpiredChange[]> {
  const { rows } = await client.query<{ keptAs: string; change: string; rows: string; bytes: string }>(BEYOND, [
    String(bounds.keepMs),
    String(bounds.maxBytes),
  ]);
  return rows.map((row) => ({ ...row, rows: Number(row.rows), bytes: Number(row.bytes) }));
}

const BEYOND = `
  WITH kept AS (
    SELECT change, pg_catalog.sum(rows) AS rows,
           pg_catalog.sum(coalesce(pg_catalog.pg_column_size(before), 0) + coalesce(pg_catalog.pg_column_size(after), 0)) AS bytes,
           pg_catalog.bool_and(op = 'merge') AS laid
    FROM countersign.captured_rows GROUP BY change
  ), marked AS (
    SELECT k.change AS "keptAs", coalesce(a.plan, w.intent, k.change) AS change, k.rows, k.bytes, k.laid, coalesce(a.at, w.at, '-infinity') AS at
    FROM kept AS k LEFT JOIN countersign.applied AS a ON a.plan = k.change LEFT JOIN countersign.written AS w ON ${KEPT_AS} = k.change
  ), summed AS (
    -- What waits to be merged pushes nothing out: that has a bound of its own.
    SELECT *, pg_catalog.sum(CASE WHEN laid THEN 0 ELSE bytes END) OVER (ORDER BY at DESC, change) AS "bytesSince" FROM marked
  )
  SELECT "keptAs", change, rows::text, bytes::text FROM summed
  WHERE at < pg_catalog.clock_timestamp() - $1::bigint * interval '1 millisecond' OR "bytesSince" > $2::bigint AND NOT laid
  ORDER BY at LIMIT 1000`;

export async function dropKept(client: pg.Client, expired: readonly ExpiredChange[]): Promise<void> {
  await client.query('DELETE FROM countersign.captured_rows WHERE change = ANY ($1::text[])', [
    expired.map(({ keptAs }) => keptAs),
  ]);
}
