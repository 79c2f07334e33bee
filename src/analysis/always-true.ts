import { isTree, names, type Tree } from './parse.ts';

/**
 * Whether a condition holds for every row, as far as can be seen without knowing the rows. It informs people and
 * policies; what decides is the number of rows that the server counts.
 */
export function isAlwaysTrue(condition: unknown): boolean {
  return condition === undefined || truthOf(condition) === true;
}

/** What a condition comes to for every row that is not null in it; `undefined` where that depends on the row. */
function truthOf(condition: unknown): boolean | undefined {
  const [kind, node] = tagged(condition);
  switch (kind) {
    case 'A_Const':
      return constantValue(node);
    case 'TypeCast':
      return truthOf(node['arg']);
    case 'BoolExpr':
      return logicValue(String(node['boolop']), listOf(node['args']));
    case 'BooleanTest':
      return testValue(String(node['booltesttype']), truthOf(node['arg']));
    case 'NullTest':
      // A constant is not null, or it would be written as NULL.
      if (tagged(node['arg'])[0] !== 'A_Const' || isNull(node['arg'])) return undefined;
      return node['nulltesttype'] === 'IS_NOT_NULL';
    case 'CoalesceExpr':
      return truthOf(listOf(node['args'])[0]);
    case 'SubLink':
      return subqueryValue(node);
    case 'A_Expr':
      return comparisonValue(node);
    default:
      return undefined;
  }
}

function constantValue(constant: Tree): boolean | undefined {
  const text = (constant['sval'] as Tree | undefined)?.['sval'];
  if (typeof text === 'string') {
    if (/^\s*(?:t|tr|tru|true|y|ye|yes|on|1)\s*$/i.test(text)) return true;
    return /^\s*(?:f|fa|fal|fals|false|n|no|of|off|0)\s*$/i.test(text) ? false : undefined;
  }
  const integer = constant['ival'] as Tree | undefined;
  if (integer !== undefined) return Number(integer['ival'] ?? 0) !== 0;
  const boolean = constant['boolval'] as Tree | undefined;
  return boolean === undefined ? undefined : boolean['boolval'] === true;
}

function logicValue(operator: string, parts: readonly unknown[]): boolean | undefined {
  const values = parts.map(truthOf);
  if (operator === 'NOT_EXPR') return values[0] === undefined ? undefined : !values[0];
  if (operator === 'AND_EXPR') {
    if (values.includes(false)) return false;
    return values.every((value) => value === true) ? true : undefined;
  }
  if (values.includes(true) || coverAll(parts)) return true;
  return values.every((value) => value === false) ? false : undefined;
}

function testValue(test: string, value: boolean | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (test === 'IS_UNKNOWN' || test === 'IS_NOT_UNKNOWN') return test === 'IS_NOT_UNKNOWN';
  const asked = test.endsWith('TRUE');
  return test.startsWith('IS_NOT') ? value !== asked : value === asked;
}

/** A subquery that reads nothing always has its one row. */
function subqueryValue(node: Tree): boolean | undefined {
  const [kind, select] = tagged(node['subselect']);
  const readsNothing =
    kind === 'SelectStmt' &&
    ['fromClause', 'whereClause', 'valuesLists', 'limitCount', 'limitOffset', 'havingClause', 'larg'].every(
      (key) => select[key] === undefined,
    );
  if (!readsNothing) return undefined;
  if (node['subLinkType'] === 'EXISTS_SUBLINK') return true;
  const [, target] = tagged(listOf(select['targetList'])[0]);
  return node['subLinkType'] === 'EXPR_SUBLINK' ? truthOf(target['val']) : undefined;
}

const REFLEXIVE = ['=', '>=', '<=', '~~', '~~*'];
const IRREFLEXIVE = ['<>', '!=', '<', '>'];

function comparisonValue(node: Tree): boolean | undefined {
  const left = withoutPlace(node['lexpr']);
  const symbol = names(node['name']).at(-1) ?? '';
  switch (node['kind']) {
    case 'AEXPR_NOT_DISTINCT':
    case 'AEXPR_DISTINCT':
      return left === withoutPlace(node['rexpr']) ? node['kind'] === 'AEXPR_NOT_DISTINCT' : undefined;
    case 'AEXPR_IN':
      return itemsOf(node['rexpr']).some((item) => withoutPlace(item) === left) ? symbol === '=' : undefined;
    case 'AEXPR_OP_ANY':
      return symbol === '=' && itemsOf(node['rexpr']).some((item) => withoutPlace(item) === left) ? true : undefined;
    case 'AEXPR_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
      return itemsOf(node['rexpr']).every((item) => withoutPlace(item) === left) ? true : undefined;
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
      if (matchesAnything(node['rexpr'])) return !symbol.startsWith('!');
      break;
    default:
      break;
  }
  const right = withoutPlace(node['rexpr']);
  if (left === right) {
    if (REFLEXIVE.includes(symbol)) return true;
    return IRREFLEXIVE.includes(symbol) ? false : undefined;
  }
  // Two different constants: that they are unequal is known, which one is larger is not worth knowing.
  if (!left.startsWith('{"A_Const"') || !right.startsWith('{"A_Const"')) return undefined;
  if (symbol === '=') return false;
  return IRREFLEXIVE.includes(symbol) ? true : undefined;
}

/** `LIKE '%'` */
function matchesAnything(pattern: unknown): boolean {
  const [, constant] = tagged(pattern);
  return /^%+$/.test(String((constant['sval'] as Tree | undefined)?.['sval']));
}

const OPPOSITES: Readonly<Record<string, string>> = { '<': '>=', '>': '<=', '=': '<>' };

/** `x IS NULL OR x IS NOT NULL`, `x > 1 OR x <= 1`. */
function coverAll(parts: readonly unknown[]): boolean {
  return parts.some((part) => parts.some((other) => areOpposites(tagged(part), tagged(other))));
}

function areOpposites([kind, node]: Tagged, [otherKind, other]: Tagged): boolean {
  if (kind !== otherKind) return false;
  if (kind === 'NullTest') {
    return other['nulltesttype'] !== node['nulltesttype'] && withoutPlace(other['arg']) === withoutPlace(node['arg']);
  }
  if (kind !== 'A_Expr') return false;
  const opposite = OPPOSITES[names(node['name']).at(-1) ?? ''];
  return (
    opposite === names(other['name']).at(-1) &&
    withoutPlace(node['lexpr']) === withoutPlace(other['lexpr']) &&
    withoutPlace(node['rexpr']) === withoutPlace(other['rexpr'])
  );
}

type Tagged = readonly [kind: string, node: Tree];

function tagged(value: unknown): Tagged {
  const [entry] = isTree(value) ? Object.entries(value) : [];
  return entry !== undefined && isTree(entry[1]) ? [entry[0], entry[1]] : ['', {}];
}

function isNull(node: unknown): boolean {
  return tagged(node)[1]['isnull'] === true;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The items of a list or of an array's constructor. */
function itemsOf(value: unknown): readonly unknown[] {
  const [, node] = tagged(value);
  return listOf(node['items'] ?? node['elements']);
}

function withoutPlace(node: unknown): string {
  return (
    JSON.stringify(node, (key, value: unknown) =>
      /^(?:location|\w*list_(?:start|end))$/.test(key) ? undefined : value,
    ) ?? ''
  );
}
