import type pg from 'pg';
import { TRIGGER_NAMES } from './capture.ts';

/**
 * How capture stood when it had just been laid. A plan runs with the rights of the tables' owners, and so could switch a
 * trigger off and on again, or take rows back out of what was captured: then the effect would be less than the truth (G2).
 */
export interface CaptureSeal {
  /** Trigger rows by the table's oid; a row that was touched lies elsewhere, even when it says the same again. */
  readonly triggers: ReadonlyMap<string, string>;
  /** The capture function's row and the tables that it fills. */
  readonly machinery: string;
  /** Every table of the users' schemas by its oid. */
  readonly tables: ReadonlyMap<string, string>;
  /** Where their rows lie: elsewhere after a TRUNCATE, which the server does not count. */
  readonly files: readonly string[];
}

/** Seals capture, once it has been laid and before any statement of the plan runs. */
export async function sealCapture(client: pg.Client): Promise<CaptureSeal> {
  return {
    triggers: await layTriggers(client),
    machinery: await captureMachinery(client),
    tables: await userTables(client),
    files: await filesOfTables(client),
  };
}

/**
 * @param change the change whose rows are kept, `null` in a dry run.
 * @returns what was done to capture since it was sealed, or `null`. A table that is gone took its triggers with it.
 */
export async function brokenSeal(client: pg.Client, seal: CaptureSeal, change: string | null): Promise<string | null> {
  const [triggers, tables] = [await layTriggers(client), await userTables(client)];
  for (const [oid, before] of seal.triggers) {
    const table = tables.get(oid);
    if (table !== undefined && triggers.get(oid) !== before) return `it changes the triggers that watch ${table}`;
  }
  if ((await captureMachinery(client)) !== seal.machinery) return 'it changes what watches it';
  const { rows } = await client.query<{ whole: boolean }>(CAPTURED_WHOLE, [change]);
  return rows[0]?.whole === true ? null : 'it changes what was captured of it';
}

async function layTriggers(client: pg.Client): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ table: string; triggers: string }>(
    `SELECT t.tgrelid::text AS table, pg_catalog.string_agg(t.oid || t.ctid::text || t.tgenabled::text, ' ' ORDER BY t.oid) AS triggers
     FROM pg_catalog.pg_trigger AS t WHERE t.tgname = ANY ($1::text[]) AND NOT t.tgisinternal GROUP BY t.tgrelid`,
    [TRIGGER_NAMES],
  );
  return new Map(rows.map((row) => [row.table, row.triggers]));
}

async function captureMachinery(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ machinery: string }>(
    `SELECT pg_catalog.concat_ws(' ', p.ctid::text, pg_catalog.to_regclass('pg_temp.countersign_captured')::oid::text,
              pg_catalog.pg_relation_filenode(pg_catalog.to_regclass('countersign.captured_rows'))::text) AS machinery
     FROM pg_catalog.pg_proc AS p WHERE p.oid = pg_catalog.to_regprocedure('countersign.capture_change()')`,
  );
  return rows[0]?.machinery ?? '';
}

/** Capture counts the rows that it sees, and never changes a line: as many must be there, as they were written. */
const CAPTURED_WHOLE = `
  WITH seen AS (SELECT pg_catalog.current_setting('countersign.kept')::bigint AS rows)
  SELECT (SELECT coalesce(sum(c.rows), 0) FROM pg_temp.countersign_captured AS c) = seen.rows
     AND ($1::text IS NULL OR (SELECT coalesce(sum(k.rows), 0) FROM countersign.captured_rows AS k WHERE k.change = $1) = seen.rows)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_xact_all_tables AS s
                     WHERE s.relid IN (pg_catalog.to_regclass('pg_temp.countersign_captured'), pg_catalog.to_regclass('countersign.captured_rows'))
                       AND s.n_tup_upd + s.n_tup_del > 0) AS whole
  FROM seen`;

async function userTables(client: pg.Client): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ oid: string; name: string }>(
    `SELECT c.oid::text, n.nspname || '.' || c.relname AS name
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')`,
  );
  return new Map(rows.map((row) => [row.oid, row.name]));
}

/** Each table's oid and the file with its rows. */
async function filesOfTables(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ file: string }>(
    `SELECT c.oid || ' ' || c.relfilenode AS file FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')`,
  );
  return rows.map(({ file }) => file);
}

/** Tables, by their oid, whose rows lie in another file than before. */
export async function rewrittenTables(client: pg.Client, seal: CaptureSeal): Promise<readonly string[]> {
  const before = new Set(seal.files);
  const now = await filesOfTables(client);
  return now.filter((file) => !before.has(file)).map((file) => file.slice(0, file.indexOf(' ')));
}

/** Names that stand for another table than before: what was in the old one is gone. */
export async function remadeTables(client: pg.Client, seal: CaptureSeal): Promise<ReadonlySet<string>> {
  const before = new Set(seal.tables.values());
  const now = await userTables(client);
  return new Set([...now].flatMap(([oid, name]) => (before.has(name) && !seal.tables.has(oid) ? [name] : [])));
}
