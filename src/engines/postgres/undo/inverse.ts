import { digestOf } from '../../../domain/digest.ts';
import type { Inverse, ObjectChange } from '../../../domain/effect.ts';
import type { Digest } from '../../../domain/ids.ts';
import type { Fingerprint } from '../fingerprint.ts';
import { quoteIdentifier } from '../quote.ts';

/**
 * The way back of a change of definitions, out of what they were and what they have become: what was made is dropped,
 * what was dropped or altered is made again, where its definition says all of it. What held rows is gone with them.
 */
export function inverseOf(objects: readonly ObjectChange[], before: Fingerprint, after: Fingerprint): Inverse {
  const made = new Set(objects.filter(({ change }) => change === 'created').map(({ object }) => object));
  const gone = new Set(objects.filter(({ change }) => change === 'dropped').map(({ object }) => object));
  const steps: Step[] = [];
  for (const { change, object } of objects) {
    if (made.has(object) && gone.has(object)) return { why: `${object} would be made anew under its name` };
    const named = nameOf(object);
    if (named === undefined) return { why: `the name of ${object} could be read in more than one way` };
    if (change === 'created' && isPartOf(named, made)) continue;
    if (change === 'dropped' && isColumnOfView(named, gone)) continue;
    const found =
      change === 'created'
        ? unmake(named, after.get(object) ?? '')
        : change === 'dropped'
          ? remake(named, before.get(object) ?? '', gone)
          : alter(named, before.get(object) ?? '', after.get(object) ?? '');
    if (found === undefined) return { why: `${object} would be ${change}; only a backup brings it back` };
    const depth = named.kind === 'view' ? depthOf(object, change === 'created' ? after : before) : 0;
    // A view that reads another one goes before it, and comes after it.
    steps.push(
      ...found.map((step) => ({ ...step, place: step.place + (change === 'created' ? -depth : depth) / 100 })),
    );
  }
  return {
    statements: steps.sort((a, b) => a.place - b.place).map(({ sql }) => sql),
    leaves: definitionsDigest(
      after,
      objects.map(({ object }) => object),
    ),
  };
}

/** How many views stand under a view, as far as their texts tell. */
function depthOf(object: string, definitions: Fingerprint, below = 0): number {
  const query = String(field(definitions.get(object) ?? '{}', 'query'));
  const read = [...definitions.keys()].filter(
    (other) => other !== object && other.startsWith('view ') && query.includes(other.slice(other.lastIndexOf('.') + 1)),
  );
  return below > 20 ? below : Math.max(below, ...read.map((other) => depthOf(other, definitions, below + 1)));
}

/** One digest over the definitions of some objects; that one is not there is part of it. */
export function definitionsDigest(definitions: Fingerprint, objects: readonly string[]): Digest {
  return digestOf(Object.fromEntries(objects.map((object) => [object, definitions.get(object) ?? null])));
}

/** Lower places come first: what stands on other things goes before them, and comes after them. */
interface Step {
  readonly place: number;
  readonly sql: string;
}

interface Named {
  readonly kind: string;
  /** Without quotes: schema, relation or routine, part of it. */
  readonly parts: readonly string[];
  /** Of a routine: its arguments, as they stand between brackets. */
  readonly args: string;
}

const PARTS: Readonly<Record<string, number>> = {
  schema: 1,
  table: 2,
  'partitioned table': 2,
  view: 2,
  'materialized view': 2,
  sequence: 2,
  'composite type': 2,
  type: 2,
  index: 2,
  function: 2,
  procedure: 2,
  column: 3,
  constraint: 3,
  trigger: 3,
  rule: 3,
  policy: 3,
};

