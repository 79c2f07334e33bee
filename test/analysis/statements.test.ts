import { beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../src/analysis/analyse.ts';
import type { Analysis } from '../../src/domain/effect.ts';
import { objectName } from '../../src/domain/object.ts';
import type { Catalogue } from '../../src/engines/catalogue.ts';
import { trappedCatalogue } from '../fixtures/catalogue.ts';

let catalogue: Catalogue;
beforeAll(async () => {
  catalogue = await trappedCatalogue();
}, 60_000);

function classOf({ class: found }: Analysis): string {
  switch (found.kind) {
    case 'read':
      return found.pure ? 'pure read' : 'read';
    case 'change':
      return found.transactional ? 'change' : 'change, untried';
    case 'transaction':
    case 'session':
      return `${found.kind} ${found.act.act}`;
    default:
      return found.kind;
  }
}

/** `delete public.payments (cascade)`, `truncate public.notes whole` … */
function effectsOf({ effects }: Analysis): string {
  return effects
    .map(
      ({ verb, object, via, wholeTable }) =>
        `${verb} ${objectName(object)}${via === 'direct' ? '' : ` (${via})`}${wholeTable ? ' whole' : ''}`,
    )
    .sort()
    .join(', ');
}

const STATEMENTS: readonly (readonly [sql: string, is: string, effects: string])[] = [
  ['BEGIN', 'transaction begin', ''],
  ['BEGIN READ ONLY', 'transaction begin', ''],
  ['START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY', 'transaction begin', ''],
  ['BEGIN READ WRITE', 'transaction begin', ''],
  ['COMMIT', 'transaction commit', ''],
  ['END', 'transaction commit', ''],
  ['ROLLBACK', 'transaction rollback', ''],
  ['ABORT', 'transaction rollback', ''],
  ['COMMIT AND CHAIN', 'unsupported', ''],
  ['SAVEPOINT a', 'transaction savepoint', ''],
  ['ROLLBACK TO a', 'transaction rollback to', ''],
  ['RELEASE a', 'transaction release', ''],
  ["PREPARE TRANSACTION 'x'", 'unsupported', ''],
  ["COMMIT PREPARED 'x'", 'unsupported', ''],
  ["ROLLBACK PREPARED 'x'", 'unsupported', ''],
  ['SHOW search_path', 'session show', ''],
  ['SET CONSTRAINTS ALL DEFERRED', 'session constraints', ''],
  ['DISCARD ALL', 'session discard', ''],
  ['DISCARD TEMP', 'session discard', ''],
  ['RESET ALL', 'session discard', ''],
  ['DEALLOCATE ALL', 'session deallocate', ''],
  ['DEALLOCATE a', 'session deallocate', ''],
  ['FETCH 5 FROM c', 'session cursor', ''],
  ['MOVE 5 FROM c', 'session cursor', ''],
  ['CLOSE c', 'session cursor', ''],
  ['PREPARE a AS SELECT 1', 'session prepare', ''],
  ['LISTEN a', 'session listen', 'read pg_notify.a'],
  ['UNLISTEN *', 'session unlisten', ''],
  ['NOTIFY a', 'change', 'unknown pg_notify.a'],
  ['COPY notes FROM STDIN', 'write', 'insert public.notes, read public.notes'],
  ['COPY notes FROM STDIN (FREEZE)', 'unsupported', ''],
  ['COPY notes (id) FROM STDIN (FORMAT csv, HEADER) WHERE id > 1', 'write', 'insert public.notes, read public.notes'],
  ["COPY notes FROM PROGRAM 'sh'", 'change', 'server sh'],
  ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'pure read', ''],
  ['DECLARE c CURSOR FOR SELECT * FROM notes FOR UPDATE', 'write', 'lock public.notes, read public.notes'],
  ['LOCK TABLE notes IN ACCESS SHARE MODE', 'read', 'read public.notes'],
  ['LOCK TABLE notes IN ROW SHARE MODE', 'write', 'lock public.notes'],
  ['LOCK TABLE notes IN ROW EXCLUSIVE MODE', 'write', 'lock public.notes'],
  ['LOCK TABLE notes IN SHARE UPDATE EXCLUSIVE MODE', 'change', 'maintain public.notes'],
  ['LOCK TABLE notes IN SHARE MODE', 'change', 'maintain public.notes'],
  ['LOCK TABLE notes IN SHARE ROW EXCLUSIVE MODE', 'change', 'maintain public.notes'],
  ['LOCK TABLE notes IN EXCLUSIVE MODE', 'change', 'maintain public.notes'],
  ['LOCK TABLE notes', 'change', 'maintain public.notes'],
  ['EXPLAIN (ANALYZE false) DELETE FROM notes', 'write', 'lock public.notes, read public.notes'],
  ['EXPLAIN CREATE TABLE x AS SELECT 1', 'change', 'create public.x'],
  [
    "INSERT INTO customers (email, full_name) VALUES ('a', 'b') RETURNING id",
    'write',
    'insert public.customers, read public.customers',
  ],
  ['UPDATE customers SET loyalty_points = 0', 'write', 'read public.customers, update public.customers whole'],
  ['UPDATE customers SET id = 5 WHERE id = 4', 'write', 'read public.customers, update public.customers'],
  ['UPDATE vehicles SET retired = true WHERE id = 1', 'write', 'read public.vehicles, update public.vehicles'],
  [
    'DELETE FROM reservations WHERE id = 1',
    'write',
    'delete public.payments (cascade), delete public.reservations, read public.reservations, update public.damage_reports (cascade)',
  ],
  ['DELETE FROM telemetry WHERE at < now()', 'write', 'delete public.telemetry, read public.telemetry'],
  [
    'MERGE INTO notes USING vehicles v ON v.id = notes.id WHEN MATCHED THEN UPDATE SET note = v.plate WHEN NOT MATCHED THEN INSERT VALUES (v.id)',
    'write',
    'delete public.notes (rule), insert public.notes, read public.notes, read public.vehicles, update public.notes',
  ],
  [
    'TRUNCATE customers CASCADE',
    'write',
    'truncate public.customers whole, truncate public.damage_reports (cascade), truncate public.payments (cascade), truncate public.reservations (cascade)',
  ],
  ['TRUNCATE telemetry, notes', 'write', 'truncate public.notes whole, truncate public.telemetry whole'],
  ['CREATE TABLE x (i int REFERENCES notes)', 'change', 'create public.x, read public.notes'],
  ['CREATE TEMP TABLE x (i int)', 'change', 'create public.x'],
  ['CREATE TABLE x AS TABLE notes', 'change', 'create public.x, read public.notes'],
  ['CREATE INDEX ON notes (note)', 'change', 'alter public.notes'],
  ['CREATE UNIQUE INDEX CONCURRENTLY i ON notes (note)', 'change, untried', 'alter public.notes'],
  ['CREATE SEQUENCE s', 'change', 'create public.s'],
  ['CREATE SCHEMA s', 'change', 'create s'],
  ["CREATE TYPE t AS ENUM ('a')", 'change', 'create public.t'],
  ['CREATE DOMAIN d AS int', 'change', 'create public.d'],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'change', 'create public.f'],
  [
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'x'",
    'change',
    'alter public.f, privilege public.f',
  ],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'x'", 'change', 'create public.f, server public.f'],
  ["CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x', 'y'", 'change', 'create public.f, server public.f'],
  ["CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'", 'change', 'create public.p'],
  [
    'CREATE TRIGGER t BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION write_audit_log()',
    'change',
    'alter public.notes',
  ],
  ['CREATE RULE r AS ON DELETE TO notes DO INSTEAD NOTHING', 'change', 'alter public.notes'],
  ['CREATE EXTENSION hstore', 'change', 'create hstore'],
  ['CREATE VIEW v AS SELECT 1', 'change', 'create public.v'],
  ['CREATE OR REPLACE VIEW active_reservations AS SELECT 1', 'change', 'alter public.active_reservations'],
  ['CREATE MATERIALIZED VIEW m AS SELECT * FROM notes', 'change', 'create public.m, read public.notes'],
  ['CREATE POLICY p ON notes', 'change', 'privilege CREATE POLICY, privilege public.notes'],
  ['CREATE ROLE r SUPERUSER', 'change', 'server r'],
  ['CREATE USER u', 'change', 'server u'],
  ['CREATE DATABASE d', 'change, untried', 'server d'],
  ["CREATE TABLESPACE t LOCATION '/tmp'", 'change', 'server CREATE TABLE SPACE'],
  ["CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", 'change', 'server CREATE SUBSCRIPTION'],
  ['CREATE PUBLICATION p FOR ALL TABLES', 'change', 'server CREATE PUBLICATION'],
  ['CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()', 'change', 'server CREATE EVENT TRIG'],
  ['CREATE SERVER s FOREIGN DATA WRAPPER w', 'change', 'server CREATE FOREIGN SERVER'],
  ['CREATE FOREIGN TABLE f (i int) SERVER s', 'change', 'server CREATE FOREIGN TABLE'],
  ['CREATE LANGUAGE plperlu', 'change', 'create plperlu'],
  ['CREATE CAST (int AS text) WITH INOUT', 'change', 'server CREATE CAST'],
  ['CREATE STATISTICS s ON id, note FROM notes', 'change', 'create s'],
  ['CREATE AGGREGATE a (int) (sfunc = int4pl, stype = int)', 'change', 'create public.a'],
  ['CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq)', 'change', 'create public.==='],
  ['ALTER TABLE notes ADD COLUMN x int', 'change', 'alter public.notes'],
  ['ALTER TABLE notes DROP COLUMN note', 'change', 'alter public.notes, drop public.notes'],
  ['ALTER TABLE notes DROP CONSTRAINT notes_pkey', 'change', 'alter public.notes, drop public.notes'],
  ['ALTER TABLE notes OWNER TO x', 'change', 'alter public.notes, privilege public.notes'],
  ['ALTER TABLE notes DISABLE TRIGGER ALL', 'change', 'alter public.notes'],
  ['ALTER TABLE notes ENABLE ROW LEVEL SECURITY', 'change', 'alter public.notes, privilege public.notes'],
  ['ALTER TABLE notes SET TABLESPACE t', 'change', 'alter public.notes, server public.notes'],
  ['ALTER TABLE notes RENAME TO x', 'change', 'alter public.notes, create public.x'],
  [
    'ALTER TABLE telemetry DETACH PARTITION telemetry_2026_09 CONCURRENTLY',
    'change, untried',
    'alter public.telemetry, alter public.telemetry_2026_09',
  ],
  ['ALTER TABLE telemetry ATTACH PARTITION notes DEFAULT', 'change', 'alter public.notes, alter public.telemetry'],
  ['ALTER INDEX reservations_customer RENAME TO x', 'change', 'alter public.reservations_customer'],
  ["ALTER TYPE reservation_status ADD VALUE 'x'", 'change', 'alter public.reservation_status'],
  ['ALTER SEQUENCE vehicles_id_seq RESTART', 'change', 'alter public.vehicles_id_seq'],
  ['ALTER FUNCTION honest(int) STABLE', 'change', 'alter public.honest'],
  ["ALTER ROLE x PASSWORD 'y'", 'change', 'server x'],
  ['ALTER ROLE x RENAME TO y', 'change', 'server x'],
  ['ALTER DATABASE rental SET fsync = off', 'change', 'server rental'],
  ['ALTER SYSTEM SET fsync = off', 'change, untried', 'server ALTER SYSTEM'],
  ['ALTER EXTENSION hstore UPDATE', 'change', 'create hstore'],
  ['ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x', 'change', 'privilege ALTER DEFAULT PRIVILEGES'],
  ['ALTER POLICY p ON notes TO x', 'change', 'privilege ALTER POLICY, privilege public.notes'],
  ['DROP TABLE notes, vehicles CASCADE', 'change', 'drop public.notes, drop public.vehicles'],
  ['DROP VIEW active_reservations', 'change', 'drop public.active_reservations'],
  ['DROP INDEX reservations_customer', 'change', 'drop public.reservations_customer'],
  ['DROP INDEX CONCURRENTLY reservations_customer', 'change, untried', 'drop public.reservations_customer'],
  ['DROP SCHEMA shadow CASCADE', 'change', 'drop shadow'],
  ['DROP FUNCTION honest(int)', 'change', 'drop public.honest'],
  ['DROP TYPE reservation_status', 'change', 'drop public.reservation_status'],
  ['DROP ROLE x', 'change', 'server DROP ROLE'],
  ['DROP OWNED BY x', 'change', 'server DROP OWNED'],
  ['DROP DATABASE rental', 'change, untried', 'server rental'],
  ['DROP EXTENSION hstore', 'change', 'drop hstore'],
  ['DROP TRIGGER t ON notes', 'change', 'alter public.notes, drop public.notes.t'],
  ['DROP MATERIALIZED VIEW m', 'change', 'drop public.m'],
  ['DROP SUBSCRIPTION s', 'change', 'server DROP SUBSCRIPTION'],
  ['DROP OPERATOR === (int, int)', 'change', 'drop public.==='],
  ['DROP CAST (int AS text)', 'change', 'server int4.text'],
  ['GRANT SELECT ON notes TO x', 'change', 'privilege GRANT, privilege public.notes'],
  ['GRANT x TO y', 'change', 'server GRANT ROLE'],
  ['REVOKE ALL ON SCHEMA public FROM x', 'change', 'privilege GRANT, privilege public'],
  ['REASSIGN OWNED BY x TO y', 'change', 'server REASSIGN OWNED'],
  ['GRANT pg_read_all_data TO x', 'change', 'server GRANT ROLE'],
  ['GRANT SET ON PARAMETER fsync TO x', 'change', 'privilege public.fsync, server GRANT'],
  ["COMMENT ON TABLE notes IS 'x'", 'change', 'alter public.notes'],
  ["SECURITY LABEL ON TABLE notes IS 'x'", 'change', 'server SEC LABEL'],
  ['VACUUM', 'change, untried', 'maintain every table'],
  ['VACUUM FULL notes', 'change, untried', 'maintain public.notes'],
  ['ANALYZE notes', 'change', 'maintain public.notes'],
  ['REINDEX TABLE notes', 'change', 'maintain public.notes'],
  ['REINDEX DATABASE rental', 'change, untried', 'maintain rental'],
  ['CLUSTER notes USING notes_pkey', 'change', 'maintain public.notes'],
  ['REFRESH MATERIALIZED VIEW m', 'change', 'maintain public.m'],
  ['CHECKPOINT', 'change', 'server CHECK POINT'],
  ["LOAD 'x'", 'change', 'server LOAD'],
  ['IMPORT FOREIGN SCHEMA s FROM SERVER t INTO public', 'change', 'server IMPORT FOREIGN SCHEMA'],
  ["DO 'BEGIN END'", 'change', 'unknown DO'],
  ['CALL p()', 'change', 'unknown public.p'],
  ["CALL countersign.apply('sha256:ab')", 'apply', ''],
  ['SELECT * FROM fleet_utilisation', 'pure read', 'read public.fleet_utilisation'],
  ['SELECT settle_invoice(1)', 'change', 'unknown settle_invoice'],
  ['SELECT * FROM check_stale_reservations()', 'change', 'unknown check_stale_reservations'],
  ['CREATE TYPE t AS (a int)', 'change', 'create public.t'],
  ['CREATE TYPE t AS RANGE (subtype = int)', 'change', 'create public.t'],
  ['EXPLAIN (ANALYZE off, VERBOSE) SELECT * FROM notes', 'pure read', 'read public.notes'],
  ['CREATE DOMAIN countersign.d AS int', 'change', 'create countersign.d, server countersign.d'],
  ['CREATE TYPE countersign.t AS (a int)', 'change', 'create countersign.t, server countersign.t'],
];

