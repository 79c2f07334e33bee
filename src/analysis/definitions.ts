import type { Verb } from '../domain/effect.ts';
import { lookInto } from './code-in-definitions.ts';
import { type Definition, definition, spoken } from './definition.ts';
import { addEffect, type Findings } from './findings.ts';
import {
  guardOwnSchema,
  named,
  namedIn,
  namesOf,
  OBJECT_KINDS,
  part,
  rangeVar,
  resolved,
  SERVER_OBJECTS,
  typeNamed,
} from './named-objects.ts';
import { names, type Tree } from './parse.ts';
import { PRIVILEGE_STATEMENTS, privilege } from './privileges.ts';
import type { walkQuery } from './walk.ts';

type Walk = typeof walkQuery;

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
  lookInto(findings, kind, node);
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

function onRelation(findings: Findings, verb: Verb, node: Tree, command: string): Definition {
  addEffect(findings, verb, rangeVar(findings, node['relation'] as Tree));
  return definition(command, true);
}

const WHOLE_RELATIONS: ReadonlySet<string> = new Set(['table', 'view', 'materialized view', 'sequence']);

function onNamed(findings: Findings, verb: Verb, node: Tree, command: string): Definition {
  const type = String(node['renameType'] ?? node['objectType'] ?? node['objtype']);
  const relation = node['relation'] as Tree | undefined;
  const kind = OBJECT_KINDS[type] ?? 'object';
  const object = relation === undefined ? part(findings, kind, namedIn(node)) : rangeVar(findings, relation);
  addEffect(findings, SERVER_OBJECTS.has(type) || type === 'OBJECT_ROLE' ? 'server' : verb, object);
  // What a table is called is what tasks, roles and masks know it by.
  if (typeof node['newname'] === 'string' && relation !== undefined && WHOLE_RELATIONS.has(kind))
    addEffect(findings, 'create', { ...object, name: node['newname'] });
  if (typeof node['newname'] === 'string' && kind === 'schema')
    addEffect(findings, 'create', { kind, schema: '', name: node['newname'] });
  if (typeof node['newschema'] === 'string')
    addEffect(findings, 'create', { ...object, schema: node['newschema'], name: object.name });
  return definition(command, true);
}
