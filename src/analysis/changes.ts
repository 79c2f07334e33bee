import type { Relation } from '../engines/catalogue.ts';
import { isAlwaysTrue } from './always-true.ts';
import { addCascades } from './cascades.ts';
import { addEffect, addUnknown, type Findings, objectOf, resolveRelation } from './findings.ts';
import { isOwnSchema } from './own-schemas.ts';
import { parseStatement, type Tree } from './parse.ts';

type RowVerb = 'insert' | 'update' | 'delete';

/** Rows of a statement's target are changed, and by keys, rules and views those of others. */
export function changeRows(findings: Findings, node: Tree, verb: RowVerb): void {
  findings.writes = true;
  const target = node['relation'] as Tree;
  const schema = typeof target['schemaname'] === 'string' ? target['schemaname'] : null;
  const { object, relation } = resolveRelation(findings, schema, String(target['relname']));
  if (relation?.system === true || isOwnSchema(object.schema)) {
    addEffect(findings, 'server', object);
    return;
  }
  const wholeTable = verb !== 'insert' && isAlwaysTrue(node['whereClause']);
  addEffect(findings, verb, object, { wholeTable });
  if (relation === undefined) return;
  if (relation.kind === 'foreign table')
    addUnknown(findings, `the foreign table ${object.schema}.${object.name}`, object);
  if (verb !== 'insert' && target['inh'] === true) changeHeirs(findings, relation, verb, wholeTable);
  followRules(findings, relation, verb);
  if (relation.kind === 'view') changeThrough(findings, relation, verb);
  if (verb === 'insert') return;
  const name = `${relation.schema}.${relation.name}`;
  if (verb === 'delete' || changesKey(findings, name, node)) addCascades(findings, name, verb);
}

/** Rows of tables that inherit from a table are changed with it, unless it says ONLY. A partition counts as its root. */
export function changeHeirs(
  findings: Findings,
  relation: Relation,
  verb: RowVerb | 'truncate',
  wholeTable: boolean,
): void {
  for (const name of relation.kind === 'table' ? relation.children : []) {
    const heir = findings.catalogue.relations.get(name);
    if (heir === undefined || heir.kind === 'index') continue;
    addEffect(findings, verb, objectOf(heir), { via: 'cascade', wholeTable });
    if (heir.kind === 'foreign table') addUnknown(findings, `the foreign table ${name}`, objectOf(heir));
    if (verb === 'delete' || verb === 'update') addCascades(findings, name, verb);
    changeHeirs(findings, heir, verb, wholeTable);
  }
}

const RULE_EVENTS = { insert: 'INSERT', update: 'UPDATE', delete: 'DELETE' } as const;

/** What a table's rules do instead, or besides. */
function followRules(findings: Findings, relation: Relation, verb: RowVerb): void {
  for (const { name, definition } of relation.rules) {
    const key = `rule ${relation.schema}.${relation.name}.${name}`;
    if (findings.expanding.has(key)) continue;
    const parsed = parseStatement(definition);
    const rule = parsed === 'empty' || 'sqlstate' in parsed ? undefined : parsed.node;
    if (rule?.['event'] !== undefined && rule['event'] !== `CMD_${RULE_EVENTS[verb]}`) continue;
    findings.expanding.add(key);
    const inner: Findings = { ...findings, searchPath: [], effects: new Map(), ownViews: null, schemaViews: null };
    for (const action of (rule?.['actions'] as Tree[] | undefined) ?? []) {
      for (const [kind, node] of Object.entries(action)) findings.walk(inner, kind, node as Tree);
    }
    if (rule === undefined) addUnknown(findings, `the ${key}`, objectOf(relation));
    for (const effect of inner.effects.values()) {
      // It reads with the rights of the table's owner.
      if (effect.verb === 'read') continue;
      const via = effect.verb === 'unknown' ? 'direct' : 'rule';
      addEffect(findings, effect.verb, effect.object, { via });
    }
  }
}

/** A simple view is changed by changing the table below it, unless a trigger or a rule takes its place. */
function changeThrough(findings: Findings, view: Relation, verb: RowVerb): void {
  if (view.triggers.some(({ events }) => events.includes(verb))) return;
  const parsed = view.definition === null ? 'empty' : parseStatement(view.definition);
  if (parsed === 'empty' || 'sqlstate' in parsed) return;
  for (const item of (parsed.node['fromClause'] as Tree[] | undefined) ?? []) {
    const below = item['RangeVar'] as Tree | undefined;
    if (below === undefined) continue;
    const inner: Findings = { ...findings, searchPath: [], effects: new Map(), ownViews: null, schemaViews: null };
    // Any of its columns may be set under another name.
    changeRows(inner, { relation: below, targetList: EVERY_COLUMN, whereClause: {} }, verb);
    for (const effect of inner.effects.values()) {
      if (effect.verb === 'read') continue;
      const via = effect.verb === 'unknown' ? 'direct' : effect.via === 'cascade' ? 'cascade' : 'rule';
      addEffect(findings, effect.verb, effect.object, { via });
    }
  }
}

const EVERY_COLUMN = 'every column';

/** Whether an UPDATE sets a column that another table's key points at. */
function changesKey(findings: Findings, table: string, node: Tree): boolean {
  const keys = findings.catalogue.relations.get(table)?.referencedBy ?? [];
  if (node['targetList'] === EVERY_COLUMN) return keys.length > 0;
  const set = new Set(
    ((node['targetList'] as Tree[] | undefined) ?? []).map((target) =>
      String((target['ResTarget'] as Tree | undefined)?.['name']),
    ),
  );
  return keys.some((key) => key.referencedColumns.some((column) => set.has(column)));
}

/** SELECT … INTO makes a table. */
export function createInto(findings: Findings, clause: Tree): void {
  const target = (clause['rel'] ?? {}) as Tree;
  const schema = typeof target['schemaname'] === 'string' ? target['schemaname'] : null;
  const { object } = resolveRelation(findings, schema, String(target['relname']));
  addEffect(findings, isOwnSchema(object.schema) ? 'server' : 'create', object);
}

/** What each branch of a MERGE does. */
export function merge(findings: Findings, node: Tree): void {
  for (const clause of (node['mergeWhenClauses'] as Tree[] | undefined) ?? []) {
    const command = (clause['MergeWhenClause'] as Tree | undefined)?.['commandType'];
    if (command === 'CMD_INSERT') changeRows(findings, node, 'insert');
    // Its join condition decides which rows: measured before commit, like any other write.
    if (command === 'CMD_UPDATE') changeRows(findings, { ...node, whereClause: {} }, 'update');
    if (command === 'CMD_DELETE') changeRows(findings, { ...node, whereClause: {} }, 'delete');
  }
  findings.writes = true;
}

/** SELECT … FOR UPDATE: the tables of FROM are locked. @param walkFrom looks at what stands in FROM. */
export function lockRelations(findings: Findings, walkFrom: (found: Findings) => void): void {
  findings.writes = true;
  const found: Findings = { ...findings, effects: new Map(), unknown: new Set(), vouchable: new Set() };
  walkFrom(found);
  for (const { verb, object } of found.effects.values()) {
    if (verb === 'read' && object.kind === 'table') addEffect(findings, 'lock', object);
  }
}
