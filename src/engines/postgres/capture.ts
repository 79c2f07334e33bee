import type pg from 'pg';
import type { RowSample } from '../../domain/effect.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';

/**
 * Exact effects: while a plan is tried or applied, every table in reach has statement triggers that keep each row before
 * and after. They live only inside that transaction, so production carries no trigger of ours between plans.
 *
 * Runs with its owner's rights, because foreign keys cascade with the rights of whoever owns the table.
 */
export const CAPTURE_FUNCTION = `
CREATE OR REPLACE FUNCTION countersign.capture_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $capture$
DECLARE kept bigint;
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO pg_temp.countersign_captured (relation, op, after) SELECT tg_argv[0], 'insert', to_jsonb(r) FROM after_rows AS r;
  ELSIF tg_op = 'DELETE' THEN
    INSERT INTO pg_temp.countersign_captured (relation, op, before) SELECT tg_argv[0], 'delete', to_jsonb(r) FROM before_rows AS r;
  ELSIF tg_op = 'UPDATE' THEN
    INSERT INTO pg_temp.countersign_captured (relation, op, before, after)
    SELECT tg_argv[0], 'update', b.image, a.image
    FROM (SELECT row_number() OVER () AS n, to_jsonb(r) AS image FROM before_rows AS r) AS b
    JOIN (SELECT row_number() OVER () AS n, to_jsonb(r) AS image FROM after_rows AS r) AS a USING (n);
  ELSE
    EXECUTE format('INSERT INTO pg_temp.countersign_captured (relation, op, before) SELECT $1, ''truncate'', to_jsonb(r) FROM ONLY %s AS r', tg_relid::regclass)
      USING tg_argv[0];
  END IF;
  GET DIAGNOSTICS kept = ROW_COUNT;
  IF kept > 0 THEN
    kept := set_config('countersign.kept', (kept + current_setting('countersign.kept')::bigint)::text, true);
    IF kept > current_setting('countersign.max_rows')::bigint THEN
      RAISE EXCEPTION 'more than % rows would change', current_setting('countersign.max_rows') USING ERRCODE = 'CSROW';
    END IF;
  END IF;
  RETURN NULL;
END $capture$`;

/** The SQLSTATE with which capture ends a run that changes more rows than it may keep. */
export const TOO_MANY_ROWS = 'CSROW';

export const TRIGGER_NAMES = [
  '~countersign_insert',
  '~countersign_update',
  '~countersign_delete',
  '~countersign_truncate',
] as const;

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
export async function layCapture(
  client: pg.Client,
  tables: readonly string[],
  maxRows: number,
): Promise<readonly Uncapturable[]> {
  await client.query(CAPTURED);
  await client.query(
    "SELECT pg_catalog.set_config('countersign.kept', '0', true), pg_catalog.set_config('countersign.max_rows', $1, true)",
    [String(maxRows)],
  );
  const { rows } = await client.query<{ name: string; root: string; relkind: string; mine: boolean }>(CAPTURABLE, [
    tables,
  ]);
  const uncapturable: Uncapturable[] = [];
  const statements: string[] = [];
  for (const { name, root, relkind, mine } of rows) {
    if (relkind === 'f') uncapturable.push({ table: name, why: 'it is a foreign table' });
    else if (!mine) uncapturable.push({ table: name, why: 'the apply login is not a member of its owner' });
    else statements.push(...triggersOn(name, root));
  }
  if (statements.length > 0) await client.query(statements.join(';\n'));
  return uncapturable;
}

/** A table of the transaction's own: no WAL, no bloat, gone with it. What an applied change captured is moved to `countersign.captured`. */
const CAPTURED = `
  CREATE TEMPORARY TABLE countersign_captured (relation text NOT NULL, op text NOT NULL, before jsonb, after jsonb) ON COMMIT DROP`;

/** Keeps what was captured beyond the transaction: the way back from an applied change (G8). */
export async function keepCaptured(client: pg.Client, change: string): Promise<void> {
  await client.query(
    `INSERT INTO countersign.captured (change, relation, op, before, after)
     SELECT $1, relation, op, before, after FROM pg_temp.countersign_captured ORDER BY ctid`,
    [change],
  );
}

/** The tables and all their partitions: a trigger on one level of a partition tree does not see writes to another. */
const CAPTURABLE = `
  WITH RECURSIVE wanted AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'f')
    UNION
    SELECT i.inhrelid FROM wanted AS w JOIN pg_catalog.pg_inherits AS i ON i.inhparent = w.oid
  )
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, rn.nspname || '.' || r.relname AS root, c.relkind, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS mine
  FROM wanted AS w JOIN pg_catalog.pg_class AS c ON c.oid = w.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid) JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
  ORDER BY 1`;

