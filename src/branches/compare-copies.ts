import type pg from 'pg';
import type { Content } from '../domain/backup.ts';
import type { BranchDifference, OpenBranch, TableDifference } from '../domain/branch.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Target } from '../domain/target.ts';
import { connectOwn } from '../engines/postgres/connect.ts';
import { readContent } from '../engines/postgres/content.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { type BranchServer, copyAsTarget } from './branch-server.ts';

/** More of them is no difference that anybody reviews, nor one that is merged at once. */
const MOST_ROWS = 200_000;
/** Rows are looked at one by one only where their share of the table differs: of a table of millions, a few of each. */
const SHARES = 65_536;
/** Rows in such shares that are looked at: they pass through memory. */
const MOST_LOOKED_AT = 1_000_000;
const SAY_EVERY_MS = 2000;

/**
 * Finds what a branch has otherwise than its base, by comparing the two: whatever was done there, by whatever way, this is
 * what is left of it. Each is looked at as of one moment.
 *
 * @throws RefusalError where more rows differ than are merged at once.
 */
export async function compareCopies(
  branch: OpenBranch,
  deps: { readonly server: BranchServer; readonly of: Target; readonly onProgress: (said: string) => void },
): Promise<BranchDifference> {
  const { server, of, onProgress } = deps;
  const { identity, baseIdentity } = branch.copy;
  const saySometimes = seldom(onProgress);
  const base = await look(server, copyAsTarget(server, branch.base, { id: branch.id, identity: baseIdentity, of }));
  try {
    const copy = await look(server, copyAsTarget(server, branch.id, { id: branch.id, identity, of }));
    try {
      const [was, is] = await Promise.all([
        readContent(base),
        readContent(copy, (table, done, all) => saySometimes(`comparing ${table} (${done + 1} of ${all})`)),
      ]);
      const definitions = differingDefinitions(was, is);
      const tables: TableDifference[] = [];
      for (const table of await tablesOf(copy, differingTables(was, is))) {
        const found = await rowsThatDiffer(base, copy, table, MOST_ROWS - rowsIn(tables));
        if (found.lost.length + found.gained.length > 0) tables.push(found);
      }
      return { tables, definitions, largeObjects: was.largeObjectsHash !== is.largeObjectsHash };
    } finally {
      await copy.end();
    }
  } finally {
    await base.end();
  }
}

/** What goes by at once need not be told. */
function seldom(say: (said: string) => void): (said: string) => void {
  let lastMs = Date.now();
  return (said) => {
    if (Date.now() - lastMs < SAY_EVERY_MS) return;
    lastMs = Date.now();
    say(said);
  };
}

async function look(server: BranchServer, database: Target): Promise<pg.Client> {
  const client = await connectOwn(database, server.login);
  await client.query('SET idle_in_transaction_session_timeout = 0');
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  return client;
}

/** What Countersign itself keeps is no part of what was worked on. */
const OWN = /(^|\s)countersign(_masks|_quarantine_\w+)?(\.|$|\s)/;

function differingDefinitions(was: Content, is: Content): readonly string[] {
  const names = new Set([...Object.keys(was.definitions), ...Object.keys(is.definitions)]);
  return [...names].filter((name) => was.definitions[name] !== is.definitions[name] && !OWN.test(name)).sort();
}

/** Those that both have: what was made or dropped is a matter of definitions. */
function differingTables(was: Content, is: Content): readonly string[] {
  const before = new Map(was.tables.map(({ table, rows, hash }) => [table, `${rows} ${hash}`]));
  return is.tables
    .filter(({ table, rows, hash }) => before.has(table) && before.get(table) !== `${rows} ${hash}` && !OWN.test(table))
    .map(({ table }) => table);
}

interface ComparedTable {
  /** `schema.name` */
  readonly relation: string;
  /** As it stands in FROM: rows of heirs are not a table's own, rows of partitions are. */
  readonly rows: string;
  readonly columns: readonly string[];
  /** Of the primary key; empty where there is none. */
  readonly key: readonly string[];
}

/** A partition's rows are those of its root. */
async function tablesOf(client: pg.Client, named: readonly string[]): Promise<readonly ComparedTable[]> {
  const { rows } = await client.query<ComparedTable>(
    `SELECT DISTINCT n.nspname || '.' || c.relname AS relation,
            CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || pg_catalog.format('%I.%I', n.nspname, c.relname) AS rows,
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                  WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY a.attnum) AS key
     FROM pg_catalog.pg_class AS p JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
     JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(pg_catalog.pg_partition_root(p.oid)::oid, p.oid)
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE pn.nspname || '.' || p.relname = ANY ($1::text[]) ORDER BY 1`,
    [named],
  );
  return rows;
}

