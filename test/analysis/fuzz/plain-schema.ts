import type { Model, ModelColumn, ModelRelation } from './model.ts';
import type { Random } from './random.ts';

/** Columns that a table may have, and what fills them. `i` is the row's number. */
const COLUMNS: readonly (ModelColumn & { readonly value: string })[] = [
  { name: 'a', type: 'int', value: 'i * 3 % 7' },
  { name: 'b', type: 'text', value: "'row ' || i" },
  { name: 'c', type: 'boolean', value: 'i % 2 = 0' },
  { name: 'n', type: 'numeric', value: 'i * 1.5' },
  { name: 'moment', type: 'timestamptz', value: "timestamptz '2026-01-01 00:00+00' + i * interval '1 day'" },
  { name: 'day', type: 'date', value: "date '2026-01-01' + i" },
  { name: 'doc', type: 'jsonb', value: "jsonb_build_object('k', i, 'list', jsonb_build_array(1, i))" },
  { name: 'list', type: 'int[]', value: 'ARRAY[i, i + 1]' },
  { name: '"Mixed Case"', type: 'text', value: "'x' || i" },
  { name: '"select"', type: 'int', value: 'i' },
  { name: 'mood', type: 'public.mood', value: "(ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::public.mood" },
  { name: 'plate', type: 'public.plate', value: "'P-' || i" },
  { name: 'place', type: 'public.place', value: 'ROW(i, i + 1)::public.place' },
];

const TYPES = `
CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN public.plate AS text CHECK (VALUE ~ '^[A-Z]') CHECK (length(VALUE) < 40);
CREATE TYPE public.place AS (x int, y int);
CREATE SEQUENCE public.plain_seq;
`;

/** Tables, partitions, views and keys as an honest application has them: nothing in it runs code of a user. */
export function plainSchema(random: Random): { readonly sql: string; readonly model: Model } {
  const tables = random.several(3, 5, (index) => tableNamed(random, `public.t${index + 1}`));
  const sql = [TYPES, ...tables.map((table) => table.sql), PARTITIONS, KEYS(random), secured(random)];
  const relations = [...tables.map(({ relation }) => relation), ...PARTITION_RELATIONS, ...KEY_RELATIONS];
  relations.push(relation('public.secured', [ID, A, B]));
  for (const [index, view] of random.several(2, 4, (at) => viewOver(random, at, relations)).entries()) {
    sql.push(view.sql(`public.w${index + 1}`));
    relations.push({ ...view.relation, name: `public.w${index + 1}` });
  }
  return {
    sql: sql.join('\n'),
    model: {
      relations,
      routines: [],
      types: [
        { name: 'public.mood', literal: "'ok'", harmless: true },
        { name: 'public.plate', literal: "'P-1'", harmless: true },
        { name: 'public.place', literal: "'(1,2)'", harmless: true },
      ],
      operators: [],
      sequences: ['public.plain_seq'],
      expressions: [],
      hidesEverywhere: false,
    },
  };
}

const ID: ModelColumn = { name: 'id', type: 'int' };
const A: ModelColumn = { name: 'a', type: 'int' };
const B: ModelColumn = { name: 'b', type: 'text' };

function relation(name: string, columns: readonly ModelColumn[]): ModelRelation {
  return { name, columns, holds: 'rows', harmless: true };
}

function tableNamed(random: Random, name: string) {
  const chosen = COLUMNS.filter(() => random.chance(0.55));
  const indexes = chosen.filter(({ type }) => /^(?:int|text|date|numeric)$/.test(type) && random.chance(0.3));
  const generated = random.chance(0.3) ? ', twice int GENERATED ALWAYS AS (id * 2) STORED' : '';
  const lines = chosen.map(({ name: column, type }) => `${column} ${type}`);
  const sql = [
    `CREATE TABLE ${name} (id int PRIMARY KEY${lines.map((line) => `, ${line}`).join('')}${generated}, CHECK (id > -1000));`,
    `INSERT INTO ${name} (id${chosen.map((column) => `, ${column.name}`).join('')}) SELECT i${chosen.map(({ value }) => `, ${value}`).join('')} FROM generate_series(1, 9) AS i;`,
    ...indexes.map((column) => `CREATE INDEX ON ${name} (${column.name}) WHERE id > 2;`),
    random.chance(0.3) ? `CREATE INDEX ON ${name} ((id % 10));` : '',
  ].join('\n');
  return {
    sql,
    relation: relation(name, [ID, ...chosen, ...(generated === '' ? [] : [{ name: 'twice', type: 'int' }])]),
  };
}

