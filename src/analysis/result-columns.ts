import type { Level } from './column-scope.ts';
import { isTree, names, type Tree } from './parse.ts';

/** `x`, and nothing more. */
export function plainName(expression: unknown): string | undefined {
  const fields = isTree(expression) ? (expression['ColumnRef'] as Tree | undefined)?.['fields'] : undefined;
  const parts = fieldsOf(fields);
  return parts.length === 1 && parts[0] !== '*' ? parts[0] : undefined;
}

/** The names under which a query's result is seen from outside. */
export function shownBy(targets: readonly Tree[], level: Level): readonly string[] | null {
  const shown: string[] = [];
  for (const target of targets) {
    const { name, val } = target['ResTarget'] as Tree;
    if (typeof name === 'string') {
      shown.push(name);
      continue;
    }
    const fields = fieldsOf(isTree(val) ? (val['ColumnRef'] as Tree | undefined)?.['fields'] : undefined);
    if (fields.at(-1) !== '*') {
      shown.push(fields.at(-1) ?? impliedName(val));
      continue;
    }
    const sources = fields.length === 1 ? level.sources : level.sources.filter(({ alias }) => alias === fields.at(-2));
    for (const source of sources) {
      if (source.shown === null) return null;
      shown.push(...source.shown);
    }
  }
  return shown;
}

/** A call is called as its function is; the rest has no name that a query could use. */
function impliedName(value: unknown): string {
  if (!isTree(value)) return '?column?';
  const call = value['FuncCall'] as Tree | undefined;
  if (call !== undefined) return names(call['funcname']).at(-1) ?? '?column?';
  const cast = value['TypeCast'] as Tree | undefined;
  if (cast !== undefined) {
    const implied = plainName(cast['arg']) ?? impliedName(cast['arg']);
    return implied === '?column?'
      ? (names((cast['typeName'] as Tree | undefined)?.['names']).at(-1) ?? implied)
      : implied;
  }
  const link = value['SubLink'] as Tree | undefined;
  const query = isTree(link?.['subselect']) ? (link['subselect']['SelectStmt'] as Tree | undefined) : undefined;
  const [first] = query === undefined ? [] : list(query['targetList']);
  if (first !== undefined) return shownBy([first], { sources: [], outer: null })?.[0] ?? '?column?';
  for (const [kind, name] of Object.entries(IMPLIED_NAMES)) if (value[kind] !== undefined) return name;
  return '?column?';
}

const IMPLIED_NAMES: Readonly<Record<string, string>> = {
  CoalesceExpr: 'coalesce',
  CaseExpr: 'case',
  A_ArrayExpr: 'array',
  RowExpr: 'row',
};

export function fieldsOf(fields: unknown): readonly (string | '*')[] {
  return list(fields).map((field) => {
    const text = (field['String'] as Tree | undefined)?.['sval'];
    return typeof text === 'string' ? text : '*';
  });
}

export interface Alias {
  readonly name: string | null;
  readonly columns: readonly string[];
}

export function aliasOf(alias: unknown): Alias {
  if (!isTree(alias)) return { name: null, columns: [] };
  return { name: String(alias['aliasname']), columns: names(alias['colnames']) };
}

export function list(value: unknown): readonly Tree[] {
  return Array.isArray(value) ? value.filter(isTree) : [];
}
