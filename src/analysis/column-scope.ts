import type { Relation } from '../engines/catalogue.ts';

/** One place where a statement names a relation, and the columns that it touches there. */
export interface RelationUse {
  readonly relation: Relation;
  /**
   * `target`: its rows are changed. `from`: they are read. `masked`: they are read through its masking view. `definition`:
   * they are read by a text that isn't the statement's own, a view's or a prepared statement's.
   */
  readonly place: 'from' | 'target' | 'masked' | 'definition';
  /** Where it is named in the statement's own text, in bytes; `null` in another text. */
  readonly named: { readonly start: number; readonly aliased: boolean } | null;
  /** Where its columns are qualified with its schema, in bytes. */
  readonly qualified: number[];
  readonly read: Set<string>;
  readonly inserted: Set<string>;
  readonly updated: Set<string>;
}

/** What stands in a FROM list under one name. */
export interface Source {
  /** The name that columns are qualified with. */
  readonly alias: string | null;
  /** Where no alias hides them: the schema and name of the relation itself. */
  readonly schema: string | null;
  /** The columns that it shows, by the name they have here; `null` where they can't be told (functions). */
  readonly columns: ReadonlyMap<string, readonly ColumnOf[]> | null;
  /** What `*` shows of it; `null` where that can't be told. */
  readonly shown: readonly string[] | null;
  /** All that is touched when the whole row is. */
  readonly whole: readonly ColumnOf[];
  /** The relation's place, where it is one. */
  readonly use: RelationUse | null;
}

/** A column of a relation in one of its places. */
export interface ColumnOf {
  readonly use: RelationUse;
  readonly column: string;
}

/** One query level: what its FROM list holds, and the level around it. */
export interface Level {
  readonly sources: Source[];
  readonly outer: Level | null;
}

/** Columns that every table has and `*` leaves out (PostgreSQL, "System Columns"). */
const SYSTEM_COLUMNS = ['tableoid', 'cmax', 'xmax', 'cmin', 'xmin', 'ctid'];

/** A relation under its own name or an alias, with its first columns renamed where the alias says so. */
export function relationSource(use: RelationUse, alias: string | null, renamed: readonly string[]): Source {
  const columns = new Map<string, readonly ColumnOf[]>();
  const whole = use.relation.columns.map(({ name }) => ({ use, column: name }));
  for (const column of SYSTEM_COLUMNS) columns.set(column, [{ use, column }]);
  const shown = whole.map(({ column }, index) => renamed[index] ?? column);
  for (const [index, entry] of whole.entries()) columns.set(shown[index] ?? entry.column, [entry]);
  const schema = alias === null ? use.relation.schema : null;
  return { alias: alias ?? use.relation.name, schema, columns, shown, whole, use };
}

/** A subquery, a WITH query or a function: what it reads was noted where it was read. */
export function derivedSource(alias: string | null, columns: readonly string[] | null): Source {
  const named = columns === null ? null : new Map(columns.map((name) => [name, []] as const));
  return { alias, schema: null, columns: named, shown: columns, whole: [], use: null };
}

/** A join in parentheses under a name of its own, which hides the names inside. */
export function joinSource(alias: string, parts: readonly Source[], renamed: readonly string[]): Source {
  const whole = parts.flatMap((part) => part.whole);
  // Which column a new name stands for is a matter of order and of merged columns: any may be meant.
  if (renamed.length > 0 || parts.some((part) => part.columns === null)) {
    const columns = new Map(renamed.map((name) => [name, whole] as const));
    return { alias, schema: null, columns, shown: null, whole, use: null };
  }
  const columns = new Map<string, readonly ColumnOf[]>();
  for (const part of parts)
    for (const [name, of] of part.columns ?? []) columns.set(name, [...(columns.get(name) ?? []), ...of]);
  const shown = parts.flatMap((part) => part.shown ?? []);
  return { alias, schema: null, columns, shown, whole, use: null };
}

/** `database.schema.table.column` */
const MAX_NAME_PARTS = 4;

/**
 * Notes what `a`, `t.a`, `s.t.a`, `t.*` or `*` reads, as PostgreSQL resolves it: a column of the innermost level that has
 * one; else a whole row by its name. Where more than one can be meant, all are noted.
 */
export function noteReference(level: Level, fields: readonly (string | '*')[], location = 0): void {
  const last = fields.at(-1);
  // The server takes no longer name either; an endless one would be gone over for each of its parts.
  if (last === undefined || fields.length > MAX_NAME_PARTS) return;
  const [name, schema] = [fields.at(-2), fields.at(-3)];
  if (name === undefined) {
    if (last === '*') for (const source of level.sources) noteAll(source.whole);
    else noteUnqualified(level, last);
    return;
  }
  const source = sourceNamed(level, name, schema);
  if (source === undefined) {
    // `row.column.field`, or a name that the database doesn't find either.
    if (schema !== undefined) noteReference(level, fields.slice(0, -1), location);
    else noteUnqualified(level, name);
    return;
  }
  if (schema !== undefined) source.use?.qualified.push(location);
  const columns = last === '*' ? undefined : source.columns?.get(last);
  // `row.name` may call a function that takes the row.
  noteAll(columns ?? source.whole);
}

function noteUnqualified(level: Level, name: string): void {
  for (let at: Level | null = level; at !== null; at = at.outer) {
    const found = at.sources.flatMap((source) => {
      const columns = source.columns?.get(name);
      return columns === undefined ? [] : [columns];
    });
    for (const columns of found) noteAll(columns);
    if (found.length > 0) return;
  }
  const row = sourceNamed(level, name, undefined);
  if (row !== undefined) noteAll(row.whole);
}

function sourceNamed(level: Level, name: string, schema: string | undefined): Source | undefined {
  for (let at: Level | null = level; at !== null; at = at.outer) {
    const found = at.sources.find(
      (source) => source.alias === name && (schema === undefined || source.schema === schema),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Notes the columns that two sides of a join are matched by. */
export function noteJoined(
  left: readonly Source[],
  right: readonly Source[],
  names: readonly string[] | 'natural',
): void {
  const having = (sources: readonly Source[], name: string) =>
    sources.flatMap((source) => source.columns?.get(name) ?? []);
  const shown = (sources: readonly Source[]) =>
    new Set(
      sources.flatMap((source) => [...(source.columns?.keys() ?? [])]).filter((name) => !SYSTEM_COLUMNS.includes(name)),
    );
  const common = names === 'natural' ? [...shown(left)].filter((name) => shown(right).has(name)) : names;
  for (const name of common) noteAll([...having(left, name), ...having(right, name)]);
  // What a function returns isn't known: any column may be one that it has as well.
  if (names === 'natural' && [...left, ...right].some((source) => source.columns === null))
    for (const source of [...left, ...right]) noteAll(source.whole);
}

export function noteAll(columns: readonly ColumnOf[]): void {
  for (const { use, column } of columns) use.read.add(column);
}
