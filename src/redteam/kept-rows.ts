import type pg from 'pg';
import { quoteIdentifier } from '../engines/postgres/quote.ts';

/** The rows of every table as they were: bringing back a few of them is quicker than another copy of all. */
export type KeptRows = ReadonlyMap<string, string>;

const TABLES = `
  SELECT n.nspname AS schema, c.relname AS name
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign')`;

export async function keepRows(client: pg.Client): Promise<KeptRows> {
  const { rows: tables } = await client.query<{ schema: string; name: string }>(TABLES);
  const reads = tables.map(
    ({ schema, name }, at) =>
      `SELECT ${at} AS at, coalesce(jsonb_agg(to_jsonb(r)), '[]')::text AS rows FROM ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)} AS r`,
  );
  if (reads.length === 0) return new Map();
  const { rows } = await client.query<{ at: number; rows: string }>(reads.join('\nUNION ALL\n'));
  return new Map(rows.map(({ at, rows: kept }) => [`${tables[at]?.schema}.${tables[at]?.name}`, kept]));
}

/**
 * Brings rows back, where nothing but rows of tables was changed. Whoever calls compares the fingerprint afterwards: what
 * could not be brought back so is brought back by another copy.
 *
 * @param lines the differences that a fingerprint told. @returns whether it was tried.
 */
export async function bringBack(client: pg.Client, kept: KeptRows, lines: readonly string[]): Promise<boolean> {
  const tables = lines.map((line) => /^rows of ([^.]+)\.(.+): \d+ rows → \d+ rows$/.exec(line));
  if (tables.some((found) => found === null)) return false;
  try {
    await client.query("BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL statement_timeout = '5s'");
    for (const [, schema = '', name = ''] of tables.filter((found) => found !== null)) {
      const table = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
      await client.query(`DELETE FROM ONLY ${table}`);
      await client.query(
        `INSERT INTO ${table} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_recordset(NULL::${table}, $1)`,
        [kept.get(`${schema}.${name}`) ?? '[]'],
      );
    }
    await client.query('COMMIT');
    return true;
  } catch (error) {
    if (!(error instanceof Error && 'severity' in error)) throw error;
    await client.query('ROLLBACK');
    return false;
  }
}
