import type { Analysis } from '../domain/effect.ts';
import type { Statement } from '../domain/intent.ts';
import type { Catalogue, Relation } from '../engines/catalogue.ts';
import { isTree, names, parseStatement, type Tree } from './parse.ts';

/**
 * Whether a statement brings no value that differs from run to run (a clock's, a sequence's, a random one), so that one
 * dry run says all of it. Only what is known to is: changes and removals of rows in plain tables, by immutable functions
 * of the server's own. A wrong yes harms nobody: such a plan's effect would never be the same again, and so never applied.
 */
export function isRepeatable({ text, parameters }: Statement, { effects }: Analysis, catalogue: Catalogue): boolean {
  const parsed = parseStatement(text);
  if (parsed === 'empty' || 'sqlstate' in parsed || !CHANGES.has(parsed.kind)) return false;
  if (parameters.some(({ value }) => value !== null && CLOCK_WORD.test(value))) return false;
  if (hidesCode(catalogue) || !isSteady(parsed.node, catalogue)) return false;
  return effects.every(({ verb, object }) => {
    const relation = catalogue.relations.get(`${object.schema}.${object.name}`);
    if (relation === undefined) return false;
    return verb === 'read' ? isPlain(relation) : family(relation, catalogue).every(runsNoCode);
  });
}

/** Types of users, or the server's own, run code of users. */
function hidesCode({ hiddenCode, userTypes }: Catalogue): boolean {
  return hiddenCode.length > 0 || [...userTypes.values()].some(({ code }) => code.length > 0);
}

const CHANGES: ReadonlySet<string> = new Set(['UpdateStmt', 'DeleteStmt', 'TruncateStmt']);

/** Text that a cast to a time makes the time of the run (PostgreSQL, "Special Date/Time Inputs"); anywhere, to be sure. */
const CLOCK_WORD = /now|today|tomorrow|yesterday/i;

/** Not in any of these: defaults and rows that come into being have values of their own, samples are drawn. */
const UNSTEADY: ReadonlySet<string> = new Set([
  'InsertStmt',
  'MergeStmt',
  'SQLValueFunction',
  'SetToDefault',
  'RangeTableSample',
  'CurrentOfExpr',
]);

function isSteady(value: unknown, catalogue: Catalogue): boolean {
  if (typeof value === 'string') return !CLOCK_WORD.test(value);
  if (Array.isArray(value)) return value.every((item) => isSteady(item, catalogue));
  if (!isTree(value)) return true;
  return Object.entries(value).every(([key, inner]) => {
    if (UNSTEADY.has(key)) return false;
    if (key === 'FuncCall' && !isImmutable(names((inner as Tree)['funcname']).at(-1), catalogue)) return false;
    if (key === 'A_Expr' && catalogue.userOperators.has(names((inner as Tree)['name']).at(-1) ?? '')) return false;
    return isSteady(inner, catalogue);
  });
}

/** Every function that the name could mean is the server's own and immutable. */
function isImmutable(name: string | undefined, catalogue: Catalogue): boolean {
  const meant = name === undefined ? undefined : catalogue.functions.get(name);
  return meant?.every((routine) => routine.builtIn && routine.volatility === 'immutable') ?? false;
}

function isPlain(relation: Relation): boolean {
  return (relation.kind === 'table' || relation.kind === 'partitioned table') && !relation.rowSecurity;
}

function runsNoCode(relation: Relation): boolean {
  return (
    isPlain(relation) &&
    relation.rules.length === 0 &&
    relation.triggers.every((trigger) => !trigger.enabled) &&
    relation.referencedBy.every((key) => key.onDelete !== 'set default' && key.onUpdate !== 'set default')
  );
}

/** A table with its partitions: each may have triggers of its own. */
function family(relation: Relation, catalogue: Catalogue): readonly Relation[] {
  const found = new Set([relation]);
  for (const { children } of found) {
    for (const name of children) {
      const child = catalogue.relations.get(name);
      if (child !== undefined) found.add(child);
    }
  }
  return [...found];
}
