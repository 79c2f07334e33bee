import type { Model } from './model.ts';

/** Something in a schema that looks harmless and runs code that writes. */
export interface Trap {
  readonly name: string;
  readonly sql: string;
  /** Traps that it needs. */
  readonly needs?: readonly string[];
  readonly offers?: Partial<Model>;
}

const ID = { name: 'id', type: 'int' } as const;
const B = { name: 'b', type: 'text' } as const;
const rows = (name: string, columns: readonly { readonly name: string; readonly type: string }[] = [ID, B]) => ({
  name,
  columns,
  holds: 'rows' as const,
  harmless: false,
});
const query = (name: string, columns: readonly { readonly name: string; readonly type: string }[] = [ID]) => ({
  ...rows(name, columns),
  holds: 'a query' as const,
});

/** What every schema has: where the traps leave their marks. A sequence keeps its mark even if the transaction fails. */
export const MARKS = `
CREATE TABLE public.bites (at bigint);
CREATE SEQUENCE public.bite_seq;
CREATE FUNCTION public.bite() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO public.bites VALUES (nextval('public.bite_seq')); RETURN 1; END $$;
CREATE FUNCTION public.lie() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.bite(); END $$;
CREATE FUNCTION public.lie(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN $1; END $$;
CREATE FUNCTION public.lie(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN $1; END $$;
CREATE FUNCTION public.lies(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN true; END $$;
CREATE FUNCTION public.lies(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN true; END $$;
`;
const made = (name: string, columns = 'id int, b text') =>
  `CREATE TABLE ${name} (${columns}); INSERT INTO ${name} (id, b) SELECT i, 'r' || i FROM generate_series(1, 9) AS i;`;

