import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Content, SequenceContent, TableContent } from '../../domain/backup.ts';
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
  const sequences = await readSequences(client);
  const { rows: counted } = await client.query<{ n: string }>(
    'SELECT count(*) AS n FROM pg_catalog.pg_largeobject_metadata',
  );
  const largeObjects = Number(counted[0]?.n ?? 0);
  if (largeObjects > 0) onTable('large objects', tables.length, tables.length + 1);
  // Where there are none, nobody need be allowed to read them.
  const { rows: hashed } =
    largeObjects === 0 ? { rows: [] } : await client.query<{ hash: string }>(hashOfLargeObjects());
  const { rows: definitions } = await client.query<{ kind: string; name: string; definition: string }>(FINGERPRINT);
  return {
    tables: contents,
    sequences,
    largeObjects,
    largeObjectsHash: hashed[0]?.hash ?? null,
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

/** Where each sequence is now: no snapshot holds it still. */
export async function readSequences(client: pg.Client): Promise<readonly SequenceContent[]> {
  return (await client.query<SequenceContent & pg.QueryResultRow>(SEQUENCES)).rows;
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

const part = (from: number) =>
  `sum(('x' || pg_catalog.encode(pg_catalog.substr(h, ${from}, 8), 'hex'))::bit(64)::bigint)`;
const SUM = `pg_catalog.concat_ws(' ', coalesce(${part(1)}, 0), coalesce(${part(9)}, 0)) AS hash`;

// By the server's own function: a cast to text might be somebody's, and would run with the rights to read everything.
function hashOf(table: string): string {
  return `
    SELECT count(*) AS rows, ${SUM}
    FROM (SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.record_out(t.*)::text, 'UTF8')) AS h FROM ONLY ${table} AS t OFFSET 0) AS hashed`;
}

/** Bytes of a large object that are in memory at once. */
const PIECE_BYTES = 1_048_576;

/** Read as their bytes and not as their pages: a hole is zeros, and comes back as zeros that are written down. */
function hashOfLargeObjects(): string {
  return `
    SELECT ${SUM}
    FROM (
      SELECT pg_catalog.sha256(pg_catalog.convert_to(o.oid::text || ' ', 'UTF8') || coalesce(pg_catalog.string_agg(pg_catalog.sha256(pg_catalog.lo_get(o.oid, piece * ${PIECE_BYTES}, ${PIECE_BYTES})), ''::bytea ORDER BY piece), ''::bytea)) AS h
      FROM pg_catalog.pg_largeobject_metadata AS o
      LEFT JOIN LATERAL pg_catalog.generate_series(0::bigint, (
        SELECT max(p.pageno)::bigint * (pg_catalog.current_setting('block_size')::bigint / 4) / ${PIECE_BYTES}
        FROM pg_catalog.pg_largeobject AS p WHERE p.loid = o.oid)) AS piece ON true
      GROUP BY o.oid OFFSET 0) AS hashed`;
}
