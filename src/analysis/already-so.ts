import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { AlreadySo, Effect } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Relation } from '../engines/catalogue.ts';
import { type Findings, objectOf, resolveRelation } from './findings.ts';
import { isTree, names, type ParsedStatement, parseStatement, type Tree } from './parse.ts';

/**
 * What PostgreSQL answers a definition that asks for what is already so: `CREATE … IF NOT EXISTS` of what exists, `DROP …
 * IF EXISTS` of what doesn't. Migration tools begin with such statements each time they run; nothing can come of them.
 *
 * @returns undefined wherever the server might do, or say, anything else.
 */
export function alreadySo(findings: Findings, { kind, node }: ParsedStatement): AlreadySo | undefined {
  if ([...findings.effects.values()].some((effect) => effect.verb === 'server')) return undefined;
  switch (kind) {
    case 'CreateSchemaStmt':
      return schemaExists(findings, node);
    case 'CreateStmt':
      return node['if_not_exists'] === true
        ? relationExists(findings, node['relation'] as Tree, 'CREATE TABLE')
        : undefined;
    case 'CreateSeqStmt':
      return node['if_not_exists'] === true
        ? relationExists(findings, node['sequence'] as Tree, 'CREATE SEQUENCE')
        : undefined;
    case 'CreateExtensionStmt': {
      const name = String(node['extname']);
      if (node['if_not_exists'] !== true || !findings.catalogue.extensions.includes(name)) return undefined;
      return so('CREATE EXTENSION', [EXTENSIONS], [exists('42710', `extension "${name}"`)]);
    }
    case 'IndexStmt':
      return indexExists(findings, node);
    case 'DropStmt':
      return nothingToDrop(findings, node);
    case 'AlterTableStmt':
      return node['missing_ok'] === true && isMissing(findings, node['relation'])
        ? nothingToAlter(findings, node['relation'] as Tree, String(node['objtype']))
        : columnsAreSo(findings, node);
    case 'RenameStmt': {
      const renamed = String(node['renameType']);
      const type = renamed === 'OBJECT_COLUMN' ? String(node['relationType']) : renamed;
      if (node['missing_ok'] !== true || !isMissing(findings, node['relation'])) return undefined;
      return nothingToAlter(findings, node['relation'] as Tree, type);
    }
    default:
      return undefined;
  }
}

/** Who has which extensions is in a catalogue that everybody may read. */
const EXTENSIONS: ObjectRef = { kind: 'table', schema: 'pg_catalog', name: 'pg_extension' };

function so(tag: string, objects: readonly ObjectRef[], notices: readonly DatabaseFailure[]): AlreadySo {
  const shows = objects.map((object): Effect => ({ verb: 'read', object, via: 'direct' }));
  return { tag, shows, notices };
}

function exists(sqlstate: string, what: string): DatabaseFailure {
  return { severity: 'NOTICE', sqlstate, message: `${what} already exists, skipping` };
}

function missing(what: string): DatabaseFailure {
  return { severity: 'NOTICE', sqlstate: '00000', message: `${what} does not exist, skipping` };
}

function schemaExists({ catalogue }: Findings, node: Tree): AlreadySo | undefined {
  const name = node['schemaname'];
  const named = typeof name === 'string' && !name.startsWith('pg_') && node['authrole'] === undefined;
  if (!named || node['if_not_exists'] !== true || !catalogue.schemas.includes(name)) return undefined;
  return so('CREATE SCHEMA', [{ kind: 'schema', schema: '', name }], [exists('42P06', `schema "${name}"`)]);
}

function relationExists(findings: Findings, range: Tree, tag: string): AlreadySo | undefined {
  const found = toBeMade(findings, range);
  if (found === undefined) return undefined;
  return so(tag, [objectOf(found)], [exists('42P07', `relation "${found.name}"`)]);
}

