import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Measured } from '../../../src/engines/engine.ts';
import { newest } from '../../fixtures/postgres.ts';
import { openRentalTarget, planId, type RentalTarget } from './rental-target.ts';

const CUSTOMERS = 'public.customers';

describe.each(newest)('G2 the exact effect, on $name', ({ binaries }) => {
  let rental: RentalTarget;
  beforeAll(async () => {
    rental = await openRentalTarget(binaries);
  }, 60_000);
  afterAll(() => rental?.remove());

  const effectOf = ({ measurement, failure }: Measured) => {
    if (!measurement.measured) throw new Error(`not measured: ${failure?.message ?? measurement.why}`);
    return measurement.effect;
  };
  const whyNot = ({ measurement }: Measured) => (measurement.measured ? 'measured' : measurement.why);

  it('is that of each cascade and trigger to the row, and nothing is left of the dry run', async () => {
    const everything = `
      SELECT (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM customers AS t) AS customers, (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM reservations AS t) AS reservations,
             (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM payments AS t) AS payments, (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM damage_reports AS t) AS damage_reports,
             (SELECT count(*) FROM audit_log) AS audit_log, (SELECT count(*) FROM pg_trigger) AS triggers`;
    const before = await rental.sql(everything);
    const [truth] = await rental.sql<{ reservations: number; payments: number; reports: number }>(`
      WITH r AS (SELECT id FROM reservations WHERE customer_id <= 10)
      SELECT (SELECT count(*)::int FROM r) AS reservations, (SELECT count(*)::int FROM payments WHERE reservation_id IN (SELECT id FROM r)) AS payments,
             (SELECT count(*)::int FROM damage_reports WHERE reservation_id IN (SELECT id FROM r)) AS reports`);
    const { reservations = 0, payments = 0, reports = 0 } = truth ?? {};
    const { tables } = effectOf(await rental.measure(['DELETE FROM public.customers WHERE id <= 10'], [CUSTOMERS]));
    const counts = (inserted: number, updated: number, deleted: number) => ({ inserted, updated, deleted });
    expect(
      Object.fromEntries(
        tables.map(({ table, inserted, updated, deleted }) => [table, counts(inserted, updated, deleted)]),
      ),
    ).toEqual({
      'public.customers': counts(0, 0, 10),
      'public.reservations': counts(0, 0, reservations),
      'public.payments': counts(0, 0, payments),
      'public.audit_log': counts(reservations + payments, 0, 0),
      ...(reports === 0 ? {} : { 'public.damage_reports': counts(0, reports, 0) }),
    });
    expect(reservations).toBeGreaterThan(0);
    expect(await rental.sql(everything)).toEqual(before);
  });

  it('leaves out what a caught error took back', async () => {
    const caught = `DO $$ BEGIN
      BEGIN UPDATE public.vehicles SET retired = true; RAISE EXCEPTION 'no'; EXCEPTION WHEN others THEN NULL; END;
      UPDATE public.customers SET loyalty_points = 1 WHERE id = 1; END $$`;
    expect(effectOf(await rental.measure([caught], [CUSTOMERS])).tables).toMatchObject([
      { table: CUSTOMERS, updated: 1 },
    ]);
  });

  it('has the rows that went with a table which was made anew under its name', async () => {
    const [row] = await rental.sql<{ n: number }>('SELECT count(*)::int AS n FROM schema_migrations');
    const remade = [
      'DROP TABLE public.schema_migrations',
      'CREATE TABLE public.schema_migrations (version text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
    ];
    const object = 'table public.schema_migrations';
    expect(effectOf(await rental.measure(remade, ['public.schema_migrations'])).objects).toEqual(
      expect.arrayContaining([
        { change: 'dropped', object, rows: row?.n },
        { change: 'created', object },
      ]),
    );
  });

  it('follows a table to its new name', async () => {
    const renamed = ['ALTER TABLE public.damage_reports RENAME TO reports', 'DELETE FROM public.reports'];
    const [row] = await rental.sql<{ n: number }>('SELECT count(*)::int AS n FROM damage_reports');
    expect(effectOf(await rental.measure(renamed, ['public.damage_reports'])).tables).toMatchObject([
      { table: 'public.damage_reports', deleted: row?.n },
    ]);
  });

  it('has the rows that a plan puts into a table of its own making', async () => {
    const made = [
      'CREATE TABLE public.big_spenders (id bigint, since timestamptz DEFAULT clock_timestamp())',
      'INSERT INTO public.big_spenders (id) SELECT id FROM public.customers WHERE id <= 7',
      'DELETE FROM public.big_spenders WHERE id > 5',
      'CREATE TABLE public.copied AS SELECT * FROM public.vehicles WHERE id <= 3',
    ];
    const effect = effectOf(await rental.measure(made, []));
    expect(effect.tables).toMatchObject([
      { table: 'public.big_spenders', inserted: 5, deleted: 0 },
      { table: 'public.copied', inserted: 3 },
    ]);
    expect(effect.volatileColumns).toEqual({ 'public.big_spenders': ['since'] });
    expect(effect.samples.map(({ table }) => table)).toContain('public.copied');
  });

  it('is the same whatever the order in which rows are met, and another one when two values change places', async () => {
    const digestOf = async (order: string, names: string) => {
      const remade = `CREATE TABLE public.ordered AS SELECT i AS id, ${names} AS name FROM generate_series(1, 300) AS i ORDER BY ${order}`;
      await rental.sql(`${remade}; ALTER TABLE public.ordered OWNER TO countersign_apply`);
      const measured = await rental.measure(['UPDATE public.ordered SET id = id + 1000'], ['public.ordered']);
      await rental.sql('DROP TABLE public.ordered');
      return effectOf(measured).digest;
    };
    const exchanged = "CASE id WHEN 1 THEN '2' WHEN 2 THEN '1' ELSE id::text END".replaceAll('id', 'i');
    const digest = await digestOf('i', 'i::text');
    expect(await digestOf('i DESC', 'i::text')).toBe(digest);
    expect(await digestOf('i', exchanged)).not.toBe(digest);
  });

  it('differs between rows that say the same when their values are read one after the other', async () => {
    const many = Array.from({ length: 95 }, (_, n) => `m${n} int`).join(', ');
    await rental.sql(`
      CREATE TYPE public.mood AS ENUM ('a', 'ab');
      CREATE TABLE public.alike (id int, a text, "b,%s" text, n numeric, f boolean, e public.mood, l int[]);
      CREATE TABLE public.broad (id int, ${many}, a text, b text);
      ALTER TABLE public.alike OWNER TO countersign_apply; ALTER TABLE public.broad OWNER TO countersign_apply; ALTER TYPE public.mood OWNER TO countersign_apply`);
    const digestOf = async (table: string, rows: string) => {
      await rental.sql(`DELETE FROM ${table}; INSERT INTO ${table} ${rows}`);
      return effectOf(await rental.measure([`DELETE FROM ${table}`], [table])).digest;
    };
    const long = 'x'.repeat(200);
    const sets = [
      "VALUES (1, 'ab', 'c'), (2, 'x', 'y')",
      "VALUES (1, 'a', 'bc'), (2, 'x', 'y')",
      "VALUES (1, 'ab', 'x'), (2, 'c', 'y')",
      "VALUES (1, '', NULL), (2, 'x', 'y')",
      "VALUES (1, NULL, ''), (2, 'x', 'y')",
      "VALUES (1, NULL, NULL), (2, 'x', 'y')",
      "VALUES (1, '', ''), (2, 'x', 'y')",
      "VALUES (1, '', ''), (2, 'x', 'y'), (2, 'x', 'y')",
      "VALUES (1, NULL, NULL, 1.0, NULL, NULL, NULL), (2, 'x', 'y', NULL, NULL, NULL, NULL)",
      "VALUES (1, NULL, NULL, 1, NULL, NULL, NULL), (2, 'x', 'y', NULL, NULL, NULL, NULL)",
      "VALUES (1, NULL, NULL, NULL, false, NULL, NULL), (2, 'x', 'y', NULL, NULL, NULL, NULL)",
      "VALUES (1, NULL, NULL, NULL, NULL, 'a', '{1,2}'::int[]), (2, 'x', 'y', NULL, NULL, 'ab', NULL)",
      "VALUES (1, NULL, NULL, NULL, NULL, 'ab', '{1,2}'::int[]), (2, 'x', 'y', NULL, NULL, 'a', NULL)",
      "VALUES (1, NULL, NULL, NULL, NULL, 'ab', '{{1},{2}}'::int[]), (2, 'x', 'y', NULL, NULL, 'a', NULL)",
      `VALUES (1, '${long}', 'a'), (2, 'x', 'y')`,
      `VALUES (1, '${long}a', ''), (2, 'x', 'y')`,
    ];
    const digests: string[] = [];
    for (const rows of sets) digests.push(await digestOf('public.alike', rows));
    expect(new Set(digests).size).toBe(sets.length);
    expect(await digestOf('public.alike', "VALUES (2, 'x', 'y'), (1, 'ab', 'c')")).toBe(digests[0]);
    const of = (a: string, b: string) => `(id, a, b) VALUES (1, ${a}, ${b}), (2, 'x', 'y')`;
    const broad = [
      await digestOf('public.broad', of("'ab'", "'c'")),
      await digestOf('public.broad', of("'a'", "'bc'")),
    ];
    expect(new Set(broad).size).toBe(2);
    await rental.sql('DROP TABLE public.alike, public.broad; DROP TYPE public.mood');
  });

  it('is looked up in no catalogue that a plan has made for itself', async () => {
    const digestOf = async (name: string) => {
      const blind = [
        "CREATE TEMPORARY TABLE pg_attribute AS SELECT attrelid, attname, atttypid, attnum, attisdropped FROM pg_catalog.pg_attribute WHERE attname <> 'full_name'",
        'CREATE TEMPORARY TABLE pg_type AS SELECT oid, typsend FROM pg_catalog.pg_type',
        `UPDATE public.customers SET full_name = '${name}' WHERE id BETWEEN 11 AND 20`,
      ];
      return effectOf(await rental.measure(blind, [CUSTOMERS])).digest;
    };
    expect(await digestOf('one')).not.toBe(await digestOf('another'));
  });

  it('holds for rows of any type and any length, and the rows that an apply keeps are read back as they were', async () => {
    await rental.sql(`
      CREATE TYPE public.pair AS (a int, b text);
      CREATE TABLE public.odd (id int, acl aclitem, pair public.pair, pairs public.pair[], long text, at timestamptz, js json, gone int);
      ALTER TABLE public.odd DROP COLUMN gone; ALTER TABLE public.odd OWNER TO countersign_apply; ALTER TYPE public.pair OWNER TO countersign_apply;
      INSERT INTO public.odd SELECT i, makeaclitem(10, 10, 'SELECT', false), ROW(i, 'x,"y')::public.pair, ARRAY[(i, NULL)::public.pair], repeat(i::text, 5000), '2026-03-29 01:30+02', '{"a" :  1}' FROM generate_series(1, 150) AS i;
      CREATE TABLE public.odd_before AS SELECT * FROM public.odd`);
    const change = [
      "UPDATE public.odd SET long = long || 'é', at = clock_timestamp() WHERE id <= 130",
      "UPDATE public.odd SET js = '[ 1]', at = clock_timestamp() WHERE id = 131",
    ];
    const measured = await rental.measure(change, ['public.odd']);
    expect(effectOf(measured)).toMatchObject({
      tables: [{ table: 'public.odd', updated: 131 }],
      volatileColumns: { 'public.odd': ['at'] },
    });
    const plan = planId(9001);
    expect(await rental.apply(change, ['public.odd'], measured, { plan })).toMatchObject({ outcome: 'applied' });
    // Each row is read back with the table's type, and beside each stands what became of it.
    expect(
      await rental.sql(`
        WITH kept AS (SELECT columns, unnest(before)::public.odd AS b, unnest(after)::public.odd AS a FROM countersign.captured_rows WHERE change = '${plan}')
        SELECT count(*)::int AS pairs, bool_and(columns = '{id,acl,pair,pairs,long,at,js}') AS columns, bool_and((b).id = (a).id) AS paired,
               count(*) FILTER (WHERE b::text = (SELECT o::text FROM public.odd_before AS o WHERE o.id = (b).id))::int AS before,
               count(*) FILTER (WHERE a::text = (SELECT o::text FROM public.odd AS o WHERE o.id = (a).id))::int AS after FROM kept`),
    ).toEqual([{ pairs: 131, columns: true, paired: true, before: 131, after: 131 }]);
    await rental.sql('DROP TABLE public.odd, public.odd_before; DROP TYPE public.pair');
  });

  it.each([1, 2])(
    'is that of whole rows where a column has the name that capture gives to a row, for %i rows',
    async (rows) => {
      await rental.sql(`
      CREATE TYPE public.whole AS (a int); CREATE TABLE public.named (id int, r public.whole, note text);
      INSERT INTO public.named SELECT i, ROW(7)::public.whole, 'before' FROM generate_series(1, 2) AS i; ALTER TABLE public.named OWNER TO countersign_apply`);
      const digestWith = async (note: string) =>
        effectOf(
          await rental.measure([`UPDATE public.named SET note = '${note}' WHERE id <= ${rows}`], ['public.named']),
        ).digest;
      expect(await digestWith('one')).not.toBe(await digestWith('another'));
      await rental.sql('DROP TABLE public.named; DROP TYPE public.whole');
    },
  );

  it.each([
    ['the row itself', 'public.cast_rows', 'text'],
    ['a column', 'public.mood', 'json'],
  ])('is not looked for where a cast of somebody’s would run to tell it: of %s', async (_what, source, target) => {
    await rental.sql(`
      CREATE TYPE public.mood AS ENUM ('fine'); CREATE TABLE public.cast_rows (id int, m public.mood); INSERT INTO public.cast_rows VALUES (1, 'fine');
      CREATE FUNCTION public.told(${source}) RETURNS ${target} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'ran'; END $$;
      CREATE CAST (${source} AS ${target}) WITH FUNCTION public.told(${source});
      ALTER TABLE public.cast_rows OWNER TO countersign_apply`);
    const measured = await rental.measure(['UPDATE public.cast_rows SET id = 2'], ['public.cast_rows']);
    expect(whyNot(measured)).toContain('somebody’s function');
    await rental.sql('DROP TABLE public.cast_rows CASCADE; DROP TYPE public.mood CASCADE');
  });

  it('follows columns that the plan has renamed, dropped and added before it changes rows', async () => {
    const altered = [
      'ALTER TABLE public.vehicles RENAME COLUMN model TO "the model"',
      'ALTER TABLE public.vehicles ADD COLUMN seen timestamptz',
      'UPDATE public.vehicles SET "the model" = lower("the model"), seen = clock_timestamp() WHERE id <= 3',
    ];
    const measured = await rental.measure(altered, ['public.vehicles']);
    expect(effectOf(measured)).toMatchObject({
      tables: [{ table: 'public.vehicles', updated: 3 }],
      volatileColumns: { 'public.vehicles': ['seen'] },
    });
  });

  it('is known after one run where the caller knows that no value differs', async () => {
    const trials: string[] = [];
    const once = { repeatable: true, onTrial: (trial: string) => trials.push(trial) } as const;
    const statement = ['UPDATE public.customers SET loyalty_points = 7 WHERE id = 1'];
    const { digest } = effectOf(await rental.measure(statement, [CUSTOMERS], once));
    expect(trials).toEqual(['first']);
    expect(effectOf(await rental.measure(statement, [CUSTOMERS])).digest).toBe(digest);
  });

  it('is bounded in the rows of tables that the plan makes, too', async () => {
    const many = ['CREATE TABLE public.many AS SELECT * FROM generate_series(1, 200000) AS id'];
    expect(whyNot(await rental.measure(many, []))).toMatch(/more rows than a dry run may keep/);
  });

  it('is not given when rows of a new partition may have been counted already', async () => {
    await rental.sql('CREATE TABLE public.readings (at int) PARTITION BY RANGE (at)');
    await rental.sql(`DO $$ BEGIN EXECUTE format('ALTER TABLE public.readings OWNER TO %I',
      (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.customers'::regclass)); END $$`);
    const partition = [
      'CREATE TABLE public.readings_1 PARTITION OF public.readings FOR VALUES FROM (0) TO (10)',
      'INSERT INTO public.readings VALUES (1)',
    ];
    expect(whyNot(await rental.measure(partition, ['public.readings']))).toMatch(/a partition of public\.readings/);
    await rental.sql('DROP TABLE public.readings');
  });

  it('is no longer looked for once it was called off, even between two statements that catch it', async () => {
    const stop = new AbortController();
    const stubborn = `DO $$ BEGIN
      FOR i IN 1..40 LOOP BEGIN PERFORM pg_sleep(0.2); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$`;
    let beganMs = 0;
    const onTrial = () => {
      beganMs = performance.now();
      setTimeout(() => stop.abort(), 100);
    };
    expect(whyNot(await rental.measure([stubborn], [], { signal: stop.signal, onTrial }))).toMatch(/it was called off/);
    expect(performance.now() - beganMs).toBeLessThan(4000);
  });

  it('is refused with what to do while a definition is being changed', async () => {
    const locked = rental.whileLocked('LOCK TABLE public.customers IN ACCESS EXCLUSIVE MODE', () =>
      rental.measure(['UPDATE public.vehicles SET retired = true WHERE id = 1'], ['public.vehicles']),
    );
    await expect(locked).rejects.toMatchObject({ refusal: { refused: 'unavailable', hint: /Try again/ } });
  });

  it.each([
    [
      'switches triggers off and on again',
      [
        'UPDATE public.customers SET loyalty_points = 1 WHERE id = 1',
        'ALTER TABLE public.customers DISABLE TRIGGER USER',
        'UPDATE public.customers SET loyalty_points = 0',
        'ALTER TABLE public.customers ENABLE TRIGGER USER',
      ],
      /changes the triggers that watch public\.customers/,
    ],
    [
      'drops a trigger of ours',
      ['DROP TRIGGER "~countersign_update" ON public.customers', 'UPDATE public.customers SET loyalty_points = 0'],
      /changes the triggers that watch public\.customers/,
    ],
    [
      'takes back what was captured',
      ['UPDATE public.customers SET loyalty_points = 0', 'DELETE FROM pg_temp.countersign_captured'],
      /changes what was captured/,
    ],
    [
      'empties what was captured',
      ['UPDATE public.customers SET loyalty_points = 0', 'TRUNCATE pg_temp.countersign_captured'],
      /changes what was captured/,
    ],
    [
      'rewrites what was captured',
      ['UPDATE public.customers SET loyalty_points = 0', "UPDATE pg_temp.countersign_captured SET after = '{}'"],
      /changes what was captured/,
    ],
    [
      'replaces the function that captures',
      [
        "CREATE OR REPLACE FUNCTION countersign.capture_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        'UPDATE public.customers SET loyalty_points = 0',
      ],
      /changes what watches it/,
    ],
  ])('is not given for a plan that %s', async (_, statements, why) => {
    expect(whyNot(await rental.measure(statements, [CUSTOMERS]))).toMatch(why);
  });

  it.each([
    'COMMIT',
    '/* a /* nested */ one */ -- and a line\n ; commit',
    'END',
    'ROLLBACK',
    "PREPARE TRANSACTION 'x'",
  ])('is not looked for with %s among the statements', async (statement) => {
    const statements = ["UPDATE public.vehicles SET model = 'kept' WHERE id = 1", statement];
    await expect(rental.measure(statements, ['public.vehicles'])).rejects.toThrow('G2');
    expect(await rental.sql("SELECT FROM vehicles WHERE model = 'kept'")).toHaveLength(0);
  });

  it('is that of one statement: a second one in its text is refused by the database', async () => {
    const text = "UPDATE public.vehicles SET model = 'kept' WHERE id = 1; COMMIT";
    expect((await rental.measure([text], ['public.vehicles'])).failure).toMatchObject({ sqlstate: '42601' });
    const bound = {
      statements: [{ text: `${text.replace('1', '$1')}`, parameters: [{ type: 'integer', value: '1' }] }],
    };
    expect((await rental.measure([], ['public.vehicles'], bound)).failure).toMatchObject({ sqlstate: '42601' });
    expect(await rental.sql("SELECT FROM vehicles WHERE model = 'kept'")).toHaveLength(0);
  });
});
