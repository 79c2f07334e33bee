import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { isAlwaysTrue } from '../../src/analysis/always-true.ts';
import { analyse } from '../../src/analysis/analyse.ts';
import { createAnalysisCache } from '../../src/analysis/analysis-cache.ts';
import { parseStatement, shapeOf, splitStatements } from '../../src/analysis/parse.ts';
import type { Analysis } from '../../src/domain/effect.ts';
import { objectName } from '../../src/domain/object.ts';
import { schemasOf } from '../../src/domain/search-path.ts';
import type { Catalogue, Relation } from '../../src/engines/catalogue.ts';
import { trappedCatalogue } from '../fixtures/catalogue.ts';

let catalogue: Catalogue;
beforeAll(async () => {
  catalogue = await trappedCatalogue();
}, 60_000);

function analysed(sql: string, of: Catalogue = catalogue, path: readonly string[] = ['public']): Analysis {
  const analysis = analyse(sql, of, path);
  if ('sqlstate' in analysis) throw new Error(`${sql}: ${analysis.message}`);
  return analysis;
}

function effectsOf(sql: string): string[] {
  return analysed(sql)
    .effects.map(({ verb, object, wholeTable }) => `${verb} ${objectName(object)}${wholeTable ? ' whole' : ''}`)
    .sort();
}

const isPureRead = ({ class: found }: Analysis) => found.kind === 'read' && found.pure;

