import { MASK_SCHEMA } from '../domain/masking.ts';
import { isAlwaysTrue } from './always-true.ts';
import { addCascades } from './cascades.ts';
import { noteColumns } from './columns.ts';
import { addEffect, addUnknown, type Findings, objectOf, resolveRelation } from './findings.ts';
import { callSafety, routineSafety } from './functions.ts';
import { isOwnSchema } from './own-schemas.ts';
import { isTree, names, parseStatement, type Tree } from './parse.ts';
import { namesSchemaView, noteSchemaView, ownViewAt } from './served-view.ts';
import { constantOf } from './settings.ts';

/**
 * Walks over queries and row changes. Node types are allow-listed: one that isn't known here makes the statement unknown,
 * so that new syntax is held until somebody has thought about it.
 */
const KNOWN_NODES = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'MergeWhenClause',
  'ResTarget',
  'ColumnRef',
  'A_Const',
  'A_Expr',
  'A_Star',
  'A_ArrayExpr',
  'A_Indices',
  'A_Indirection',
  'BoolExpr',
  'NullTest',
  'BooleanTest',
  'CaseExpr',
  'CaseWhen',
  'CoalesceExpr',
  'MinMaxExpr',
  'FuncCall',
  'NamedArgExpr',
  'TypeCast',
  'CollateClause',
  'RowExpr',
  'SubLink',
  'ParamRef',
  'SetToDefault',
  'SQLValueFunction',
  'GroupingFunc',
  'GroupingSet',
  'WindowDef',
  'SortBy',
  'RangeVar',
  'RangeSubselect',
  'RangeFunction',
  'RangeTableSample',
  'RangeTableFunc',
  'RangeTableFuncCol',
  'JoinExpr',
  'CommonTableExpr',
  'LockingClause',
  'MultiAssignRef',
  'List',
  'String',
  'Integer',
  'Float',
  'Boolean',
  'BitString',
  'ColumnDef',
  'XmlExpr',
  'XmlSerialize',
  'CurrentOfExpr',
  'InferClause',
  'IndexElem',
  'OnConflictClause',
  'DefElem',
  'ReturningOption',
  'ReturningExpr',
  'JsonFuncExpr',
  'JsonValueExpr',
  'JsonOutput',
  'JsonFormat',
  'JsonReturning',
  'JsonArgument',
  'JsonBehavior',
  'JsonObjectConstructor',
  'JsonArrayConstructor',
  'JsonArrayQueryConstructor',
  'JsonAggConstructor',
  'JsonObjectAgg',
  'JsonArrayAgg',
  'JsonKeyValue',
  'JsonIsPredicate',
  'JsonParseExpr',
  'JsonScalarExpr',
  'JsonSerializeExpr',
  'JsonTable',
  'JsonTableColumn',
  'JsonTablePathSpec',
  'CTESearchClause',
  'CTECycleClause',
]);

type Scope = ReadonlySet<string>;
const NO_NAMES: Scope = new Set();

/** Walks over one query or row change. */
export function walkQuery(findings: Findings, kind: string, node: Tree, scope: Scope = NO_NAMES): void {
  visitNode(findings, kind, node, scope);
  noteColumns(findings, kind, node);
}

