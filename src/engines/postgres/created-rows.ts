import type pg from 'pg';
import type { CaptureSeal } from './capture-seal.ts';
import { quoteLiteral } from './quote.ts';

/**
 * Keeps what is in tables that a plan has made itself: no trigger of ours stood there, but whatever is in them at the
 * end, the plan has put there.
 *
 * @returns why it can't be kept, or `null`.
 */
export async function keepCreatedRows(client: pg.Client, seal: CaptureSeal, maxRows: number): Promise<string | null> {
  const { rows } = await client.query<CreatedTable>(FILLED, [[...seal.tables.keys()]]);
  for (const { name, root, rootOid, readable } of rows) {
    // Through its root a row has been captured already, past it not: which, nobody can say.
    if (seal.tables.has(rootOid)) return `it makes ${name}, a partition of ${root}, and changes rows of it`;
    if (!readable) return `what it puts into ${name} can't be read`;
    await client.query(
      `INSERT INTO pg_temp.countersign_captured (relation, op, after)
       SELECT ${quoteLiteral(root)}, 'insert', pg_catalog.to_jsonb(r) FROM ONLY ${name} AS r
       LIMIT ${Math.trunc(maxRows) + 1} - (SELECT count(*) FROM pg_temp.countersign_captured)`,
    );
    const { rows: kept } = await client.query<{ over: boolean }>(
      'SELECT count(*) > $1 AS over FROM pg_temp.countersign_captured',
      [maxRows],
    );
    if (kept[0]?.over === true) return 'it would change more rows than a dry run may keep';
  }
  return null;
}

interface CreatedTable {
  readonly name: string;
  readonly root: string;
  readonly rootOid: string;
  readonly readable: boolean;
}

/** Tables that there were not before, with rows put into them. */
const FILLED = `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, rn.nspname || '.' || r.relname AS root, r.oid::text AS "rootOid",
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_catalog.pg_stat_xact_user_tables AS s
  JOIN pg_catalog.pg_class AS c ON c.oid = s.relid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid) JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
  WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND s.schemaname <> 'countersign' AND s.schemaname !~ '^pg_'
    AND c.relkind = 'r' AND NOT c.oid = ANY ($1::oid[])
  ORDER BY 1`;