describe('G1 code that a statement runs without naming it', () => {
  /** As if somebody had made operators of these names for some types. */
  function withOperators(...symbols: readonly string[]): Catalogue {
    const userOperators = new Map(catalogue.userOperators);
    for (const symbol of symbols)
      userOperators.set(symbol, [
        { schema: 'public', signature: `public.${symbol}(text, text)`, functions: ['public.cmp(text, text)'] },
      ]);
    return { ...catalogue, userOperators };
  }

  it.each([
    ["SELECT CASE 'a'::text WHEN 'b' THEN 1 END", '='],
    ["SELECT 1 WHERE 'a' IN (SELECT note FROM notes)", '='],
    ["SELECT 1 WHERE 'a' NOT IN (SELECT note FROM notes)", '='],
    ["SELECT 1 WHERE 'a' = ANY (SELECT note FROM notes)", '='],
    ['SELECT 1 FROM notes a JOIN notes b USING (note)', '='],
    ['SELECT 1 FROM notes a NATURAL JOIN notes b', '='],
    ["SELECT 'a' IN ('b')", '='],
    ["SELECT NULLIF('a', 'b')", '='],
    ["SELECT 'a' IS DISTINCT FROM 'b'", '='],
    ["SELECT 'a' BETWEEN 'b' AND 'c'", '>='],
    ["SELECT 'a' NOT BETWEEN 'b' AND 'c'", '<'],
    ["SELECT 'a' BETWEEN SYMMETRIC 'b' AND 'c'", '<='],
    ["SELECT 'a' LIKE 'b'", '~~'],
    ["SELECT 'a' NOT ILIKE 'b'", '!~~*'],
    ["SELECT 'a' SIMILAR TO 'b'", '~'],
    ['SELECT note FROM notes ORDER BY note USING <', '<'],
    ["SELECT ('a', 'b') < ('c', 'd')", '<'],
    ["SELECT 'a' || 'b'", '||'],
  ])('finds the operator in %s', (sql, symbol) => {
    expect(analysed(sql).class.kind).toBe('read');
    const found = analysed(sql, withOperators(symbol));
    expect(found.unknown).toEqual([`the operator public.${symbol}(text, text), which runs public.cmp(text, text)`]);
    expect(found.vouchable).toEqual(['public.cmp(text, text)']);
    expect(found.class.kind).toBe('change');
  });

  it('lets an operator of the server itself through, named as such', () => {
    expect(analysed("SELECT 'a' OPERATOR(pg_catalog.=) 'b'", withOperators('=')).class.kind).toBe('read');
  });

  it.each([
    ["SELECT domain_in('1', 'public.checked'::regtype, -1)"],
    ["SELECT array_in('{1}', 'public.checked'::regtype, -1)"],
    ["SELECT record_in('(1)', 'public.notes'::regtype, -1)"],
    ["SELECT pg_input_is_valid('1', 'public.checked')"],
    ["SELECT * FROM pg_input_error_info('1', 'public.checked')"],
  ])(
    'holds %s while any type has a check that may do more: it reads a value of a type that is named by text',
    (sql) => {
      expect(analysed(sql).vouchable).toEqual(['public.liar(integer)']);
      const userTypes = new Map([...catalogue.userTypes].filter(([name]) => !name.endsWith('checked')));
      expect(analysed(sql, { ...catalogue, userTypes }).class).toEqual({ kind: 'read', pure: false });
    },
  );

  it.each([
    ["SELECT jsonb_populate_record(n, '{}') FROM notes n"],
    ["SELECT * FROM json_populate_recordset(null::notes, '[]')"],
    ['SELECT null::notes'],
    ["SELECT 'X-1'::licence_plate"],
  ])('runs %s in a transaction that can’t write: it reads a value of a type with checks', (sql) => {
    expect(analysed(sql).class).toEqual({ kind: 'read', pure: false });
  });

  it.each([
    ["SELECT * FROM jsonb_to_record('{}') AS x(a checked)"],
    ["SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b checked)"],
    ["SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (b checked PATH '$'))"],
    ["SELECT JSON_VALUE('1', '$' RETURNING checked)"],
    ["SELECT JSON_VALUE('1', '$' DEFAULT liar(1) ON ERROR)"],
    ["SELECT JSON_OBJECT('a': liar(1))"],
    ['SELECT JSON_ARRAY(liar(1), 2)'],
    ['SELECT JSON_ARRAYAGG(liar(id)) FROM notes'],
    ['SELECT xmlelement(name a, xmlattributes(liar(1) AS b))'],
    ["SELECT '{1}'::checked[]"],
    ["SELECT checked '1'"],
    ['SELECT (n).peek FROM notes n'],
    ['SELECT n.peek FROM notes AS n'],
    ['SELECT greatest(1, liar(2))'],
    ['SELECT coalesce(null, liar(2))'],
    ['SELECT (ARRAY[1])[liar(1)]'],
    ['SELECT row(liar(1))'],
    ['SELECT 1 FROM notes WHERE (id, 1) = (SELECT liar(1), 1)'],
    ['SELECT 1 FROM notes JOIN notes b ON liar(1) = 1'],
    ['SELECT 1 FROM generate_series(1, liar(3))'],
    ['SELECT 1 FROM notes, LATERAL (SELECT liar(id)) x'],
    ['SELECT 1 UNION ALL SELECT liar(1)'],
    ['SELECT DISTINCT ON (liar(id)) 1 FROM notes'],
    ['SELECT 1 FROM notes WINDOW w AS (PARTITION BY liar(id))'],
    ["SELECT string_agg(note, ',' ORDER BY liar(id)) FROM notes"],
    ['SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY liar(id)) FROM notes'],
    ['SELECT 1 FROM notes GROUP BY GROUPING SETS ((liar(id)), ())'],
    ['SELECT 1 OFFSET liar(1)'],
    ['SELECT 1 FETCH FIRST (liar(1)) ROWS ONLY'],
    ['WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE liar(n) < 3) SELECT n FROM t'],
    ['WITH a AS MATERIALIZED (SELECT liar(1)) SELECT 1'],
    ['SELECT honest(a => 1)'],
    ['SELECT extract(day FROM now()), public.liar(VARIADIC ARRAY[1])'],
    ['EXPLAIN (ANALYZE, VERBOSE) SELECT liar(1)'],
    ['EXPLAIN SELECT liar(1)'],
    ['COPY (SELECT liar(1)) TO STDOUT'],
    ['DECLARE c CURSOR FOR SELECT 1 FROM trapped'],
    ['INSERT INTO notes VALUES (liar(1))'],
    ['UPDATE notes SET id = liar(id)'],
    ['DELETE FROM notes WHERE liar(id) = 1'],
    ['DELETE FROM notes RETURNING liar(id)'],
    ['INSERT INTO notes VALUES (1) ON CONFLICT (id) DO UPDATE SET id = liar(1)'],
    ['MERGE INTO notes USING vehicles ON liar(1) = 1 WHEN MATCHED THEN DELETE'],
    ['CREATE TABLE copy AS SELECT liar(1)'],
    ['CREATE VIEW copy AS SELECT liar(1)'],
    ['CREATE MATERIALIZED VIEW copy AS SELECT * FROM trapped'],
  ])('is named in %s', (sql) => {
    const { class: found, unknown } = analysed(sql);
    expect(unknown, JSON.stringify(found)).not.toEqual([]);
    expect(['read', 'session', 'write']).not.toContain(found.kind);
  });

  it('is found under a cast that the database makes by itself', () => {
    const status = catalogue.userTypes.get('public.reservation_status');
    if (status === undefined) throw new Error('the type is missing');
    const cast = {
      what: 'the cast from public.reservation_status to integer',
      functions: ['public.liar(integer)'],
      castTo: null,
    };
    const userTypes = new Map(catalogue.userTypes).set('public.reservation_status', { ...status, code: [cast] });
    const hidden = { ...catalogue, userTypes };
    expect(analysed("SELECT 'quoted'::reservation_status").unknown).toEqual([]);
    for (const sql of [
      "SELECT 'quoted'::reservation_status::int",
      "SELECT abs('quoted'::public.reservation_status)",
      'SELECT status FROM reservations',
    ])
      expect(analysed(sql, hidden).unknown.join(), sql).toContain('cast');
  });

  it('is found however many views one must look through', () => {
    const plain = catalogue.relations.get('public.active_reservations');
    const trapped = catalogue.relations.get('public.trapped');
    if (plain === undefined || trapped === undefined) throw new Error('the views are missing');
    const relations = new Map<string, Relation>(catalogue.relations);
    for (let n = 0; n < 100; n++) relations.set(`public.v${n}`, { ...plain, name: `v${n}` });
    const from = Array.from({ length: 100 }, (_, n) => `v${n}`).join(', ');
    const many = analysed(`SELECT 1 FROM ${from}, trapped`, { ...catalogue, relations });
    expect(many.unknown).not.toEqual([]);
    expect(many.class.kind).toBe('change');
    relations.set('public.loop', { ...plain, name: 'loop', definition: 'SELECT * FROM public.loop' });
    expect(analysed('SELECT * FROM loop', { ...catalogue, relations }).class.kind).toBe('read');
  });

  it('is found behind the policies of a table', () => {
    const notes = catalogue.relations.get('public.notes');
    if (notes === undefined) throw new Error('the table is missing');
    const withPolicy = (expression: string) => ({
      ...catalogue,
      relations: new Map(catalogue.relations).set('public.notes', {
        ...notes,
        rowSecurity: true,
        securityExpressions: [expression],
      }),
    });
    expect(analysed('SELECT * FROM notes', withPolicy('(public.liar(id) > 0)')).class.kind).toBe('change');
    expect(analysed('SELECT * FROM notes', withPolicy('(id > 0)')).class).toEqual({ kind: 'read', pure: false });
  });

  it('is not found where the path doesn’t lead: a name like the server’s own in some other schema harms nobody', () => {
    const [liar] = catalogue.functions.get('liar') ?? [];
    if (liar === undefined) throw new Error('the function is missing');
    const signature = 'elsewhere.lower(text)';
    const elsewhere = { ...liar, schema: 'elsewhere', name: 'lower', signature };
    const functions = new Map(catalogue.functions);
    functions.set('lower', [...(functions.get('lower') ?? []), elsewhere]);
    const userOperators = new Map(catalogue.userOperators).set('||', [
      { schema: 'elsewhere', signature: 'elsewhere.||(text, text)', functions: [signature] },
    ]);
    const taken = { ...catalogue, functions, userOperators };
    for (const sql of ["SELECT lower('X')", "SELECT 'a' || 'b'"]) {
      expect(analysed(sql, taken).class, sql).toEqual({ kind: 'read', pure: true });
      for (const path of ['elsewhere', 'public, elsewhere', 'pg_catalog, elsewhere']) {
        expect(analysed(sql, taken, schemasOf(path)).class.kind, `${sql} with ${path}`).toBe('change');
      }
    }
    expect(analysed("SELECT elsewhere.lower('X')", taken).class.kind).toBe('change');
    expect(analysed("SELECT 'a' OPERATOR(elsewhere.||) 'b'", taken).class.kind).toBe('change');
  });

  it('is found when a name of the server is taken by somebody’s own, first on the path', () => {
    const trapped = catalogue.relations.get('public.trapped');
    if (trapped === undefined) throw new Error('the view is missing');
    const relations = new Map(catalogue.relations).set('public.pg_class', { ...trapped, name: 'pg_class' });
    const shadowed = { ...catalogue, relations };
    expect(analysed('SELECT * FROM pg_class', shadowed).class.kind).toBe('read');
    expect(analysed('SELECT * FROM pg_class', shadowed, schemasOf('public, pg_catalog')).class.kind).toBe('change');
    expect(analysed('SELECT * FROM pg_class', shadowed, schemasOf('pg_catalog, public')).class.kind).toBe('read');
  });
});

