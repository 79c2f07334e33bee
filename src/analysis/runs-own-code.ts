import type { Analysis, Effect } from '../domain/effect.ts';
import type { Statement } from '../domain/intent.ts';
import type { Catalogue } from '../engines/catalogue.ts';

interface Written {
  readonly statement: Statement;
  readonly analysis: Analysis;
}

/** What statements have made so far that may be, or may lead to, code that nobody has looked at. */
interface Made {
  any: boolean;
  /** Whatever used it before runs what it has become. */
  changed: string | undefined;
  readonly names: Set<string>;
  readonly tables: Set<string>;
}

/**
 * Why statements that come together can't be tried: one of them may run code that another makes. A trial is made under the
 * tables' owner, and before anybody has looked at that code (G1).
 */
export function runsOwnCode(writes: readonly Written[], catalogue: Catalogue): string | undefined {
  const made: Made = { any: false, changed: undefined, names: new Set(), tables: new Set() };
  for (const [at, write] of writes.entries()) {
    const { analysis } = write;
    const met = made.any ? meets(write, made) : undefined;
    if (made.any && !runsNothing(analysis)) {
      const why = met ?? made.changed ?? runByThemselves([write], catalogue);
      if (why !== undefined) return `it may run ${why} together with code that is made just before it`;
    }
    if (analysis.makesCode === true || met !== undefined) note(analysis, made);
    // What waits for the end of the transaction runs what it has become by then.
    const waiting = made.changed === undefined ? undefined : runByThemselves(writes.slice(0, at), catalogue);
    if (waiting !== undefined) return `${waiting} may run ${made.changed}, which is changed after it`;
  }
  return undefined;
}

/** Commands that only write down what they are told. */
const WRITTEN_DOWN =
  /^(?:CREATE (?:FUNCTION|TRIGGER|RULE|POLICY|SCHEMA|VIEW|SEQUENCE|TABLE|TYPE)|ALTER (?:FUNCTION|POLICY|SEQUENCE|OWNER)|ALTER|COMMENT|GRANT|DROP .*)$/;

function runsNothing({ command, class: kind }: Analysis): boolean {
  return kind.kind === 'session' || (kind.kind === 'change' && WRITTEN_DOWN.test(command));
}

/** Something made that a statement names or touches. */
function meets({ statement, analysis }: Written, { names, tables }: Made): string | undefined {
  const table = analysis.effects.map(nameOf).find((name) => tables.has(name));
  if (table !== undefined) return table;
  const text = statement.text.toLowerCase().replaceAll('""', '"');
  const escaped = /u&["']/.test(text);
  return [...names].find((name) => escaped || text.includes(name));
}

function note({ effects }: Analysis, made: Made): void {
  made.any = true;
  for (const { verb, object } of effects) {
    if (verb === 'read' || object.kind === 'role') continue;
    if (RELATIONS.has(object.kind)) made.tables.add(nameOf({ object }));
    else {
      made.names.add(object.name.toLowerCase());
      if (verb !== 'create') made.changed ??= nameOf({ object });
    }
  }
}

const RELATIONS: ReadonlySet<Effect['object']['kind']> = new Set([
  'table',
  'view',
  'materialized view',
  'foreign table',
  'sequence',
  'index',
]);

function nameOf({ object }: Pick<Effect, 'object'>): string {
  return `${object.schema}.${object.name}`;
}

/** Triggers and rules find other code by name, and may find what was made just now. */
function runByThemselves(writes: readonly Written[], catalogue: Catalogue): string | undefined {
  const table = writes
    .flatMap(({ analysis }) => analysis.effects.filter(({ verb }) => verb !== 'read').map(nameOf))
    .find((name) => {
      const relation = catalogue.relations.get(name);
      return relation !== undefined && (relation.rules.length > 0 || relation.triggers.some(({ enabled }) => enabled));
    });
  return table === undefined ? undefined : `triggers or rules of ${table}`;
}