function visitNode(findings: Findings, kind: string, node: Tree, outer: Scope): void {
  if (!KNOWN_NODES.has(kind)) {
    addUnknown(findings, `the construct ${kind}`, { kind: 'object', schema: '', name: kind });
    return;
  }
  const scope = withNames(findings, node['withClause'] as Tree | undefined, outer);
  switch (kind) {
    case 'RangeVar':
      readRelation(findings, node, scope);
      return;
    case 'FuncCall':
      call(findings, names(node['funcname']), node);
      break;
    case 'A_Expr':
      for (const name of operatorsOf(node)) operator(findings, name);
      break;
    case 'SubLink':
      // `x IN (SELECT …)` is written without its operator.
      operator(
        findings,
        node['subLinkType'] === 'ANY_SUBLINK' && node['operName'] === undefined ? EQUALS : names(node['operName']),
      );
      break;
    case 'CaseExpr':
      if (node['arg'] !== undefined) operator(findings, EQUALS);
      break;
    case 'JoinExpr':
      if (node['isNatural'] === true || node['usingClause'] !== undefined) operator(findings, EQUALS);
      break;
    case 'SortBy':
      operator(findings, names(node['useOp']));
      break;
    case 'ColumnRef':
      if (namesSchemaView(node)) findings.schemaViews = null;
      columnAsFunction(findings, names(node['fields']));
      return;
    case 'A_Indirection':
      columnAsFunction(findings, ['', ...names(node['indirection'])]);
      break;
    case 'SelectStmt':
      if (node['intoClause'] !== undefined) createInto(findings, node['intoClause'] as Tree);
      if (Array.isArray(node['lockingClause'])) lockRelations(findings, node, scope);
      break;
    case 'InsertStmt':
      changeRows(findings, node, 'insert');
      if ((node['onConflictClause'] as Tree | undefined)?.['action'] === 'ONCONFLICT_UPDATE')
        // What conflicts decides which rows: measured before commit, like any other write.
        changeRows(findings, { ...node, whereClause: {} }, 'update');
      break;
    case 'UpdateStmt':
      changeRows(findings, node, 'update');
      break;
    case 'DeleteStmt':
      changeRows(findings, node, 'delete');
      break;
    case 'MergeStmt':
      merge(findings, node);
      break;
    default:
      break;
  }
  visitFields(findings, node, scope);
}

/** Fields that hold a node without naming its type, because the grammar allows only one there. */
const TYPED_FIELDS: Readonly<Record<string, string>> = {
  over: 'WindowDef',
  larg: 'SelectStmt',
  rarg: 'SelectStmt',
  onConflictClause: 'OnConflictClause',
  infer: 'InferClause',
};

/** Names, which are no expressions, and what is looked at where it stands. `FOR UPDATE OF` names aliases, not relations. */
const SKIPPED_FIELDS = new Set(['withClause', 'funcname', 'name', 'operName', 'useOp', 'lockingClause', 'intoClause']);

function visitFields(findings: Findings, node: Tree, scope: Scope): void {
  for (const [field, value] of Object.entries(node)) {
    if (SKIPPED_FIELDS.has(field)) continue;
    if (field === 'relation' && isTree(value) && !isTagged(value)) {
      // The target of a change is an effect of its own; it is read as well, because WHERE and RETURNING see it.
      visitNode(findings, 'RangeVar', value, NO_NAMES);
      continue;
    }
    if (field === 'typeName' || field === 'typename') {
      castTo(findings, value as Tree);
      continue;
    }
    const typed = TYPED_FIELDS[field];
    if (typed !== undefined && isTree(value) && !isTagged(value)) visitNode(findings, typed, value, scope);
    else visit(findings, value, scope);
  }
}

function visit(findings: Findings, value: unknown, scope: Scope): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(findings, item, scope);
    return;
  }
  if (!isTree(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    if (/^[A-Z]/.test(key) && isTree(inner)) visitNode(findings, key, inner, scope);
    else if (key === 'typeName') castTo(findings, inner as Tree);
    else visit(findings, inner, scope);
  }
}

/** Names that a WITH clause brings, visible from where it stands downwards; each of its queries sees the earlier ones. */
function withNames(findings: Findings, clause: Tree | undefined, outer: Scope): Scope {
  if (clause === undefined) return outer;
  const queries = ((clause['ctes'] as Tree[] | undefined) ?? []).map((cte) => cte['CommonTableExpr'] as Tree);
  const scope = new Set(outer);
  if (clause['recursive'] === true) for (const query of queries) scope.add(String(query['ctename']));
  for (const query of queries) {
    visit(findings, query['ctequery'], new Set(scope));
    scope.add(String(query['ctename']));
  }
  return scope;
}