describe('G1 settings that would open a lock', () => {
  it.each([
    ["SELECT set_config('transaction_read_only', 'off', true)"],
    ["SELECT set_config('session_replication_role', 'replica', false)"],
    ["SELECT set_config('role', 'postgres', false)"],
    ["SELECT set_config(name, 'off', false) FROM pg_settings"],
    ["SELECT set_config('search_' || 'path', 'x', false)"],
    ["SELECT 1, set_config('search_path', 'x', false)"],
    ["SELECT set_config('search_path', 'x', false) FROM notes"],
    ["SELECT set_config('search_path', (SELECT note FROM notes), false)"],
    ["UPDATE pg_settings SET setting = 'off'"],
    ['SET transaction_read_only = off'],
    ['SET LOCAL transaction_read_only TO false'],
    ['BEGIN; SET TRANSACTION READ WRITE'],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE'],
    ["SET client_encoding = 'SJIS'"],
    ["SET NAMES 'BIG5'"],
    ['SET standard_conforming_strings = off'],
    ["SET backslash_quote = 'on'"],
    ["SET dynamic_library_path = '/tmp'"],
    ["SET local_preload_libraries = 'x'"],
    ["SET countersign.task = 'other'"],
    ['SET ROLE countersign_apply'],
    ["SET SESSION AUTHORIZATION 'none'"],
    ["SELECT set_config('role', 'countersign_apply', false) FROM pg_show_all_settings() WHERE name = 'role'"],
    ["SELECT set_config('work_mem', '1GB', false) FROM pg_show_all_settings() WHERE name = 'work_mem'"],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE'],
    ['RESET transaction_read_only'],
    ['SET "Session_Replication_Role" = replica'],
  ])('%s', (sql) => {
    const analysis = analyse(sql, catalogue, ['public']);
    if ('sqlstate' in analysis) return;
    expect(['session', 'read'], JSON.stringify(analysis)).not.toContain(analysis.class.kind);
  });

  it.each([
    ["SET search_path = 'shadow', public", 'search_path', '"shadow", "public"'],
    ['SET search_path = "Odd""Name"', 'search_path', '"Odd""Name"'],
    ["SELECT set_config('search_path', '', false)", 'search_path', ''],
    ["SELECT pg_catalog.set_config('TimeZone', 'UTC', false)", 'timezone', 'UTC'],
    ['SET extra_float_digits = -3', 'extra_float_digits', '-3'],
    ['RESET search_path', 'search_path', null],
    // The logins of tasks are members of nothing: it is what it was.
    ['RESET ROLE', 'role', null],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', 'default_transaction_read_only', 'on'],
    ['SET search_path TO DEFAULT', 'search_path', null],
  ])('%s is a setting of the session', (sql, name, value) => {
    expect(analysed(sql).class).toMatchObject({ kind: 'session', act: { act: 'set', name, value } });
  });

  it.each([
    ['"a", "B""c", d', ['a', 'B"c', 'd']],
    ['"$user", public', ['public']],
    ['Public, pg_catalog', ['public', 'pg_catalog']],
    ['""', []],
    ['', []],
  ])('reads the search path %s', (text, schemas) => {
    expect(schemasOf(text)).toEqual(schemas);
  });
});