describe('what each kind of statement is and does', () => {
  it.each(STATEMENTS)('%s: %s', (sql, is, effects) => {
    const analysis = analyse(sql, catalogue, ['public']);
    if ('sqlstate' in analysis) throw new Error(analysis.message);
    expect([classOf(analysis), effectsOf(analysis)]).toEqual([is, effects]);
    // What isn't known is both named for people and an effect for policies, or neither.
    expect(analysis.effects.some(({ verb }) => verb === 'unknown')).toBe(analysis.unknown.length > 0);
    expect(analysis.command).not.toBe('');
  });

  it.each([
    ['EXECUTE p', 'PREPARE p AS SELECT * FROM notes', 'sql', 'pure read', 'read public.notes'],
    [
      'EXECUTE p(1)',
      'PREPARE p (int) AS DELETE FROM notes WHERE id = $1',
      'sql',
      'write',
      'delete public.notes, read public.notes',
    ],
    ["EXECUTE p(set_config('a.b', 'c', true))", 'PREPARE p (text) AS SELECT $1', 'sql', 'change', 'unknown set_config'],
    ['EXPLAIN EXECUTE p', 'PREPARE p AS SELECT * FROM notes', 'sql', 'pure read', 'read public.notes'],
    ['EXECUTE p', 'SELECT * FROM notes', 'protocol', 'pure read', 'read public.notes'],
    ['EXECUTE p', 'SET search_path = x', 'protocol', 'unsupported', ''],
  ] as const)('%s of %s (by %s): %s', (sql, text, by, is, effects) => {
    const analysis = analyse(sql, catalogue, ['public'], (name) => (name === 'p' ? { name, text, by } : undefined));
    if ('sqlstate' in analysis) throw new Error(analysis.message);
    expect([classOf(analysis), effectsOf(analysis)]).toEqual([is, effects]);
    if (is !== 'unsupported') expect(analysis.executes).toEqual({ name: 'p', text, by });
  });

  it('has nothing to say of a name under which nothing is prepared', () => {
    expect(analyse('EXECUTE a', catalogue, ['public'])).toMatchObject({ sqlstate: '26000' });
  });

  it('has no statement that only the server can run and that is not called so', () => {
    const server = STATEMENTS.filter(([sql]) => /DATABASE|SYSTEM|TABLESPACE|SUBSCRIPTION|ROLE|PROGRAM/.test(sql));
    expect(server.length).toBeGreaterThan(12);
    for (const [sql, is, effects] of server)
      if (!sql.startsWith('REINDEX')) expect(`${is} ${effects}`, sql).toMatch(/^change.* server /);
  });
});
