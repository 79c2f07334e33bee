import { isTree, names, type Tree } from './parse.ts';

/** Whether a condition holds for every row, as far as can be seen without knowing the rows. */
export function isAlwaysTrue(condition: unknown): boolean {
  if (condition === undefined) return true;
  if (!isTree(condition)) return false;
  const constant = condition['A_Const'] as Tree | undefined;
  if (constant !== undefined) return (constant['boolval'] as Tree | undefined)?.['boolval'] === true;
  const cast = condition['TypeCast'] as Tree | undefined;
  if (cast !== undefined) {
    const text = ((cast['arg'] as Tree | undefined)?.['A_Const'] as Tree | undefined)?.['sval'] as Tree | undefined;
    return /^(?:t|true|y|yes|on|1)$/i.test(String(text?.['sval'])) || isAlwaysTrue(cast['arg']);
  }
  const logic = condition['BoolExpr'] as Tree | undefined;
  if (logic !== undefined) {
    const parts = (logic['args'] as unknown[] | undefined) ?? [];
    if (logic['boolop'] === 'AND_EXPR') return parts.every(isAlwaysTrue);
    if (logic['boolop'] === 'OR_EXPR') return parts.some(isAlwaysTrue) || coversNull(parts);
    return parts.every(isAlwaysFalse);
  }
  const comparison = condition['A_Expr'] as Tree | undefined;
  if (comparison === undefined) return false;
  const [left, right] = [withoutPlace(comparison['lexpr']), withoutPlace(comparison['rexpr'])];
  const symbol = names(comparison['name']).at(-1) ?? '';
  if (['=', '>=', '<=', 'IS NOT DISTINCT FROM', '~~', '~~*'].includes(symbol) && left === right) return true;
  // Two different constants that are said to be different.
  return (
    ['<>', '!=', '<', '>'].includes(symbol) && left !== right && /^\{"A_Const"/.test(left) && /^\{"A_Const"/.test(right)
  );
}

function isAlwaysFalse(condition: unknown): boolean {
  if (!isTree(condition)) return false;
  const constant = condition['A_Const'] as Tree | undefined;
  if (constant === undefined) return false;
  const value = constant['boolval'] as Tree | undefined;
  return value !== undefined && value['boolval'] !== true;
}

/** `x IS NULL OR x IS NOT NULL` */
function coversNull(parts: readonly unknown[]): boolean {
  const tests = parts.flatMap((part) => (isTree(part) && isTree(part['NullTest']) ? [part['NullTest']] : []));
  return tests.some((test) =>
    tests.some(
      (other) =>
        other['nulltesttype'] !== test['nulltesttype'] && withoutPlace(other['arg']) === withoutPlace(test['arg']),
    ),
  );
}

function withoutPlace(node: unknown): string {
  return JSON.stringify(node, (key, value: unknown) => (key === 'location' ? undefined : value)) ?? '';
}
