import type pg from 'pg';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { candidatesFor } from './column-values.ts';
import { type Column, type ForeignKey, readTables, type Table } from './table-shapes.ts';

/** What became of the tables of the copy. */
export interface Filled {
  /** Rows by `schema.table`. */
  readonly tables: ReadonlyMap<string, number>;
  /** Tables that could not be filled, each with what the database said. */
  readonly empty: readonly { readonly table: string; readonly why: string }[];
}

const ROWS = 12;
const TRIES = 40;

/**
 * Fills every table with a few made-up rows: types, NOT NULL, unique keys, checks and foreign keys are honoured as far as
 * trying gets. The same schema gets the same rows.
 */
export async function fillTables(client: pg.Client): Promise<Filled> {
  const tables = await readTables(client);
  const filled = new Map<string, number>();
  const failures = new Map<string, string>();
  let waiting = [...tables];
  while (waiting.length > 0) {
    const names = new Set(waiting.map(({ name }) => name));
    const missing = ({ name, foreignKeys }: Table) =>
      foreignKeys.filter((key) => key.table !== name && names.has(key.table));
    // What refers to a table that is not filled yet comes later; in a circle somebody must begin, who may refer to nobody.
    const ready = waiting.filter((table) => missing(table).length === 0);
    const first = waiting.find((table) => missing(table).every((key) => mayBeEmpty(table, key))) ?? waiting[0];
    const turn = ready.length > 0 || first === undefined ? ready : [first];
    for (const table of turn) {
      const { rows, why } = await fill(client, table);
      filled.set(table.name, rows);
      if (rows === 0) failures.set(table.name, why);
    }
    waiting = waiting.filter((table) => !turn.includes(table));
  }
  return { tables: filled, empty: [...failures].map(([table, why]) => ({ table, why })) };
}

function mayBeEmpty({ columns }: Table, key: ForeignKey): boolean {
  return columns.some(({ name, notNull }) => key.columns.includes(name) && !notNull);
}

async function fill(client: pg.Client, table: Table): Promise<{ readonly rows: number; readonly why: string }> {
  const random = seeded(table.name);
  let rows = 0;
  let why = 'no row was taken';
  for (let tries = 0; rows < ROWS && tries < ROWS + TRIES; tries++) {
    const parents = await parentsOf(client, table);
    const failed = await insert(client, table, rowOf(table, parents, rows, tries - rows, random));
    if (failed === undefined) rows++;
    else why = failed;
  }
  return { rows, why };
}

/** Rows of the tables that it refers to, the columns that are referred to only. */
async function parentsOf(client: pg.Client, table: Table): Promise<ReadonlyMap<ForeignKey, readonly unknown[][]>> {
  const found = new Map<ForeignKey, unknown[][]>();
  for (const key of table.foreignKeys) {
    const columns = key.referred.map((column) => `${quoteIdentifier(column)}::text`).join(', ');
    const { rows } = await client.query<unknown[]>({
      text: `SELECT ${columns} FROM ${key.quotedTable} ORDER BY 1 LIMIT 50`,
      rowMode: 'array',
    });
    found.set(key, rows as unknown[][]);
  }
  return found;
}

function rowOf(
  table: Table,
  parents: ReadonlyMap<ForeignKey, readonly unknown[][]>,
  row: number,
  failures: number,
  random: (count: number) => number,
): ReadonlyMap<Column, unknown> {
  const values = new Map<Column, unknown>();
  for (const column of table.columns) {
    if (column.generated || (column.hasDefault && !column.checked && failures % 3 !== 2)) continue;
    const candidates = candidatesFor(column, row + failures * 7, random);
    // After a refusal, something else: NULL where it may be, then another of what the checks speak of.
    values.set(column, failures === 0 ? candidates[0] : candidates[random(candidates.length)]);
    if (!column.notNull && failures % 4 === 3) values.set(column, null);
  }
  for (const [key, rows] of parents) {
    const parent = rows[(row + failures) % Math.max(1, rows.length)];
    key.columns.forEach((name, at) => {
      const column = table.columns.find((candidate) => candidate.name === name);
      if (column !== undefined && !column.generated) values.set(column, parent?.[at] ?? null);
    });
  }
  return values;
}

/** @returns what the database said when it took no row. */
async function insert(client: pg.Client, table: Table, row: ReadonlyMap<Column, unknown>): Promise<string | undefined> {
  const columns = [...row.keys()];
  const list = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const values = columns.map(({ type }, at) => `$${at + 1}::text::${type}`).join(', ');
  const sql =
    columns.length === 0
      ? `INSERT INTO ${table.quoted} DEFAULT VALUES`
      : `INSERT INTO ${table.quoted} (${list}) VALUES (${values})`;
  try {
    await client.query(sql, [...row.values()]);
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'severity' in error) return error.message;
    throw error;
  }
}

/** Numbers that are the same for the same name. */
function seeded(name: string): (count: number) => number {
  let state = [...name].reduce((sum, char) => (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0, 17);
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * count);
  };
}
