import type { Effect } from '../domain/effect.ts';
import { MASK_SCHEMA } from '../domain/masking.ts';
import { objectName } from '../domain/object.ts';
import {
  derivedSource,
  joinSource,
  type Level,
  noteAll,
  noteJoined,
  noteReference,
  type RelationUse,
  relationSource,
  type Source,
} from './column-scope.ts';
import { type Findings, resolveRelation } from './findings.ts';
import { isTree, names, type Tree } from './parse.ts';
import { type Alias, aliasOf, fieldsOf, list, plainName, shownBy } from './result-columns.ts';

/** Which columns a query or a row change reads and writes, relation by relation. Too many rather than too few (G1). */
export function noteColumns(findings: Findings, kind: string, node: Tree): void {
  // A table that is copied as such is no place for a view.
  const walk: Walk = { findings, uses: findings.uses, nameable: findings.ownText && kind !== 'RangeVar' };
  if (kind === 'RangeVar') {
    const { columns, whole } = relation(walk, node, 'from');
    const copied = names(node['attlist']);
    noteAll(copied.length === 0 ? whole : copied.flatMap((name) => columns?.get(name) ?? []));
  }
  if (STATEMENTS.has(kind)) statement(walk, kind, node, NO_QUERIES, null);
}

/** An effect with the columns that were found for it; without them where it isn't a matter of columns, or all may be meant. */
export function withColumns(effect: Effect, uses: readonly RelationUse[]): Effect {
  const { verb, via } = effect;
  const name = objectName(effect.object);
  if (via !== 'direct' || (verb !== 'read' && verb !== 'insert' && verb !== 'update')) return effect;
  const mine = uses.filter(({ relation, place }) => {
    const here = `${relation.schema}.${relation.name}` === name && !relation.system;
    return here && (verb === 'read' || place === 'target');
  });
  if (mine.length === 0) return effect;
  const columns = new Set(mine.flatMap((use) => [...columnsFor(use, verb)]));
  return { ...effect, columns: [...columns].sort() };
}

function columnsFor(use: RelationUse, verb: 'read' | 'insert' | 'update'): ReadonlySet<string> {
  return verb === 'read' ? use.read : verb === 'insert' ? use.inserted : use.updated;
}

interface Walk {
  readonly findings: Findings;
  readonly uses: RelationUse[];
  /** Another name may stand where a relation is named. */
  readonly nameable: boolean;
}

/** A name is looked for in each of them: many names times many relations would hold everybody up. */
const MOST_RELATIONS = 1000;

/** Output columns of WITH queries by name; `null` where they can't be told. */
type Queries = ReadonlyMap<string, readonly string[] | null>;
const NO_QUERIES: Queries = new Map();
const STATEMENTS = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/** @returns the names of the columns that it shows. */
function statement(
  walk: Walk,
  kind: string,
  node: Tree,
  around: Queries,
  outer: Level | null,
): readonly string[] | null {
  const queries = withQueries(walk, node['withClause'] as Tree | undefined, around, outer);
  switch (kind) {
    case 'SelectStmt':
      return select(walk, node, queries, outer);
    case 'InsertStmt':
      return insert(walk, node, queries, outer);
    case 'UpdateStmt':
      return update(walk, node, queries, outer);
    case 'DeleteStmt':
      return remove(walk, node, queries, outer);
    default:
      return merge(walk, node, queries, outer);
  }
}

function withQueries(walk: Walk, clause: Tree | undefined, around: Queries, outer: Level | null): Queries {
  if (clause === undefined) return around;
  const queries = new Map(around);
  const found = list(clause['ctes']).map((item) => item['CommonTableExpr'] as Tree);
  const declared = (query: Tree) => {
    const columns = names(query['aliascolnames']);
    return columns.length > 0 ? columns : null;
  };
  if (clause['recursive'] === true) for (const query of found) queries.set(String(query['ctename']), declared(query));
  for (const query of found) {
    const shown = inner(walk, query['ctequery'], queries, outer);
    const renamed = declared(query) ?? [];
    queries.set(
      String(query['ctename']),
      shown === null ? declared(query) : shown.map((name, index) => renamed[index] ?? name),
    );
  }
  return queries;
}

