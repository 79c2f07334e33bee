import type { ObjectRef } from '../domain/object.ts';
import { type Definition, definition, spoken } from './definition.ts';
import { addEffect, type Findings } from './findings.ts';
import { guardOwnSchema, named, namesOf, OBJECT_KINDS, rangeVar, SERVER_OBJECTS } from './named-objects.ts';
import type { Tree } from './parse.ts';

/** Statements that give and take rights, or make those who have them. */
export const PRIVILEGE_STATEMENTS = new Set([
  'GrantStmt',
  'GrantRoleStmt',
  'AlterOwnerStmt',
  'AlterDefaultPrivilegesStmt',
  'CreateRoleStmt',
  'AlterRoleStmt',
  'AlterRoleSetStmt',
  'DropRoleStmt',
  'ReassignOwnedStmt',
  'DropOwnedStmt',
  'CreatePolicyStmt',
  'AlterPolicyStmt',
]);

/** Roles and their passwords belong to the whole cluster, not to one database. */
const ROLE_STATEMENTS = new Set([
  'CreateRoleStmt',
  'AlterRoleStmt',
  'AlterRoleSetStmt',
  'DropRoleStmt',
  'GrantRoleStmt',
  'ReassignOwnedStmt',
  'DropOwnedStmt',
]);

/** Finds whose rights on what change. */
export function privilege(findings: Findings, kind: string, node: Tree): Definition {
  const role = String((node['role'] as Tree | undefined)?.['rolename'] ?? node['role'] ?? spoken(kind));
  const aboutRoles = ROLE_STATEMENTS.has(kind);
  const aboutServer = SERVER_OBJECTS.has(String(node['objtype'] ?? node['objectType']));
  addEffect(findings, aboutRoles || aboutServer ? 'server' : 'privilege', {
    kind: 'role',
    schema: '',
    name: role,
  });
  for (const item of (node['objects'] as Tree[] | undefined) ?? []) {
    const relation = item['RangeVar'] as Tree | undefined;
    if (relation !== undefined) addEffect(findings, 'privilege', rangeVar(findings, relation));
    else addEffect(findings, 'privilege', grantedOn(node, namesOf(item)));
  }
  for (const schema of schemasOfDefaults(node)) addEffect(findings, 'privilege', schemaNamed(schema));
  const owned = namesOf((node['object'] as Tree | undefined) ?? {});
  if (owned.length > 0) addEffect(findings, 'privilege', grantedOn(node, owned));
  const table = node['table'] ?? node['relation'];
  if (typeof table === 'object' && table !== null) addEffect(findings, 'privilege', rangeVar(findings, table as Tree));
  guardOwnSchema(findings);
  return definition(spoken(kind), true);
}

/** What rights are given on: a schema, all that is in one, or an object by its name. */
function grantedOn(node: Tree, parts: readonly string[]): ObjectRef {
  const type = String(node['objtype'] ?? node['objectType']);
  if (type === 'OBJECT_SCHEMA' || node['targtype'] === 'ACL_TARGET_ALL_IN_SCHEMA') return schemaNamed(parts.join('.'));
  return named(OBJECT_KINDS[type] ?? 'object', parts);
}

/** `ALTER DEFAULT PRIVILEGES IN SCHEMA …` */
function schemasOfDefaults(node: Tree): readonly string[] {
  if (node['action'] === undefined) return [];
  return ((node['options'] as Tree[] | undefined) ?? []).flatMap((item) => {
    const option = item['DefElem'] as Tree | undefined;
    return option?.['defname'] === 'schemas' ? namesOf((option['arg'] as Tree | undefined) ?? {}) : [];
  });
}

function schemaNamed(name: string): ObjectRef {
  return { kind: 'schema', schema: '', name };
}