describe('G1 the proof is nobody’s to change', () => {
  it.each([
    ['SELECT * FROM countersign.applied'],
    ['COPY countersign.applied TO STDOUT'],
    ['INSERT INTO countersign.applied VALUES (1)'],
    ['UPDATE countersign.applied SET plan = 1'],
    ['DELETE FROM countersign.applied'],
    ['TRUNCATE notes, countersign.applied'],
    ['LOCK TABLE countersign.applied'],
    ['LOCK TABLE countersign.applied IN ACCESS SHARE MODE'],
    ['MERGE INTO countersign.applied USING notes ON true WHEN MATCHED THEN DELETE'],
    ['WITH x AS (DELETE FROM countersign.applied RETURNING 1) SELECT 1'],
    ['CREATE TABLE copy AS SELECT * FROM countersign.applied'],
    ['CREATE VIEW copy AS SELECT * FROM countersign.applied'],
    ['CREATE TABLE countersign.x (i int)'],
    ['CREATE TRIGGER t AFTER INSERT ON countersign.applied EXECUTE FUNCTION f()'],
    ['CREATE RULE r AS ON INSERT TO countersign.applied DO INSTEAD NOTHING'],
    ['CREATE INDEX ON countersign.applied (plan)'],
    ['CREATE FUNCTION countersign.f() RETURNS int LANGUAGE sql RETURN 1'],
    ['ALTER TABLE countersign.applied DISABLE TRIGGER ALL'],
    ['ALTER TABLE countersign.applied RENAME COLUMN plan TO x'],
    ['ALTER TABLE countersign.applied SET SCHEMA public'],
    ['ALTER TABLE notes SET SCHEMA countersign'],
    ['ALTER FUNCTION countersign.f() OWNER TO x'],
    ['ALTER SCHEMA countersign RENAME TO gone'],
    ['ALTER SCHEMA countersign OWNER TO x'],
    ['ALTER DEFAULT PRIVILEGES IN SCHEMA countersign GRANT SELECT ON TABLES TO x'],
    ['ALTER TRIGGER t ON countersign.applied RENAME TO u'],
    ['DROP TABLE notes, countersign.applied'],
    ['DROP SCHEMA countersign CASCADE'],
    ['DROP TRIGGER t ON countersign.applied'],
    ['DROP RULE r ON countersign.applied'],
    ['DROP POLICY p ON countersign.applied'],
    ['DROP FUNCTION countersign.f()'],
    ['GRANT SELECT ON countersign.applied TO x'],
    ['GRANT USAGE ON SCHEMA countersign TO x'],
    ['REVOKE ALL ON ALL TABLES IN SCHEMA countersign FROM x'],
    ['GRANT EXECUTE ON FUNCTION countersign.f() TO x'],
    ["COMMENT ON TABLE countersign.applied IS 'x'"],
    ["COMMENT ON COLUMN countersign.applied.plan IS 'x'"],
    ["COMMENT ON TRIGGER t ON countersign.applied IS 'x'"],
    ["COMMENT ON SCHEMA countersign IS 'x'"],
    ['VACUUM countersign.applied'],
    ['REINDEX TABLE countersign.applied'],
    ['SELECT * INTO countersign.copy FROM notes'],
    ['UPDATE pg_catalog.pg_class SET relowner = 1'],
    ['ALTER TABLE pg_catalog.pg_class ADD COLUMN x int'],
  ])('%s', (sql) => {
    const { class: found, effects } = analysed(sql);
    expect(found.kind).toBe('change');
    expect(
      effects.map(({ verb }) => verb),
      JSON.stringify(effects),
    ).toContain('server');
  });
});

