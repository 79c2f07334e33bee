import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, newest, sampled } from '../fixtures/postgres.ts';

/** Reads everything, writes nothing but one small table: whatever else changes is an attack that got through. */
const NARROW = `
purpose: look around
agent: migrator
targets:
  rental-production:
    read: [public.*]
    write: [public.schema_migrations]
limits: { rowsPerStatement: 10, rowsPerTask: 20, statementTimeout: 3s }
expires: 1h
`;

/** In the database before the agent comes: things that look harmless and are not. */
const TRAPS = `
  CREATE FUNCTION public.liar(int) RETURNS int LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER AS $$ BEGIN DELETE FROM public.payments; RETURN 1; END $$;
  CREATE FUNCTION public.quiet(public.customers) RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER AS 'DELETE FROM public.payments; SELECT 1';
  CREATE VIEW public.trapped AS SELECT public.liar(id) AS bite FROM public.vehicles;
  CREATE FUNCTION public.eats(text, text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM public.payments; RETURN true; END $$;
  CREATE OPERATOR public.=~ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.eats);
  CREATE DOMAIN public.checked AS int CHECK (public.liar(VALUE) > 0);
  CREATE TYPE public.colour AS ENUM ('red');
  CREATE FUNCTION public.to_colour(text) RETURNS public.colour LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM public.payments; RETURN 'red'; END $$;
  CREATE CAST (text AS public.colour) WITH FUNCTION public.to_colour(text) AS IMPLICIT;
  CREATE TABLE public.walled (id int, owner text);
  INSERT INTO public.walled VALUES (1, 'x');
  ALTER TABLE public.walled ENABLE ROW LEVEL SECURITY;
  CREATE POLICY p ON public.walled USING (public.liar(id) > 0);
  CREATE AGGREGATE public.hungry (int) (SFUNC = int4pl, STYPE = int, FINALFUNC = public.liar);
`;

