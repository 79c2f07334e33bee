import type { ObjectRef } from './object.ts';

/** Names are as the catalogue has them, without quotes; they neither begin nor end with a space. */
const NAME = `(?! )[^.*(),]+(?<! )`;

/** See `ScopePattern`. As text it is part of the JSON Schemas for editors. */
export const SCOPE_PATTERN = new RegExp(
  String.raw`^(?:(?:\*|${NAME})(?:\.(?:\*|${NAME}))?|${NAME}(?:\.${NAME})?\( *${NAME}(?: *, *${NAME})* *\))$`,
);
export const HOW_SCOPE_IS_WRITTEN = 'write schema.table, with * for a whole part, or schema.table(column, column)';

export function isScopePattern(text: string): boolean {
  return SCOPE_PATTERN.test(text);
}

/**
 * What a task or a role may touch, as it is written: `schema.table`, with `*` for a whole part (`public.*`, `*.*`), or
 * `schema.table(column, column)` for some columns of one table. A pattern without a dot is in schema `public`.
 */
interface ScopePattern {
  readonly schema: string;
  readonly name: string;
  /** `null`: all of them, also those still to come. */
  readonly columns: readonly string[] | null;
}

/** A pattern's parts, each a name or `*`. */
export function partsOfPattern(pattern: string): Pick<ScopePattern, 'schema' | 'name'> {
  return parse(pattern);
}

function parse(pattern: string): ScopePattern {
  const [, named = pattern, listed] = /^([^(]*)\((.*)\)$/.exec(pattern) ?? [];
  const dot = named.indexOf('.');
  return {
    schema: dot === -1 ? 'public' : named.slice(0, dot),
    name: dot === -1 ? named : named.slice(dot + 1),
    columns: listed === undefined ? null : listed.split(',').map((column) => column.trim()),
  };
}

/** Whether `schema.name` falls under a pattern, be it with some of its columns only. */
export function matchesPattern(object: Pick<ObjectRef, 'schema' | 'name'>, pattern: string): boolean {
  const { schema, name } = parse(pattern);
  return (schema === '*' || schema === object.schema) && (name === '*' || name === object.name);
}

/** Whether everything that `pattern` can match also falls under `wide`. */
export function coversPattern(wide: string, pattern: string): boolean {
  const [outer, inner] = [parse(wide), parse(pattern)];
  return (
    (outer.schema === '*' || outer.schema === inner.schema) &&
    (outer.name === '*' || outer.name === inner.name) &&
    (outer.columns === null || (inner.columns?.every((column) => outer.columns?.includes(column)) ?? false))
  );
}

/** Columns of one table: all of them, or those that are named. */
export type Columns = 'all' | ReadonlySet<string>;

/** The columns of a table that patterns reach together. An empty set: the table is outside. */
export function columnsWithin(object: Pick<ObjectRef, 'schema' | 'name'>, patterns: readonly string[]): Columns {
  const found = new Set<string>();
  for (const pattern of patterns) {
    if (!matchesPattern(object, pattern)) continue;
    const { columns } = parse(pattern);
    if (columns === null) return 'all';
    for (const column of columns) found.add(column);
  }
  return found;
}

/** What two sets of columns have in common. */
export function commonColumns(a: Columns, b: Columns): Columns {
  if (a === 'all') return b;
  return b === 'all' ? a : new Set([...a].filter((column) => b.has(column)));
}
