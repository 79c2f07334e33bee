import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../src/analysis/analyse.ts';
import { splitStatements } from '../../src/analysis/parse.ts';
import type { Analysis } from '../../src/domain/effect.ts';
import { objectName } from '../../src/domain/object.ts';
import type { Catalogue } from '../../src/engines/catalogue.ts';
import { trappedCatalogue } from '../fixtures/catalogue.ts';

let catalogue: Catalogue;
beforeAll(async () => {
  catalogue = await trappedCatalogue();
}, 60_000);

function analysed(sql: string, searchPath: readonly string[] = ['public']): Analysis {
  const analysis = analyse(sql, catalogue, searchPath);
  if ('sqlstate' in analysis) throw new Error(`${sql}: ${analysis.message}`);
  return analysis;
}

/** `read public.customers`, `delete public.payments (cascade)` … */
function effectsOf(sql: string): string[] {
  return analysed(sql)
    .effects.map(
      ({ verb, object, via, wholeTable }) =>
        `${verb} ${objectName(object)}${via === 'direct' ? '' : ` (${via})`}${wholeTable ? ' whole' : ''}`,
    )
    .sort();
}

describe('reads', () => {
  it.each([
    ['SELECT 1'],
    ['SELECT count(*) FROM customers'],
    [
      'SELECT c.full_name, r.id FROM customers c JOIN reservations r ON r.customer_id = c.id WHERE r.starts_on > current_date',
    ],
    [
      'WITH x AS (SELECT * FROM vehicles) SELECT model, count(*) FROM x GROUP BY model HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 3',
    ],
    ['SELECT row_number() OVER (PARTITION BY model ORDER BY id) FROM vehicles'],
    ["SELECT preferences->>'colour', jsonb_path_query(preferences, '$.gps') FROM customers"],
    ['SELECT \'drop table customers; delete from x\' AS "delete"'],
    ['SELECT * FROM active_reservations'],
    ['VALUES (1), (2)'],
    ['TABLE customers'],
    ['SELECT * FROM customers c, LATERAL (SELECT * FROM reservations r WHERE r.customer_id = c.id LIMIT 1) x'],
    ['SELECT relname FROM pg_catalog.pg_class WHERE relkind = $1'],
    ["SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"],
    ["SELECT to_tsvector('english', full_name) @@ to_tsquery('ada') FROM customers"],
    ['SELECT generate_series(1, 10)'],
    ['EXPLAIN SELECT * FROM customers'],
    ['COPY customers TO STDOUT'],
    ['COPY (SELECT * FROM customers) TO STDOUT'],
    ['SELECT now(), clock_timestamp(), current_user, version()'],
  ])('lets %s be a read', (sql) => {
    expect(analysed(sql).class.kind).toBe('read');
    expect(analysed(sql).unknown).toEqual([]);
  });

  it('names what is read, through views as well', () => {
    expect(effectsOf('SELECT * FROM active_reservations')).toEqual(
      expect.arrayContaining(['read public.active_reservations']),
    );
    expect(effectsOf('SELECT 1 FROM customers WHERE EXISTS (SELECT FROM payments)')).toEqual([
      'read public.customers',
      'read public.payments',
    ]);
  });

  it('resolves names along the search path', () => {
    const read = (path: string[]) =>
      analysed('SELECT * FROM customers', path).effects.map(({ object }) => objectName(object));
    expect(read(['public'])).toEqual(['public.customers']);
    expect(read(['shadow', 'public'])).toEqual(['shadow.customers']);
  });
});

