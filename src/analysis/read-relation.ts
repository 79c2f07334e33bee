import { MASK_SCHEMA } from '../domain/masking.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Relation } from '../engines/catalogue.ts';
import { expand } from './expand.ts';
import { addEffect, addUnknown, type Findings, objectOf, resolveRelation } from './findings.ts';
import { meet, runHidden } from './hidden-code.ts';
import { isOwnSchema } from './own-schemas.ts';
import type { Tree } from './parse.ts';
import { noteSchemaView, ownViewAt } from './served-view.ts';

/** A relation is read: an effect, and whatever code its definition, its columns and its partitions bring along. */
export function readRelation(findings: Findings, node: Tree): void {
  const schema = typeof node['schemaname'] === 'string' ? node['schemaname'] : null;
  const name = String(node['relname']);
  const masked = schema === MASK_SCHEMA ? findings.catalogue.masking.byView.get(name) : undefined;
  const base = masked === undefined ? undefined : findings.catalogue.relations.get(masked.relation);
  if (base !== undefined) {
    noteRead(findings, objectOf(base));
    return;
  }
  const { object, relation } = resolveRelation(findings, schema, name);
  if (isOwnSchema(object.schema)) {
    const own = ownViewAt(findings, node);
    if (own === undefined) addEffect(findings, 'server', object);
    else findings.ownViews?.push(own);
    return;
  }
  noteRead(findings, object);
  if (relation === undefined) {
    // The database will say that there is none, in a transaction that can't write.
    findings.pure = false;
    return;
  }
  if (relation.system) {
    if (relation.schema === 'information_schema') noteSchemaView(findings, node);
    return;
  }
  const key = `${relation.schema}.${relation.name}`;
  meet(findings, key);
  for (const member of withChildren(findings, relation)) scan(findings, member);
  if (relation.rowSecurity) secure(findings, relation);
  if (relation.definition !== null && relation.kind === 'view') {
    expand(
      findings,
      `view ${key}`,
      relation.definition,
      relation,
      relation.securityInvoker ? 'of who asks' : 'of its owner',
    );
  }
}

/** What is read with its owner's rights is no effect of the statement. */
function noteRead(findings: Findings, object: ObjectRef): void {
  if (!findings.asOwner) addEffect(findings, 'read', object);
}

/** What the server runs by itself when it plans or scans one table. */
function scan(findings: Findings, relation: Relation): void {
  const object = objectOf(relation);
  const name = `${relation.schema}.${relation.name}`;
  if (relation.kind === 'foreign table') addUnknown(findings, `the foreign table ${name}`, object);
  const what = `an index, a check, a statistic or a partition key of ${name}`;
  runHidden(findings, { what, functions: relation.planned, castTo: null }, object);
}

/** What a role may see of the rows: expressions that run for each of them. */
function secure(findings: Findings, relation: Relation): void {
  findings.pure = false;
  const from = `${quoted(relation.schema)}.${quoted(relation.name)}`;
  for (const expression of relation.securityExpressions) {
    // Below a view that reads for others, a policy reads for them as well.
    const ofAll = relation.securityOfAll.includes(expression) && !findings.asOwner;
    const rights = ofAll ? 'of who asks' : 'of its owner';
    expand(findings, `policy of ${relation.name}`, `SELECT ${expression} FROM ${from}`, relation, rights);
  }
}

/** A table with its partitions and heirs, which are read with it. */
function withChildren({ catalogue }: Findings, relation: Relation): readonly Relation[] {
  const found = new Set<Relation>([relation]);
  for (const one of found) {
    for (const name of one.children) {
      const child = catalogue.relations.get(name);
      if (child !== undefined) found.add(child);
    }
  }
  return [...found].filter(({ kind }) => kind !== 'index');
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