async function rowsThatDiffer(
  base: pg.Client,
  copy: pg.Client,
  table: ComparedTable,
  most: number,
): Promise<TableDifference> {
  const none = { table: table.relation, columns: table.columns, lost: [], gained: [] };
  // With other columns its rows can't be compared, and its definition says that it differs.
  const [before] = await tablesOf(base, [table.relation]);
  if (before?.columns.join('\0') !== table.columns.join('\0')) return { ...none, inserted: 0, updated: 0, deleted: 0 };
  const [were, are] = await Promise.all([sharesOf(base, table), sharesOf(copy, table)]);
  const differing = [...new Set([...were.keys(), ...are.keys()])].filter(
    (share) => were.get(share)?.sum !== are.get(share)?.sum,
  );
  const lookedAt = differing.reduce(
    (rows, share) => rows + (were.get(share)?.rows ?? 0) + (are.get(share)?.rows ?? 0),
    0,
  );
  if (lookedAt > MOST_LOOKED_AT) throw tooMany(table.relation);
  const [lost, gained] = without(await rowsOf(base, table, differing), await rowsOf(copy, table, differing));
  if (lost.length + gained.length > most) throw tooMany(table.relation);
  const keys = new Set(lost.flatMap(({ key }) => key ?? []));
  const updated = gained.filter(({ key }) => key !== null && keys.has(key)).length;
  return {
    ...none,
    lost: lost.map(({ image }) => image),
    gained: gained.map(({ image }) => image),
    inserted: gained.length - updated,
    updated,
    deleted: lost.length - updated,
  };
}

/** By the server's own function: a cast to text might be somebody's. */
const IMAGE = 'pg_catalog.record_out(r.*)::text COLLATE pg_catalog."C"';
const shareOf = (hash: string) => `(${hash} & ${SHARES - 1})::integer`;

async function sharesOf(
  client: pg.Client,
  { rows: from }: ComparedTable,
): Promise<ReadonlyMap<number, { readonly rows: number; readonly sum: string }>> {
  const { rows } = await client.query<{ share: number; rows: string; sum: string }>(
    `SELECT ${shareOf('h')} AS share, pg_catalog.count(*)::text AS rows, pg_catalog.sum(h)::text AS sum
     FROM (SELECT pg_catalog.hashtextextended(${IMAGE}, 0) AS h FROM ${from} AS r OFFSET 0) AS hashed GROUP BY 1`,
  );
  return new Map(rows.map(({ share, rows: count, sum }) => [share, { rows: Number(count), sum: `${count} ${sum}` }]));
}

interface ComparedRow {
  readonly image: string;
  readonly key: string | null;
}

async function rowsOf(
  client: pg.Client,
  { rows: from, key }: ComparedTable,
  shares: readonly number[],
): Promise<readonly ComparedRow[]> {
  const told = key.map((column) => `pg_catalog.concat(r.${quoteIdentifier(column)})`).join(', ');
  const { rows } = await client.query<ComparedRow>(
    `SELECT image, key FROM (
       SELECT ${IMAGE} AS image, ${key.length === 0 ? 'NULL' : `pg_catalog.array_to_string(ARRAY[${told}], E'\\u001f')`} AS key FROM ${from} AS r OFFSET 0) AS read
     WHERE ${shareOf('pg_catalog.hashtextextended(image, 0)')} = ANY ($1::integer[])`,
    [shares],
  );
  return rows;
}

/** What either has more often than the other. */
function without(
  before: readonly ComparedRow[],
  after: readonly ComparedRow[],
): readonly [readonly ComparedRow[], readonly ComparedRow[]] {
  return [surplus(before, after), surplus(after, before)];
}

function surplus(rows: readonly ComparedRow[], others: readonly ComparedRow[]): readonly ComparedRow[] {
  const left = new Map<string, number>();
  for (const { image } of others) left.set(image, (left.get(image) ?? 0) + 1);
  return rows.filter(({ image }) => {
    const count = left.get(image) ?? 0;
    if (count > 0) left.set(image, count - 1);
    return count === 0;
  });
}

function rowsIn(tables: readonly TableDifference[]): number {
  return tables.reduce((sum, { lost, gained }) => sum + lost.length + gained.length, 0);
}

function tooMany(table: string): RefusalError {
  return new RefusalError({
    refused: 'overLimit',
    message: `More rows of ${table} differ than are merged at once: ${MOST_ROWS} in all.`,
    hint: 'Merge in parts: make another branch and change fewer rows in it, or send the statement to the target itself, where it becomes a plan.',
  });
}
