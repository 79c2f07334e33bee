import type { Verb } from '../domain/effect.ts';
import type { ObjectKind, ObjectRef } from '../domain/object.ts';
import { addEffect, type Findings, resolveRelation } from './findings.ts';
import { isOwnSchema } from './own-schemas.ts';
import { names, type Tree } from './parse.ts';
import type { walkQuery } from './walk.ts';

/** What is found of a statement that defines, grants or maintains. */
export interface Definition {
  readonly command: string;
  readonly transactional: boolean;
}

type Walk = typeof walkQuery;

const OBJECT_KINDS: Readonly<Record<string, ObjectKind>> = {
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

/** Statements that reach beyond one database, its files or its rights: not for an agent, approved or not. */
const SERVER_STATEMENTS = new Set([
  'CreatedbStmt',
  'DropdbStmt',
  'AlterDatabaseStmt',
  'AlterDatabaseSetStmt',
  'AlterDatabaseRefreshCollStmt',
  'AlterSystemStmt',
  'LoadStmt',
  'CreateTableSpaceStmt',
  'DropTableSpaceStmt',
  'AlterTableSpaceOptionsStmt',
  'AlterTableMoveAllStmt',
  'CreateSubscriptionStmt',
  'AlterSubscriptionStmt',
  'DropSubscriptionStmt',
  'CreatePublicationStmt',
  'AlterPublicationStmt',
  'CreateEventTrigStmt',
  'AlterEventTrigStmt',
  'CreateFdwStmt',
  'AlterFdwStmt',
  'CreateForeignServerStmt',
  'AlterForeignServerStmt',
  'CreateForeignTableStmt',
  'CreateUserMappingStmt',
  'AlterUserMappingStmt',
  'DropUserMappingStmt',
  'ImportForeignSchemaStmt',
  'CheckPointStmt',
  'CreatePLangStmt',
  'CreateTransformStmt',
  'CreateAmStmt',
  'CreateConversionStmt',
  'CreateCastStmt',
  'CreateOpClassStmt',
  'CreateOpFamilyStmt',
  'AlterOpFamilyStmt',
  'SecLabelStmt',
]);

const SERVER_OBJECTS = new Set([
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

const PRIVILEGE_STATEMENTS = new Set([
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
const TRUSTED_LANGUAGES = new Set(['sql', 'plpgsql']);

/** Finds the effects of a statement other than a query or a row change. @returns undefined for kinds that are not known. */
export function define(findings: Findings, kind: string, node: Tree, walk: Walk): Definition | undefined {
  if (SERVER_STATEMENTS.has(kind)) {
    addEffect(findings, 'server', {
      kind: 'object',
      schema: '',
      name: String(node['dbname'] ?? node['name'] ?? spoken(kind)),
    });
    return definition(spoken(kind), kind !== 'CreatedbStmt' && kind !== 'DropdbStmt' && kind !== 'AlterSystemStmt');
  }
  if (PRIVILEGE_STATEMENTS.has(kind)) return privilege(findings, kind, node);
  const found = known(findings, kind, node, walk);
  guardOwnSchema(findings);
  return found;
}

function known(findings: Findings, kind: string, node: Tree, walk: Walk): Definition | undefined {
  switch (kind) {
    case 'CreateStmt':
      return onRelation(findings, 'create', node, 'CREATE TABLE');
    case 'CreateTableAsStmt': {
      const into = (node['into'] as Tree | undefined)?.['rel'] as Tree | undefined;
      addEffect(findings, 'create', rangeVar(findings, into));
      walkInner(findings, node['query'], walk);
      return definition('CREATE TABLE AS', true);
    }
    case 'ViewStmt':
      addEffect(findings, node['replace'] === true ? 'alter' : 'create', {
        ...rangeVar(findings, node['view'] as Tree),
        kind: 'view',
      });
      walkInner(findings, node['query'], walk);
      return definition('CREATE VIEW', true);
    case 'CreateSeqStmt':
      addEffect(findings, 'create', { ...rangeVar(findings, node['sequence'] as Tree), kind: 'sequence' });
      return definition('CREATE SEQUENCE', true);
    case 'AlterSeqStmt':
      addEffect(findings, 'alter', { ...rangeVar(findings, node['sequence'] as Tree), kind: 'sequence' });
      return definition('ALTER SEQUENCE', true);
    case 'IndexStmt':
      addEffect(findings, 'alter', rangeVar(findings, node['relation'] as Tree));
      return definition('CREATE INDEX', node['concurrent'] !== true);
    case 'AlterTableStmt':
      return alterTable(findings, node);
    case 'RenameStmt':
    case 'AlterObjectSchemaStmt':
    case 'AlterObjectDependsStmt':
      return onNamed(findings, 'alter', node, 'ALTER');
    case 'DropStmt':
      return drop(findings, node);
    case 'TruncateStmt':
      return undefined;
    case 'CreateTrigStmt':
      addEffect(findings, 'alter', rangeVar(findings, node['relation'] as Tree));
      return definition('CREATE TRIGGER', true);
    case 'RuleStmt':
      addEffect(findings, 'alter', rangeVar(findings, node['relation'] as Tree));
      return definition('CREATE RULE', true);
    case 'CreateStatsStmt':
    case 'AlterStatsStmt':
      addEffect(findings, 'create', { kind: 'object', schema: '', name: names(node['defnames']).join('.') });
      return definition('CREATE STATISTICS', true);
    case 'CreateFunctionStmt':
      return createFunction(findings, node);
    case 'AlterFunctionStmt':
      addEffect(findings, 'alter', named('function', names((node['func'] as Tree | undefined)?.['objname'])));
      return definition('ALTER FUNCTION', true);
    case 'CreateSchemaStmt':
      addEffect(findings, 'create', { kind: 'schema', schema: '', name: String(node['schemaname'] ?? '') });
      return definition('CREATE SCHEMA', true);
    case 'CreateEnumStmt':
    case 'CompositeTypeStmt':
    case 'CreateRangeStmt':
    case 'DefineStmt':
    case 'CreateDomainStmt':
      addEffect(findings, 'create', typeNamed(findings, node));
      return definition('CREATE TYPE', true);
    case 'AlterEnumStmt':
    case 'AlterDomainStmt':
    case 'AlterTypeStmt':
    case 'AlterCollationStmt':
      addEffect(findings, 'alter', named('type', names(node['typeName'])));
      return definition('ALTER TYPE', true);
    case 'CommentStmt':
      return onNamed(findings, 'alter', node, 'COMMENT');
    case 'CreateExtensionStmt':
    case 'AlterExtensionStmt':
    case 'AlterExtensionContentsStmt':
      addEffect(findings, 'create', { kind: 'extension', schema: '', name: String(node['extname']) });
      return definition('CREATE EXTENSION', true);
    case 'VacuumStmt': {
      for (const item of (node['rels'] as Tree[] | undefined) ?? []) {
        const relation = (item['VacuumRelation'] as Tree | undefined)?.['relation'] as Tree | undefined;
        addEffect(findings, 'maintain', rangeVar(findings, relation));
      }
      if (node['rels'] === undefined)
        addEffect(findings, 'maintain', { kind: 'database', schema: '', name: 'every table' });
      return definition(node['is_vacuumcmd'] === true ? 'VACUUM' : 'ANALYZE', node['is_vacuumcmd'] !== true);
    }
    case 'ReindexStmt':
    case 'ClusterStmt':
      addEffect(
        findings,
        'maintain',
        node['relation'] === undefined
          ? { kind: 'database', schema: '', name: String(node['name'] ?? 'every table') }
          : rangeVar(findings, node['relation'] as Tree),
      );
      return definition(
        spoken(kind),
        !/concurrently/i.test(JSON.stringify(node['params'] ?? '')) && node['relation'] !== undefined,
      );
    case 'RefreshMatViewStmt':
      addEffect(findings, 'maintain', { ...rangeVar(findings, node['relation'] as Tree), kind: 'materialized view' });
      return definition('REFRESH MATERIALIZED VIEW', true);
    case 'DoStmt':
      addEffect(findings, 'unknown', { kind: 'function', schema: '', name: 'DO' });
      findings.unknown.add('an anonymous code block (DO)');
      return definition('DO', true);
    case 'CallStmt': {
      const call = node['funccall'] as Tree | undefined;
      const name = names(call?.['funcname']);
      addEffect(findings, 'unknown', named('function', name));
      findings.unknown.add(`the procedure ${name.join('.')}()`);
      return definition('CALL', true);
    }
    default:
      return undefined;
  }
}

function walkInner(findings: Findings, query: unknown, walk: Walk): void {
  const [inner] = Object.entries((query as Tree | undefined) ?? {});
  if (inner !== undefined) walk(findings, inner[0], inner[1] as Tree);
}

/** The schema that proves what was applied is nobody's to change. */
function guardOwnSchema(findings: Findings): void {
  for (const effect of [...findings.effects.values()]) {
    const { object } = effect;
    const own = isOwnSchema(object.schema) || (object.kind === 'schema' && isOwnSchema(object.name));
    if (own || object.schema === 'pg_catalog') addEffect(findings, 'server', object);
  }
}

function alterTable(findings: Findings, node: Tree): Definition {
  const object = {
    ...rangeVar(findings, node['relation'] as Tree),
    kind: OBJECT_KINDS[String(node['objtype'])] ?? 'table',
  } as const;
  addEffect(findings, 'alter', object);
  let transactional = true;
  for (const command of (node['cmds'] as Tree[] | undefined) ?? []) {
    const subtype = String((command['AlterTableCmd'] as Tree | undefined)?.['subtype']);
    if (/Owner|RowSecurity|ReplicaIdentity/.test(subtype)) addEffect(findings, 'privilege', object);
    if (/DropColumn|DropConstraint/.test(subtype)) addEffect(findings, 'drop', object);
    if (/SetTableSpace/.test(subtype)) addEffect(findings, 'server', object);
    if (/DetachPartition/.test(subtype) && /concurrent/.test(JSON.stringify(command))) transactional = false;
  }
  return definition('ALTER TABLE', transactional);
}

function drop(findings: Findings, node: Tree): Definition {
  const type = String(node['removeType']);
  const kind = OBJECT_KINDS[type];
  for (const item of (node['objects'] as Tree[] | undefined) ?? []) {
    const parts = namesOf(item);
    const holdsRelation =
      kind === 'table' ||
      kind === 'view' ||
      kind === 'materialized view' ||
      kind === 'foreign table' ||
      kind === 'sequence' ||
      kind === 'index';
    const object = holdsRelation ? resolved(findings, parts, kind) : part(findings, kind ?? 'object', parts);
    addEffect(findings, SERVER_OBJECTS.has(type) ? 'server' : 'drop', object);
  }
  return definition(
    `DROP ${type.replace('OBJECT_', '').replace('MATVIEW', 'MATERIALIZED VIEW')}`,
    node['concurrent'] !== true,
  );
}

function namesOf(item: Tree): readonly string[] {
  const list = item['List'] as Tree | undefined;
  if (list !== undefined) return ((list['items'] as Tree[] | undefined) ?? []).flatMap(namesOf);
  const routine = item['ObjectWithArgs'] as Tree | undefined;
  if (routine !== undefined) return names(routine['objname']);
  const type = item['TypeName'] as Tree | undefined;
  if (type !== undefined) return names(type['names']);
  return names([item]);
}

function createFunction(findings: Findings, node: Tree): Definition {
  const object = named('function', names(node['funcname']));
  addEffect(findings, node['replace'] === true ? 'alter' : 'create', object);
  for (const item of (node['options'] as Tree[] | undefined) ?? []) {
    const option = item['DefElem'] as Tree | undefined;
    const text = JSON.stringify(option?.['arg'] ?? '');
    if (option?.['defname'] === 'language') {
      const language = /"sval":"([^"]+)"/.exec(text)?.[1] ?? '';
      if (!TRUSTED_LANGUAGES.has(language.toLowerCase())) addEffect(findings, 'server', object);
    }
    if (option?.['defname'] === 'security' && /true/.test(text)) addEffect(findings, 'privilege', object);
  }
  return definition('CREATE FUNCTION', true);
}

function privilege(findings: Findings, kind: string, node: Tree): Definition {
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

/** A domain's `typeName` is what it is made of; a composite type is named like a table. */
function typeNamed(findings: Findings, node: Tree): ObjectRef {
  const composite = node['typevar'] as Tree | undefined;
  if (composite !== undefined) return { ...rangeVar(findings, composite), kind: 'type' };
  return named('type', names(node['domainname'] ?? node['typeName'] ?? node['defnames']));
}

function onRelation(findings: Findings, verb: Verb, node: Tree, command: string): Definition {
  addEffect(findings, verb, rangeVar(findings, node['relation'] as Tree));
  return definition(command, true);
}

function onNamed(findings: Findings, verb: Verb, node: Tree, command: string): Definition {
  const type = String(node['renameType'] ?? node['objectType'] ?? node['objtype']);
  const relation = node['relation'] as Tree | undefined;
  const kind = OBJECT_KINDS[type] ?? 'object';
  const object = relation === undefined ? part(findings, kind, namedIn(node)) : rangeVar(findings, relation);
  addEffect(findings, SERVER_OBJECTS.has(type) || type === 'OBJECT_ROLE' ? 'server' : verb, object);
  if (typeof node['newschema'] === 'string')
    addEffect(findings, 'create', { ...object, schema: node['newschema'], name: object.name });
  return definition(command, true);
}

/** A schema that is renamed stands in a field of its own. */
function namedIn(node: Tree): readonly string[] {
  const names = namesOf((node['object'] as Tree | undefined) ?? {});
  return names.length === 0 && typeof node['subname'] === 'string' ? [node['subname']] : names;
}

const PARTS: readonly ObjectKind[] = ['trigger', 'rule', 'policy', 'constraint', 'column'];

/** An object by its name; what is part of a table is named after it, and changes it. */
function part(findings: Findings, kind: ObjectKind, parts: readonly string[]): ObjectRef {
  if (!PARTS.includes(kind) || parts.length < 2) return named(kind, parts);
  const table = resolved(findings, parts.slice(0, -1), 'table');
  addEffect(findings, 'alter', table);
  return { kind, schema: table.schema, name: `${table.name}.${parts.at(-1)}` };
}

function rangeVar(findings: Findings, node: Tree | undefined): ObjectRef {
  const schema = typeof node?.['schemaname'] === 'string' ? node['schemaname'] : null;
  return resolveRelation(findings, schema, String(node?.['relname'] ?? '')).object;
}

function resolved(findings: Findings, parts: readonly string[], kind: ObjectKind): ObjectRef {
  return {
    ...resolveRelation(findings, parts.length > 1 ? (parts.at(-2) ?? null) : null, parts.at(-1) ?? '').object,
    kind,
  };
}

function named(kind: ObjectKind, parts: readonly string[]): ObjectRef {
  if (kind === 'schema' || kind === 'extension' || kind === 'role') return { kind, schema: '', name: parts.join('.') };
  return { kind, schema: parts.length > 1 ? (parts.at(-2) ?? '') : 'public', name: parts.at(-1) ?? '' };
}

function definition(command: string, transactional: boolean): Definition {
  return { command, transactional };
}

/** `AlterRoleSetStmt` as people say it: `ALTER ROLE SET`. */
export function spoken(kind: string): string {
  return kind
    .replace(/Stmt$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toUpperCase();
}
