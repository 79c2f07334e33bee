import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asId, type PlanId } from '../../../src/domain/ids.ts';
import type { Target } from '../../../src/domain/target.ts';
import type { ApplyRequest, Credential, Measured, ProfileLogins, TargetEngine } from '../../../src/engines/engine.ts';
import { identityDigest, readIdentity } from '../../../src/engines/postgres/connect.ts';
import { APPLY_ROLE, planSetup, SESSION_ROLE } from '../../../src/engines/postgres/setup.ts';
import { openPostgresTarget } from '../../../src/engines/postgres/target.ts';
import { asSuperuser, rentalDatabase, servers, startTestServer, type TestServer } from '../../fixtures/postgres.ts';

const BOUNDS = { statementTimeoutMs: 10_000, lockTimeoutMs: 300, blockingToleranceMs: 100, maxRows: 100_000 };
const PASSWORDS = { session: 'session-secret', apply: 'apply-secret' };

describe.each(servers)('a target on $name', ({ binaries }) => {
  let server: TestServer;
  let url: string;
  let target: Target;
  let engine: TargetEngine;
  let plans = 0;

  beforeAll(async () => {
    server = await startTestServer(binaries);
    url = await rentalDatabase(server);
    const setup = async () => {
      const statements = await planSetup((sql) => asSuperuser(url, sql), PASSWORDS);
      for (const { sql } of statements) await asSuperuser(url, sql);
    };
    await setup();
    // A second time it changes nothing that the first has made.
    await setup();
    const endpoint = { host: server.host, port: server.port, database: 'rental', tls: 'disable' as const };
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const identity = await readIdentity(
      endpoint,
      async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows as string[][],
    );
    await client.end();
    target = {
      id: asId('rental'),
      engine: 'postgres',
      environment: asId('test'),
      owner: asId('ada'),
      endpoint,
      identity: identityDigest(identity),
    };
    engine = await open(target);
  }, 60_000);
  afterAll(async () => {
    await engine?.close();
    await server?.remove();
  });

  const open = (which: Target) =>
    openPostgresTarget({
      target: which,
      credentials: {
        session: { user: SESSION_ROLE, password: PASSWORDS.session },
        apply: { user: APPLY_ROLE, password: PASSWORDS.apply },
      },
      onTrouble: () => undefined,
    });

  function request(sql: string, tables: readonly string[] = []) {
    return {
      statements: [{ text: sql, parameters: [] }],
      settings: [{ name: 'search_path', value: 'public' }],
      tables,
      baseObjects: tables,
      bounds: BOUNDS,
    };
  }
  const measure = (sql: string, tables: readonly string[] = []) => engine.measure(request(sql, tables));
  function apply(sql: string, measured: Measured, tables: readonly string[] = [], more: Partial<ApplyRequest> = {}) {
    return engine.apply({
      plan: asId<PlanId>(`sha256:${String(++plans).padStart(64, '0')}`),
      ...request(sql, tables),
      baseState: measured.baseState,
      identity: measured.identity,
      approved: measured.measurement,
      outsideTransaction: false,
      beforeCommit: async () => undefined,
      ...more,
    });
  }
  const tablesOf = ({ measurement }: Measured) =>
    measurement.measured
      ? Object.fromEntries(measurement.effect.tables.map(({ table, via: _, ...counts }) => [table, counts]))
      : measurement.why;

  describe('G1 the second lock: what the database lets a profile do', () => {
    let logins: ProfileLogins;
    beforeAll(async () => {
      logins = await engine.provision({
        target: target.id,
        read: ['public.customers', 'public.vehicles'],
        write: ['public.vehicles'],
        columns: [],
        statementTimeoutMs: 5000,
      });
    });

    async function as(login: Credential | undefined, sql: string, database = 'rental'): Promise<string> {
      const client = new pg.Client({
        host: server.host,
        port: server.port,
        database,
        user: login?.user ?? '',
        password: login?.password ?? '',
      });
      try {
        await client.connect();
        await client.query(sql);
        return 'done';
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      } finally {
        await client.end().catch(() => undefined);
      }
    }

    it('reads and writes what the task declares', async () => {
      expect(await as(logins.read, 'SELECT count(*) FROM customers')).toBe('done');
      expect(await as(logins.write, "INSERT INTO vehicles (plate, model, daily_rate) VALUES ('ZZ-99', 'Van', 1)")).toBe(
        'done',
      );
    });

    it.each<[login: 'read' | 'write', sql: string, codes: RegExp]>([
      ['read', 'SELECT * FROM payments', /42501/],
      ['read', 'DELETE FROM vehicles', /42501|25006/],
      ['read', 'SET default_transaction_read_only = off; COMMIT; BEGIN; DELETE FROM vehicles', /42501/],
      ['write', 'DELETE FROM customers', /42501/],
      ['write', 'SELECT * FROM payments', /42501/],
      ['write', 'TRUNCATE vehicles', /42501/],
      ['write', 'DROP TABLE vehicles', /42501/],
      ['write', 'ALTER TABLE vehicles DISABLE TRIGGER ALL', /42501/],
      ['write', 'CREATE TABLE mine (id int)', /42501/],
      ['write', 'CREATE TEMP TABLE mine (id int)', /42501/],
      ['write', 'CREATE SCHEMA mine', /42501/],
      ['write', 'CREATE ROLE mine', /42501/],
      [
        'write',
        'GRANT SELECT ON vehicles TO PUBLIC; SELECT 1 / (SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = $$PUBLIC$$ AND table_name = $$vehicles$$)::int',
        /42501|22012/,
      ],
      ['write', `SET ROLE ${APPLY_ROLE}`, /42501/],
      ['write', `SET ROLE ${SESSION_ROLE}`, /42501/],
      ['write', 'SET SESSION AUTHORIZATION postgres', /42501/],
      ['write', 'SET session_replication_role = replica', /42501/],
      ['write', "COPY vehicles TO '/tmp/x'", /42501/],
      ['write', "COPY vehicles TO PROGRAM 'true'", /42501/],
      ['write', "SELECT pg_read_file('/etc/passwd')", /42501/],
      ['write', "SELECT lo_export(1, '/tmp/x')", /42501/],
      [
        'write',
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $$postgres$$ LIMIT 1',
        /42501|done/,
      ],
      ['write', 'ALTER SYSTEM SET fsync = off', /42501|25001/],
      ['write', 'SELECT * FROM countersign.applied', /42501/],
      ['write', 'DELETE FROM countersign.written', /42501/],
      ['write', "SELECT pg_create_logical_replication_slot('a', 'pgoutput')", /42501|55000/],
      ['write', 'SELECT * FROM pg_authid', /42501/],
    ])('as %s refuses %s', async (login, sql, codes) => {
      expect(await as(logins[login], sql)).toMatch(codes);
    });

    it('reaches no other database', async () => {
      expect(await as(logins.read, 'SELECT 1', 'postgres')).toBe('42501');
    });

    it('is made once, whoever asks, also at once', async () => {
      const profile = {
        target: target.id,
        read: ['public.audit_log'],
        write: [],
        columns: [],
        statementTimeoutMs: 5000,
      };
      const [first, second] = await Promise.all([engine.provision(profile), engine.provision(profile)]);
      expect(first).toEqual(second);
      expect(first.write).toBeUndefined();
      expect(await as(first.read, 'SELECT 1 FROM audit_log')).toBe('done');
    });

    it('is judged by the catalogue as it is, also by what a transaction did that began before the last look', async () => {
      const early = new pg.Client({ connectionString: url });
      await early.connect();
      await early.query('BEGIN; CREATE TABLE public.early (id int)');
      // A later transaction ends first: no id that the server gives out tells of the earlier one's end.
      await asSuperuser(url, 'CREATE TABLE public.late (id int)');
      const before = await engine.refreshCatalogue();
      expect(await engine.refreshCatalogue()).toBe(before);
      expect([before.relations.has('public.late'), before.relations.has('public.early')]).toEqual([true, false]);
      await early.query('COMMIT');
      await early.end();
      expect((await engine.refreshCatalogue()).relations.has('public.early')).toBe(true);
      await asSuperuser(url, 'DROP TABLE public.early, public.late');
      expect((await engine.refreshCatalogue()).relations.has('public.late')).toBe(false);
    });

    it('gets its grants again for a table that was made anew', async () => {
      await asSuperuser(url, 'SET ROLE rental_owner; CREATE TABLE public.again (id int)');
      await engine.refreshCatalogue();
      const profile = {
        target: target.id,
        read: ['public.again'],
        write: ['public.again'],
        columns: [],
        statementTimeoutMs: 5000,
      };
      await engine.provision(profile);
      await asSuperuser(url, 'SET ROLE rental_owner; DROP TABLE public.again; CREATE TABLE public.again (id int)');
      const { write } = await engine.provision(profile);
      expect(await as(write, 'INSERT INTO again VALUES (1)')).toBe('done');
    });
  });

  describe('G2 a dry run', () => {
    it('counts cascades and triggers, and changes nothing', async () => {
      const before = await asSuperuser(url, 'SELECT count(*) FROM payments');
      const measured = await measure('DELETE FROM public.customers WHERE id <= 3', ['public.customers']);
      expect(tablesOf(measured)).toMatchObject({
        'public.customers': { deleted: 3 },
        'public.reservations': { deleted: expect.any(Number) },
        'public.payments': { deleted: expect.any(Number) },
        'public.audit_log': { inserted: expect.any(Number) },
      });
      expect(await asSuperuser(url, 'SELECT count(*) FROM payments')).toEqual(before);
    });

    it('knows the columns that differ from run to run', async () => {
      const { measurement } = await measure('DELETE FROM public.reservations WHERE id = 1', ['public.reservations']);
      expect(measurement.measured && measurement.effect.volatileColumns['public.audit_log']).toEqual(
        expect.arrayContaining(['at', 'id']),
      );
    });

    it('sees rows of a partitioned table under its name, and those that move', async () => {
      const moved =
        "UPDATE public.telemetry SET at = at + interval '1 month' WHERE ctid = (SELECT ctid FROM public.telemetry_2026_09 LIMIT 1) AND tableoid = 'public.telemetry_2026_09'::regclass";
      expect(tablesOf(await measure(moved, ['public.telemetry']))).toHaveProperty('public.telemetry');
    });

    it('counts what TRUNCATE takes', async () => {
      const [row] = await asSuperuser<{ n: number }>(url, 'SELECT count(*)::int AS n FROM telemetry');
      expect(tablesOf(await measure('TRUNCATE public.telemetry', ['public.telemetry']))).toMatchObject({
        'public.telemetry': { truncated: row?.n },
      });
    });

    it('lists objects that go, with the rows in them', async () => {
      const { measurement } = await measure('DROP TABLE public.payments', ['public.payments']);
      expect(measurement.measured && measurement.effect.objects).toEqual(
        expect.arrayContaining([{ change: 'dropped', object: 'table public.payments', rows: expect.any(Number) }]),
      );
    });

    it('passes on the database’s error when there is nothing to plan', async () => {
      expect((await measure('DELETE FROM public.nothing')).failure).toMatchObject({ sqlstate: '42P01' });
    });

    it('gives way to who waits for it, and says that it could not measure', async () => {
      const measuring = measure('UPDATE public.vehicles SET model = model; SELECT pg_sleep(3)'.split(';')[0] ?? '', [
        'public.vehicles',
      ]);
      await measuring;
      const slow = engine.measure({
        ...request('UPDATE public.vehicles SET model = model', ['public.vehicles']),
        statements: [
          { text: 'UPDATE public.vehicles SET model = model', parameters: [] },
          { text: 'SELECT pg_sleep(5)', parameters: [] },
        ],
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      const startedMs = performance.now();
      await asSuperuser(url, 'UPDATE public.vehicles SET retired = retired WHERE id = 1');
      expect(performance.now() - startedMs).toBeLessThan(2000);
      expect((await slow).measurement).toMatchObject({ measured: false, why: expect.stringMatching(/wait/) });
    });

    it('ends where it would change more rows than it may keep', async () => {
      const measured = await engine.measure({
        ...request('UPDATE public.customers SET loyalty_points = 0', ['public.customers']),
        bounds: { ...BOUNDS, maxRows: 10 },
      });
      expect(measured.measurement).toMatchObject({ measured: false, why: expect.stringContaining('more rows') });
    });
  });

  describe('G6 what became of a write', () => {
    const mark = (intent: string) =>
      `INSERT INTO countersign.written (intent, xid, at) VALUES ('${intent}', pg_current_xact_id(), clock_timestamp())`;

    it('is known while it is open, and after it', async () => {
      const writer = new pg.Client({ connectionString: url });
      await writer.connect();
      await writer.query(`BEGIN; ${mark('intent_slow')}`);
      expect(await engine.writtenState('intent_slow')).toBe('in progress');
      await writer.query('COMMIT');
      expect(await engine.writtenState('intent_slow')).toBe('applied');
      await writer.query(`BEGIN; ${mark('intent_undone')}`);
      await writer.query('ROLLBACK');
      await writer.end();
      expect(await engine.writtenState('intent_undone')).toBe('not applied');
    });

    it('stands: what was said not to have taken effect can’t be committed by a gateway that was only slow', async () => {
      expect(await engine.writtenState('intent_paused')).toBe('not applied');
      await expect(asSuperuser(url, mark('intent_paused'))).rejects.toThrow('written_pkey');
      expect(await engine.writtenState('intent_paused')).toBe('not applied');
      // While others write all the time, the question is answered all the same.
      const other = new pg.Client({ connectionString: url });
      await other.connect();
      await other.query(`BEGIN; ${mark('intent_of_another')}`);
      expect(await engine.writtenState('intent_asked')).toBe('not applied');
      await other.query('ROLLBACK');
      await other.end();
    });
  });

  describe('G3 G6 an apply', () => {
    it('applies what was approved, once', async () => {
      const sql = 'UPDATE public.customers SET loyalty_points = loyalty_points + 1 WHERE id = 5';
      const measured = await measure(sql, ['public.customers']);
      const plan = asId<PlanId>(`sha256:${'a'.repeat(64)}`);
      const outcomes = await Promise.all([
        apply(sql, measured, ['public.customers'], { plan }),
        apply(sql, measured, ['public.customers'], { plan }),
      ]);
      // Where it takes long, the one that waits for the other is no longer waited for.
      expect(['already applied,applied', 'applied,not applied']).toContain(
        String(outcomes.map(({ outcome }) => outcome).sort()),
      );
      expect(await engine.appliedState(plan)).toBe('applied');
      expect(
        await asSuperuser(url, `SELECT sum(rows)::int AS n FROM countersign.captured_rows WHERE change = '${plan}'`),
      ).toEqual([{ n: 1 }]);
      expect(await asSuperuser(url, "SELECT 1 FROM pg_trigger WHERE tgname LIKE '~countersign%'")).toEqual([]);
    });

    it.each<[what: string, meanwhile: string]>([
      ['a row changed, with the same count', 'UPDATE public.customers SET full_name = full_name || $$!$$ WHERE id = 7'],
      [
        'a cascade grew',
        "INSERT INTO public.reservations (customer_id, vehicle_id, starts_on, ends_on) VALUES (7, 1, '2026-01-01', '2026-01-02')",
      ],
      [
        'a trigger was added that writes elsewhere',
        'CREATE OR REPLACE FUNCTION public.t() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO public.schema_migrations VALUES (old.id::text); RETURN NULL; END $f$; GRANT INSERT ON public.schema_migrations TO countersign_apply; CREATE TRIGGER t AFTER DELETE ON public.customers FOR EACH ROW EXECUTE FUNCTION public.t()',
      ],
    ])('is stale when %s', async (_, meanwhile) => {
      const sql = 'DELETE FROM public.customers WHERE id = 7';
      const measured = await measure(sql, ['public.customers']);
      await asSuperuser(url, meanwhile);
      expect(await apply(sql, measured, ['public.customers'])).toMatchObject({
        outcome: 'stale',
        changed: expect.arrayContaining([expect.any(String)]),
      });
      expect(await asSuperuser(url, 'SELECT 1 FROM public.customers WHERE id = 7')).toHaveLength(1);
      await asSuperuser(url, 'DROP TRIGGER IF EXISTS t ON public.customers');
    });

    it('is stale when the definition changed on which it rests', async () => {
      const sql = 'UPDATE public.vehicles SET model = model WHERE id = 1';
      const measured = await measure(sql, ['public.vehicles']);
      await asSuperuser(url, 'ALTER TABLE public.vehicles ADD COLUMN colour text');
      expect(await apply(sql, measured, ['public.vehicles'])).toMatchObject({ outcome: 'stale' });
    });

    it('waits for no lock longer than it may, and can be tried again', async () => {
      const sql = 'UPDATE public.customers SET loyalty_points = 3 WHERE id = 9';
      const measured = await measure(sql, ['public.customers']);
      const blocker = new pg.Client({ connectionString: url });
      await blocker.connect();
      await blocker.query('BEGIN; LOCK TABLE public.customers');
      expect(await apply(sql, measured, ['public.customers'])).toMatchObject({ outcome: 'not applied' });
      await blocker.query('ROLLBACK');
      await blocker.end();
      expect(await apply(sql, measured, ['public.customers'])).toMatchObject({ outcome: 'applied' });
    });

    it('is rolled back when its proof can’t be written', async () => {
      const sql = 'UPDATE public.customers SET loyalty_points = 99 WHERE id = 10';
      const measured = await measure(sql, ['public.customers']);
      const failing = apply(sql, measured, ['public.customers'], {
        beforeCommit: async () => {
          throw new Error('no ledger');
        },
      });
      expect(await failing).toMatchObject({ outcome: 'not applied', why: 'no ledger' });
      expect(await asSuperuser(url, 'SELECT 1 FROM customers WHERE id = 10 AND loyalty_points = 99')).toEqual([]);
    });

    it('binds values with the types they were measured with', async () => {
      const bound = {
        ...request('', ['public.customers']),
        statements: [
          {
            text: 'UPDATE public.customers SET full_name = $1, created_at = $2 WHERE id = $3',
            parameters: [
              { type: 'text', value: "O'Hara \\ $1" },
              { type: 'timestamp with time zone', value: '2026-01-01 00:00:00+00' },
              { type: 'unknown', value: '12' },
            ],
          },
        ],
      };
      const measured = await engine.measure(bound);
      expect(tablesOf(measured)).toMatchObject({ 'public.customers': { updated: 1 } });
      expect(await apply('', measured, ['public.customers'], { statements: bound.statements })).toMatchObject({
        outcome: 'applied',
      });
      expect(await asSuperuser(url, 'SELECT full_name FROM customers WHERE id = 12')).toEqual([
        { full_name: "O'Hara \\ $1" },
      ]);
    });
  });

  describe('G9 identity', () => {
    it('refuses a target that is not the pinned one', async () => {
      const other = await rentalDatabase(server, 'clone');
      expect(other).toContain('clone');
      await asSuperuser(other, `GRANT CONNECT ON DATABASE clone TO ${SESSION_ROLE}`);
      const moved: Target = { ...target, endpoint: { ...target.endpoint, database: 'clone' } };
      await expect(open(moved)).rejects.toMatchObject({ refusal: { refused: 'identityMismatch' } });
    });

    it('says that a server can’t be reached', async () => {
      const gone: Target = { ...target, endpoint: { ...target.endpoint, port: 1 } };
      await expect(open(gone)).rejects.toMatchObject({ refusal: { refused: 'unavailable' } });
    });
  });
});
