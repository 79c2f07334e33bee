import type { Model, ModelColumn } from './model.ts';
import type { Random } from './random.ts';

/** A name in FROM, and the columns that it brings. */
export interface Visible {
  readonly alias: string;
  readonly columns: readonly ModelColumn[];
}

/** What a text is written with. */
export interface Pen {
  readonly random: Random;
  readonly model: Model;
  /** Only what runs no code of a user may be written. */
  readonly harmless: boolean;
  /** A query in parentheses that gives one value of a type. */
  readonly subquery: (pen: Pen, type: string, scope: readonly Visible[], depth: number) => string;
}

type Scope = readonly Visible[];

const LITERALS: Readonly<Record<string, readonly string[]>> = {
  int: ['0', '1', '3', '7', '-2', '0x1F', '1_000', 'NULL::int'],
  text: [
    "'x'",
    "'drop table t1'",
    '$$delete from t$$',
    "$q$it's$q$",
    "E'a\\nb'",
    "U&'\\0061bc'",
    "'-- no comment'",
    "''",
    'NULL',
  ],
  boolean: ['true', 'false', 'NULL::boolean'],
  numeric: ['1.5', '0', '3e2', '-0.1'],
  timestamptz: ['now()', "timestamptz '2026-01-02 03:04+00'", 'CURRENT_TIMESTAMP', 'LOCALTIMESTAMP'],
  date: ["date '2026-01-05'", 'CURRENT_DATE'],
  jsonb: [`'{"k": 1, "list": [1, 2]}'::jsonb`, 'jsonb_build_array(1, 2)', "jsonb '[]'"],
  'int[]': ['ARRAY[1, 2, 3]', "'{4,5}'::int[]", 'ARRAY[]::int[]'],
};
const TYPES = Object.keys(LITERALS);

/** An expression of a type, in which the scope's columns may stand. */
export function expression(pen: Pen, type: string, scope: Scope, depth: number): string {
  const { random, model } = pen;
  const columns = scope.flatMap(({ alias, columns: all }) =>
    all.filter((column) => column.type === type).map((column) => `${alias}.${column.name}`),
  );
  const leaf: [number, () => string][] = [[2, () => literal(pen, type)]];
  if (columns.length > 0) leaf.push([6, () => random.pick(columns)]);
  if (depth <= 0) return random.among(leaf);
  const own = model.expressions.filter((expression) => expression.type === type);
  if (!pen.harmless && own.length > 0) leaf.push([3, () => random.pick(own).sql]);
  const routines = model.routines.filter((routine) => routine.gives === type && routine.kind === 'function');
  if (!pen.harmless && routines.length > 0) {
    leaf.push([
      3,
      () => {
        const routine = random.pick(routines);
        return `${routine.name}(${routine.takes.map((taken) => expression(pen, taken, scope, depth - 1)).join(', ')})`;
      },
    ]);
  }
  const operators = model.operators.filter(({ left }) => left === type || type === 'boolean');
  if (!pen.harmless && operators.length > 0) {
    leaf.push([
      1,
      () => {
        const { symbol, left, right } = random.pick(operators);
        return `(${expression(pen, left, scope, depth - 1)} ${symbol} ${expression(pen, right, scope, depth - 1)})`;
      },
    ]);
  }
  return random.among<string>([
    ...leaf,
    [7, () => ofType(pen, type, scope, depth - 1)],
    [
      1,
      () =>
        `CASE WHEN ${expression(pen, 'boolean', scope, depth - 1)} THEN ${expression(pen, type, scope, depth - 1)} ELSE ${expression(pen, type, scope, depth - 1)} END`,
    ],
    [1, () => `COALESCE(${expression(pen, type, scope, depth - 1)}, ${expression(pen, type, scope, depth - 1)})`],
    [1, () => `NULLIF(${expression(pen, type, scope, depth - 1)}, ${expression(pen, type, scope, depth - 1)})`],
    [1, () => `GREATEST(${expression(pen, type, scope, depth - 1)}, ${expression(pen, type, scope, depth - 1)})`],
    [1, () => pen.subquery(pen, type, scope, depth - 1)],
    [1, () => `(${expression(pen, type, scope, depth - 1)})`],
    [1, () => `CAST(${expression(pen, type, scope, depth - 1)} AS ${type})`],
  ]);
}

/** A type that expressions are commonly of. */
export function anyType(pen: Pen): string {
  return pen.random.pick(TYPES);
}

function literal(pen: Pen, type: string): string {
  const known = LITERALS[type];
  if (known !== undefined) return pen.random.pick(known);
  const mine = pen.model.types.find(({ name }) => name === type);
  return mine === undefined ? `NULL::${type}` : `${mine.literal}::${mine.name}`;
}