function readRelation(findings: Findings, node: Tree, scope: Scope): void {
  const schema = typeof node['schemaname'] === 'string' ? node['schemaname'] : null;
  const name = String(node['relname']);
  if (schema === null && scope.has(name)) return;
  const masked = schema === MASK_SCHEMA ? findings.catalogue.masking.byView.get(name) : undefined;
  const base = masked === undefined ? undefined : findings.catalogue.relations.get(masked.relation);
  if (base !== undefined) {
    addEffect(findings, 'read', objectOf(base));
    return;
  }
  const { object, relation } = resolveRelation(findings, schema, name);
  if (isOwnSchema(object.schema)) {
    const own = ownViewAt(findings, node);
    if (own === undefined) addEffect(findings, 'server', object);
    else findings.ownViews?.push(own);
    return;
  }
  addEffect(findings, 'read', object);
  if (relation === undefined) {
    // The database will say that there is none, in a transaction that can't write.
    findings.pure = false;
    return;
  }
  if (relation.system) {
    if (relation.schema === 'information_schema') noteSchemaView(findings, node);
    return;
  }
  if (relation.kind === 'foreign table') {
    addUnknown(findings, `the foreign table ${object.schema}.${object.name}`, object);
    return;
  }
  const casts = findings.catalogue.hiddenCasts;
  if (casts.length > 0 && relation.columns.some((column) => casts.some((cast) => cast.source === column.type))) {
    addUnknown(findings, `an implicit cast of a column of ${object.schema}.${object.name}`, object);
  }
  if (relation.rowSecurity) {
    findings.pure = false;
    for (const expression of relation.securityExpressions)
      expand(
        findings,
        `policy of ${object.name}`,
        `SELECT ${expression} FROM ${quoted(relation.schema)}.${quoted(relation.name)}`,
        relation,
      );
  }
  if (relation.definition !== null && relation.kind === 'view') {
    expand(findings, `view ${object.schema}.${object.name}`, relation.definition, relation);
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const MAX_EXPANDED = 64;
const NOT_ITS_TEXT = { ownViews: null, schemaViews: null };

/** Looks into a view or a policy for code that it runs. What it reads is its owner's matter, not an effect of the statement. */
function expand(
  findings: Findings,
  what: string,
  definition: string,
  relation: { readonly schema: string; readonly name: string },
): void {
  const key = `${what} ${relation.schema}.${relation.name}`;
  if (findings.expanding.has(key)) return;
  if (findings.expanding.size >= MAX_EXPANDED) {
    addUnknown(findings, `more than ${MAX_EXPANDED} views and policies`, {
      kind: 'view',
      schema: relation.schema,
      name: relation.name,
    });
    return;
  }
  findings.expanding.add(key);
  const parsed = parseStatement(definition);
  if (parsed === 'empty' || 'sqlstate' in parsed) {
    addUnknown(findings, `the ${what}`, { kind: 'view', schema: relation.schema, name: relation.name });
    return;
  }
  const inner: Findings = { ...findings, searchPath: [], effects: new Map(), writes: false, ...NOT_ITS_TEXT };
  visitNode(inner, parsed.kind, parsed.node, NO_NAMES);
  findings.pure &&= inner.pure;
  for (const effect of inner.effects.values())
    if (effect.verb === 'unknown') addEffect(findings, 'unknown', effect.object);
  if (
    inner.writes ||
    [...inner.effects.values()].some((effect) => effect.verb !== 'read' && effect.verb !== 'unknown')
  ) {
    addUnknown(findings, `the ${what}, which does more than read`, {
      kind: 'view',
      schema: relation.schema,
      name: relation.name,
    });
  }
}

function call(findings: Findings, name: readonly string[], node: Tree): void {
  const [schema, bare] = name.length > 1 ? [name.at(-2) ?? null, name.at(-1) ?? ''] : [null, name[0] ?? ''];
  const object = { kind: 'function', schema: schema ?? '', name: bare } as const;
  switch (callSafety(schema, bare, findings)) {
    case 'pure':
      return;
    case 'trusted':
    case 'missing':
      findings.pure = false;
      return;
    case 'server':
      addEffect(findings, 'server', object);
      findings.pure = false;
      return;
    case 'sequence':
      useSequence(findings, node);
      return;
    case 'unknown':
      addUnknown(findings, `the function ${name.join('.')}()`, object);
      return;
    default:
      return;
  }
}

function useSequence(findings: Findings, node: Tree): void {
  findings.pure = false;
  findings.writes = true;
  const [argument] = (node['args'] as Tree[] | undefined) ?? [];
  const literal = constantOf((argument?.['TypeCast'] as Tree | undefined)?.['arg'] ?? argument);
  if (literal === undefined) {
    addUnknown(findings, 'a sequence that is named by an expression', {
      kind: 'sequence',
      schema: '',
      name: 'nextval',
    });
    return;
  }
  const parts = identifiersOf(literal);
  const { object } = resolveRelation(findings, parts.length > 1 ? (parts[0] ?? null) : null, parts.at(-1) ?? '');
  addEffect(findings, 'update', { ...object, kind: 'sequence' });
}

/** The parts of a name in text, as `regclass` reads them: folded to lower case where they aren't quoted. */
function identifiersOf(name: string): readonly string[] {
  return [...name.matchAll(/"((?:[^"]|"")*)"|([^."\s]+)/g)].map(
    ([, quotedPart, plain]) => quotedPart?.replaceAll('""', '"') ?? plain?.toLowerCase() ?? '',
  );
}