function inner(walk: Walk, query: unknown, queries: Queries, outer: Level | null): readonly string[] | null {
  const [entry] = isTree(query) ? Object.entries(query) : [];
  if (entry === undefined || !STATEMENTS.has(entry[0])) return null;
  return statement(walk, entry[0], entry[1] as Tree, queries, outer);
}

function select(walk: Walk, node: Tree, queries: Queries, outer: Level | null): readonly string[] | null {
  const level: Level = { sources: [], outer };
  if (isTree(node['larg']) && isTree(node['rarg'])) {
    const shown = statement(walk, 'SelectStmt', node['larg'], queries, outer);
    statement(walk, 'SelectStmt', node['rarg'], queries, outer);
    // It is ordered by columns of the result alone.
    for (const field of ['limitCount', 'limitOffset']) expressions(walk, node[field], level, queries);
    return shown;
  }
  for (const item of list(node['fromClause'])) level.sources.push(...fromItem(walk, item, level, queries));
  const given = new Set<string>();
  for (const target of list(node['targetList'])) {
    const name = (target['ResTarget'] as Tree | undefined)?.['name'];
    if (typeof name === 'string') given.add(name);
  }
  for (const field of ['targetList', 'valuesLists', 'whereClause', 'groupClause', 'havingClause', 'windowClause'])
    expressions(walk, node[field], level, queries);
  for (const field of ['limitCount', 'limitOffset']) expressions(walk, node[field], level, queries);
  // What a column of the result is called goes before what is in FROM (SQL-92).
  const orders = [
    ...list(node['sortClause']).map((item) => (item['SortBy'] as Tree | undefined)?.['node']),
    ...list(node['distinctClause']),
  ];
  for (const order of orders) if (!given.has(plainName(order) ?? '')) expressions(walk, order, level, queries);
  if (Array.isArray(node['valuesLists'])) {
    return list(((node['valuesLists'][0] as Tree | undefined)?.['List'] as Tree | undefined)?.['items']).map(
      (_, index) => `column${index + 1}`,
    );
  }
  return shownBy(list(node['targetList']), level);
}

function fromItem(walk: Walk, item: Tree, level: Level, queries: Queries): readonly Source[] {
  const [kind, node] = (Object.entries(item)[0] ?? ['', {}]) as [string, Tree];
  const alias = aliasOf(node['alias']);
  switch (kind) {
    case 'RangeVar':
      return [fromRelation(walk, node, queries)];
    case 'RangeSubselect': {
      const shown = inner(walk, node['subquery'], queries, node['lateral'] === true ? level : level.outer);
      return [
        derivedSource(
          alias.name,
          shown === null ? nullIfEmpty(alias.columns) : shown.map((name, index) => alias.columns[index] ?? name),
        ),
      ];
    }
    case 'RangeTableSample':
      expressions(walk, [node['args'], node['repeatable']], level, queries);
      return fromItem(walk, (node['relation'] ?? {}) as Tree, level, queries);
    case 'JoinExpr':
      return join(walk, node, level, queries, alias);
    default:
      // Functions, XMLTABLE, JSON_TABLE: they see what stands before them.
      expressions(walk, node, level, queries);
      return [derivedSource(alias.name, nullIfEmpty(alias.columns))];
  }
}

function nullIfEmpty(columns: readonly string[]): readonly string[] | null {
  return columns.length > 0 ? columns : null;
}

