import { readFile } from 'node:fs/promises';
import type pg from 'pg';
import { coversPattern } from '../domain/scope.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import type { Scenario } from './scenario.ts';
import { SHIPPED_SCENARIOS } from './scenario.ts';
import { readTables, type Table } from './table-shapes.ts';

/** What scenarios speak of by placeholders, as it is called in the schema at hand. */
export interface Surroundings {
  readonly words: Readonly<Record<string, string>>;
  /** What an actor of each kind declares, in the patterns of tasks. */
  readonly radius: Readonly<
    Record<Scenario['actor'], { readonly read: readonly string[]; readonly write: readonly string[] }>
  >;
  /** Value that nobody may get to see who doesn’t read `redteam.secrets`. */
  readonly canary: string;
  /** Schemas that the agent’s role reaches on the copy besides what the configuration says. */
  readonly schemas: readonly string[];
  /** Owners of tables, for whom the bare database has a login that is member of all. */
  readonly owners: readonly string[];
  /** Which of the user’s tables stand for what. */
  readonly told: Readonly<Record<'readable' | 'writable' | 'outside', string>>;
}

export interface RoleReach {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** Makes the red team’s own tables. */
export async function makeStandIns(client: pg.Client, canary: string): Promise<void> {
  const sql = await readFile(`${SHIPPED_SCENARIOS}/stand-ins.sql`, 'utf8');
  await client.query(sql.replaceAll('{{canary}}', canary));
}

/** Chooses tables of the user’s for what scenarios need; where there are none that fit, the red team’s own. */
export async function lookAround(
  client: pg.Client,
  facts: {
    readonly filled: ReadonlyMap<string, number>;
    readonly role: RoleReach;
    readonly scenarios: readonly Scenario[];
    readonly canary: string;
    readonly target: string;
    readonly database: string;
    readonly fileDirectory: string;
  },
): Promise<Surroundings> {
  const { role, canary, scenarios } = facts;
  const all = await readTables(client);
  const own = (name: string): Table => {
    const found = all.find((table) => table.name === name);
    if (found === undefined) throw new Error(`the red team’s table ${name} is missing`);
    return found;
  };
  const users = all.filter(
    ({ name, schema }) => schema !== 'redteam' && !schema.startsWith('trap_') && (facts.filled.get(name) ?? 0) > 0,
  );
  const mayRead = ({ name }: Table) => [...role.read, ...role.write].some((pattern) => coversPattern(pattern, name));
  const mayWrite = ({ name }: Table) => role.write.some((pattern) => coversPattern(pattern, name));
  // What nobody refers to is the easiest to lose, and the plainest to miss.
  const referred = new Set(
    users.flatMap(({ name, foreignKeys }) => foreignKeys.map((key) => key.table).filter((to) => to !== name)),
  );
  const keyed = users.filter(({ primaryKey }) => primaryKey.length === 1);
  const free = keyed.filter(({ name }) => !referred.has(name));
  const outside = free.filter(mayRead).at(-1) ?? free.at(-1) ?? own('redteam.books');
  const others = keyed.filter((table) => table !== outside);
  const writable =
    others.filter(mayWrite).find(({ name }) => !referred.has(name)) ?? others.find(mayWrite) ?? own('redteam.orders');
  const readable =
    others.filter(mayRead).find((table) => table !== writable) ?? others.find(mayRead) ?? own('redteam.accounts');

  const traps = scenarios.filter(({ setup }) => setup !== undefined).map(trapSchema);
  const trapPatterns = traps.map((schema) => `${schema}.*`);
  const shared = ['redteam.accounts', 'redteam.orders', 'redteam.order_lines'];
  const read = [
    ...users.filter((table) => table !== outside && mayRead(table)).map(({ name }) => name),
    ...shared,
    'redteam.people(id, name)',
    ...trapPatterns,
  ];
  const ownTraps = scenarios
    .filter(({ setup, actor }) => setup !== undefined && actor !== 'reader')
    .map((scenario) => `${trapSchema(scenario)}.*`);
  const writes = role.write.length > 0;
  const everything = [
    ...users.filter((table) => table !== outside && mayWrite(table)).map(({ name }) => name),
    ...shared,
    'redteam.backups',
    ...ownTraps,
  ];
  return {
    canary,
    schemas: ['redteam', ...traps],
    owners: [...new Set(all.map(({ owner }) => owner))],
    told: { readable: readable.name, writable: writable.name, outside: outside.name },
    radius: {
      reader: { read, write: [] },
      writer: { read, write: writes ? [writable.name, 'redteam.orders', ...ownTraps] : [] },
      migrator: { read, write: writes ? everything : [] },
    },
    words: {
      ...wordsOf('readable', readable),
      ...wordsOf('writable', writable),
      ...wordsOf('outside', outside),
      key: quoteIdentifier(readable.primaryKey[0] ?? 'id'),
      column: quoteIdentifier(plainColumn(readable)),
      schema: quoteIdentifier(readable.schema),
      owner: quoteIdentifier(outside.owner),
      canary,
      target: facts.target,
      database: quoteIdentifier(facts.database),
      file: `${facts.fileDirectory}/loot`,
      secret_file: `${facts.fileDirectory}/secret`,
    },
  };
}

function wordsOf(word: string, table: Table): Record<string, string> {
  return {
    [word]: table.quoted,
    [`${word}_table`]: quoteIdentifier(table.name.slice(table.schema.length + 1)),
    [`${word}_key`]: quoteIdentifier(table.primaryKey[0] ?? 'id'),
    [`${word}_column`]: quoteIdentifier(plainColumn(table)),
  };
}

/** A column that can be set to itself. */
function plainColumn({ columns, primaryKey }: Table): string {
  const plain = columns.filter(({ name, generated }) => !generated && !primaryKey.includes(name));
  return (plain.find(({ base }) => base === 'text') ?? plain[0] ?? columns[0])?.name ?? 'id';
}

/** The schema of a scenario’s own objects. */
export function trapSchema({ id }: Pick<Scenario, 'id'>): string {
  return `trap_${id.replaceAll('-', '_')}`;
}

/** Puts the words of the schema at hand into a text. @throws for a word that nobody knows. */
export function filledIn(text: string, words: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{([a-z_]+)\}\}/g, (_, name: string) => {
    const word = words[name];
    if (word === undefined)
      throw new Error(`{{${name}}} means nothing; there are ${Object.keys(words).sort().join(', ')}`);
    return word;
  });
}

/** The words of one scenario: those of the schema, and its own trap. */
export function wordsFor(scenario: Scenario, { words }: Surroundings): Readonly<Record<string, string>> {
  return { ...words, trap: trapSchema(scenario) };
}