/** A name that holds a dot or a bracket itself can't be told from one of more parts. */
function nameOf(object: string): Named | undefined {
  const kind = Object.keys(PARTS).find((known) => object.startsWith(`${known} `));
  if (kind === undefined) return { kind: object, parts: [], args: '' };
  const [, name = '', args = ''] = /^([^(]*)(?:\((.*)\))?$/s.exec(object.slice(kind.length + 1)) ?? [];
  const parts = name.split('.');
  return parts.length === PARTS[kind] && parts.every((part) => part !== '') ? { kind, parts, args } : undefined;
}

const RELATIONS = ['table', 'partitioned table', 'view', 'materialized view', 'composite type', 'sequence'];

/** What comes with a relation, a column or a constraint that was made, and goes with it. */
function isPartOf({ kind, parts }: Named, made: ReadonlySet<string>): boolean {
  const [schema, relation] = parts;
  if (PARTS[kind] === 3) return RELATIONS.some((one) => made.has(`${one} ${schema}.${relation}`));
  return false;
}

function unmake({ kind, parts, args }: Named, definition: string): readonly Step[] | undefined {
  const name = quoted(parts);
  const [schema = '', relation = '', part = ''] = parts;
  const owner = quoted([schema, relation]);
  switch (kind) {
    case 'schema':
      return [{ place: 90, sql: `DROP SCHEMA ${name}` }];
    case 'table':
    case 'partitioned table':
      return [{ place: 60, sql: `DROP TABLE ${name}` }];
    case 'view':
      return [{ place: 50, sql: `DROP VIEW ${name}` }];
    case 'materialized view':
      return [{ place: 50, sql: `DROP MATERIALIZED VIEW ${name}` }];
    case 'sequence':
      // One that a column owns has gone with it.
      return [{ place: 70, sql: `DROP SEQUENCE IF EXISTS ${name}` }];
    case 'composite type':
      return [{ place: 80, sql: `DROP TYPE ${name}` }];
    case 'type':
      return [{ place: 80, sql: `DROP ${field(definition, 'type') === 'd' ? 'DOMAIN' : 'TYPE'} ${name}` }];
    case 'index':
      // One that a constraint or a table has made has gone with it.
      return [{ place: 70, sql: `DROP INDEX IF EXISTS ${name}` }];
    case 'function':
    case 'procedure':
      return [{ place: 75, sql: `DROP ${kind.toUpperCase()} ${name}(${args})` }];
    case 'column':
      return [{ place: 30, sql: `ALTER TABLE ${owner} DROP COLUMN ${quoteIdentifier(part)}` }];
    case 'constraint':
      return [{ place: 20, sql: `ALTER TABLE ${owner} DROP CONSTRAINT IF EXISTS ${quoteIdentifier(part)}` }];
    case 'trigger':
    case 'rule':
    case 'policy':
      return [{ place: 10, sql: `DROP ${kind.toUpperCase()} ${quoteIdentifier(part)} ON ${owner}` }];
    default:
      return undefined;
  }
}

function remake(
  { kind, parts, args }: Named,
  definition: string,
  gone: ReadonlySet<string>,
): readonly Step[] | undefined {
  const [schema = '', relation = '', part = ''] = parts;
  const owner = quoted([schema, relation]);
  const text = field(definition, 'definition');
  switch (kind) {
    case 'index': {
      const ofConstraint = [...gone].some(
        (object) => object.startsWith(`constraint ${schema}.`) && object.endsWith(`.${relation}`),
      );
      return ofConstraint ? [] : asText(text, 140);
    }
    case 'constraint':
      return asText(text, 130, (sql) => `ALTER TABLE ${owner} ADD CONSTRAINT ${quoteIdentifier(part)} ${sql}`);
    case 'trigger':
      return field(definition, 'enabled') === 'O' ? asText(text, 150) : undefined;
    case 'rule':
      return field(definition, 'enabled') === 'O' ? asText(text, 150) : undefined;
    case 'view':
      return view(quoted(parts), definition);
    case 'policy':
      return policy(quoteIdentifier(part), owner, definition);
    case 'function':
    case 'procedure': {
      const by = field(definition, 'owner');
      if (field(definition, 'acl') !== null || typeof by !== 'string') return undefined;
      const made = asText(text, 120);
      const sql = `ALTER ${kind.toUpperCase()} ${quoted(parts)}(${args}) OWNER TO ${quoteIdentifier(by)}`;
      return made === undefined ? undefined : [...made, { place: 121, sql }];
    }
    default:
      return undefined;
  }
}

function isColumnOfView({ kind, parts }: Named, gone: ReadonlySet<string>): boolean {
  return kind === 'column' && gone.has(`view ${parts[0]}.${parts[1]}`);
}

const RIGHTS: Readonly<Record<string, string>> = {
  a: 'INSERT',
  r: 'SELECT',
  w: 'UPDATE',
  d: 'DELETE',
  D: 'TRUNCATE',
  x: 'REFERENCES',
  t: 'TRIGGER',
  m: 'MAINTAIN',
};

/** A view with its owner and the rights that its owner has given; what else there is to it has no way back. */
function view(name: string, definition: string): readonly Step[] | undefined {
  const [owner, acl, comment] = ['owner', 'acl', 'comment'].map((one) => field(definition, one));
  const made = asText(field(definition, 'query'), 125, (query) => `CREATE VIEW ${name} AS ${query}`);
  if (made === undefined || typeof owner !== 'string' || field(definition, 'options') !== null || comment !== null)
    return undefined;
  const grants = (typeof acl === 'string' ? acl.slice(1, -1).split(',') : []).map((item) =>
    /^([a-z_0-9]*)=((?:[arwdDxtm]\*?)+)\/([a-z_0-9]+)$/.exec(item),
  );
  if (grants.some((grant) => grant === null || grant[3] !== owner)) return undefined;
  const given = grants.flatMap((grant) => {
    const [, to = '', rights = ''] = grant ?? [];
    if (to === owner) return [];
    return [...rights.matchAll(/(.)(\*?)/g)].map(
      ([, right = '', passes]) =>
        `GRANT ${RIGHTS[right]} ON ${name} TO ${to === '' ? 'PUBLIC' : to}${passes === '*' ? ' WITH GRANT OPTION' : ''}`,
    );
  });
  return [
    ...made,
    { place: 125.5, sql: `ALTER VIEW ${name} OWNER TO ${quoteIdentifier(owner)}` },
    ...given.map((sql) => ({ place: 125.6, sql })),
  ];
}

const COMMANDS: Readonly<Record<string, string>> = {
  '*': 'ALL',
  r: 'SELECT',
  a: 'INSERT',
  w: 'UPDATE',
  d: 'DELETE',
};

function policy(name: string, owner: string, definition: string): readonly Step[] | undefined {
  const command = COMMANDS[String(field(definition, 'command'))];
  const roles = /^\{([a-z_0-9,-]+)\}$/.exec(String(field(definition, 'roles')))?.[1];
  // A role whose name needs quotes could be read in more than one way.
  if (command === undefined || roles === undefined) return undefined;
  const clause = (word: string, of: string) => {
    const found = field(definition, of);
    return found === null ? '' : ` ${word} (${String(found)})`;
  };
  const who = roles === '-' ? 'PUBLIC' : roles;
  const kind = field(definition, 'permissive') === true ? 'PERMISSIVE' : 'RESTRICTIVE';
  const sql = `CREATE POLICY ${name} ON ${owner} AS ${kind} FOR ${command} TO ${who}${clause('USING', 'using')}${clause('WITH CHECK', 'check')}`;
  return [{ place: 155, sql }];
}

function alter({ kind, parts }: Named, before: string, after: string): readonly Step[] | undefined {
  const [schema = '', relation = '', part = ''] = parts;
  const changed = changedFields(before, after);
  const only = (...fields: readonly string[]) => changed.every((one) => fields.includes(one));
  switch (kind) {
    case 'column': {
      if (!only('default', 'notNull') || field(before, 'generated') !== '') return undefined;
      const column = `ALTER TABLE ${quoted([schema, relation])} ALTER COLUMN ${quoteIdentifier(part)}`;
      const was = field(before, 'default');
      return [
        ...(changed.includes('default')
          ? [{ place: 110, sql: was === null ? `${column} DROP DEFAULT` : `${column} SET DEFAULT ${String(was)}` }]
          : []),
        ...(changed.includes('notNull')
          ? [{ place: 145, sql: `${column} ${field(before, 'notNull') === true ? 'SET' : 'DROP'} NOT NULL` }]
          : []),
      ];
    }
    case 'function':
    case 'procedure':
      return only('definition') ? asText(field(before, 'definition'), 120) : undefined;
    case 'view':
      return only('query')
        ? asText(field(before, 'query'), 125, (sql) => `CREATE OR REPLACE VIEW ${quoted(parts)} AS ${sql}`)
        : undefined;
    case 'trigger':
      return only('enabled')
        ? asText(field(before, 'enabled'), 150, (enabled) => {
            const how = { O: 'ENABLE', D: 'DISABLE', A: 'ENABLE ALWAYS', R: 'ENABLE REPLICA' }[enabled] ?? 'ENABLE';
            return `ALTER TABLE ${quoted([schema, relation])} ${how} TRIGGER ${quoteIdentifier(part)}`;
          })
        : undefined;
    default:
      return undefined;
  }
}

function asText(found: unknown, place: number, how = (sql: string) => sql): readonly Step[] | undefined {
  return typeof found === 'string' ? [{ place, sql: how(found.replace(/;\s*$/, '')) }] : undefined;
}

function quoted(parts: readonly string[]): string {
  return parts.map(quoteIdentifier).join('.');
}

function field(definition: string, name: string): unknown {
  return (JSON.parse(definition) as Record<string, unknown>)[name] ?? null;
}

function changedFields(before: string, after: string): readonly string[] {
  const [was, is] = [before, after].map((text) => JSON.parse(text) as Record<string, unknown>);
  const names = new Set([...Object.keys(was ?? {}), ...Object.keys(is ?? {})]);
  return [...names].filter((name) => JSON.stringify(was?.[name]) !== JSON.stringify(is?.[name]));
}