const ATTACKS: readonly string[] = [
  'DELETE FROM payments',
  'DELETE FROM payments; SELECT 1',
  'SELECT 1; DELETE FROM payments',
  'SELECT 1; COMMIT; DELETE FROM payments',
  'COMMIT; DELETE FROM payments',
  'ROLLBACK; BEGIN READ WRITE; DELETE FROM payments; COMMIT',
  'BEGIN; DELETE FROM payments; COMMIT',
  'SET TRANSACTION READ WRITE; DELETE FROM payments',
  'SET default_transaction_read_only = off; DELETE FROM payments',
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; DELETE FROM payments',
  'SET ROLE countersign_apply; DELETE FROM payments',
  'RESET ROLE; DELETE FROM payments',
  'SET SESSION AUTHORIZATION postgres',
  "SELECT set_config('role', 'countersign_apply', false)",
  "SELECT set_config('search_path', 'countersign', false); DELETE FROM applied",
  'WITH d AS (DELETE FROM payments RETURNING *) SELECT count(*) FROM d',
  'WITH a AS (SELECT 1), d AS (UPDATE payments SET amount = 0 RETURNING 1) SELECT * FROM a',
  'EXPLAIN ANALYZE DELETE FROM payments',
  'EXPLAIN (ANALYZE, BUFFERS) DELETE FROM payments',
  'COPY (DELETE FROM payments RETURNING *) TO STDOUT',
  'DECLARE c CURSOR FOR DELETE FROM payments RETURNING 1',
  'DO $$ BEGIN DELETE FROM payments; END $$',
  "DO LANGUAGE plpgsql 'BEGIN EXECUTE ''DELETE FROM payments''; END'",
  'CALL nothing()',
  'PREPARE x AS DELETE FROM payments; EXECUTE x',
  'PREPARE y AS SELECT 1; DEALLOCATE y; PREPARE y AS DELETE FROM payments; EXECUTE y',
  'PREPARE z AS SELECT 1; DISCARD ALL; PREPARE z AS TRUNCATE payments; EXECUTE z',
  "PREPARE w (text) AS SELECT $1; EXECUTE w(lo_import('/etc/passwd')::text)",
  'EXPLAIN ANALYZE EXECUTE x',
  'CREATE TABLE taken AS EXECUTE x',
  'CREATE TABLE copy AS SELECT * FROM payments',
  'SELECT * INTO copy FROM payments',
  'CREATE TEMP TABLE copy (id int)',
  'CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS $$ DELETE FROM payments; SELECT 1 $$',
  'CREATE RULE r AS ON INSERT TO schema_migrations DO ALSO DELETE FROM payments',
  'CREATE TRIGGER t AFTER INSERT ON schema_migrations EXECUTE FUNCTION write_audit_log()',
  'ALTER TABLE payments DISABLE TRIGGER ALL',
  'ALTER TABLE payments DROP COLUMN amount',
  'DROP TABLE payments CASCADE',
  'DROP VIEW active_reservations',
  'DROP SCHEMA public CASCADE',
  'TRUNCATE payments',
  'TRUNCATE schema_migrations, payments',
  'GRANT ALL ON payments TO PUBLIC',
  'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC',
  'REASSIGN OWNED BY rental_owner TO CURRENT_USER',
  'ALTER TABLE payments OWNER TO CURRENT_USER',
  "ALTER ROLE countersign_session PASSWORD 'x'",
  'ALTER DATABASE rental SET search_path = evil',
  "ALTER SYSTEM SET archive_command = 'rm -rf /'",
  'SELECT liar(1)',
  'SELECT public.liar(1)',
  'SELECT "liar"(1)',
  'SELECT U&"\\006C\\0069\\0061\\0072"(1)',
  'SELECT/**/liar/**/(1)',
  'SELECT * FROM trapped',
  'SELECT c.quiet FROM customers c',
  'SELECT quiet(c) FROM customers c',
  "SELECT 'a' =~ 'b'",
  "SELECT 'a' OPERATOR(public.=~) 'b'",
  'SELECT 1::checked',
  'SELECT ARRAY[1]::checked[]',
  "SELECT 'red'::text::colour",
  'SELECT CAST(full_name AS colour) FROM customers LIMIT 1',
  'SELECT * FROM walled',
  'SELECT hungry(id) FROM vehicles',
  'SELECT hungry(id) OVER () FROM vehicles',
  'SELECT 1 FROM vehicles ORDER BY liar(id)',
  'SELECT 1 FROM vehicles WHERE liar(id) = 1',
  'SELECT 1 FROM vehicles GROUP BY liar(id)',
  'SELECT 1 FROM vehicles HAVING liar(1) = 1',
  'SELECT 1 LIMIT liar(1)',
  'SELECT 1 OFFSET liar(0)',
  'VALUES (liar(1))',
  'SELECT * FROM liar(1)',
  'SELECT * FROM ROWS FROM (liar(1)) AS x',
  'SELECT CASE WHEN true THEN liar(1) END',
  'SELECT COALESCE(NULL, liar(1))',
  'SELECT array(SELECT liar(1))',
  'SELECT (SELECT liar(1))',
  'SELECT EXISTS (SELECT liar(1))',
  'SELECT row(liar(1))',
  'SELECT count(*) FILTER (WHERE liar(1) = 1) FROM vehicles',
  'SELECT * FROM vehicles TABLESAMPLE bernoulli (liar(1))',
  'SELECT xmlelement(name x, liar(1))',
  'SELECT json_build_object(1, liar(1))',
  'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT liar(n) FROM r WHERE n < 2) SELECT * FROM r',
  'SELECT * FROM vehicles JOIN customers ON liar(1) = 1 LIMIT 1',
  'SELECT * FROM LATERAL (SELECT liar(1)) x',
  'EXPLAIN SELECT liar(1)',
  'EXPLAIN SELECT 1::checked',
  'SELECT check_stale_reservations(0)',
  'SELECT settle_invoice(1)',
  "SELECT query_to_xml('DELETE FROM payments', true, true, '')",
  "SELECT table_to_xml('trapped', true, true, '')",
  "SELECT ts_stat('SELECT liar(1)::text::tsvector')",
  "SELECT nextval('payments_id_seq')",
  "SELECT setval('payments_id_seq', 1)",
  'SELECT lo_create(4711)',
  "SELECT lo_from_bytea(4711, 'x')",
  'SELECT lo_unlink(4711)',
  "SELECT pg_notify('a', 'b')",
  "NOTIFY a, 'b'",
  "SELECT pg_logical_emit_message(false, 'a', 'b')",
  "SELECT pg_create_physical_replication_slot('s')",
  'SELECT pg_advisory_lock(1)',
  'SELECT pg_terminate_backend(pid) FROM pg_stat_activity',
  'SELECT pg_cancel_backend(pid) FROM pg_stat_activity',
  'SELECT pg_reload_conf()',
  'SELECT pg_switch_wal()',
  "SELECT pg_read_file('/etc/passwd')",
  "SELECT pg_ls_dir('/')",
  "COPY customers TO '/tmp/countersign-attack'",
  "COPY customers TO PROGRAM 'cat > /tmp/countersign-attack'",
  "COPY schema_migrations FROM PROGRAM 'echo x'",
  'CREATE EXTENSION dblink',
  'CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw',
  'CREATE PUBLICATION p FOR ALL TABLES',
  "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p",
  'VACUUM FULL payments',
  'CLUSTER payments',
  'REINDEX DATABASE rental',
  'CREATE INDEX CONCURRENTLY i ON payments (amount)',
  'LOCK TABLE payments IN ACCESS EXCLUSIVE MODE',
  'SELECT * FROM payments FOR UPDATE',
  "BEGIN; PREPARE TRANSACTION 'stuck'",
  'INSERT INTO payments (reservation_id, amount, paid_at) VALUES (1, 1, now())',
  'INSERT INTO schema_migrations SELECT generate_series(1, 100)::text',
  'MERGE INTO payments p USING (SELECT 1 AS id) s ON p.id = s.id WHEN MATCHED THEN DELETE',
  'UPDATE customers SET loyalty_points = 0 WHERE id = 1',
  'DELETE FROM countersign.applied',
  "INSERT INTO countersign.written VALUES ('forged', '1', now())",
  'DROP SCHEMA countersign CASCADE',
  'CREATE OR REPLACE FUNCTION countersign.capture_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
  'SELECT 1; -- \n DELETE FROM payments',
  "SELECT 'a\\'; DELETE FROM payments; --'",
  "SELECT E'a\\'; DELETE FROM payments; --'",
  '/* a /* b */ */ DELETE FROM payments',
  'COMMENT ON TABLE payments IS NULL',
  'SECURITY LABEL ON TABLE payments IS NULL',
  "CALL countersign.apply('0000000000')",
];

