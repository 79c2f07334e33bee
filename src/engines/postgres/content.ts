import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Content, TableContent } from '../../domain/backup.ts';
import { FINGERPRINT } from './fingerprint.ts';

/**
 * What is in the database, in the snapshot of the open transaction. Rows are hashed as their text under pinned settings,
 * and the hashes are added up, so that the order of rows makes no difference and nothing is sorted.
 *
 * @param onTable is told of each table before it is read.
 * @throws when a table can't be read whole: row security is never silently applied.
 */
export async function readContent(
  client: pg.Client,
  onTable: (table: string, done: number, all: number) => void = () => undefined,
): Promise<Content> {
  await client.query(PINNED);
  const { rows: tables } = await client.query<{ table: string; quoted: string }>(TABLES);
  const contents: TableContent[] = [];
  for (const [done, { table, quoted }] of tables.entries()) {
    onTable(table, done, tables.length);
    const { rows } = await client.query<{ rows: string; hash: string }>(hashOf(quoted));
    contents.push({ table, rows: Number(rows[0]?.rows ?? 0), hash: rows[0]?.hash ?? '' });
  }
  const { rows: sequences } = await client.query<{ sequence: string; lastValue: string | null }>(SEQUENCES);
  const { rows: objects } = await client.query<{ n: string }>(
    'SELECT count(*) AS n FROM pg_catalog.pg_largeobject_metadata',
  );
  const { rows: definitions } = await client.query<{ kind: string; name: string; definition: string }>(FINGERPRINT);
  return {
    tables: contents,
    sequences,
    largeObjects: Number(objects[0]?.n ?? 0),
    definitions: Object.fromEntries(
      // Roles are the cluster's, and in no dump of a database.
      definitions
        .filter(({ kind }) => kind !== 'role')
        .map(({ kind, name, definition }) => [
          `${kind} ${name}`,
          createHash('sha256').update(definition).digest('base64url').slice(0, 22),
        ]),
    ),
  };
}

const PINNED = `
  SET LOCAL search_path = ''; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0;
  SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC';
  SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'`;

/** What pg_dump takes: neither what an extension brings, nor what other sessions hold for themselves. */
const OURS = `
  n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')`;

const TABLES = `
  SELECT n.nspname || '.' || c.relname AS table, pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND ${OURS} ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

const SEQUENCES = `
  SELECT n.nspname || '.' || c.relname AS sequence, pg_catalog.pg_sequence_last_value(c.oid)::text AS "lastValue"
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND ${OURS} ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

// By the server's own function: a cast to text might be somebody's, and would run with the rights to read everything.
function hashOf(table: string): string {
  const part = (from: number) =>
    `sum(('x' || pg_catalog.encode(pg_catalog.substr(h, ${from}, 8), 'hex'))::bit(64)::bigint)`;
  return `
    SELECT count(*) AS rows, pg_catalog.concat_ws(' ', coalesce(${part(1)}, 0), coalesce(${part(9)}, 0)) AS hash
    FROM (SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.record_out(t.*)::text, 'UTF8')) AS h FROM ONLY ${table} AS t OFFSET 0) AS hashed`;
}
