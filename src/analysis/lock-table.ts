import type { Verb } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Relation } from '../engines/catalogue.ts';
import { addEffect, type Findings, resolveRelation } from './findings.ts';
import { isOwnSchema } from './own-schemas.ts';
import { isTree, parseStatement, type Tree } from './parse.ts';

/** PostgreSQL's modes by the number that its grammar gives them (`lockdefs.h`), weakest first. */
const MODES = [
  '',
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const;

/**
 * What LOCK TABLE does. A query takes ACCESS SHARE, `FOR UPDATE` takes ROW SHARE, a change of rows ROW EXCLUSIVE: none of
 * these waits for another (PostgreSQL, "Explicit Locking", 13.3.1). Every stronger mode keeps upkeep, writers or readers
 * out until the transaction ends: whoever only changes rows has no need of it.
 */
export function lockTables(findings: Findings, node: Tree): void {
  const level = Number(node['mode']);
  const mode = MODES[level] ?? `mode ${level}`;
  const verb: Verb = level === 1 ? 'read' : level <= 3 ? 'lock' : 'maintain';
  const tell = (object: ObjectRef) =>
    addEffect(findings, isOwnSchema(object.schema) ? 'server' : verb, object, verb === 'maintain' ? { mode } : {});
  for (const item of (node['relations'] as Tree[] | undefined) ?? []) {
    const { object, relation } = named(findings, item['RangeVar'] as Tree);
    tell(object);
    if (relation !== undefined) for (const below of lockedBelow(findings, relation)) tell(below);
  }
  findings.writes ||= verb !== 'read';
  findings.pure = false;
}

/** The relations that a view locks below itself, as far as it needs the rights of whoever asks to do so. */
function lockedBelow(findings: Findings, relation: Relation): readonly ObjectRef[] {
  const below: ObjectRef[] = [];
  const looked = new Set<Relation>([relation]);
  // What an invoker's view names needs the asker's rights, also where a view of somebody else's rights names that view.
  for (const view of looked) {
    if (view.kind !== 'view' || view.definition === null) continue;
    const parsed = parseStatement(view.definition);
    if (parsed === 'empty' || 'sqlstate' in parsed) continue;
    for (const range of rangesIn(parsed.node)) {
      const found = named({ ...findings, searchPath: [] }, range);
      if (view.securityInvoker) below.push(found.object);
      if (found.relation !== undefined) looked.add(found.relation);
    }
  }
  return below;
}

/** Every place where a definition names a relation, by its schema as the catalogue writes it. */
function rangesIn(value: unknown): readonly Tree[] {
  if (Array.isArray(value)) return value.flatMap(rangesIn);
  if (!isTree(value)) return [];
  const inside = Object.values(value).flatMap(rangesIn);
  return typeof value['relname'] === 'string' && typeof value['schemaname'] === 'string' ? [...inside, value] : inside;
}

function named(findings: Findings, range: Tree): ReturnType<typeof resolveRelation> {
  const schema = typeof range['schemaname'] === 'string' ? range['schemaname'] : null;
  return resolveRelation(findings, schema, String(range['relname']));
}