const PARTITIONS = `
CREATE TABLE public.parted (id int, a int, b text) PARTITION BY RANGE (id);
CREATE TABLE public.parted_low PARTITION OF public.parted FOR VALUES FROM (MINVALUE) TO (5);
CREATE TABLE public.parted_high PARTITION OF public.parted FOR VALUES FROM (5) TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE public.parted_high_0 PARTITION OF public.parted_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.parted_high_1 PARTITION OF public.parted_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.parted SELECT i, i % 3, 'p' || i FROM generate_series(1, 9) AS i;
CREATE TABLE public.elder (id int, a int, b text);
CREATE TABLE public.younger (extra int) INHERITS (public.elder);
INSERT INTO public.elder SELECT i, i, 'e' || i FROM generate_series(1, 4) AS i;
INSERT INTO public.younger SELECT i, i, 'y' || i, i FROM generate_series(5, 9) AS i;
`;
const PARTITION_RELATIONS = ['parted', 'parted_low', 'elder', 'younger'].map((name) =>
  relation(`public.${name}`, [ID, A, B]),
);

const ACTIONS = ['CASCADE', 'SET NULL', 'NO ACTION', 'SET DEFAULT'];

const KEYS = (random: Random) => `
CREATE TABLE public.owner (id int PRIMARY KEY, b text);
CREATE TABLE public.pet (id int PRIMARY KEY, a int DEFAULT 1 REFERENCES public.owner ON DELETE ${random.pick(ACTIONS)} ON UPDATE ${random.pick(ACTIONS)});
CREATE TABLE public.toy (id int PRIMARY KEY, a int REFERENCES public.pet ON DELETE ${random.pick(ACTIONS)} ON UPDATE CASCADE);
INSERT INTO public.owner SELECT i, 'o' || i FROM generate_series(1, 6) AS i;
INSERT INTO public.pet SELECT i, 1 + i % 6 FROM generate_series(1, 9) AS i;
INSERT INTO public.toy SELECT i, 1 + i % 9 FROM generate_series(1, 9) AS i;
`;
const KEY_RELATIONS = [
  relation('public.owner', [ID, B]),
  relation('public.pet', [ID, A]),
  relation('public.toy', [ID, A]),
];

const secured = (random: Random) => `
CREATE TABLE public.secured (id int PRIMARY KEY, a int, b text);
INSERT INTO public.secured SELECT i, i % 3, 's' || i FROM generate_series(1, 9) AS i;
ALTER TABLE public.secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.secured USING (${random.pick(['a < 2', 'a IN (SELECT o.id FROM public.owner AS o)', "b <> current_user || ''"])});
CREATE POLICY also ON public.secured FOR SELECT USING (${random.pick(['true', 'EXISTS (SELECT FROM public.toy AS t WHERE t.id = secured.id)'])});
`;

function viewOver(random: Random, _at: number, relations: readonly ModelRelation[]) {
  const base = random.pick(relations);
  const columns = base.columns.filter(() => random.chance(0.7));
  const shown = columns.length === 0 ? base.columns : columns;
  const list = shown.map(({ name }) => `s.${name}`).join(', ');
  const kind = random.pick(['VIEW', 'VIEW', 'INVOKER', 'MATERIALIZED VIEW']);
  const head = (name: string) =>
    kind === 'INVOKER' ? `VIEW ${name} WITH (security_invoker = true)` : `${kind} ${name}`;
  return {
    sql: (name: string) => `CREATE ${head(name)} AS SELECT ${list} FROM ${base.name} AS s WHERE s.id > 0;`,
    relation: { name: '', columns: shown, holds: 'a query', harmless: true } as ModelRelation,
  };
}
