import type pg from 'pg';
import type { RowSample } from '../../domain/effect.ts';

/** Rows changed in this transaction by table and what happened to them. */
export interface CapturedRows {
  readonly table: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly truncated: number;
}

export async function capturedRows(client: pg.Client): Promise<readonly CapturedRows[]> {
  const { rows } = await client.query<Record<'table' | 'inserted' | 'updated' | 'deleted' | 'truncated', string>>(
    `SELECT relation AS table, coalesce(sum(rows) FILTER (WHERE op = 'insert'), 0) AS inserted, coalesce(sum(rows) FILTER (WHERE op = 'update'), 0) AS updated,
            coalesce(sum(rows) FILTER (WHERE op = 'delete'), 0) AS deleted, coalesce(sum(rows) FILTER (WHERE op = 'truncate'), 0) AS truncated
     FROM pg_temp.countersign_captured GROUP BY relation ORDER BY relation`,
  );
  return rows.map((row) => ({
    table: row.table,
    inserted: Number(row.inserted),
    updated: Number(row.updated),
    deleted: Number(row.deleted),
    truncated: Number(row.truncated),
  }));
}

/**
 * One digest over everything captured: SHA-256 over the sorted SHA-256 of each line, which holds a table, what happened,
 * and the digests of the rows before and of the rows after. Equal digests mean that the same rows went and the same came
 * in their place, in whatever order.
 */
export async function capturedDigest(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ digest: string }>(
    `SELECT pg_catalog.encode(pg_catalog.sha256(coalesce(pg_catalog.string_agg(h, ''::bytea ORDER BY h), ''::bytea)), 'hex') AS digest
     FROM (
       -- The free text comes last: no two lines are one text.
       SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(' ', op, rows,
         coalesce(pg_catalog.encode(before, 'hex'), '-'), coalesce(pg_catalog.encode(after, 'hex'), '-'), relation), 'UTF8')) AS h
       FROM pg_temp.countersign_captured
     ) AS hashed`,
  );
  return rows[0]?.digest ?? '';
}

/** The sums of each column's values in all rows that came: columns that differ between two runs are volatile. */
export async function capturedSums(client: pg.Client): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ key: string; sum: string }>(
    `SELECT pg_catalog.jsonb_build_array(relation, name)::text AS key, pg_catalog.sum(value)::text AS sum FROM (
       SELECT c.relation, v.name, v.value::numeric FROM pg_temp.countersign_captured AS c, ROWS FROM (pg_catalog.unnest(c.columns), pg_catalog.unnest(c.sums)) AS v (name, value)
       WHERE c.sums IS NOT NULL
       UNION ALL
       -- Lines that hold all their rows are not summed up where they are written.
       SELECT c.relation, v.key, pg_catalog.hashtextextended(coalesce(v.value, ''), 0) FROM pg_temp.countersign_captured AS c, pg_catalog.unnest(c.some_after) AS image, pg_catalog.jsonb_each_text(image) AS v
       WHERE c.sums IS NULL
     ) AS each_value GROUP BY relation, name`,
  );
  return new Map(rows.map((row) => [row.key, row.sum]));
}

export async function capturedSamples(client: pg.Client, perTable: number): Promise<readonly RowSample[]> {
  const { rows } = await client.query<{ relation: string; before: Image | null; after: Image | null }>(
    `SELECT relation, before, after FROM (
       SELECT c.relation, c.ctid AS place, s.before, s.after, s.n,
              pg_catalog.row_number() OVER (PARTITION BY c.relation, c.op ORDER BY c.ctid, s.n) AS nth
       FROM pg_temp.countersign_captured AS c, ROWS FROM (pg_catalog.unnest(c.some_before), pg_catalog.unnest(c.some_after)) WITH ORDINALITY AS s (before, after, n)
     ) AS numbered WHERE nth <= $1 ORDER BY relation, place, n`,
    [perTable],
  );
  return rows.map(({ relation, before, after }) => ({ table: relation, before: asText(before), after: asText(after) }));
}

type Image = Readonly<Record<string, unknown>>;

function asText(image: Image | null): Readonly<Record<string, string | null>> | null {
  if (image === null) return null;
  return Object.fromEntries(
    Object.entries(image).map(([column, value]) => [
      column,
      value === null ? null : typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}