describe('effects', () => {
  it.each<[sql: string, effects: string[]]>([
    [
      'INSERT INTO notes SELECT id, plate FROM active_reservations',
      ['insert public.notes', 'read public.active_reservations', 'read public.notes'],
    ],
    [
      'INSERT INTO notes VALUES (1) ON CONFLICT (id) DO UPDATE SET note = excluded.note',
      // The table has a rule.
      ['delete public.notes', 'insert public.notes', 'read public.notes', 'update public.notes'],
    ],
    [
      'SELECT * FROM customers c, vehicles v FOR UPDATE OF c',
      ['lock public.customers', 'lock public.vehicles', 'read public.customers', 'read public.vehicles'],
    ],
    [
      'UPDATE notes n SET note = v.plate FROM vehicles v WHERE v.id = n.id',
      ['delete public.notes', 'read public.notes', 'read public.vehicles', 'update public.notes'],
    ],
    [
      'DELETE FROM notes USING vehicles v WHERE v.id = notes.id',
      ['delete public.notes', 'read public.notes', 'read public.vehicles'],
    ],
    ['WITH notes AS (SELECT 1) SELECT * FROM notes', []],
    ['WITH a AS (SELECT * FROM notes) SELECT * FROM a', ['read public.notes']],
    ['WITH notes AS (SELECT * FROM public.notes) SELECT * FROM notes', ['read public.notes']],
    ["SELECT nextval('public.vehicles_id_seq'::regclass)", ['update public.vehicles_id_seq']],
    ["SELECT nextval('Vehicles_ID_seq')", ['update public.vehicles_id_seq']],
    ['SELECT setval(\'"Odd"."Seq"\', 1)', ['update Odd.Seq']],
    ["SELECT nextval(('a' || 'b')::regclass)", ['unknown nextval']],
    [
      'DROP TRIGGER reservations_audit ON reservations',
      ['alter public.reservations', 'drop public.reservations.reservations_audit'],
    ],
    ['GRANT SELECT ON notes TO x', ['privilege GRANT', 'privilege public.notes']],
    ['CREATE VIEW v AS SELECT * FROM customers', ['create public.v', 'read public.customers']],
    ['TRUNCATE notes', ['truncate public.notes whole']],
  ])('of %s', (sql, effects) => {
    expect(effectsOf(sql)).toEqual(effects);
  });
});

