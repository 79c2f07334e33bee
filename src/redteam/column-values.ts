import { matchingText } from './matching-text.ts';
import type { Column } from './table-shapes.ts';

/**
 * Values that a column may take, as text, the likeliest first: what its checks speak of, then what its type allows.
 *
 * @param n makes rows differ from one another.
 */
export function candidatesFor(column: Column, n: number, pick: (count: number) => number): readonly (string | null)[] {
  const typed = ofType(column, n, pick);
  const spoken = column.checks.flatMap((check) => ofCheck(check, pick));
  const fits = (text: string | null) =>
    text === null || column.maxLength === null ? text : text.slice(0, Math.max(1, column.maxLength));
  const ordered =
    spoken.length > 0 && !column.unique && typed !== null
      ? [...rotated(spoken, n), typed]
      : [typed, ...rotated(spoken, n)];
  const patterns = column.checks.flatMap((check) => ofPattern(check, pick));
  return [...patterns, ...ordered, ...(column.notNull ? [] : [null])].map(fits);
}

function rotated(values: readonly string[], n: number): readonly string[] {
  const at = values.length === 0 ? 0 : n % values.length;
  return [...values.slice(at), ...values.slice(0, at)];
}

/** Literals of a check are values that it lets in, or next to one. */
function ofCheck(check: string, pick: (count: number) => number): readonly string[] {
  const texts = [...check.matchAll(/(~\*?\s*)?'((?:[^']|'')*)'/g)]
    .filter(([, operator]) => operator === undefined)
    .map(([, , text = '']) => text.replaceAll("''", "'"));
  const numbers = [...check.replace(/'(?:[^']|'')*'/g, '').matchAll(/(?<![\w.])-?\d+(?:\.\d+)?/g)].map(([text]) =>
    Number(text),
  );
  return [...texts, ...numbers.flatMap((number) => [String(number + 1 + pick(5)), String(number), String(number - 1)])];
}

function ofPattern(check: string, pick: (count: number) => number): readonly string[] {
  return [...check.matchAll(/~\*?\s*'((?:[^']|'')*)'/g)].flatMap(([, pattern = '']) => {
    const text = matchingText(pattern.replaceAll("''", "'"), pick);
    return text === undefined ? [] : [text];
  });
}

const DAY_MS = 86_400_000;
/** Fixed, so that the same schema gets the same rows. */
const SOME_DAY = Date.UTC(2026, 0, 15, 9, 30);

function ofType(
  { base, array, labels, notNull, name }: Column,
  n: number,
  pick: (count: number) => number,
): string | null {
  if (array) return '{}';
  if (labels.length > 0) return labels[n % labels.length] ?? null;
  const moment = new Date(SOME_DAY + n * DAY_MS).toISOString();
  switch (base) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'oid':
      return String(n + 1);
    case 'numeric':
    case 'float4':
    case 'float8':
    case 'money':
      return String(n + 1);
    case 'bool':
      return n % 2 === 0 ? 'true' : 'false';
    case 'uuid':
      return `00000000-0000-4000-8000-${String(n + 1).padStart(12, '0')}`;
    case 'date':
      return moment.slice(0, 10);
    case 'timestamp':
    case 'timestamptz':
      return moment;
    case 'time':
    case 'timetz':
      return moment.slice(11, 19);
    case 'interval':
      return `${n + 1} hours`;
    case 'json':
    case 'jsonb':
      return `{"row": ${n}}`;
    case 'bytea':
      return `\\x${String(n).padStart(4, '0')}`;
    case 'inet':
    case 'cidr':
      return `10.0.${Math.floor(n / 250)}.${n % 250}`;
    case 'macaddr':
      return `08:00:2b:01:02:${(n % 256).toString(16).padStart(2, '0')}`;
    case 'xml':
      return `<row n="${n}"/>`;
    case 'bit':
    case 'varbit':
      return '1';
    case 'point':
      return `(${n},${pick(90)})`;
    case 'tsvector':
    case 'tsquery':
      return 'word';
    case 'text':
    case 'varchar':
    case 'bpchar':
    case 'name':
    case 'citext':
      return /mail/i.test(name) ? `someone${n}@example.com` : `${n} ${name}`;
    default:
      // Of a type that is not known nothing can be said but that nothing may be allowed.
      return /range$/.test(base) ? 'empty' : notNull ? '0' : null;
  }
}