const EQUALS = ['='] as const;

/** The operators that an expression is short for. */
function operatorsOf(node: Tree): readonly (readonly string[])[] {
  return String(node['kind']).includes('BETWEEN') ? [['>='], ['<='], ['<'], ['>']] : [names(node['name'])];
}

function operator(findings: Findings, name: readonly string[]): void {
  const symbol = name.at(-1);
  if (symbol === undefined) return;
  const [schema] = name.length > 1 ? [name.at(-2)] : [undefined];
  if (schema === 'pg_catalog') return;
  for (const mine of findings.catalogue.userOperators.get(symbol) ?? []) {
    if (!mayMean(findings, schema, mine.schema)) continue;
    const routines = (findings.catalogue.functions.get(mine.function.split('.').at(-1) ?? '') ?? []).filter(
      (routine) => !routine.builtIn,
    );
    findings.pure = false;
    if (routines.length === 0 || routines.some((routine) => routineSafety(routine) !== 'trusted')) {
      addUnknown(findings, `the operator ${mine.schema}.${symbol}`, {
        kind: 'function',
        schema: mine.schema,
        name: symbol,
      });
    }
  }
}

/**
 * Whether an operator of that schema may be meant. Definitions that the catalogue writes out (an empty path) don't tell the
 * schema of an operator that stands behind `IN`, `CASE` and their kin: then any may be.
 */
function mayMean({ searchPath }: Findings, written: string | undefined, schema: string): boolean {
  if (written !== undefined) return written === schema;
  return searchPath.length === 0 || searchPath.includes(schema);
}

/** `row.name` calls a function of that name that takes the row. */
function columnAsFunction(findings: Findings, fields: readonly string[]): void {
  const name = fields.at(-1);
  if (fields.length < 2 || name === undefined) return;
  const routines = (findings.catalogue.functions.get(name) ?? []).filter(
    (routine) => routine.onlyArgumentComposite !== null,
  );
  if (routines.some((routine) => routineSafety(routine) !== 'trusted')) {
    addUnknown(findings, `the function ${name}(), called like a column`, { kind: 'function', schema: '', name });
  }
}