describe('a condition that holds for every row', () => {
  const holds = (condition: string): boolean => {
    const parsed = parseStatement(`DELETE FROM notes WHERE ${condition}`);
    if (parsed === 'empty' || 'sqlstate' in parsed) throw new Error(condition);
    return isAlwaysTrue(parsed.node['whereClause']);
  };

  it.each([
    'true',
    "'t'",
    "'yes'::bool",
    "' On '::boolean",
    '1::bool',
    'NOT false',
    "NOT 'f'::bool",
    'NOT NOT true',
    'NOT (1 = 2)',
    'NOT (id <> id)',
    '1 = 1',
    "'a' = 'a'",
    '2 > 1',
    '1 <> 2',
    'id = id',
    'id >= id',
    'note LIKE note',
    "note LIKE '%'",
    "note ILIKE '%%'",
    'lower(note) = lower(note)',
    'id IS NOT DISTINCT FROM id',
    'id IN (3, id)',
    'id = ANY (ARRAY[1, id])',
    'id BETWEEN id AND id',
    'true OR id = 1',
    'id = 1 OR true',
    'true AND true',
    'id IS NULL OR id IS NOT NULL',
    'id = 1 OR id <> 1',
    'id > 5 OR id <= 5',
    'id < 5 OR note = note',
    'true IS TRUE',
    'false IS NOT TRUE',
    'true IS NOT UNKNOWN',
    '1 IS NOT NULL',
    '(SELECT true)',
    'EXISTS (SELECT 1)',
    'coalesce(true, false)',
    '(((true)))',
  ])('%s', (condition) => {
    expect(holds(condition)).toBe(true);
  });

  it.each([
    'false',
    'NULL',
    'NOT NULL',
    'id = 1',
    'id = 2 AND true',
    'id = 1 OR false',
    'id <> id',
    'NOT (id = id)',
    '1 = 2',
    "note LIKE 'a%'",
    'id IN (1, 2)',
    'id NOT IN (id)',
    'id IS NOT NULL',
    'id IS NULL',
    'EXISTS (SELECT 1 FROM notes)',
    'EXISTS (SELECT 1 WHERE false)',
    '(SELECT false)',
    'id > 5 OR id < 5',
    "'f'",
    'NOT true',
    'id BETWEEN 1 AND 2',
    '$1',
    'id = $1',
    'NULL IS NOT NULL',
    'true IS FALSE',
    'coalesce(id = 1, true)',
    'id = ANY (ARRAY[1])',
    "note NOT LIKE '%'",
  ])('is not %s', (condition) => {
    expect(holds(condition)).toBe(false);
  });
});

describe('the shape', () => {
  it.each([
    ["SELECT 'hunter2', E'hunter2\\'hunter2', $a$hunter2$a$, U&'hunter2', N'hunter2'"],
    ["INSERT INTO notes VALUES (1, 'it''s hunter2')"],
    ["CREATE ROLE x PASSWORD 'hunter2'"],
    ["CREATE TABLE x (a text DEFAULT 'hunter2')"],
    ['ALTER TABLE notes ADD COLUMN z text DEFAULT $x$hunter2$x$'],
    ["ALTER TABLE notes ALTER note SET DEFAULT E'\\'hunter2'"],
    ["COMMENT ON TABLE notes IS 'hunter2'"],
    ["CREATE VIEW v AS SELECT 'hunter2', $$hunter2$$"],
    ["DO $$ BEGIN PERFORM 'hunter2'; END $$"],
    ['SELECT 1 /* hunter2 */ -- hunter2'],
    ["CREATE SUBSCRIPTION s CONNECTION 'password=hunter2' PUBLICATION p"],
  ])('has no constant of %s', (sql) => {
    expect(shapeOf(sql)).not.toContain('hunter2');
  });

  it('keeps names, also those that look like more', () => {
    expect(shapeOf('SELECT "it\'s", "a$$b" FROM "x""y" WHERE z = $1 AND y = $2')).toBe(
      'SELECT "it\'s", "a$$b" FROM "x""y" WHERE z = $1 AND y = $2',
    );
  });

  it('is the same for statements that differ in their constants only', () => {
    expect(shapeOf("SELECT * FROM a WHERE b = 1 AND c = 'x'")).toBe(
      shapeOf("SELECT *\n FROM a WHERE b = 22 AND c = 'yy'"),
    );
  });
});

