import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Served, serve } from '../../fixtures/gateway.ts';
import { asSuperuser, newest, startTestServer, type TestServer } from '../../fixtures/postgres.ts';
import { countersign } from '../../fixtures/run-command.ts';

/** As managed services hand out a database: its owner may make roles and databases, and is no superuser. */
describe.each(newest)('without a superuser on $name', ({ binaries }) => {
  let server: TestServer;
  let served: Served | undefined;
  const directory = mkdtempSync(join(tmpdir(), 'countersign-managed-'));
  const config = join(directory, 'countersign.yaml');
  let url: string;

  beforeAll(async () => {
    server = await startTestServer(binaries);
    await asSuperuser(server.url('postgres'), "CREATE ROLE dba LOGIN CREATEROLE CREATEDB PASSWORD 'dba'");
    await asSuperuser(server.url('postgres'), 'CREATE DATABASE shop OWNER dba');
    const as = new URL(server.url('shop'));
    as.username = 'dba';
    as.password = 'dba';
    url = as.href;
    await asSuperuser(
      url,
      `CREATE TABLE public.orders (id serial PRIMARY KEY, status text NOT NULL DEFAULT 'new');
       INSERT INTO public.orders (status) SELECT 'new' FROM generate_series(1, 5);
       CREATE VIEW public.open_orders AS SELECT id FROM public.orders WHERE status = 'new'`,
    );
  }, 60_000);
  afterAll(async () => {
    await served?.kill();
    await server?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const run = (...args: readonly string[]) => countersign([...args, '--config', config], { cwd: directory });

  it('init, tasks, writes, plans and halts work', async () => {
    const args = ['init', '--database', url, '--environment', 'production', '--owner', 'ada', '--yes', '--json'];
    const init = await run(...args);
    expect(init.code, init.stderr + init.stdout).toBe(0);
    const text = readFileSync(config, 'utf8')
      .replace('127.0.0.1:6434', '127.0.0.1:0')
      .replace('127.0.0.1:6480', '127.0.0.1:0');
    writeFileSync(config, text);
    served = await serve(config, directory);
    writeFileSync(
      join(directory, 'task.yaml'),
      'purpose: try\nagent: migrator\ntargets:\n  shop-production:\n    read: [public.*]\n    write: [public.orders]\nlimits: { statementTimeout: 1m }\n',
    );
    const opened = await run('task', 'open', '--file', join(directory, 'task.yaml'), '--json');
    expect(opened.code, opened.stderr + opened.stdout).toBe(0);
    const client = new pg.Client({ connectionString: opened.json<{ postgres: string }>().postgres });
    client.on('error', () => undefined /* the halt ends it */);
    await client.connect();
    expect((await client.query("UPDATE orders SET status = 'paid' WHERE id = 1")).rowCount).toBe(1);
    expect((await client.query("INSERT INTO orders (status) VALUES ('new') RETURNING id")).rows).toEqual([{ id: 6 }]);
    const held = await client
      .query('ALTER TABLE orders ADD COLUMN note text')
      .catch((error: pg.DatabaseError) => error);
    expect(held).toMatchObject({ code: 'CS001' });
    const [plan] = (await run('plan', 'list', '--json')).json<{ plans: { id: string }[] }>().plans;
    const approved = await run('plan', 'approve', String(plan?.id), '--as', 'ada', '--json');
    expect(approved.code, approved.stderr + approved.stdout).toBe(0);
    await client.query('ALTER TABLE orders ADD COLUMN note text');
    expect((await client.query('SELECT note FROM orders LIMIT 1')).rows).toEqual([{ note: null }]);

    const busy = client
      .query('SELECT count(*) FROM generate_series(1, 100000000000)')
      .catch((error: pg.DatabaseError) => error);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await run('halt', '--reason', 'drill', '--as', 'ada', '--json')).code).toBe(0);
    expect(await busy).toMatchObject({ code: 'CS004' });
    await client.end().catch(() => undefined /* it has been ended */);
  }, 60_000);

  it('the administrator keeps the rights of an owner, and is no member of the logins', async () => {
    await asSuperuser(url, 'ALTER TABLE orders ADD COLUMN mine int');
    expect(await asSuperuser(url, 'SELECT 1 FROM orders')).toHaveLength(6);
    const members = await asSuperuser(
      url,
      `SELECT r.rolname FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid
       WHERE m.member = 'dba'::regrole AND r.rolname IN ('countersign_session', 'countersign_apply')
         AND coalesce((to_jsonb(m) ->> 'set_option')::boolean, true) AND NOT m.admin_option`,
    );
    expect(members).toEqual([]);
  });

  it('doctor says what is missing, and how it is mended', async () => {
    const doctor = await run('doctor', '--json');
    const text = doctor.stdout;
    if (binaries.major >= 16) expect(text).toContain('pg_read_all_stats');
    expect(text).toContain('temp_file_limit');
  });
});