describe('G1 what is not a read', () => {
  it.each([
    ['WITH gone AS (DELETE FROM notes RETURNING *) SELECT * FROM gone'],
    ['WITH RECURSIVE a AS (SELECT 1), b AS (INSERT INTO notes VALUES (1) RETURNING 1) SELECT 1 FROM a'],
    ['SELECT * INTO copy FROM customers'],
    ['CREATE TABLE copy AS SELECT * FROM customers'],
    ['SELECT * FROM customers FOR UPDATE'],
    ['SELECT * FROM customers FOR KEY SHARE'],
    ['EXPLAIN ANALYZE DELETE FROM customers'],
    ['EXPLAIN (ANALYZE true) UPDATE customers SET full_name = full_name'],
    ['SELECT lo_unlink(1)'],
    ["SELECT lo_export(1, '/tmp/x')"],
    ["SELECT lo_from_bytea(0, 'x')"],
    ["SELECT setval('customers_id_seq', 1)"],
    ["SELECT nextval('vehicles_id_seq')"],
    ["SELECT set_config('default_transaction_read_only', 'off', false)"],
    ['SELECT pg_terminate_backend(1)'],
    ['SELECT pg_cancel_backend(1)'],
    ['SELECT pg_advisory_lock(id) FROM vehicles'],
    ['SELECT pg_advisory_lock(1), 2'],
    ['SELECT pg_advisory_xact_lock(1)'],
    ["SELECT pg_notify('a', 'b')"],
    ["SELECT pg_logical_emit_message(false, 'a', 'b')"],
    ["SELECT pg_create_logical_replication_slot('a', 'pgoutput')"],
    ['SELECT pg_switch_wal()'],
    ['SELECT pg_reload_conf()'],
    ["SELECT pg_read_file('/etc/passwd')"],
    ["SELECT * FROM pg_ls_dir('/')"],
    ["SELECT query_to_xml('DELETE FROM notes', true, true, '')"],
    ["SELECT table_to_xml('notes', true, true, '')"],
    ["SELECT ts_stat('DELETE FROM notes')"],
    ['SELECT public.honest(1)'],
    ['SELECT liar(1)'],
    ['SELECT * FROM trapped'],
    ['SELECT notes.peek FROM notes'],
    ["SELECT 'a' =~ 'b'"],
    ["SELECT 'a' OPERATOR(public.=~) 'b'"],
    ['SELECT 1::checked'],
    ['SELECT CAST(id AS public.checked) FROM notes'],
    ['SELECT public.check_stale_reservations(0)'],
    ['DO $$ BEGIN DELETE FROM notes; END $$'],
    ['CALL something()'],
    ['LOCK TABLE customers'],
    ['DECLARE c CURSOR FOR SELECT liar(1)'],
    ['COPY (DELETE FROM notes RETURNING *) TO STDOUT'],
    ["COPY customers TO PROGRAM 'sh'"],
    ["COPY customers TO '/tmp/x'"],
    ["COPY customers FROM '/tmp/x'"],
    ['PREPARE TRANSACTION $$a$$'],
    ['SET SESSION AUTHORIZATION postgres'],
    ['SET ROLE postgres'],
    ['SET default_transaction_read_only = off'],
    ['SET TRANSACTION READ WRITE'],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE'],
    ['SET default_tablespace = fast'],
    ['SET session_replication_role = replica'],
    ["SET LOCAL session_preload_libraries = 'x'"],
    ['ALTER SYSTEM SET fsync = off'],
    ['VACUUM'],
    ['CHECKPOINT'],
    ['SECURITY LABEL ON TABLE notes IS NULL'],
    ['REFRESH MATERIALIZED VIEW x'],
    ['SELECT U&"\\006C\\0069\\0061\\0072"(1)'],
    ['SELECT/*  */liar /* /* nested */ */ (1)'],
    ['SELECT "liar"(1)'],
    ['SELECT 1 FROM notes ORDER BY liar(id)'],
    ['SELECT 1 FROM notes GROUP BY liar(id)'],
    ['SELECT CASE WHEN true THEN liar(1) END'],
    ['SELECT array(SELECT liar(id) FROM notes)'],
    ['SELECT * FROM notes TABLESAMPLE bernoulli (liar(1))'],
    ['SELECT * FROM ROWS FROM (liar(1)) AS x'],
    ['SELECT count(*) FILTER (WHERE liar(1) > 0) FROM notes'],
    ['SELECT sum(id) OVER (ORDER BY liar(id)) FROM notes'],
    ['SELECT 1 LIMIT liar(1)'],
    ['VALUES (liar(1))'],
  ])('%s', (sql) => {
    const analysis = analyse(sql, catalogue, ['public']);
    if ('sqlstate' in analysis) return;
    const harmless = analysis.class.kind === 'read' || analysis.class.kind === 'session';
    expect(harmless && analysis.effects.every(({ verb }) => verb === 'read'), JSON.stringify(analysis)).toBe(false);
  });

  it('leaves a function that nobody has to the database’s own error, in the pinned transaction', () => {
    expect(analysed('SELECT * FROM function_of_nobody(1)').class).toEqual({ kind: 'read', pure: false });
  });

  it('says what it doesn’t know', () => {
    expect(analysed('SELECT liar(1)').unknown.join()).toContain('liar');
    expect(analysed('DO $$ BEGIN END $$').unknown).not.toEqual([]);
  });
});