describe('text that no person writes', () => {
  it.each([
    ['+ 20,000 times', `SELECT 1${'+1'.repeat(20_000)}`],
    ['+ 3,000 times', `SELECT 1${'+1'.repeat(3000)}`],
    ['NOT 4,000 times', `DELETE FROM notes WHERE ${'NOT '.repeat(4000)}true`],
    ['UNION 5,000 times', `SELECT 1 ${'UNION SELECT 1 '.repeat(5000)}`],
    ['arrays in arrays', `SELECT ${'ARRAY['.repeat(3000)}1${']'.repeat(3000)}`],
    ['brackets', `SELECT ${'('.repeat(5000)}1${')'.repeat(5000)}`],
    ['subqueries in subqueries', `${'SELECT ('.repeat(2000)}SELECT liar(1)${')'.repeat(2000)}`],
    ['a name of 40,000 parts', `SELECT ${'t.'.repeat(40_000)}a FROM notes AS t`],
    ['comments in comments', `SELECT ${'/*'.repeat(40_000)}1${'*/'.repeat(40_000)}`],
    ['an operator without end', `SELECT 1 ${'+-'.repeat(40_000)} 1`],
    ['comments side by side', `SELECT 1 ${'/**/'.repeat(40_000)}`],
    ['two megabytes', `SELECT '${'a'.repeat(2 * 1024 * 1024)}'`],
    ['half a character', "SELECT '\ud800'"],
    ['NUL', 'SELECT 1\0; DROP TABLE notes'],
  ])('ends in an answer: %s', (_, sql) => {
    const analysis = analyse(sql, catalogue, ['public']);
    if ('sqlstate' in analysis) expect(analysis.sqlstate).toMatch(/^(?:42601|5400[01])$/);
    else expect(/liar/.test(sql) && isPureRead(analysis)).toBe(false);
    expect(analysed('SELECT 1').class).toEqual({ kind: 'read', pure: true });
  });

  it('is one statement or refused, however it is cut', () => {
    for (const sql of [
      'SELECT 1; DELETE FROM notes',
      'SELECT 1;; DELETE FROM notes',
      'SELECT 1;--\nDELETE FROM notes',
      "SELECT E'\\'; SELECT 1'; DELETE FROM notes --'",
      'SELECT $a$;$b$;$a$; DELETE FROM notes',
      'SELECT 1 /* /* */ ; */; DELETE FROM notes',
      'SELECT "a;b"; DELETE FROM notes',
      'BEGIN; DELETE FROM notes; COMMIT',
    ]) {
      expect(analyse(sql, catalogue, ['public']), sql).toHaveProperty('sqlstate', '42601');
      const parts = splitStatements(sql);
      if ('sqlstate' in parts) throw new Error(sql);
      expect(
        parts.some(({ text }) => effectsOf(text).includes('delete public.notes whole')),
        sql,
      ).toBe(true);
    }
  });

  it('comes together again from its statements, wherever the letters are wide', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { minLength: 1, maxLength: 6 }), (texts) => {
        const clean = texts.filter((text) => !text.includes('\0') && text.isWellFormed());
        const sql = clean.map((text) => `SELECT '${text.replaceAll("'", "''")}' /* é */`).join(' ; ');
        const parts = splitStatements(sql);
        if ('sqlstate' in parts) throw new Error(parts.message);
        expect(parts).toHaveLength(clean.length);
        // PostgreSQL counts characters, not the halves that JavaScript makes of some.
        const characters = [...sql];
        for (const { text, start } of parts) {
          expect(characters.slice(start, start + [...text].length).join('')).toBe(text);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('is never a read of less than it says: a trap stays one, wherever it is put', () => {
    const traps = [
      'liar(1)',
      'public.liar(1)',
      '"liar"(1)',
      'liar(id => 1)',
      '(SELECT bite FROM trapped LIMIT 1)',
      '1::checked',
      "('a' =~ 'b')::int",
      'lo_unlink(1)',
      "nextval('vehicles_id_seq')",
    ];
    const expression = fc.letrec<{ expression: string }>((tie) => ({
      expression: fc.oneof(
        { maxDepth: 5, depthSize: 'small' },
        fc.constantFrom('TRAP'),
        tie('expression').map((inner) => `(${inner})`),
        tie('expression').map((inner) => `coalesce(1, ${inner})`),
        tie('expression').map((inner) => `CASE WHEN true THEN 1 ELSE ${inner} END`),
        tie('expression').map((inner) => `(SELECT ${inner})`),
        tie('expression').map((inner) => `(SELECT count(*) FROM customers WHERE id > ${inner})::int`),
        tie('expression').map((inner) => `(ARRAY[1, ${inner}])[1]`),
        tie('expression').map((inner) => `abs(-${inner}::int)`),
        tie('expression').map((inner) => `(WITH x AS (SELECT ${inner} AS y) SELECT y FROM x)`),
        tie('expression').map((inner) => `nullif(2, ${inner})`),
        tie('expression').map((inner) => `(1 IN (2, ${inner}))::int`),
        tie('expression').map((inner) => `(${inner} BETWEEN 1 AND 2)::int`),
      ),
    })).expression;
    const statement = fc.constantFrom(
      'SELECT E',
      'VALUES (E)',
      'SELECT 1 FROM vehicles WHERE E > 0',
      'SELECT 1 FROM vehicles ORDER BY E',
      'SELECT 1 FROM vehicles GROUP BY E',
      'SELECT 1 FROM vehicles LIMIT E',
      'SELECT 1 FROM vehicles v JOIN customers c ON E = 1',
      'SELECT sum(E) OVER () FROM vehicles',
      'SELECT 1 UNION SELECT E',
      'SELECT * FROM generate_series(1, E)',
      'EXPLAIN ANALYZE SELECT E',
      'COPY (SELECT E) TO STDOUT',
      'DECLARE c CURSOR FOR SELECT E',
      'SELECT 1 FROM vehicles HAVING E > 0',
    );
    fc.assert(
      fc.property(statement, expression, fc.constantFrom(...traps), (outer, inner, trap) => {
        const sql = outer.replace(/\bE\b/, () => inner.replaceAll('TRAP', () => trap));
        const analysis = analyse(sql, catalogue, ['public']);
        if ('sqlstate' in analysis) throw new Error(`${sql}: ${analysis.message}`);
        expect(['read', 'session', 'transaction'], sql).not.toContain(analysis.class.kind);
      }),
      { numRuns: 600 },
    );
  });

  it('of random bytes never ends in a fault', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom('', 'SELECT ', 'SET ', 'COPY ', "SELECT '"),
        (bytes, start) => {
          for (const encoding of ['utf8', 'latin1'] as const) {
            const text = start + Buffer.from(bytes).toString(encoding);
            const analysis = analyse(text, catalogue, ['public']);
            if ('sqlstate' in analysis) expect(analysis.sqlstate).toMatch(/^(?:42601|5400[01])$/);
            expect(Array.isArray(splitStatements(text)) || 'sqlstate' in splitStatements(text)).toBe(true);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the cache', () => {
  it('answers as the analysis does, and anew for another catalogue or search path', () => {
    const cached = createAnalysisCache();
    const sql = 'SELECT * FROM customers';
    const first = cached(sql, catalogue, ['public']);
    expect(first).toEqual(analyse(sql, catalogue, ['public']));
    expect(cached(sql, catalogue, ['public'])).toBe(first);
    expect(cached(sql, catalogue, ['shadow', 'public'])).toEqual(analyse(sql, catalogue, ['shadow', 'public']));
    expect(cached(sql, { ...catalogue, version: 'next', relations: new Map() }, ['public'])).toMatchObject({
      class: { kind: 'read', pure: false },
    });
    cached('SELECT * FROM trapped', catalogue, ['public\n--']);
    expect(cached('--\nSELECT * FROM trapped', catalogue, ['public'])).toMatchObject({ class: { kind: 'change' } });
  });
});

describe('text that is long and harmless', () => {
  it.each([
    ['dashes', `SELECT 1 -- ${'-='.repeat(4000)}\n`],
    ['a banner', `/${'*'.repeat(4000)}/ SELECT 1`],
    ['signs in a string', `SELECT '${'+-/*'.repeat(4000)}'`],
    ['signs in a string with escapes', `SELECT E'\\'${'/*'.repeat(4000)}'`],
    ['signs in dollar quotes', `SELECT $a$${'+-'.repeat(4000)}$a$`],
    ['signs in a name', `SELECT 1 AS "${'+-'.repeat(4000)}"`],
  ])('is read: %s', (_, sql) => {
    expect(analysed(sql).class.kind).toBe('read');
  });
});