function join(walk: Walk, node: Tree, level: Level, queries: Queries, alias: Alias): readonly Source[] {
  const left = fromItem(walk, (node['larg'] ?? {}) as Tree, level, queries);
  const right = fromItem(
    walk,
    (node['rarg'] ?? {}) as Tree,
    { ...level, sources: [...level.sources, ...left] },
    queries,
  );
  const using = names(node['usingClause']);
  if (node['isNatural'] === true) noteJoined(left, right, 'natural');
  else noteJoined(left, right, using);
  const both = [...left, ...right];
  expressions(walk, node['quals'], { sources: both, outer: level.outer }, queries);
  const merged = aliasOf(node['join_using_alias']).name;
  const found = merged === null ? both : [...both, derivedSource(merged, using)];
  return alias.name === null ? found : [joinSource(alias.name, found, alias.columns)];
}

function fromRelation(walk: Walk, node: Tree, queries: Queries): Source {
  const schema = typeof node['schemaname'] === 'string' ? node['schemaname'] : null;
  const name = String(node['relname']);
  const alias = aliasOf(node['alias']);
  const query = schema === null ? queries.get(name) : undefined;
  if (query !== undefined) {
    const shown = query?.map((column, index) => alias.columns[index] ?? column) ?? nullIfEmpty(alias.columns);
    return derivedSource(alias.name ?? name, shown);
  }
  return relation(walk, node, 'from');
}

/** @returns a source without columns where there is no such relation: the database will say so. */
function relation(walk: Walk, node: Tree, place: RelationUse['place']): Source {
  const schema = typeof node['schemaname'] === 'string' ? node['schemaname'] : null;
  const alias = aliasOf(node['alias']);
  const { catalogue } = walk.findings;
  const masked = schema === MASK_SCHEMA ? catalogue.masking.byView.get(String(node['relname'])) : undefined;
  const found =
    masked === undefined
      ? resolveRelation(walk.findings, schema, String(node['relname'])).relation
      : catalogue.relations.get(masked.relation);
  if (found === undefined) return derivedSource(alias.name ?? String(node['relname']), null);
  const here = place === 'from' && !walk.findings.ownText ? 'definition' : place;
  const use: RelationUse = {
    relation: found,
    place: masked === undefined ? here : 'masked',
    named: walk.nameable ? { start: Number(node['location'] ?? 0), aliased: alias.name !== null } : null,
    qualified: [],
    read: new Set(),
    inserted: new Set(),
    updated: new Set(),
  };
  walk.uses.push(use);
  if (walk.uses.length > MOST_RELATIONS) throw new RangeError(`more than ${MOST_RELATIONS} relations`);
  return relationSource(use, alias.name, alias.columns);
}

function insert(walk: Walk, node: Tree, queries: Queries, outer: Level | null): readonly string[] | null {
  const target = relation(walk, (node['relation'] ?? {}) as Tree, 'target');
  const { use } = target;
  const query = isTree(node['selectStmt']) ? (node['selectStmt']['SelectStmt'] as Tree | undefined) : undefined;
  const shown = query === undefined ? null : statement(walk, 'SelectStmt', query, queries, outer);
  if (use !== null) {
    const columns = use.relation.columns.map(({ name }) => name);
    const cols = assigned(node['cols']);
    // Without a list they are filled from the first on, as many as there are values.
    const filled =
      query === undefined && node['rows'] !== true ? [] : columns.slice(0, shown?.length ?? columns.length);
    for (const column of cols.length > 0 ? cols : filled) use.inserted.add(column);
  }
  const conflict = node['onConflictClause'] as Tree | undefined;
  const level: Level = { sources: [target], outer };
  if (conflict !== undefined) {
    onConflict(walk, conflict, { sources: [target, { ...target, alias: 'excluded', schema: null }], outer }, queries);
    if (use !== null) for (const column of assigned(conflict['targetList'])) use.updated.add(column);
  }
  expressions(walk, node['whereClause'], level, queries);
  return returning(walk, node, target, level, queries);
}

