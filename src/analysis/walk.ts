import { call, columnAsFunction, EQUALS, operator, operatorsOf } from './calls.ts';
import { changeRows, createInto, lockRelations, merge } from './changes.ts';
import { noteColumns } from './columns.ts';
import { addUnknown, type Findings } from './findings.ts';
import { castTo } from './hidden-code.ts';
import { KNOWN_NODES, PLAIN_NODES } from './known-nodes.ts';
import { isTree, names, type Tree } from './parse.ts';
import { readRelation } from './read-relation.ts';
import { namesSchemaView } from './served-view.ts';

/** Names that stand for queries where one looks. */
type Scope = ReadonlySet<string>;
const NO_NAMES: Scope = new Set();

/** Walks over one query or row change. */
export function walkQuery(findings: Findings, kind: string, node: Tree): void {
  walkDefinition(findings, kind, node);
  noteColumns(findings, kind, node);
}

/** The same for a definition that a query brings along: its columns are not the statement's. */
export function walkDefinition(findings: Findings, kind: string, node: Tree): void {
  visitNode(findings, kind, node, NO_NAMES);
}

function visitNode(findings: Findings, kind: string, node: Tree, outer: Scope): void {
  if (!KNOWN_NODES.has(kind)) {
    addUnknown(findings, `the construct ${kind}`, { kind: 'object', schema: '', name: kind });
    return;
  }
  findings.computes ||= !PLAIN_NODES.has(kind);
  const scope = withNames(findings, node['withClause'] as Tree | undefined, outer);
  switch (kind) {
    case 'RangeVar':
      if (typeof node['schemaname'] === 'string' || !scope.has(String(node['relname']))) readRelation(findings, node);
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
      findings.computes ||= SORTING_FIELDS.some((field) => node[field] !== undefined) || node['op'] !== 'SETOP_NONE';
      if (Array.isArray(node['lockingClause']))
        lockRelations(findings, (found) => visit(found, node['fromClause'], scope));
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

/** Where rows are compared with each other, by an order or an equality that is not written down. */
const SORTING_FIELDS = ['distinctClause', 'groupClause', 'sortClause', 'windowClause'];

/** Fields that hold a node without naming its type, because the grammar allows only one there. */
const TYPED_FIELDS: ReadonlyMap<string, string> = new Map([
  ['over', 'WindowDef'],
  ['larg', 'SelectStmt'],
  ['rarg', 'SelectStmt'],
  ['onConflictClause', 'OnConflictClause'],
  ['infer', 'InferClause'],
  // A map, because every object of JavaScript has a `constructor`.
  ['constructor', 'JsonAggConstructor'],
]);

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
    const typed = TYPED_FIELDS.get(field);
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

/** `{ RangeVar: { … } }` names its type; where the grammar allows only one, the tree leaves it out. */
function isTagged(value: Tree): boolean {
  const [key, ...others] = Object.keys(value);
  return key !== undefined && others.length === 0 && /^[A-Z]/.test(key);
}
