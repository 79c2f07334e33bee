import type pg from 'pg';
import { arrayOf, type Capture } from './capture.ts';
import {
  digestOfRows,
  imageAsJson,
  imagesOfRows,
  SUMS_OF_COLUMNS,
  samplesOfRows,
  sumsOfRows,
} from './capture-function.ts';
import type { CaptureSeal } from './capture-seal.ts';
import { quoteLiteral } from './quote.ts';

/**
 * Captures what is in tables that a plan has made itself: no trigger of ours stood there, but whatever is in them at the
 * end, the plan has put there.
 *
 * @returns why it can't be captured, or `null`.
 */
export async function captureCreatedRows(
  client: pg.Client,
  seal: CaptureSeal,
  capture: Capture,
): Promise<string | null> {
  const { rows } = await client.query<CreatedTable>(FILLED, [[...seal.tables.keys()]]);
  for (const table of rows) {
    const { name, root, rootOid, readable } = table;
    // Through its root a row has been captured already, past it not: which, nobody can say.
    if (seal.tables.has(rootOid)) return `it makes ${name}, a partition of ${root}, and changes rows of it`;
    if (!readable) return `what it puts into ${name} can't be read`;
    const { rows: counted } = await client.query<{ over: boolean }>(
      `SELECT (SELECT coalesce(sum(rows), 0) FROM pg_temp.countersign_captured)
            + (SELECT count(*) FROM (SELECT FROM ONLY ${name} LIMIT $1::bigint + 1) AS some_rows) > $1::bigint AS over`,
      [capture.maxRows],
    );
    if (counted[0]?.over === true) return 'it would change more rows than a dry run may keep';
    await captureRows(client, table, capture);
  }
  return null;
}

async function captureRows(
  client: pg.Client,
  { name, root, columns, sums }: CreatedTable,
  capture: Capture,
): Promise<void> {
  const rows = `ONLY ${name}`;
  const masked = `${quoteLiteral(arrayOf(capture.masked[root] ?? []))}::text[]`;
  await client.query(
    `INSERT INTO pg_temp.countersign_captured (relation, op, rows, after, some_after, columns, sums)
     SELECT ${quoteLiteral(root)}, 'insert', count(*), (${digestOfRows(rows, imageAsJson(masked))}), (${samplesOfRows(rows)}), $1::text[],
            ${capture.sums ? `(${sumsOfRows(rows, sums)})` : 'NULL'}
     FROM ${rows} HAVING count(*) > 0`,
    [columns],
  );
  if (capture.change === null) return;
  await client.query(
    `INSERT INTO countersign.captured_rows (change, relation, op, columns, rows, after)
     SELECT $1, $2, 'insert', $3::text[], rows, images FROM (${imagesOfRows(rows)}) AS a`,
    [capture.change, root, columns],
  );
}

interface CreatedTable {
  /** Quoted. */
  readonly name: string;
  readonly root: string;
  readonly rootOid: string;
  readonly readable: boolean;
  readonly columns: string;
  readonly sums: string;
}

/** Tables that there were not before, with rows put into them. */
const FILLED = `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, rn.nspname || '.' || r.relname AS root, r.oid::text AS "rootOid",
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
         k.columns, k.sums
  FROM pg_catalog.pg_stat_xact_user_tables AS s
  JOIN pg_catalog.pg_class AS c ON c.oid = s.relid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid) JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
  CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.array_agg(a.attname::text ORDER BY a.attnum), '{}')::text AS columns, ${SUMS_OF_COLUMNS} AS sums
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS k
  WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND s.schemaname <> 'countersign' AND s.schemaname !~ '^(pg_|countersign_quarantine_)'
    AND c.relkind = 'r' AND NOT c.oid = ANY ($1::oid[])
  ORDER BY 1`;
