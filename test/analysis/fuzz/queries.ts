import { anyType, expression, type Pen, type Visible } from './expressions.ts';
import type { ModelColumn } from './model.ts';

type Scope = readonly Visible[];

/** A query as a whole: WITH, set operations, ORDER BY, LIMIT, sometimes locks. */
export function query(pen: Pen, scope: Scope, depth: number): string {
  const { random } = pen;
  const count = 1 + random.below(3);
  const types = Array.from({ length: count }, () => anyType(pen));
  return random.among<string>([
    [8, () => selectOf(pen, types, scope, depth)],
    [2, () => withQuery(pen, types, scope, depth)],
    [
      1,
      () => `${selectOf(pen, types, scope, depth - 1)} ${setOperator(pen)} ${selectOf(pen, types, scope, depth - 1)}`,
    ],
    [1, () => `VALUES (${types.map((type) => expression(pen, type, scope, depth - 1)).join(', ')})`],
    [1, () => `TABLE ${random.pick(readable(pen)).name}`],
    [1, () => grouped(pen, scope, depth)],
    [1, () => windowed(pen, scope, depth)],
    [1, () => recursive(pen)],
    [1, () => `(${query(pen, scope, depth - 1)})`],
    [1, () => `${selectOf(pen, types, scope, depth)} FETCH FIRST 3 ROWS ${random.pick(['ONLY', 'ONLY'])}`],
    [1, () => catalogueQuery(pen)],
  ]);
}

/** A query in parentheses that gives one value. */
export function scalarSubquery(pen: Pen, type: string, scope: Scope, depth: number): string {
  const { items, visible } = fromClause(pen, scope, depth);
  return `(SELECT ${expression(pen, type, [...scope, ...visible], depth)} FROM ${items}${where(pen, [...scope, ...visible], depth)} LIMIT 1)`;
}

/** Relations that may be read. */
export function readable(pen: Pen) {
  return pen.harmless ? pen.model.relations.filter((relation) => relation.harmless) : pen.model.relations;
}

let made = 0;
const aliasOf = (pen: Pen) => (pen.random.chance(0.1) ? `"Alias ${made++}"` : `x${made++}`);

function selectOf(pen: Pen, types: readonly string[], scope: Scope, depth: number): string {
  const { random } = pen;
  const { items, visible } = fromClause(pen, scope, depth);
  const all = [...scope, ...visible];
  const distinct = random.among<string>([
    [8, () => ''],
    [1, () => 'DISTINCT '],
    [1, () => `DISTINCT ON (${expression(pen, 'int', visible, 0)}) `],
  ]);
  const list = types.map(
    (type) => `${expression(pen, type, all, depth)}${random.chance(0.3) ? ` AS "c ${made++}"` : ''}`,
  );
  if (random.chance(0.1)) list.push(`${visible[0]?.alias}.*`);
  const order =
    distinct === '' && random.chance(0.3)
      ? ` ORDER BY ${expression(pen, anyType(pen), visible, 1)}${random.pick(['', ' DESC', ' NULLS FIRST', ' ASC'])}`
      : '';
  const limit = random.pick(['', '', ' LIMIT 3', ' LIMIT ALL OFFSET 1', ' OFFSET 2 ROWS']);
  return `SELECT ${distinct}${list.join(', ')} FROM ${items}${where(pen, all, depth)}${order}${scope.length === 0 ? limit : ''}`.replace(
    distinct === '' ? /^$/ : / ORDER BY .*$/,
    '',
  );
}

function where(pen: Pen, scope: Scope, depth: number): string {
  return pen.random.chance(0.5) ? ` WHERE ${expression(pen, 'boolean', scope, depth)}` : '';
}

function setOperator({ random }: Pen): string {
  return `${random.pick(['UNION', 'INTERSECT', 'EXCEPT'])}${random.pick(['', ' ALL', ' DISTINCT'])}`;
}

/** FROM items and what they bring. */
function fromClause(pen: Pen, scope: Scope, depth: number): { readonly items: string; readonly visible: Scope } {
  const { random } = pen;
  const first = fromItem(pen, scope, depth);
  if (depth <= 0 || random.chance(0.6)) return { items: first.sql, visible: [first.visible] };
  const second = fromItem(pen, random.chance(0.3) ? [...scope, first.visible] : scope, depth - 1);
  const visible = [first.visible, second.visible];
  return random.among([
    [2, () => ({ items: `${first.sql}, ${second.sql}`, visible })],
    [
      3,
      () => ({
        items: `${first.sql} ${random.pick(['JOIN', 'LEFT JOIN', 'FULL JOIN', 'RIGHT OUTER JOIN'])} ${second.sql} ON ${expression(pen, 'int', [first.visible], 0)} = ${expression(pen, 'int', [second.visible], 0)}`,
        visible,
      }),
    ],
    [1, () => ({ items: `${first.sql} CROSS JOIN LATERAL ${second.sql.replace(/^LATERAL /, '')}`, visible })],
    [1, () => ({ items: `${first.sql} NATURAL JOIN ${second.sql}`, visible })],
  ]);
}