function castTo(findings: Findings, typeName: Tree | undefined): void {
  const name = names(typeName?.['names']);
  const bare = name.at(-1);
  if (bare === undefined) return;
  const schema = name.length > 1 ? name.at(-2) : undefined;
  if (schema === 'pg_catalog') return;
  const schemas = schema === undefined ? findings.searchPath : [schema];
  for (const candidate of schemas) {
    const type = findings.catalogue.userTypes.get(`${candidate}.${bare}`);
    if (type === undefined) continue;
    const object = { kind: 'type', schema: candidate, name: bare } as const;
    // A domain over a domain, or a row with one in it, runs checks that aren't its own.
    if (type.kind !== 'enum') findings.pure = false;
    if (type.kind === 'base' && !bare.startsWith('_') && type.extension === null)
      addUnknown(findings, `the type ${candidate}.${bare}`, object);
    const named = [bare, `${candidate}.${bare}`];
    if (findings.catalogue.hiddenCasts.some((cast) => named.includes(cast.source) || named.includes(cast.target)))
      addUnknown(findings, `a cast of the type ${candidate}.${bare}`, object);
    for (const check of type.checks) {
      expand(findings, `check of ${candidate}.${bare}`, `SELECT ${check}`, { schema: candidate, name: bare });
    }
    return;
  }
}

function changeRows(findings: Findings, node: Tree, verb: 'insert' | 'update' | 'delete'): void {
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
  if (verb === 'insert') return;
  const name = `${relation.schema}.${relation.name}`;
  if (verb === 'delete' || changesKey(findings, name, node)) addCascades(findings, name, verb);
}

/** Whether an UPDATE sets a column that another table's key points at. */
function changesKey(findings: Findings, table: string, node: Tree): boolean {
  const set = new Set(
    ((node['targetList'] as Tree[] | undefined) ?? []).map((target) =>
      String((target['ResTarget'] as Tree | undefined)?.['name']),
    ),
  );
  const keys = findings.catalogue.relations.get(table)?.referencedBy ?? [];
  return keys.some((key) => key.referencedColumns.some((column) => set.has(column)));
}

function createInto(findings: Findings, clause: Tree): void {
  const target = (clause['rel'] ?? {}) as Tree;
  const schema = typeof target['schemaname'] === 'string' ? target['schemaname'] : null;
  const { object } = resolveRelation(findings, schema, String(target['relname']));
  addEffect(findings, isOwnSchema(object.schema) ? 'server' : 'create', object);
}

function merge(findings: Findings, node: Tree): void {
  for (const clause of (node['mergeWhenClauses'] as Tree[] | undefined) ?? []) {
    const command = (clause['MergeWhenClause'] as Tree | undefined)?.['commandType'];
    if (command === 'CMD_INSERT') changeRows(findings, node, 'insert');
    // Its join condition decides which rows: measured before commit, like any other write.
    if (command === 'CMD_UPDATE') changeRows(findings, { ...node, whereClause: {} }, 'update');
    if (command === 'CMD_DELETE') changeRows(findings, { ...node, whereClause: {} }, 'delete');
  }
  findings.writes = true;
}

function lockRelations(findings: Findings, node: Tree, scope: Scope): void {
  findings.writes = true;
  const found: Findings = { ...findings, effects: new Map(), unknown: new Set() };
  visit(found, node['fromClause'], scope);
  for (const { verb, object } of found.effects.values()) {
    if (verb === 'read' && object.kind === 'table') addEffect(findings, 'lock', object);
  }
}

/** `{ RangeVar: { … } }` names its type; where the grammar allows only one, the tree leaves it out. */
function isTagged(value: Tree): boolean {
  const [key, ...others] = Object.keys(value);
  return key !== undefined && others.length === 0 && /^[A-Z]/.test(key);
}