function onConflict(walk: Walk, conflict: Tree, level: Level, queries: Queries): void {
  const infer = (conflict['infer'] ?? {}) as Tree;
  for (const item of list(infer['indexElems'])) {
    const { name, expr } = (item['IndexElem'] ?? {}) as Tree;
    if (typeof name === 'string') noteReference({ ...level, sources: level.sources.slice(0, 1) }, [name]);
    expressions(walk, expr, level, queries);
  }
  // Which columns a constraint is of isn't looked up: all of them may be.
  if (infer['conname'] !== undefined) for (const source of level.sources) noteAll(source.whole);
  expressions(walk, infer['whereClause'], level, queries);
  expressions(walk, [conflict['targetList'], conflict['whereClause']], level, queries);
}

function update(walk: Walk, node: Tree, queries: Queries, outer: Level | null): readonly string[] | null {
  const target = relation(walk, (node['relation'] ?? {}) as Tree, 'target');
  for (const column of assigned(node['targetList'])) target.use?.updated.add(column);
  const level: Level = { sources: [target], outer };
  for (const item of list(node['fromClause'])) level.sources.push(...fromItem(walk, item, level, queries));
  expressions(walk, [node['targetList'], node['whereClause']], level, queries);
  return returning(walk, node, target, level, queries);
}

function remove(walk: Walk, node: Tree, queries: Queries, outer: Level | null): readonly string[] | null {
  const target = relation(walk, (node['relation'] ?? {}) as Tree, 'target');
  const level: Level = { sources: [target], outer };
  for (const item of list(node['usingClause'])) level.sources.push(...fromItem(walk, item, level, queries));
  expressions(walk, node['whereClause'], level, queries);
  return returning(walk, node, target, level, queries);
}

function merge(walk: Walk, node: Tree, queries: Queries, outer: Level | null): readonly string[] | null {
  const target = relation(walk, (node['relation'] ?? {}) as Tree, 'target');
  const level: Level = { sources: [target], outer };
  level.sources.push(...fromItem(walk, (node['sourceRelation'] ?? {}) as Tree, level, queries));
  expressions(walk, node['joinCondition'], level, queries);
  for (const item of list(node['mergeWhenClauses'])) {
    const clause = (item['MergeWhenClause'] ?? {}) as Tree;
    const columns = assigned(clause['targetList']);
    const all = target.use?.relation.columns.map(({ name }) => name) ?? [];
    if (clause['commandType'] === 'CMD_UPDATE') for (const column of columns) target.use?.updated.add(column);
    if (clause['commandType'] === 'CMD_INSERT')
      for (const column of columns.length > 0 ? columns : all) target.use?.inserted.add(column);
    expressions(walk, clause, level, queries);
  }
  return returning(walk, node, target, level, queries);
}

function returning(walk: Walk, node: Tree, target: Source, level: Level, queries: Queries): readonly string[] | null {
  const clause = node['returningClause'] as Tree | undefined;
  if (clause === undefined) return [];
  const given = list(clause['options']).map((item) => String((item['ReturningOption'] as Tree | undefined)?.['value']));
  const versions = ['old', 'new', ...given].map((alias) => ({ ...target, alias, schema: null }));
  const seen: Level = { sources: [...level.sources, ...versions], outer: level.outer };
  expressions(walk, clause['exprs'], seen, queries);
  return shownBy(list(clause['exprs']), level);
}

/** The columns that a list of assignments names. */
function assigned(targets: unknown): readonly string[] {
  return list(targets).map((target) => String((target['ResTarget'] as Tree | undefined)?.['name']));
}

function expressions(walk: Walk, value: unknown, level: Level, queries: Queries): void {
  if (Array.isArray(value)) {
    for (const item of value) expressions(walk, item, level, queries);
    return;
  }
  if (!isTree(value)) return;
  for (const [key, found] of Object.entries(value)) {
    if (key === 'ColumnRef')
      noteReference(level, fieldsOf((found as Tree)['fields']), Number((found as Tree)['location'] ?? 0));
    else if (STATEMENTS.has(key)) statement(walk, key, found as Tree, queries, level);
    else expressions(walk, found, level, queries);
  }
}