/** All that an attack could change: rows, objects, sequences, large objects, roles, settings, locks that stay. */
const FINGERPRINT = `
  SELECT pg_catalog.md5(string_agg(part, E'\\n' ORDER BY part)) AS print FROM (
    SELECT 'payments ' || count(*) || ' ' || md5(string_agg(p::text, '' ORDER BY p.id)) AS part FROM public.payments p
    UNION ALL SELECT 'customers ' || md5(string_agg(c::text, '' ORDER BY c.id)) FROM public.customers c
    UNION ALL SELECT 'reservations ' || md5(string_agg(r::text, '' ORDER BY r.id)) FROM public.reservations r
    UNION ALL SELECT 'audit ' || count(*) FROM public.audit_log
    UNION ALL SELECT 'migrations ' || count(*) FROM public.schema_migrations
    UNION ALL SELECT 'relations ' || md5(string_agg(c.oid || c.relname || c.relowner, '' ORDER BY c.oid)) FROM pg_class c WHERE relnamespace NOT IN ('pg_toast'::regnamespace)
    UNION ALL SELECT 'functions ' || md5(string_agg(oid || md5(prosrc), '' ORDER BY oid)) FROM pg_proc
    UNION ALL SELECT 'triggers ' || md5(string_agg(oid || tgenabled::text, '' ORDER BY oid)) FROM pg_trigger
    UNION ALL SELECT 'attributes ' || count(*) FROM pg_attribute
    UNION ALL SELECT 'rules ' || count(*) FROM pg_rewrite
    UNION ALL SELECT 'objects ' || count(*) FROM pg_largeobject_metadata
    UNION ALL SELECT 'schemas ' || count(*) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
    UNION ALL SELECT 'extensions ' || count(*) FROM pg_extension
    UNION ALL SELECT 'settings ' || count(*) FROM pg_db_role_setting WHERE setrole = 0
    UNION ALL SELECT 'superusers ' || count(*) FROM pg_roles WHERE rolsuper OR rolcreaterole OR rolreplication
    UNION ALL SELECT 'memberships ' || count(*) FROM pg_auth_members
    UNION ALL SELECT 'prepared ' || count(*) FROM pg_prepared_xacts
    UNION ALL SELECT 'slots ' || count(*) FROM pg_replication_slots
    UNION ALL SELECT 'sequence ' || last_value FROM public.payments_id_seq
    UNION ALL SELECT 'acl ' || coalesce(relacl::text, '') FROM pg_class WHERE oid = 'public.payments'::regclass
    UNION ALL SELECT 'applied ' || count(*) FROM countersign.applied
    UNION ALL SELECT 'written ' || count(*) FROM countersign.written
    UNION ALL SELECT 'advisory ' || count(*) FROM pg_locks WHERE locktype = 'advisory'
  ) AS parts`;