/** Each is in a schema or not, by chance. */
export const TRAPS: readonly Trap[] = [
  {
    name: 'functions that lie, of every volatility',
    sql: `
      CREATE FUNCTION public.stably(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM public.bite(); RETURN $1; END $$;
      CREATE FUNCTION public.openly(int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM public.bite(); RETURN $1; END $$;
      CREATE FUNCTION public.inlined(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT public.lie($1)';
      CREATE FUNCTION public.defined(int) RETURNS int LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$ BEGIN PERFORM public.bite(); RETURN $1; END $$;
      CREATE FUNCTION public.defaulted(int DEFAULT public.lie()) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
      CREATE FUNCTION public.many(int) RETURNS SETOF int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM public.bite(); RETURN NEXT 1; END $$;
      CREATE PROCEDURE public.proceed(int) LANGUAGE plpgsql AS $$ BEGIN PERFORM public.bite(); END $$;`,
    offers: {
      routines: [
        { name: 'stably', takes: ['int'], gives: 'int', kind: 'function' },
        { name: 'public.openly', takes: ['int'], gives: 'int', kind: 'function' },
        { name: 'inlined', takes: ['int'], gives: 'int', kind: 'function' },
        { name: 'public.defined', takes: ['int'], gives: 'int', kind: 'function' },
        { name: 'defaulted', takes: [], gives: 'int', kind: 'function' },
        { name: 'public.many', takes: ['int'], gives: 'int', kind: 'set' },
        { name: 'public.proceed', takes: ['int'], gives: 'int', kind: 'procedure' },
        { name: 'lie', takes: ['text'], gives: 'text', kind: 'function' },
      ],
    },
  },
  {
    name: 'side effects that no row tells of',
    sql: `
      CREATE FUNCTION public.counts() RETURNS int LANGUAGE sql STABLE AS $$ SELECT nextval('public.bite_seq')::int $$;
      CREATE FUNCTION public.locks() RETURNS int LANGUAGE sql STABLE AS $$ SELECT 1 FROM pg_catalog.pg_advisory_lock(42) $$;
      CREATE FUNCTION public.tells() RETURNS int LANGUAGE sql STABLE AS $$ SELECT 1 FROM pg_catalog.pg_notify('bites', 'x') $$;
      CREATE FUNCTION public.sets() RETURNS int LANGUAGE sql STABLE AS $$ SELECT 1 FROM pg_catalog.set_config('fuzz.bitten', 'yes', false) $$;
      CREATE FUNCTION public.stores() RETURNS int LANGUAGE sql STABLE AS $$ SELECT pg_catalog.lo_create(0)::int $$;`,
    offers: {
      routines: ['counts', 'locks', 'tells', 'sets', 'stores'].map((name) => ({
        name: `public.${name}`,
        takes: [],
        gives: 'int',
        kind: 'function',
      })),
    },
  },
  {
    name: 'an aggregate',
    sql: `CREATE AGGREGATE public.gather(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', FINALFUNC = public.lie);
      CREATE AGGREGATE public.placid(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');`,
    offers: {
      routines: [
        { name: 'gather', takes: ['int'], gives: 'int', kind: 'aggregate' },
        { name: 'public.placid', takes: ['int'], gives: 'int', kind: 'aggregate' },
      ],
    },
  },
  {
    name: 'views over one another',
    sql: `${made('public.under')}
      CREATE VIEW public.first_view AS SELECT public.lie(id) AS id FROM public.under;
      CREATE VIEW public.second_view AS SELECT id FROM public.first_view;
      CREATE VIEW public.filtered AS SELECT id, b FROM public.under WHERE public.lies(id);
      CREATE MATERIALIZED VIEW public.frozen AS SELECT public.lie(id) AS id FROM public.under;`,
    offers: {
      relations: [
        rows('public.under'),
        query('public.second_view'),
        query('public.filtered', [ID, B]),
        query('public.frozen'),
      ],
    },
  },
  {
    name: 'a second policy',
    sql: `${made('public.guarded')} ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER TABLE public.guarded OWNER TO fuzz_owner;
      CREATE POLICY a_first ON public.guarded USING (id > 100); CREATE POLICY b_second ON public.guarded USING (public.lies(id));
      CREATE VIEW public.over_guarded WITH (security_invoker = false) AS SELECT id, b FROM public.guarded; ALTER VIEW public.over_guarded OWNER TO fuzz_owner;`,
    offers: { relations: [rows('public.guarded'), query('public.over_guarded', [ID, B])] },
  },
  {
    name: 'domains with checks',
    sql: `
      CREATE DOMAIN public.checked AS int CHECK (VALUE > -9) CHECK (public.lies(VALUE));
      CREATE DOMAIN public.above AS public.checked;
      CREATE TYPE public.holder AS (x public.above, y text);
      CREATE TABLE public.with_domain (id int, b text, k public.above);
      INSERT INTO public.with_domain SELECT i, 'd', i FROM generate_series(1, 9) AS i;`,
    offers: {
      relations: [rows('public.with_domain', [ID, B, { name: 'k', type: 'public.above' }])],
      types: [
        { name: 'public.checked', literal: "'1'", harmless: false },
        { name: 'above', literal: "'1'", harmless: false },
        { name: 'public.above[]', literal: "'{1}'", harmless: false },
        { name: 'public._checked', literal: "'{1}'", harmless: false },
        { name: 'public.holder', literal: "'(1,x)'", harmless: false },
        { name: 'public.holder[]', literal: `'{"(1,x)"}'`, harmless: false },
        { name: 'public.with_domain', literal: "'(1,b,1)'", harmless: false },
      ],
      expressions: [
        { sql: 'public.checked(1)', type: 'int' },
        { sql: 'above(1)', type: 'int' },
        { sql: '(jsonb_populate_record(NULL::public.holder, \'{"x": 1}\')).x', type: 'int' },
        { sql: "pg_input_is_valid('1', 'public.checked')", type: 'boolean' },
        { sql: "domain_in('1', 'public.checked'::regtype, -1)::text::int", type: 'int' },
        { sql: "array_in('{1}', 'public.above'::regtype, -1)::text", type: 'text' },
        { sql: "JSON_VALUE(jsonb '1', '$' RETURNING public.checked)", type: 'int' },
        { sql: "(XMLSERIALIZE(CONTENT '1'::xml AS text)::public.checked)", type: 'int' },
        { sql: '(SELECT x FROM json_to_record(\'{"x":1}\') AS r (x public.checked))', type: 'int' },
        { sql: '(SELECT x FROM jsonb_populate_record(NULL::public.with_domain, \'{"k":1}\') AS r (x))', type: 'int' },
        {
          sql: "(SELECT t.k FROM XMLTABLE('/r' PASSING '<r><k>1</k></r>'::xml COLUMNS k public.checked) AS t)",
          type: 'int',
        },
        { sql: "(SELECT t.k FROM JSON_TABLE(jsonb '1', '$' COLUMNS (k public.above PATH '$')) AS t)", type: 'int' },
      ],
    },
  },
  {
    name: 'operators of new names and old',
    sql: `
      CREATE FUNCTION public.near(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN true; END $$;
      CREATE OPERATOR public.=~ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.near);
      CREATE OPERATOR public.!~! (RIGHTARG = int, FUNCTION = public.lies);
      CREATE OPERATOR public.@+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4pl);`,
    offers: {
      operators: [
        { symbol: '=~', left: 'text', right: 'text' },
        { symbol: 'OPERATOR(public.=~)', left: 'text', right: 'text' },
        { symbol: '@+@', left: 'int', right: 'int' },
      ],
      expressions: [{ sql: '(!~! 1)', type: 'boolean' }],
    },
  },
  {
    name: 'an operator that shadows the server’s own',
    sql: `
      CREATE FUNCTION public.plus(int, text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.bite(); END $$;
      CREATE OPERATOR public.+ (LEFTARG = int, RIGHTARG = text, FUNCTION = public.plus);`,
    offers: { expressions: [{ sql: "(1 + 'a'::text)", type: 'int' }], hidesEverywhere: true },
  },
  {
    name: 'explicit casts of an enum',
    sql: `
      CREATE TYPE public.colour AS ENUM ('red', 'green');
      CREATE FUNCTION public.shade(public.colour) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.bite(); END $$;
      CREATE CAST (public.colour AS int) WITH FUNCTION public.shade(public.colour);
      CREATE FUNCTION public.as_json(public.colour) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN '1'; END $$;
      CREATE CAST (public.colour AS json) WITH FUNCTION public.as_json(public.colour);
      CREATE TABLE public.painted (id int, b text, paint public.colour); INSERT INTO public.painted SELECT i, 'p', 'red' FROM generate_series(1, 9) AS i;
      CREATE TYPE public.palette AS (one public.colour);
      CREATE TABLE public.palettes (id int, main public.palette, list public.colour[]); INSERT INTO public.palettes VALUES (1, ROW('red'::public.colour)::public.palette, '{red}');
      CREATE VIEW public.shaded AS SELECT id, paint::int AS a FROM public.painted;`,
    offers: {
      relations: [
        rows('public.painted', [ID, B, { name: 'paint', type: 'public.colour' }]),
        rows('public.palettes', [
          ID,
          { name: 'main', type: 'public.palette' },
          { name: 'list', type: 'public.colour[]' },
        ]),
        query('public.shaded', [ID, { name: 'a', type: 'int' }]),
      ],
      types: [{ name: 'public.colour', literal: "'red'", harmless: false }],
      expressions: [
        { sql: '(SELECT paint::int FROM public.painted LIMIT 1)', type: 'int' },
        { sql: '(SELECT to_json(p)::text FROM public.painted AS p LIMIT 1)', type: 'text' },
        { sql: '(SELECT row_to_json(p)::text FROM public.palettes AS p LIMIT 1)', type: 'text' },
        { sql: '(SELECT to_jsonb(p.list)::text FROM public.palettes AS p LIMIT 1)', type: 'text' },
        { sql: '(enum_first(NULL::public.colour)::int)', type: 'int' },
      ],
    },
  },
  {
    name: 'a cast of a whole row',
    sql: `${made('public.plainly')}
      CREATE FUNCTION public.telling(public.plainly) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.bite(); END $$;
      CREATE CAST (public.plainly AS int) WITH FUNCTION public.telling(public.plainly) AS IMPLICIT;`,
    offers: {
      relations: [rows('public.plainly')],
      expressions: [
        { sql: '(SELECT p::int FROM public.plainly AS p LIMIT 1)', type: 'int' },
        { sql: '(SELECT abs(p) FROM public.plainly AS p LIMIT 1)', type: 'int' },
        { sql: '(SELECT p.abs FROM public.plainly AS p LIMIT 1)', type: 'int' },
        { sql: '(SELECT p.telling FROM public.plainly AS p LIMIT 1)', type: 'int' },
      ],
    },
  },
  {
    name: 'a cast between types of the server',
    sql: `
      CREATE FUNCTION public.dated(boolean) RETURNS date LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN '2026-01-01'; END $$;
      CREATE CAST (boolean AS date) WITH FUNCTION public.dated(boolean) AS IMPLICIT;`,
    offers: {
      expressions: [
        { sql: 'true::date::text', type: 'text' },
        { sql: "date_part('year', true)::int", type: 'int' },
        { sql: 'isfinite(id > 3)', type: 'boolean' },
      ],
      hidesEverywhere: true,
    },
  },
  {
    name: 'an explicit cast between types of the server',
    sql: `
      CREATE FUNCTION public.flagged(date) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN true; END $$;
      CREATE CAST (date AS boolean) WITH FUNCTION public.flagged(date);`,
    offers: { expressions: [{ sql: "(date '2026-01-01')::boolean", type: 'boolean' }], hidesEverywhere: true },
  },
  {
    name: 'an order of its own for a composite type',
    sql: `
      CREATE TYPE public.pair AS (x int, y int);
      CREATE FUNCTION public.pair_cmp(public.pair, public.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN 0; END $$;
      CREATE FUNCTION public.pair_lt(public.pair, public.pair) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN false; END $$;
      CREATE FUNCTION public.pair_eq(public.pair, public.pair) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN true; END $$;
      CREATE OPERATOR public.<<<  (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_lt);
      CREATE OPERATOR public.<<=  (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_lt);
      CREATE OPERATOR public.===  (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_eq);
      CREATE OPERATOR public.>>=  (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_lt);
      CREATE OPERATOR public.>>>  (LEFTARG = public.pair, RIGHTARG = public.pair, FUNCTION = public.pair_lt);
      CREATE OPERATOR CLASS public.pair_ops DEFAULT FOR TYPE public.pair USING btree AS OPERATOR 1 public.<<<, OPERATOR 2 public.<<=, OPERATOR 3 public.===, OPERATOR 4 public.>>=, OPERATOR 5 public.>>>, FUNCTION 1 public.pair_cmp(public.pair, public.pair);
      CREATE TABLE public.pairs (id int, p public.pair); INSERT INTO public.pairs SELECT i, ROW(i, i)::public.pair FROM generate_series(1, 9) AS i;
      CREATE TYPE public.pair_range AS RANGE (SUBTYPE = public.pair);`,
    offers: {
      relations: [rows('public.pairs', [ID, { name: 'p', type: 'public.pair' }])],
      types: [
        { name: 'public.pair', literal: "'(1,2)'", harmless: false },
        { name: 'public.pair_range', literal: `'["(1,2)","(3,4)")'`, harmless: false },
      ],
      expressions: [
        { sql: '(SELECT count(DISTINCT p)::int FROM public.pairs)', type: 'int' },
        { sql: '(SELECT array_agg(p ORDER BY p)::text FROM public.pairs)', type: 'text' },
        {
          sql: '(SELECT count(*)::int FROM (SELECT p FROM public.pairs UNION SELECT p FROM public.pairs) AS u)',
          type: 'int',
        },
        { sql: `('["(1,2)","(3,4)")'::public.pair_range)::text`, type: 'text' },
        { sql: `isempty(public.pair_range(ROW(1,2)::public.pair, ROW(3,4)::public.pair))`, type: 'boolean' },
      ],
    },
  },
  {
    name: 'an index with an order of its own',
    sql: `
      CREATE FUNCTION public.int_cmp(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.bite(); RETURN CASE WHEN $1 < $2 THEN -1 WHEN $1 > $2 THEN 1 ELSE 0 END; END $$;
      CREATE OPERATOR CLASS public.int_ops FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 public.int_cmp(int, int);
      ${made('public.ordered')} CREATE INDEX ON public.ordered (id public.int_ops);`,
    offers: {
      relations: [rows('public.ordered')],
      expressions: [
        { sql: '(SELECT count(*)::int FROM public.ordered WHERE id = 4)', type: 'int' },
        { sql: '(SELECT max(id) FROM public.ordered)', type: 'int' },
      ],
    },
  },
  {
    name: 'partitions by an order of their own',
    needs: ['an index with an order of its own'],
    sql: `
      CREATE TABLE public.cut (id int, b text) PARTITION BY RANGE (id public.int_ops);
      CREATE TABLE public.cut_1 PARTITION OF public.cut FOR VALUES FROM (0) TO (5);
      CREATE TABLE public.cut_2 PARTITION OF public.cut FOR VALUES FROM (5) TO (100);
      INSERT INTO public.cut SELECT i, 'c' FROM generate_series(1, 9) AS i;`,
    offers: {
      relations: [rows('public.cut')],
      expressions: [{ sql: '(SELECT count(*)::int FROM public.cut WHERE id = 3)', type: 'int' }],
    },
  },
  {
    name: 'what the planner evaluates',
    sql: `
      ${made('public.predicate')} CREATE INDEX ON public.predicate (id) WHERE id > public.lie();
      ${made('public.indexed')} CREATE INDEX ON public.indexed ((id + public.lie()));
      ${made('public.constrained')} ALTER TABLE public.constrained ADD CHECK (id >= public.lie());
      ${made('public.counted')} CREATE STATISTICS public.counted_stats ON (id + public.lie()), b FROM public.counted; ANALYZE public.counted;
      CREATE TABLE public.above_it (id int, b text); CREATE TABLE public.below_it (CHECK (id >= public.lie())) INHERITS (public.above_it);
      INSERT INTO public.below_it SELECT i, 'b' FROM generate_series(1, 9) AS i;
      CREATE TABLE public.hashed (id int, b text) PARTITION BY RANGE ((id + public.lie()));
      CREATE TABLE public.hashed_1 PARTITION OF public.hashed FOR VALUES FROM (0) TO (5);
      CREATE TABLE public.hashed_2 PARTITION OF public.hashed DEFAULT;`,
    offers: {
      relations: ['predicate', 'indexed', 'constrained', 'counted', 'above_it', 'hashed'].map((name) =>
        rows(`public.${name}`),
      ),
      expressions: [
        { sql: '(SELECT count(*)::int FROM public.constrained WHERE id > 3)', type: 'int' },
        { sql: '(SELECT count(*)::int FROM public.above_it WHERE id > 3)', type: 'int' },
        { sql: '(SELECT count(*)::int FROM public.hashed WHERE id > 3)', type: 'int' },
      ],
    },
  },
  {
    name: 'functions that are called like columns',
    sql: `
      ${made('public.noted')}
      CREATE FUNCTION public.peek(public.noted) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.bite(); END $$;
      CREATE DOMAIN public.noted_row AS public.noted;
      CREATE FUNCTION public.glance(public.noted_row) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.bite(); END $$;
      CREATE FUNCTION public.whatever(anyelement) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN public.bite(); END $$;`,
    offers: {
      relations: [rows('public.noted')],
      expressions: ['peek', 'glance', 'whatever'].flatMap((name) => [
        { sql: `(SELECT n.${name} FROM public.noted AS n LIMIT 1)`, type: 'int' },
        { sql: `(SELECT (n).${name} FROM public.noted AS n LIMIT 1)`, type: 'int' },
        { sql: `(SELECT ${name}(n) FROM public.noted AS n LIMIT 1)`, type: 'int' },
      ]),
    },
  },
  {
    name: 'views in schemas of the server',
    sql: 'CREATE VIEW information_schema.evil AS SELECT public.lie(1) AS id;',
    offers: { relations: [query('information_schema.evil')] },
  },
  {
    name: 'triggers',
    sql: `
      ${made('public.watched')} ${made('public.noticed')} ALTER TABLE public.watched ADD PRIMARY KEY (id);
      CREATE FUNCTION public.follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.noticed SET b = 'seen' WHERE id = 1; RETURN COALESCE(NEW, OLD); END $$;
      CREATE TRIGGER follow AFTER INSERT OR UPDATE OR DELETE ON public.watched FOR EACH ROW EXECUTE FUNCTION public.follow();
      CREATE FUNCTION public.emptied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.noticed; RETURN NULL; END $$;
      CREATE TRIGGER emptied AFTER TRUNCATE ON public.watched EXECUTE FUNCTION public.emptied();
      CREATE VIEW public.instead AS SELECT id, b FROM public.watched;
      CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE OR DELETE ON public.instead FOR EACH ROW EXECUTE FUNCTION public.follow();`,
    offers: { relations: [rows('public.watched'), query('public.instead', [ID, B])] },
  },
  {
    name: 'rules',
    sql: `
      ${made('public.ruled')} ${made('public.swallowed')}
      CREATE RULE also AS ON UPDATE TO public.ruled DO ALSO DELETE FROM public.swallowed WHERE id = old.id;
      CREATE RULE stead AS ON DELETE TO public.ruled DO INSTEAD UPDATE public.swallowed SET b = 'gone';
      CREATE VIEW public.ruled_view AS SELECT id, b FROM public.ruled;
      CREATE RULE through AS ON INSERT TO public.ruled_view DO INSTEAD INSERT INTO public.swallowed VALUES (new.id, new.b);`,
    offers: { relations: [rows('public.ruled'), query('public.ruled_view', [ID, B])] },
  },
  {
    name: 'defaults and generated columns',
    sql: `
      CREATE TABLE public.filled (id int DEFAULT public.lie(), b text DEFAULT 'b', g int GENERATED ALWAYS AS (public.lie(1)) STORED, s serial);
      INSERT INTO public.filled DEFAULT VALUES;`,
    offers: { relations: [rows('public.filled')], sequences: ['public.filled_s_seq'] },
  },
];
