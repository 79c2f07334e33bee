import type pg from 'pg';
import type { Quarantined } from '../../../domain/quarantine.ts';

/** What lies in quarantine, the oldest first. */
export async function quarantined(client: pg.Client): Promise<readonly Quarantined[]> {
  const { rows: made } = await client.query<{ made: boolean }>(
    "SELECT pg_catalog.to_regclass('countersign.quarantined') IS NOT NULL AS made",
  );
  if (made[0]?.made !== true) return [];
  const { rows } = await client.query<Quarantined & { bytes: string }>(QUARANTINED);
  return rows.map((row) => ({ ...row, bytes: Number(row.bytes) }));
}

const QUARANTINED = `
  SELECT change, pg_catalog.to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since,
         pg_catalog.to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS until,
         until <= pg_catalog.clock_timestamp() AS due, bytes::text, objects
  FROM countersign.quarantined ORDER BY at`;