function fromItem(pen: Pen, scope: Scope, depth: number): { readonly sql: string; readonly visible: Visible } {
  const { random, model } = pen;
  const alias = aliasOf(pen);
  const seen = (sql: string, columns: readonly ModelColumn[]) => ({ sql, visible: { alias, columns } });
  const n: ModelColumn = { name: 'n', type: 'int' };
  const sets = pen.harmless ? [] : model.routines.filter((routine) => routine.kind === 'set');
  return random.among([
    [
      12,
      () => {
        const relation = random.pick(readable(pen));
        const plain = random.chance(0.15) ? relation.name.replace(/^public\./, '') : relation.name;
        const sample =
          relation.holds === 'rows' && random.chance(0.05) ? ` TABLESAMPLE BERNOULLI (50) REPEATABLE (1)` : '';
        return seen(
          `${random.chance(0.1) && relation.holds === 'rows' ? 'ONLY ' : ''}${plain} AS ${alias}${sample}`,
          relation.columns,
        );
      },
    ],
    [1, () => seen(`generate_series(1, ${1 + random.below(5)}) AS ${alias}(n)`, [n])],
    [1, () => seen(`unnest(${expression(pen, 'int[]', scope, 1)}) WITH ORDINALITY AS ${alias}(n, place)`, [n])],
    [1, () => seen(`jsonb_array_elements(jsonb '[1,2]') AS ${alias}(doc)`, [{ name: 'doc', type: 'jsonb' }])],
    [
      1,
      () =>
        seen(`ROWS FROM (generate_series(1, 2), unnest(ARRAY['a'])) AS ${alias}(n, b)`, [
          n,
          { name: 'b', type: 'text' },
        ]),
    ],
    [
      1,
      () =>
        seen(
          `JSON_TABLE(${expression(pen, 'jsonb', [], 1)}, '$.list[*]' COLUMNS (place FOR ORDINALITY, n int PATH '$', NESTED PATH '$.x' COLUMNS (deep text PATH '$'))) AS ${alias}`,
          [n],
        ),
    ],
    [
      1,
      () =>
        seen(
          `XMLTABLE('/r/v' PASSING '<r><v>1</v></r>'::xml COLUMNS n int PATH '.' DEFAULT 0, b text PATH '@x') AS ${alias}`,
          [n, { name: 'b', type: 'text' }],
        ),
    ],
    [1, () => seen(`jsonb_to_recordset('[{"n":1}]') AS ${alias}(n int, b text)`, [n, { name: 'b', type: 'text' }])],
    [
      sets.length > 0 ? 2 : 0,
      () => {
        const routine = random.pick(sets);
        return seen(
          `${routine.name}(${routine.takes.map((type) => expression(pen, type, scope, 1)).join(', ')}) AS ${alias}(n)`,
          [n],
        );
      },
    ],
    [
      depth > 0 ? 3 : 0,
      () => {
        const types = [anyType(pen), 'int'];
        const body = selectOf(pen, types, random.chance(0.3) ? scope : [], depth - 1);
        const columns = types.map((type, index) => ({ name: `k${index}`, type }));
        const list = columns.map(({ name }) => name).join(', ');
        return seen(
          `${random.pick(['', 'LATERAL '])}(${body.replace(/, x\d+\.\*|, "Alias \d+"\.\*/g, '')}) AS ${alias}(${list})`,
          columns,
        );
      },
    ],
  ]);
}

function withQuery(pen: Pen, types: readonly string[], scope: Scope, depth: number): string {
  const { random } = pen;
  const name = random.pick(['w', 't1', 'drop', 'pet', '"With"']).replace(/^drop$/, '"drop"');
  const body = selectOf(pen, ['int', 'text'], scope, depth - 1).replace(/, x\d+\.\*|, "Alias \d+"\.\*/g, '');
  const marked = random.pick(['', '', 'MATERIALIZED ', 'NOT MATERIALIZED ']);
  const visible = {
    alias: name,
    columns: [
      { name: 'id', type: 'int' },
      { name: 'b', type: 'text' },
    ],
  };
  const list = types.map((type) => expression(pen, type, [visible], depth - 1)).join(', ');
  return `WITH ${name} (id, b) AS ${marked}(${body}) SELECT ${list} FROM ${name}${where(pen, [visible], depth - 1)}`;
}