function ofType(pen: Pen, type: string, scope: Scope, depth: number): string {
  const sub = (of: string) => expression(pen, of, scope, depth);
  const { random } = pen;
  switch (type) {
    case 'int':
      return random.among<string>([
        [4, () => `(${sub('int')} ${random.pick(['+', '-', '*', '&', '|', '#'])} ${sub('int')})`],
        [2, () => `abs(${sub('int')})`],
        [2, () => `length(${sub('text')})`],
        [1, () => `strpos(${sub('text')}, ${sub('text')})`],
        [1, () => `${sub('text')}::text::int`],
        [1, () => `EXTRACT(year FROM ${sub('timestamptz')})::int`],
        [1, () => `cardinality(${sub('int[]')})`],
        [1, () => `(${sub('int[]')})[1]`],
        [1, () => `jsonb_array_length(${sub('jsonb')})`],
        [1, () => `width_bucket(${sub('numeric')}, 0, 10, 5)`],
        [1, () => `position('a' IN ${sub('text')})`],
        [1, () => `(ROW(${sub('int')}, 2)::public.place).x`],
        [1, () => `JSON_VALUE(${sub('jsonb')}, '$.k' RETURNING int DEFAULT 0 ON ERROR)`],
        [1, () => `array_position(${sub('int[]')}, ${sub('int')})`],
        [1, () => `pg_column_size(${sub('text')})`],
        [1, () => `num_nulls(${sub('text')}, ${sub('int')})`],
      ]);
    case 'text':
      return random.among<string>([
        [3, () => `(${sub('text')} || ${sub('text')})`],
        [
          2,
          () =>
            `${random.pick(['upper', 'lower', 'initcap', 'md5', 'reverse', 'btrim', 'quote_ident'])}(${sub('text')})`,
        ],
        [1, () => `substring(${sub('text')} FROM 1 FOR 2)`],
        [1, () => `overlay(${sub('text')} PLACING 'z' FROM 1)`],
        [1, () => `trim(BOTH 'x' FROM ${sub('text')})`],
        [1, () => `format('%s-%I', ${sub('int')}, ${sub('text')})`],
        [1, () => `to_char(${sub('timestamptz')}, 'YYYY-MM')`],
        [1, () => `${sub('int')}::text`],
        [1, () => `${sub('text')} COLLATE "C"`],
        [1, () => `(${sub('jsonb')} ->> 'k')`],
        [1, () => `regexp_replace(${sub('text')}, '[a-z]', '', 'g')`],
        [1, () => `quote_nullable(${sub('text')})`],
        [1, () => `normalize(${sub('text')}, NFC)`],
        [1, () => `concat_ws(',', ${sub('text')}, ${sub('int')})`],
        [1, () => `pg_typeof(${sub('int')})::text`],
        [1, () => `array_to_string(${sub('int[]')}, ',')`],
        [1, () => `convert_from(convert_to(${sub('text')}, 'UTF8'), 'UTF8')`],
        [1, () => `current_setting('search_path')`],
        [1, () => `(xpath('/a/text()', '<a>1</a>'::xml))[1]::text`],
        [
          1,
          () => `XMLSERIALIZE(CONTENT XMLELEMENT(NAME n, XMLATTRIBUTES(${sub('int')} AS v), ${sub('text')}) AS text)`,
        ],
        [1, () => `to_tsvector('simple', ${sub('text')})::text`],
        [1, () => `COLLATION FOR (${sub('text')})`],
      ]);
    case 'boolean':
      return random.among<string>([
        [
          3,
          () => `(${sub('int')} ${random.pick(['<', '<=', '=', '<>', '>', '>=', 'IS DISTINCT FROM'])} ${sub('int')})`,
        ],
        [
          2,
          () =>
            `(${sub('text')} ${random.pick(['=', '<', '~', '!~*', 'LIKE', 'NOT ILIKE', 'SIMILAR TO', '^@'])} ${sub('text')})`,
        ],
        [1, () => `(${sub('text')} LIKE 'a!%' ESCAPE '!')`],
        [2, () => `(${sub('boolean')} ${random.pick(['AND', 'OR'])} ${sub('boolean')})`],
        [1, () => `(NOT ${sub('boolean')})`],
        [1, () => `(${sub(anyType(pen))} IS ${random.pick(['', 'NOT '])}NULL)`],
        [1, () => `(${sub('boolean')} IS NOT UNKNOWN)`],
        [1, () => `(${sub('int')} BETWEEN ${random.pick(['', 'SYMMETRIC '])}${sub('int')} AND ${sub('int')})`],
        [1, () => `(${sub('int')} IN (${sub('int')}, ${sub('int')}, 5))`],
        [1, () => `(${sub('int')} = ANY (${sub('int[]')}))`],
        [
          1,
          () =>
            `(${sub('int')} ${random.pick(['IN', 'NOT IN', '= ANY', '> ALL'])} ${pen.subquery(pen, 'int', scope, depth)})`,
        ],
        [1, () => `EXISTS ${pen.subquery(pen, 'int', scope, depth)}`],
        [1, () => `(ROW(${sub('int')}, ${sub('text')}) < ROW(${sub('int')}, ${sub('text')}))`],
        [1, () => `((${sub('int')}, 1) = (2, ${sub('int')}))`],
        [1, () => `(${sub('jsonb')} @> '{"k": 1}')`],
        [1, () => `(${sub('jsonb')} ? 'k')`],
        [1, () => `(${sub('text')} IS JSON OBJECT WITH UNIQUE KEYS)`],
        [1, () => `JSON_EXISTS(${sub('jsonb')}, '$.list[*] ? (@ > 1)')`],
        [1, () => `((${sub('date')}, ${sub('date')}) OVERLAPS (${sub('date')}, interval '3 days'))`],
        [1, () => `(to_tsvector('english', ${sub('text')}) @@ websearch_to_tsquery('english', 'delete or drop'))`],
        [1, () => `(${sub('text')} IS NFC NORMALIZED)`],
        [1, () => `starts_with(${sub('text')}, 'r')`],
        [1, () => `has_table_privilege('public.t1', 'SELECT')`],
      ]);
    case 'numeric':
      return random.among<string>([
        [2, () => `(${sub('numeric')} ${random.pick(['+', '-', '*'])} ${sub('numeric')})`],
        [1, () => `round(${sub('numeric')}, 1)`],
        [1, () => `${sub('int')}::numeric(10, 2)`],
        [1, () => `trunc(${sub('numeric')})`],
        [1, () => `to_number(${sub('text')}, '99')`],
        [1, () => `random()::numeric`],
      ]);
    case 'timestamptz':
      return random.among<string>([
        [1, () => `(${sub('timestamptz')} + interval '1 hour' * ${sub('int')})`],
        [1, () => `date_trunc('month', ${sub('timestamptz')})`],
        [1, () => `${sub('date')}::timestamptz`],
        [1, () => `(${sub('timestamptz')} AT TIME ZONE 'UTC')::timestamptz`],
        [1, () => `clock_timestamp()`],
        [1, () => `to_timestamp(${sub('int')})`],
        [1, () => `make_timestamptz(2026, 1, 1, 0, 0, 0)`],
      ]);
    case 'date':
      return random.among<string>([
        [1, () => `(${sub('date')} + ${sub('int')})`],
        [1, () => `${sub('timestamptz')}::date`],
        [1, () => `make_date(2026, 1, 2)`],
      ]);
    case 'jsonb':
      return random.among<string>([
        [1, () => `(${sub('jsonb')} || ${sub('jsonb')})`],
        [1, () => `(${sub('jsonb')} -> 'list')`],
        [1, () => `(${sub('jsonb')} #> '{list,0}')`],
        [1, () => `(${sub('jsonb')})['k']`],
        [1, () => `to_jsonb(${sub(anyType(pen))})`],
        [1, () => `jsonb_build_object('k', ${sub('int')}, 'v', ${sub('text')})`],
        [1, () => `jsonb_path_query_first(${sub('jsonb')}, '$.list[*]')`],
        [1, () => `JSON_OBJECT('k' VALUE ${sub('int')}, 'v': ${sub('text')} ABSENT ON NULL)::jsonb`],
        [1, () => `JSON_ARRAY(${sub('int')}, ${sub('text')} RETURNING jsonb)`],
        [1, () => `JSON_QUERY(${sub('jsonb')}, '$.list' WITH WRAPPER)`],
        [1, () => `JSON_SCALAR(${sub('int')})::jsonb`],
      ]);
    case 'int[]':
      return random.among<string>([
        [1, () => `(${sub('int[]')} || ${sub('int')})`],
        [1, () => `array_append(${sub('int[]')}, ${sub('int')})`],
        [1, () => `ARRAY[${sub('int')}, ${sub('int')}]`],
        [1, () => `ARRAY${pen.subquery(pen, 'int', scope, depth)}`],
        [1, () => `(${sub('int[]')})[1:2]`],
        [1, () => `string_to_array(${sub('text')}, ',')::int[]`],
        [1, () => `array_remove(${sub('int[]')}, ${sub('int')})`],
      ]);
    default:
      return literal(pen, type);
  }
}
