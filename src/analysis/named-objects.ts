import type { ObjectKind, ObjectRef } from '../domain/object.ts';
import { addEffect, type Findings, resolveRelation } from './findings.ts';
import { isOwnSchema } from './own-schemas.ts';
import { names, type Tree } from './parse.ts';

/** Kinds of objects as the grammar calls them. */
export const OBJECT_KINDS: Readonly<Record<string, ObjectKind>> = {
  OBJECT_TABLE: 'table',
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_FOREIGN_TABLE: 'foreign table',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_INDEX: 'index',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'function',
  OBJECT_ROUTINE: 'function',
  OBJECT_AGGREGATE: 'function',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'type',
  OBJECT_SCHEMA: 'schema',
  OBJECT_TRIGGER: 'trigger',
  OBJECT_RULE: 'rule',
  OBJECT_POLICY: 'policy',
  OBJECT_EXTENSION: 'extension',
  OBJECT_COLUMN: 'column',
  OBJECT_TABCONSTRAINT: 'constraint',
  OBJECT_ROLE: 'role',
  OBJECT_DATABASE: 'database',
};

/** Kinds that belong to the whole server, or reach out of it. */
export const SERVER_OBJECTS = new Set([
  'OBJECT_DATABASE',
  'OBJECT_FDW',
  'OBJECT_FOREIGN_SERVER',
  'OBJECT_EVENT_TRIGGER',
  'OBJECT_SUBSCRIPTION',
  'OBJECT_PUBLICATION',
  'OBJECT_TABLESPACE',
  'OBJECT_LANGUAGE',
  'OBJECT_ACCESS_METHOD',
  'OBJECT_CAST',
  'OBJECT_TRANSFORM',
  'OBJECT_LARGEOBJECT',
  'OBJECT_PARAMETER_ACL',
]);

/** The parts of an object's name, whatever it is written in. */
export function namesOf(item: Tree): readonly string[] {
  const list = item['List'] as Tree | undefined;
  if (list !== undefined) return ((list['items'] as Tree[] | undefined) ?? []).flatMap(namesOf);
  const routine = item['ObjectWithArgs'] as Tree | undefined;
  if (routine !== undefined) return names(routine['objname']);
  const type = item['TypeName'] as Tree | undefined;
  if (type !== undefined) return names(type['names']);
  return names([item]);
}

/** A domain's `typeName` is what it is made of; a composite type is named like a table. */
export function typeNamed(findings: Findings, node: Tree): ObjectRef {
  const composite = node['typevar'] as Tree | undefined;
  if (composite !== undefined) return { ...rangeVar(findings, composite), kind: 'type' };
  return named('type', names(node['domainname'] ?? node['typeName'] ?? node['defnames']));
}

/** A schema that is renamed stands in a field of its own. */
export function namedIn(node: Tree): readonly string[] {
  const names = namesOf((node['object'] as Tree | undefined) ?? {});
  return names.length === 0 && typeof node['subname'] === 'string' ? [node['subname']] : names;
}

const PARTS: readonly ObjectKind[] = ['trigger', 'rule', 'policy', 'constraint', 'column'];

/** An object by its name; what is part of a table is named after it, and changes it. */
export function part(findings: Findings, kind: ObjectKind, parts: readonly string[]): ObjectRef {
  if (!PARTS.includes(kind) || parts.length < 2) return named(kind, parts);
  const table = resolved(findings, parts.slice(0, -1), 'table');
  addEffect(findings, 'alter', table);
  return { kind, schema: table.schema, name: `${table.name}.${parts.at(-1)}` };
}

/** A relation as it is written in a definition. */
export function rangeVar(findings: Findings, node: Tree | undefined): ObjectRef {
  const schema = typeof node?.['schemaname'] === 'string' ? node['schemaname'] : null;
  return resolveRelation(findings, schema, String(node?.['relname'] ?? '')).object;
}

/** A relation by the parts of its name. */
export function resolved(findings: Findings, parts: readonly string[], kind: ObjectKind): ObjectRef {
  return {
    ...resolveRelation(findings, parts.length > 1 ? (parts.at(-2) ?? null) : null, parts.at(-1) ?? '').object,
    kind,
  };
}

/** An object that is no relation: nothing is looked up. */
export function named(kind: ObjectKind, parts: readonly string[]): ObjectRef {
  if (kind === 'schema' || kind === 'extension' || kind === 'role') return { kind, schema: '', name: parts.join('.') };
  return { kind, schema: parts.length > 1 ? (parts.at(-2) ?? '') : 'public', name: parts.at(-1) ?? '' };
}

/** The schema that proves what was applied is nobody's to change. */
export function guardOwnSchema(findings: Findings): void {
  for (const effect of [...findings.effects.values()]) {
    const { object } = effect;
    const own = isOwnSchema(object.schema) || (object.kind === 'schema' && isOwnSchema(object.name));
    if (own || object.schema === 'pg_catalog') addEffect(findings, 'server', object);
  }
}