/** A relation of the name, of whatever kind, where a new one would be made: in the first schema of the path that there is. */
function toBeMade({ catalogue, searchPath }: Findings, range: Tree): Relation | undefined {
  if (range['catalogname'] !== undefined || range['relpersistence'] === 't') return undefined;
  if (searchPath.some((schema) => schema.startsWith('pg_'))) return undefined;
  const schema = range['schemaname'] ?? searchPath.find((candidate) => catalogue.schemas.includes(candidate));
  return typeof schema === 'string' ? catalogue.relations.get(`${schema}.${String(range['relname'])}`) : undefined;
}

/** The server looks at the columns first: an index counts only if it is surely one that it would take. */
function indexExists(findings: Findings, node: Tree): AlreadySo | undefined {
  if (node['if_not_exists'] !== true || node['concurrent'] === true) return undefined;
  const range = node['relation'] as Tree;
  if (range['catalogname'] !== undefined) return undefined;
  const { object, relation } = resolveRelation(findings, schemaOf(range), String(range['relname']));
  const index = relation?.indexes.find((one) => one.name === node['idxname']);
  const parsed = index === undefined ? 'empty' : parseStatement(index.definition);
  if (index === undefined || parsed === 'empty' || 'sqlstate' in parsed) return undefined;
  const made = parsed.node;
  const known = new Set(((made['indexParams'] as unknown[] | undefined) ?? []).map(written));
  const takes =
    node['accessMethod'] === made['accessMethod'] &&
    ((node['indexParams'] as unknown[] | undefined) ?? []).every((part) => known.has(written(part))) &&
    ['indexIncludingParams', 'whereClause', 'options', 'unique', 'nulls_not_distinct', 'tableSpace'].every(
      (field) => written(node[field]) === written(made[field]),
    );
  return takes ? so('CREATE INDEX', [object], [exists('42P07', `relation "${index.name}"`)]) : undefined;
}

/** A tree without the places in the text where its parts stand. */
function written(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (key === 'location' ? undefined : inner)) ?? '';
}

const RELATIONS: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'table',
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_INDEX: 'index',
  OBJECT_FOREIGN_TABLE: 'foreign table',
};

function nothingToDrop(findings: Findings, node: Tree): AlreadySo | undefined {
  if (node['missing_ok'] !== true || node['concurrent'] === true) return undefined;
  const type = String(node['removeType']);
  const objects = (node['objects'] as Tree[] | undefined) ?? [];
  const found = objects.map((item) => notThere(findings, type, item));
  if (found.length === 0 || !found.every((one) => one !== undefined)) return undefined;
  const what = RELATIONS[type] ?? type.replace('OBJECT_', '');
  return so(
    `DROP ${what.toUpperCase()}`,
    found.map(({ object }) => object),
    found.map(({ notice }) => notice),
  );
}

interface NotThere {
  readonly object: ObjectRef;
  readonly notice: DatabaseFailure;
}

function notThere(findings: Findings, type: string, item: Tree): NotThere | undefined {
  const { schemas, extensions, userTypes } = findings.catalogue;
  if (type === 'OBJECT_SCHEMA' || type === 'OBJECT_EXTENSION') {
    const [name] = names([item]);
    const schema = type === 'OBJECT_SCHEMA';
    if (name === undefined || (schema ? schemas : extensions).includes(name)) return undefined;
    const object: ObjectRef = schema ? { kind: 'schema', schema: '', name } : EXTENSIONS;
    return { object, notice: missing(`${schema ? 'schema' : 'extension'} "${name}"`) };
  }
  if (type === 'OBJECT_TYPE' || type === 'OBJECT_DOMAIN') {
    // What the server itself brings along is not in the catalogue that we know: a schema must be named.
    const parts = names((item['TypeName'] as Tree | undefined)?.['names']);
    const [schema, name] = parts;
    if (schema === undefined || name === undefined || parts.length > 2 || schema.startsWith('pg_')) return undefined;
    if (userTypes.has(`${schema}.${name}`)) return undefined;
    return { object: { kind: 'type', schema, name }, notice: schemaOr(findings, schema, `type "${schema}.${name}"`) };
  }
  const what = RELATIONS[type];
  const parts = names((item['List'] as Tree | undefined)?.['items']);
  const name = parts.at(-1);
  if (what === undefined || name === undefined || parts.length > 2) return undefined;
  const schema = parts.length === 2 ? (parts[0] ?? null) : null;
  const { object, relation } = resolveRelation(findings, schema, name);
  if (relation !== undefined || mayBeTemporary(findings, schema)) return undefined;
  return { object, notice: schemaOr(findings, schema, `${what} "${name}"`) };
}

