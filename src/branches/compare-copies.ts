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
/** Hashes of rows in such shares that come over at a time. */
const HASHES_AT_ONCE = 50_000;
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
  const differing = [...new Set([...were.keys(), ...are.keys()])].filter((share) => were.get(share) !== are.get(share));
  const hashes = await hashesThatDiffer(base, copy, table, { shares: differing, most });
  const [lost, gained] = without(await rowsOf(base, table, hashes), await rowsOf(copy, table, hashes));
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
const HASH = `pg_catalog.hashtextextended(${IMAGE}, 0)`;
const SHARE = `(h & ${SHARES - 1})::integer`;

async function sharesOf(client: pg.Client, { rows: from }: ComparedTable): Promise<ReadonlyMap<number, string>> {
  const { rows } = await client.query<{ share: number; sum: string }>(
    `SELECT ${SHARE} AS share, pg_catalog.count(*) || ' ' || pg_catalog.sum(h) AS sum
     FROM (SELECT ${HASH} AS h FROM ${from} AS r OFFSET 0) AS hashed GROUP BY 1`,
  );
  return new Map(rows.map(({ share, sum }) => [share, sum]));
}

/** Goes through both in the order of their hashes, and holds none but those that one has more often. */
async function hashesThatDiffer(
  base: pg.Client,
  copy: pg.Client,
  table: ComparedTable,
  { shares, most }: { readonly shares: readonly number[]; readonly most: number },
): Promise<readonly string[]> {
  const differing: string[] = [];
  const [was, is] = [hashesOf(base, table, shares), hashesOf(copy, table, shares)];
  let [one, other] = await Promise.all([was.next(), is.next()]);
  while (!one.done || !other.done) {
    const [before, after] = [one.done ? LAST : one.value, other.done ? LAST : other.value];
    if (before !== after) differing.push(before < after ? before : after);
    if (differing.length > most) throw tooMany(table.relation);
    if (before <= after) one = await was.next();
    if (after <= before) other = await is.next();
  }
  return [...new Set(differing)].map(asBigint);
}

/** Behind every hash. */
const LAST = 'g';

/** As sixteen digits that are in the order of the numbers: the sign is turned round. */
async function* hashesOf(
  client: pg.Client,
  { rows: from }: ComparedTable,
  shares: readonly number[],
): AsyncGenerator<string, void> {
  await client.query(
    `DECLARE hashes NO SCROLL CURSOR FOR SELECT pg_catalog.lpad(pg_catalog.to_hex(h # (-9223372036854775808)), 16, '0')
     FROM (SELECT ${HASH} AS h FROM ${from} AS r OFFSET 0) AS hashed WHERE ${SHARE} = ANY ('{${shares.join(',')}}'::integer[]) ORDER BY h`,
  );
  for (;;) {
    const { rows } = await client.query<[string]>({ text: `FETCH ${HASHES_AT_ONCE} FROM hashes`, rowMode: 'array' });
    for (const [hash] of rows) yield hash;
    if (rows.length < HASHES_AT_ONCE) break;
  }
  await client.query('CLOSE hashes');
}

function asBigint(hash: string): string {
  return BigInt.asIntN(64, BigInt(`0x${hash}`) ^ (1n << 63n)).toString();
}

interface ComparedRow {
  readonly image: string;
  readonly key: string | null;
}

async function rowsOf(
  client: pg.Client,
  { rows: from, key }: ComparedTable,
  hashes: readonly string[],
): Promise<readonly ComparedRow[]> {
  const told = key.map((column) => `pg_catalog.concat(r.${quoteIdentifier(column)})`).join(', ');
  const { rows } = await client.query<ComparedRow>(
    `SELECT image, key FROM (
       SELECT ${IMAGE} AS image, ${key.length === 0 ? 'NULL' : `pg_catalog.array_to_string(ARRAY[${told}], E'\\u001f')`} AS key FROM ${from} AS r OFFSET 0) AS read
     WHERE pg_catalog.hashtextextended(image, 0) = ANY ($1::bigint[])`,
    [hashes],
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