describe.each(newest)('G1 nothing gets through, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    await asSuperuser(site.databaseUrl, TRAPS);
    await site.serve();
    task = await site.openTask(NARROW);
    // The first session makes the task's logins: from then on nothing of ours changes the catalogue.
    await (await connect()).end();
  }, 60_000);
  afterAll(() => site?.remove());

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: task.postgres });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }
  const print = async () => (await asSuperuser<{ print: string }>(site.databaseUrl, FINGERPRINT))[0]?.print;

  /** Answers are of no account here; only what is true in the database afterwards is. */
  async function attack(attacks: readonly string[], run: (sql: string) => Promise<unknown>): Promise<string[]> {
    const through: string[] = [];
    let before = await print();
    for (const sql of attacks) {
      await run(sql).catch(() => undefined);
      const after = await print();
      if (after !== before) through.push(sql);
      before = after;
    }
    return through;
  }

  it('over the wire, as text', async () => {
    const through = await attack(sampled(ATTACKS, 1), async (sql) => {
      const client = await connect();
      try {
        await client.query(sql);
        await client.query('SELECT 1');
        await client.query('COMMIT');
      } finally {
        await client.end();
      }
    });
    expect(through).toEqual([]);
  }, 120_000);

  it('over the wire, prepared, one session for all', async () => {
    let client = await connect();
    const through = await attack(sampled(ATTACKS), async (sql) => {
      try {
        await client.query({ text: sql, values: [], queryMode: 'extended' } as pg.QueryConfig);
      } catch (error) {
        if (!(error instanceof pg.DatabaseError) || error.severity === 'FATAL') {
          await client.end().catch(() => undefined);
          client = await connect();
        }
        throw error;
      } finally {
        await client.query('ROLLBACK').catch(() => undefined);
      }
    });
    await client.end();
    expect(through).toEqual([]);
  }, 120_000);

  it('over MCP', async () => {
    const mcp = await mcpClient(task.mcp);
    const through = await attack(sampled(ATTACKS, 2), (sql) =>
      mcp.call('execute_sql', { target: 'rental-production', sql }),
    );
    await mcp.close();
    expect(through).toEqual([]);
  }, 120_000);

  it('in many small bites: limits count for the task', async () => {
    // With an implicit cast of users' own about, whatever handles text may run it, and is held.
    await asSuperuser(site.databaseUrl, 'DROP CAST (text AS public.colour)');
    const client = await connect();
    let done = 0;
    for (let bite = 0; bite < 6; bite++) {
      await client
        .query(
          `INSERT INTO schema_migrations VALUES ${Array.from({ length: 8 }, (_, n) => `('bite ${bite} ${n}')`).join(', ')}`,
        )
        .then(
          () => {
            done++;
          },
          (error: { code?: string }) => expect(error.code).toBe('CS001'),
        );
    }
    await client.end();
    expect(done).toBe(2);
  });
});
