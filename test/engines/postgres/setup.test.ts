import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asId, type PlanId } from '../../../src/domain/ids.ts';
import type { Target } from '../../../src/domain/target.ts';
import type { TargetEngine } from '../../../src/engines/engine.ts';
import { identityDigest, readIdentity } from '../../../src/engines/postgres/connect.ts';
import { APPLY_ROLE, planSetup, SESSION_ROLE } from '../../../src/engines/postgres/setup.ts';
import { openPostgresTarget } from '../../../src/engines/postgres/target.ts';
import { asSuperuser, servers, startTestServer, type TestServer } from '../../fixtures/postgres.ts';

/** As many people have it: everything made by the superuser, in a schema of its own, with names that need quotes. */
const SHOP = `
  CREATE SCHEMA app;
  CREATE TYPE app.mood AS ENUM ('a', 'b');
  CREATE DOMAIN app.positive AS int CHECK (value > 0);
  CREATE TABLE app.users (id serial PRIMARY KEY, name text, mood app.mood, score app.positive);
  CREATE TABLE app.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int REFERENCES app.users ON DELETE CASCADE, total numeric);
  CREATE TABLE app.events (at timestamptz NOT NULL, v int) PARTITION BY RANGE (at);
  CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
  CREATE MATERIALIZED VIEW app.totals AS SELECT user_id, sum(total) FROM app.orders GROUP BY 1;
  CREATE VIEW app.names AS SELECT id, name FROM app.users;
  CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.events VALUES ('2026-05-05', 1); RETURN NULL; END $$;
  CREATE FUNCTION app.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
  CREATE TRIGGER t AFTER DELETE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.note();
  CREATE SEQUENCE app.standalone;
  INSERT INTO app.users (name) SELECT 'u' || g FROM generate_series(1, 20) AS g;
  INSERT INTO app.orders (user_id, total) SELECT g, 10 FROM generate_series(1, 20) AS g;
  CREATE TABLE "Weird Name" ("Col A" int PRIMARY KEY, "select" text);
  INSERT INTO "Weird Name" VALUES (1, 'x');
`;

describe.each(servers)('setting up before what a superuser has made, on $name', ({ binaries }) => {
  let server: TestServer;
  let url: string;
  let engine: TargetEngine;

  beforeAll(async () => {
    server = await startTestServer(binaries);
    await asSuperuser(server.url('postgres'), 'CREATE DATABASE shop');
    url = server.url('shop');
    await asSuperuser(url, SHOP);
    for (const { sql } of await planSetup((ask) => asSuperuser(url, ask), { session: 's', apply: 'a' }))
      await asSuperuser(url, sql);
    const endpoint = { host: server.host, port: server.port, database: 'shop', tls: 'disable' as const };
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const identity = identityDigest(
      await readIdentity(
        endpoint,
        async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows as string[][],
      ),
    );
    await client.end();
    const target: Target = {
      id: asId('shop'),
      engine: 'postgres',
      environment: asId('test'),
      owner: asId('ada'),
      endpoint,
      identity,
    };
    engine = await openPostgresTarget({
      target,
      credentials: { session: { user: SESSION_ROLE, password: 's' }, apply: { user: APPLY_ROLE, password: 'a' } },
      onTrouble: () => undefined,
    });
  }, 60_000);
  afterAll(async () => {
    await engine?.close();
    await server?.remove();
  });

  const request = (sql: string, tables: readonly string[]) => ({
    statements: [{ text: sql, parameters: [] }],
    settings: [],
    tables,
    baseObjects: tables,
    bounds: { statementTimeoutMs: 10_000, lockTimeoutMs: 1000, blockingToleranceMs: 1000, maxRows: 10_000 },
  });

  it('leaves what was there working: cascades, triggers, views, for its owner and for tasks', async () => {
    await asSuperuser(url, 'DELETE FROM app.users WHERE id = 1');
    expect(await asSuperuser(url, 'SELECT count(*)::int AS n FROM app.orders')).toEqual([{ n: 19 }]);
    const everything = [
      'app.users',
      'app.orders',
      'app.events',
      'app.names',
      'app.totals',
      'app.standalone',
      'public.Weird Name',
    ];
    const { read, write } = await engine.provision({
      target: asId('shop'),
      read: everything,
      write: everything.filter((name) => name !== 'app.totals'),
      columns: [],
      statementTimeoutMs: 5000,
    });
    const run = async (login: { user: string; password: string } | undefined, sql: string) => {
      const client = new pg.Client({
        host: server.host,
        port: server.port,
        database: 'shop',
        user: login?.user ?? '',
        password: login?.password ?? '',
      });
      await client.connect();
      return client.query(sql).finally(() => client.end());
    };
    expect((await run(read, 'SELECT count(*)::int AS n FROM app.names')).rows).toEqual([{ n: 19 }]);
    await run(write, 'DELETE FROM app.users WHERE id = 2');
    await run(write, "INSERT INTO app.users (name, mood, score) VALUES ('new', 'a', 1)");
    await run(write, 'UPDATE "Weird Name" SET "select" = \'y\'');
    await run(write, "SELECT nextval('app.standalone')");
    expect(await asSuperuser(url, 'SELECT count(*)::int AS n FROM app.orders')).toEqual([{ n: 18 }]);
  });

  it.each<[sql: string, tables: string[]]>([
    ['DELETE FROM app.users WHERE id = 3', ['app.users']],
    ['UPDATE "Weird Name" SET "select" = \'z\'', ['public.Weird Name']],
    ['REFRESH MATERIALIZED VIEW app.totals', []],
    ["CREATE TYPE app.other AS ENUM ('x')", []],
    ["ALTER TYPE app.mood ADD VALUE 'c'", []],
    ['ALTER TABLE app.users ADD COLUMN q int', ['app.users']],
    ['CREATE OR REPLACE VIEW app.names AS SELECT id, name FROM app.users WHERE id > 0', []],
    ['DROP FUNCTION app.note() CASCADE', []],
    ['DROP TYPE app.mood CASCADE', []],
    ['DROP TABLE app.users CASCADE', ['app.users']],
  ])('measures and applies %s', async (sql, tables) => {
    const measured = await engine.measure(request(sql, tables));
    expect(measured.failure).toBeUndefined();
    expect(measured.measurement).toMatchObject({ measured: true });
    const outcome = await engine.apply({
      plan: asId<PlanId>(`sha256:${Buffer.from(sql).toString('hex').padEnd(64, '0').slice(0, 64)}`),
      ...request(sql, tables),
      baseState: measured.baseState,
      identity: measured.identity,
      approved: measured.measurement,
      outsideTransaction: false,
      beforeCommit: async () => undefined,
    });
    expect(outcome).toMatchObject({ outcome: 'applied' });
  });

  it('leaves a function that runs with its owner’s rights to its owner', async () => {
    expect(
      await asSuperuser(url, "SELECT proowner::regrole::text AS owner FROM pg_proc WHERE proname = 'definer'"),
    ).toEqual([{ owner: 'postgres' }]);
  });
});
