import type pg from 'pg';
import type { MeasuredEffect } from '../../domain/effect.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';

/**
 * Exact effects: while a plan is tried or applied, every table in reach has statement triggers that see each row before
 * and after. They live only inside that transaction, so production carries no trigger of ours between plans.
 */
export const TRIGGER_NAMES = [
  '~countersign_insert',
  '~countersign_update',
  '~countersign_delete',
  '~countersign_truncate',
] as const;

/** What is to be captured, and how. */
export interface Capture {
  readonly tables: readonly string[];
  /** More rows than this and the statement fails with `TOO_MANY_ROWS`. */
  readonly maxRows: number;
  /** Columns by table whose values differ from run to run: left out of digests. */
  readonly masked: MeasuredEffect['volatileColumns'];
  /** Whether each column's values are summed up, to find such columns out. */
  readonly sums: boolean;
  /** The change whose rows before and after are kept beyond the transaction (G8); `null` in a dry run. */
  readonly change: string | null;
}

/** What capture can't be laid on, and why; then an effect can't be known exactly. */
export interface Uncapturable {
  readonly table: string;
  readonly why: string;
}

/**
 * Lays capture on tables and their partitions, inside the open transaction.
 *
 * @returns the tables that it could not be laid on.
 */
export async function layCapture(client: pg.Client, capture: Capture): Promise<readonly Uncapturable[]> {
  await client.query(CAPTURED);
  await client.query(BOUNDS, [String(capture.maxRows)]);
  const { rows } = await client.query<CapturableTable & { relkind: string; mine: boolean; cast: boolean }>(CAPTURABLE, [
    capture.tables,
  ]);
  const uncapturable: Uncapturable[] = [];
  const statements: string[] = [];
  for (const table of rows) {
    if (table.relkind === 'f') uncapturable.push({ table: table.name, why: 'it is a foreign table' });
    else if (!table.mine) uncapturable.push({ table: table.name, why: 'the apply login is not a member of its owner' });
    else if (table.cast)
      uncapturable.push({ table: table.name, why: 'its rows would become text or JSON by somebody’s function' });
    else statements.push(...triggersOn(table, capture));
  }
  if (statements.length > 0) await client.query(statements.join(';\n'));
  return uncapturable;
}

/** A table of the transaction's own: no WAL, no bloat, gone with it. A line says what one statement did to one table. */
const CAPTURED = `
  CREATE TEMPORARY TABLE countersign_captured (
    relation text NOT NULL, op text NOT NULL, rows bigint NOT NULL, before bytea, after bytea, some_before jsonb[], some_after jsonb[], columns text[], sums text[]
  ) ON COMMIT DROP`;

/** Rows before and after wait in memory until the statement is over: they go to a file when there is too little of it. */
const BOUNDS = `
  SELECT pg_catalog.set_config('countersign.kept', '0', true), pg_catalog.set_config('countersign.max_rows', $1, true),
         pg_catalog.set_config('work_mem', CASE WHEN pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < 67108864
                                                THEN '64MB' ELSE pg_catalog.current_setting('work_mem') END, true)`;

interface CapturableTable {
  /** Quoted. */
  readonly name: string;
  /** `schema.name` of the table it is a partition of, else its own: what people know it by. */
  readonly root: string;
  /** Each column's type has a binary form that is exact. */
  readonly exact: boolean;
}

/**
 * The tables and all their partitions: a trigger on one level of a partition tree does not see writes to another. A type
 * without a binary form, or one made of others that may be without, makes a table one whose rows are digested as JSON.
 */
const CAPTURABLE = `
  WITH RECURSIVE wanted AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'f')
    UNION
    SELECT i.inhrelid FROM wanted AS w JOIN pg_catalog.pg_inherits AS i ON i.inhparent = w.oid
  )
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, rn.nspname || '.' || r.relname AS root, c.relkind, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS mine,
         k.exact,
         -- Capture runs with its owner's rights, and so would a cast that somebody has made.
         EXISTS (SELECT FROM pg_catalog.pg_cast AS f
                 WHERE f.castmethod = 'f' AND f.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e')
                   AND (c.reltype IN (f.castsource, f.casttarget) OR k.own AND f.casttarget IN ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype))) AS cast
  FROM wanted AS w JOIN pg_catalog.pg_class AS c ON c.oid = w.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid) JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
  CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.bool_and(t.typsend <> 0 AND t.typtype IN ('b', 'e') AND (t.typelem = 0 OR e.typsend <> 0 AND e.typtype IN ('b', 'e'))), true) AS exact,
           coalesce(pg_catalog.bool_or(t.oid >= 16384 OR e.oid >= 16384), false) AS own
    FROM pg_catalog.pg_attribute AS a
    LEFT JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS k
  ORDER BY 1`;

function triggersOn({ name: table, root, exact }: CapturableTable, capture: Capture): readonly string[] {
  const [insert, update, remove, truncate] = TRIGGER_NAMES.map(quoteIdentifier);
  const { masked, change, sums } = capture;
  const hidden = masked[root] ?? [];
  // In the order that CAPTURE_FUNCTION takes them.
  const args = [root, change ?? '', arrayOf(hidden), String(exact && hidden.length === 0), String(sums)];
  const each = `FOR EACH STATEMENT EXECUTE FUNCTION countersign.capture_change(${args.map(quoteLiteral).join(', ')})`;
  return [
    `CREATE TRIGGER ${insert} AFTER INSERT ON ${table} REFERENCING NEW TABLE AS after_rows ${each}`,
    `CREATE TRIGGER ${update} AFTER UPDATE ON ${table} REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows ${each}`,
    `CREATE TRIGGER ${remove} AFTER DELETE ON ${table} REFERENCING OLD TABLE AS before_rows ${each}`,
    `CREATE TRIGGER ${truncate} BEFORE TRUNCATE ON ${table} ${each}`,
    // A session that pretends to be a replica would skip ordinary triggers.
    ...TRIGGER_NAMES.map((name) => `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${quoteIdentifier(name)}`),
  ];
}

/** An array of names as PostgreSQL reads it ("Array Input and Output Syntax"). */
export function arrayOf(names: readonly string[]): string {
  return `{${names.map((name) => `"${name.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

/** Takes capture off again, wherever it still is. */
export async function liftCapture(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ sql: string }>(
    `SELECT pg_catalog.format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname) AS sql
     FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE t.tgname = ANY ($1::text[]) AND NOT t.tgisinternal`,
    [TRIGGER_NAMES],
  );
  if (rows.length > 0) await client.query(rows.map((row) => row.sql).join(';\n'));
}