describe('effects', () => {
  it.each<[sql: string, effects: string[]]>([
    ['INSERT INTO notes VALUES (1)', ['insert public.notes', 'read public.notes']],
    ['DELETE FROM vehicles', ['delete public.vehicles whole', 'read public.vehicles']],
    ['DELETE FROM notes WHERE true', ['delete public.notes whole', 'read public.notes']],
    ['DELETE FROM notes WHERE 1 = 1', ['delete public.notes whole', 'read public.notes']],
    ['DELETE FROM notes WHERE id = id', ['delete public.notes whole', 'read public.notes']],
    ['DELETE FROM notes WHERE id = 1 OR true', ['delete public.notes whole', 'read public.notes']],
    ['DELETE FROM notes WHERE id = 1', ['delete public.notes', 'read public.notes']],
    ['DROP TABLE notes', ['drop public.notes']],
    ['EXPLAIN DELETE FROM notes', ['lock public.notes', 'read public.notes']],
    ['DROP DATABASE rental', ['server rental']],
    ['ALTER TABLE notes ADD COLUMN x int', ['alter public.notes']],
  ])('%s', (sql, expected) => {
    expect(effectsOf(sql)).toEqual(expected);
  });

  it('follows foreign keys as far as they go', () => {
    expect(effectsOf('DELETE FROM customers WHERE id = 1')).toEqual(
      expect.arrayContaining([
        'delete public.customers',
        'delete public.reservations (cascade)',
        'delete public.payments (cascade)',
        'update public.damage_reports (cascade)',
      ]),
    );
    expect(effectsOf('TRUNCATE reservations CASCADE')).toEqual(
      expect.arrayContaining(['truncate public.payments (cascade)', 'truncate public.reservations whole']),
    );
  });

  it.each([
    ['CREATE INDEX CONCURRENTLY i ON notes (note)', false],
    ['CREATE INDEX i ON notes (note)', true],
    ['VACUUM notes', false],
    ['ALTER TABLE notes DROP COLUMN note', true],
  ])('knows whether %s can be tried and rolled back', (sql, transactional) => {
    expect(analysed(sql).class).toMatchObject({ kind: 'change', transactional });
  });

  it('reads countersign.apply as what the gateway does itself, and nothing that only looks like it', () => {
    expect(analysed("CALL countersign.apply('abc')").class).toEqual({ kind: 'apply', plan: 'abc' });
    expect(analysed("CALL countersign.apply('abc', 'def')").class.kind).toBe('change');
    expect(analysed("CALL apply('abc')").class.kind).toBe('change');
    expect(analysed("SELECT countersign.apply('abc')").class.kind).not.toBe('apply');
  });

  it('takes constants out of the shape', () => {
    expect(analysed("SELECT * FROM customers WHERE email = 'secret@example.com'").shape).not.toContain('secret');
  });
});

describe('text', () => {
  it('is refused with NUL, which the parser would stop at', () => {
    expect(splitStatements('SELECT 1\0; DROP TABLE notes')).toHaveProperty('sqlstate');
    expect(analyse('SELECT 1\0; DROP TABLE notes', catalogue, ['public'])).toHaveProperty('sqlstate');
  });

  it('is cut where PostgreSQL cuts it', () => {
    const parts = splitStatements("SELECT ';' ; /* ; */ SELECT $$ ; $$; -- ; \n SELECT 'ü'; ");
    expect('sqlstate' in parts ? parts : parts.map(({ text }) => text.trim())).toEqual([
      "SELECT ';'",
      'SELECT $$ ; $$',
      "SELECT 'ü'",
    ]);
  });

  it('of any kind ends in an analysis or an error, never in a fault', () => {
    const words = [
      'SELECT',
      'DELETE',
      'FROM',
      'customers',
      '(',
      ')',
      ',',
      'liar',
      '1',
      "'x'",
      'WITH',
      'AS',
      ';',
      '$1',
      '::',
      'int',
      "E'\\x00'",
      'WHERE',
      'true',
    ];
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 200 }),
          fc.array(fc.constantFrom(...words), { maxLength: 25 }).map((list) => list.join(' ')),
        ),
        (text) => {
          const analysis = analyse(text, catalogue, ['public']);
          if (!('sqlstate' in analysis) && /liar\s*\(/i.test(text) && analysis.class.kind === 'read') {
            expect(analysis.effects.some(({ verb }) => verb !== 'read') || !/\bliar\s*\(/.test(text)).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
