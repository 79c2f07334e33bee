import type pg from 'pg';
import type { ObjectChange } from '../../domain/effect.ts';
import { quoteIdentifier } from './quote.ts';

/** On a table whose rows are kept when a task’s session writes to it. */
export const KEEPING_TRIGGER = '~countersign_keep';

/**
 * As what the rows of a write within limits are kept: what the session can’t choose, and what its mark `w` in
 * `countersign.written` ties to the intent. When a transaction began tells it from another of the same number: a database
 * that was restored into another cluster begins with low numbers again. Marks of before it was written down have none.
 */
export const KEPT_AS = "('xid:' || w.xid::text || coalesce('@' || extract(epoch FROM w.began)::text, ''))";

/**
 * Keeps the rows of writes within limits as the way back (G8), in the transaction of the write itself.
 *
 * Runs with its owner’s rights, so that no session can read or write what is kept; its settings are those under which text
 * is written as it can be read back, whatever the actor’s, and no cast that somebody has made of the row’s type is asked for
 * it. The table is looked up by its oid for each row: names and
 * columns may change in the same transaction.
 */
export const KEEP_FUNCTION = `
CREATE OR REPLACE FUNCTION countersign.keep_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
AS $keep$
BEGIN
  INSERT INTO countersign.captured_rows (change, relation, op, columns, rows, before, after)
  SELECT 'xid:' || pg_current_xact_id() || '@' || extract(epoch FROM transaction_timestamp()), n.nspname || '.' || r.relname, lower(tg_op),
         (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = tg_relid AND a.attnum > 0 AND NOT a.attisdropped), 1,
         CASE WHEN tg_op <> 'INSERT' THEN ARRAY[record_out(old)::text] END, CASE WHEN tg_op <> 'DELETE' THEN ARRAY[record_out(new)::text] END
  FROM pg_class AS r JOIN pg_namespace AS n ON n.oid = r.relnamespace
  WHERE r.oid = coalesce(pg_partition_root(tg_relid)::oid, tg_relid);
  RETURN NULL;
END $keep$`;

/** The name under which a login of a task's session begins; whoever else writes pays for one comparison a row. */
const OF_A_TASK = `WHEN (session_user >= 'cs_' AND session_user < 'cs\`')`;

/** Lays the trigger on a table; on the root of a partition tree it is on its partitions as well, also on those to come. */
export function keepRowsOf(table: string): string {
  const trigger = quoteIdentifier(KEEPING_TRIGGER);
  return `CREATE OR REPLACE TRIGGER ${trigger} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW ${OF_A_TASK} EXECUTE FUNCTION countersign.keep_row(); ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${trigger}`;
}

export function keepNoRowsOf(table: string): string {
  return `DROP TRIGGER ${quoteIdentifier(KEEPING_TRIGGER)} ON ${table}`;
}

/** Lays it on tables that a plan has made: what a task writes to them has a way back from the first row on. */
export async function keepRowsOfMade(client: pg.Client, objects: readonly ObjectChange[]): Promise<void> {
  const made = objects.flatMap(({ change, object }) => (change === 'created' ? [TABLE.exec(object)?.[1] ?? ''] : []));
  const { rows } = await client.query<{ name: string }>(
    `SELECT name FROM (${KEEPABLE}) AS t WHERE NOT kept AND relation = ANY ($1::text[])`,
    [made],
  );
  for (const { name } of rows) await client.query(keepRowsOf(name));
}

const TABLE = /^(?:partitioned )?table (.+)$/;

/** Tables of users that a login may lay it on, and whether it is there. @param login an SQL expression. */
export const keepableBy = (login: string) => `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, n.nspname || '.' || c.relname AS relation,
         EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname = '${KEEPING_TRIGGER}' AND t.tgenabled = 'A') AS kept
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_catalog.pg_has_role(${login}, c.relowner, 'USAGE')
    AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY 1`;

export const KEEPABLE = keepableBy('CURRENT_USER');