/** Where even the schema is missing, that is what the server says. */
function schemaOr({ catalogue }: Findings, schema: string | null, what: string): DatabaseFailure {
  return missing(schema === null || catalogue.schemas.includes(schema) ? what : `schema "${schema}"`);
}

function mayBeTemporary({ searchPath }: Findings, schema: string | null): boolean {
  return schema === null ? searchPath.some((one) => one.startsWith('pg_')) : schema.startsWith('pg_');
}

function isMissing(findings: Findings, range: unknown): boolean {
  if (!isTree(range) || range['catalogname'] !== undefined) return false;
  const schema = schemaOf(range);
  return (
    !mayBeTemporary(findings, schema) &&
    resolveRelation(findings, schema, String(range['relname'])).relation === undefined
  );
}

function nothingToAlter(findings: Findings, range: Tree, type: string): AlreadySo | undefined {
  const what = RELATIONS[type];
  if (what === undefined) return undefined;
  const name = String(range['relname']);
  const { object } = resolveRelation(findings, schemaOf(range), name);
  return so(`ALTER ${what.toUpperCase()}`, [object], [missing(`relation "${name}"`)]);
}

const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'cmin', 'xmax', 'cmax', 'tableoid']);

/** `ADD COLUMN IF NOT EXISTS` and `DROP COLUMN IF EXISTS`, and nothing else. */
function columnsAreSo(findings: Findings, node: Tree): AlreadySo | undefined {
  const range = node['relation'] as Tree;
  if (node['objtype'] !== 'OBJECT_TABLE' || range['catalogname'] !== undefined) return undefined;
  const { object, relation } = resolveRelation(findings, schemaOf(range), String(range['relname']));
  const table = relation?.kind === 'table' || relation?.kind === 'partitioned table';
  // A partition takes no column of its own, also where it has it.
  if (relation === undefined || !table || relation.parent !== null) return undefined;
  const columns = new Set(relation.columns.map((column) => column.name));
  const [dropped, added]: [DatabaseFailure[], DatabaseFailure[]] = [[], []];
  for (const item of (node['cmds'] as Tree[] | undefined) ?? []) {
    const command = item['AlterTableCmd'] as Tree;
    if (command['missing_ok'] !== true) return undefined;
    const adds = command['subtype'] === 'AT_AddColumn';
    if (!adds && command['subtype'] !== 'AT_DropColumn') return undefined;
    const definition = (command['def'] as Tree | undefined)?.['ColumnDef'] as Tree | undefined;
    const name = String(adds ? definition?.['colname'] : command['name']);
    if (SYSTEM_COLUMNS.has(name) || columns.has(name) !== adds) return undefined;
    const what = `column "${name}" of relation "${relation.name}"`;
    if (adds) added.push(exists('42701', what));
    else dropped.push(missing(what));
  }
  // Whatever the order in the statement, the server drops before it adds.
  const notices = [...dropped, ...added];
  return notices.length === 0 ? undefined : so('ALTER TABLE', [object], notices);
}

function schemaOf(range: Tree): string | null {
  return typeof range['schemaname'] === 'string' ? range['schemaname'] : null;
}