/** @param table quoted. @param root `schema.name` of the table it is a partition of, else its own: what people know it by. */
function triggersOn(table: string, root: string): readonly string[] {
  const [insert, update, remove, truncate] = TRIGGER_NAMES.map(quoteIdentifier);
  const each = `FOR EACH STATEMENT EXECUTE FUNCTION countersign.capture_change(${quoteLiteral(root)})`;
  return [
    `CREATE TRIGGER ${insert} AFTER INSERT ON ${table} REFERENCING NEW TABLE AS after_rows ${each}`,
    `CREATE TRIGGER ${update} AFTER UPDATE ON ${table} REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows ${each}`,
    `CREATE TRIGGER ${remove} AFTER DELETE ON ${table} REFERENCING OLD TABLE AS before_rows ${each}`,
    `CREATE TRIGGER ${truncate} BEFORE TRUNCATE ON ${table} ${each}`,
    // A session that pretends to be a replica would skip ordinary triggers.
    ...TRIGGER_NAMES.map((name) => `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${quoteIdentifier(name)}`),
  ];
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

/** Rows kept in this transaction by table and what happened to them. */
export interface CapturedRows {
  readonly table: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly truncated: number;
}

export async function capturedRows(client: pg.Client): Promise<readonly CapturedRows[]> {
  const { rows } = await client.query<Record<'table' | 'inserted' | 'updated' | 'deleted' | 'truncated', string>>(
    `SELECT relation AS table, count(*) FILTER (WHERE op = 'insert') AS inserted, count(*) FILTER (WHERE op = 'update') AS updated,
            count(*) FILTER (WHERE op = 'delete') AS deleted, count(*) FILTER (WHERE op = 'truncate') AS truncated
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
 * One digest over all rows kept: SHA-256 over the sorted SHA-256 of each row's table, fate, before and after. Equal
 * digests mean the same rows, whatever the order in which they were changed.
 *
 * @param volatile columns by table that are left out.
 */
export async function capturedDigest(
  client: pg.Client,
  volatile: Readonly<Record<string, readonly string[]>>,
): Promise<string> {
  const mask = Object.entries(volatile).map(
    ([table, columns]) => `(${quoteLiteral(table)}, ARRAY[${columns.map(quoteLiteral).join(', ')}]::text[])`,
  );
  const masks = mask.length === 0 ? "SELECT ''::text, '{}'::text[] WHERE false" : `VALUES ${mask.join(', ')}`;
  const { rows } = await client.query<{ digest: string }>(
    `SELECT pg_catalog.encode(pg_catalog.sha256(coalesce(pg_catalog.string_agg(h, ''::bytea ORDER BY h), ''::bytea)), 'hex') AS digest
     FROM (
       -- JSON has no raw control characters, and the free text comes last: no two rows are one text.
       SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(E'\\x1f',
         coalesce((c.before - coalesce(m.columns, '{}'::text[]))::text, ''), coalesce((c.after - coalesce(m.columns, '{}'::text[]))::text, ''), c.op, c.relation), 'UTF8')) AS h
       FROM pg_temp.countersign_captured AS c LEFT JOIN (${masks}) AS m (relation, columns) ON m.relation = c.relation
     ) AS hashed`,
  );
  return rows[0]?.digest ?? '';
}

/** A sum over each column's values in all rows kept, whatever their order: columns that differ between two runs are volatile. */
export async function capturedColumns(client: pg.Client): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ key: string; sum: string }>(
    `SELECT pg_catalog.jsonb_build_array(c.relation, v.key)::text AS key,
            pg_catalog.sum(pg_catalog.hashtextextended(coalesce(v.value, ''), 0))::text AS sum
     FROM pg_temp.countersign_captured AS c, pg_catalog.jsonb_each_text(c.after) AS v
     WHERE c.after IS NOT NULL GROUP BY c.relation, v.key`,
  );
  return new Map(rows.map((row) => [row.key, row.sum]));
}

export async function capturedSamples(client: pg.Client, perTable: number): Promise<readonly RowSample[]> {
  const { rows } = await client.query<{ relation: string; before: Image | null; after: Image | null }>(
    `SELECT relation, before, after FROM (
       SELECT *, ctid AS place, pg_catalog.row_number() OVER (PARTITION BY relation, op ORDER BY ctid) AS n FROM pg_temp.countersign_captured
     ) AS numbered WHERE n <= $1 ORDER BY relation, place`,
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