function recursive(pen: Pen): string {
  const extra = pen.random.pick(['', '', ' SEARCH BREADTH FIRST BY n SET place', ' CYCLE n SET looped USING path']);
  return `WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5)${extra} SELECT * FROM r`;
}

function grouped(pen: Pen, scope: Scope, depth: number): string {
  const { random, model } = pen;
  const relation = random.pick(readable(pen));
  const visible = { alias: 'g', columns: relation.columns };
  const key = random.pick(relation.columns);
  const mine = pen.harmless ? [] : model.routines.filter(({ kind }) => kind === 'aggregate');
  const aggregate = random.among<string>([
    [2, () => 'count(*)'],
    [1, () => `count(DISTINCT g.${random.pick(relation.columns).name})`],
    [
      2,
      () => `${random.pick(['sum', 'avg', 'max', 'min', 'stddev'])}(${expression(pen, 'int', [visible], depth - 1)})`,
    ],
    [1, () => `array_agg(g.${random.pick(relation.columns).name} ORDER BY ${expression(pen, 'int', [visible], 0)})`],
    [
      1,
      () =>
        `string_agg(${expression(pen, 'text', [visible], 1)}, ',') FILTER (WHERE ${expression(pen, 'boolean', [visible], 1)})`,
    ],
    [1, () => `percentile_cont(0.5) WITHIN GROUP (ORDER BY ${expression(pen, 'int', [visible], 0)})`],
    [1, () => `mode() WITHIN GROUP (ORDER BY ${expression(pen, 'text', [visible], 0)})`],
    [1, () => `jsonb_agg(g)`],
    [1, () => `JSON_OBJECTAGG('k' VALUE ${expression(pen, 'int', [visible], 0)})`],
    [1, () => `JSON_ARRAYAGG(${expression(pen, 'int', [visible], 0)})`],
    [1, () => `GROUPING(g.${key.name})`],
    [mine.length > 0 ? 2 : 0, () => `${random.pick(mine).name}(${expression(pen, 'int', [visible], 0)})`],
  ]);
  const by = random.pick([
    key.name,
    `ROLLUP (g.${key.name})`,
    `CUBE (g.${key.name})`,
    `GROUPING SETS ((g.${key.name}), ())`,
    `DISTINCT g.${key.name}`,
  ]);
  const having = random.chance(0.3) ? ` HAVING count(*) > ${expression(pen, 'int', scope, 1)}` : '';
  return `SELECT g.${key.name}, ${aggregate} FROM ${relation.name} AS g GROUP BY ${by.includes('.') ? by : `g.${by}`}${having}`;
}

function windowed(pen: Pen, _scope: Scope, depth: number): string {
  const { random } = pen;
  const relation = random.pick(readable(pen));
  const visible = { alias: 'g', columns: relation.columns };
  const call = random.pick([
    'row_number()',
    'rank()',
    'lag(g.id)',
    'sum(g.id)',
    'first_value(g.id)',
    'ntile(2)',
    'count(*)',
  ]);
  const frame = random.pick([
    '',
    ' ROWS BETWEEN 1 PRECEDING AND CURRENT ROW',
    ' GROUPS UNBOUNDED PRECEDING EXCLUDE TIES',
    ' RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING',
  ]);
  const inner = `PARTITION BY ${expression(pen, anyType(pen), [visible], depth - 1)} ORDER BY g.id`;
  return random.chance(0.5)
    ? `SELECT g.id, ${call} OVER (${inner}${frame}) FROM ${relation.name} AS g`
    : `SELECT ${call} OVER w FROM ${relation.name} AS g WINDOW w AS (${inner})`;
}

function catalogueQuery({ random }: Pen): string {
  return random.pick([
    "SELECT c.relname, pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1",
    'SELECT table_name, column_name FROM information_schema.columns ORDER BY 1, 2 LIMIT 5',
    'SELECT version(), current_user, session_user, current_database(), pg_backend_pid()',
    "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = 'public.t1'::regclass AND a.attnum > 0",
    'SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = $$v$$ LIMIT 2',
    'SELECT pg_get_indexdef(indexrelid), pg_get_expr(indpred, indrelid) FROM pg_index LIMIT 9',
    "SELECT pg_size_pretty(pg_total_relation_size('public.t1')), obj_description('public.t1'::regclass)",
    'SELECT * FROM pg_stat_user_tables LIMIT 2',
    'SELECT name, setting FROM pg_settings LIMIT 3',
  ]);
}
