import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ActorId, asId } from '../../src/domain/ids.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers, startTestServer, type TestServer } from '../fixtures/postgres.ts';
import { openStateFile } from '../fixtures/state-file.ts';
import { hasPython, judgedByStranger } from '../fixtures/verifier.ts';

interface Made {
  readonly id: string;
  readonly copiedAt: string;
}

interface Difference {
  readonly tables: readonly { table: string; inserted: number; updated: number; deleted: number }[];
  readonly definitions: readonly string[];
}

const SCHEMA = `
  CREATE ROLE countersign_backup LOGIN BYPASSRLS PASSWORD 'backup-secret' IN ROLE pg_read_all_data;
  CREATE TABLE odd (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, js json, n numeric, at timestamptz, b bytea, gone int, tags text[], twice int GENERATED ALWAYS AS (1) STORED);
  ALTER TABLE odd DROP COLUMN gone;
  INSERT INTO odd (js, n, at, b, tags) SELECT '{"a" :  1}', 'NaN', 'infinity', '\\xff00', ARRAY['x', NULL] FROM generate_series(1, 5);
  CREATE SCHEMA hr; CREATE TABLE hr.salaries (who text, salary int); INSERT INTO hr.salaries VALUES ('ada', 81500);
  CREATE VIEW asked WITH (security_invoker) AS SELECT * FROM hr.salaries;
  CREATE TABLE guarded (what text); INSERT INTO guarded VALUES ('81500'), ('mine'); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
  CREATE POLICY everyone ON guarded USING (true); CREATE POLICY tenants ON guarded AS RESTRICTIVE USING (what = 'mine');
  CREATE SCHEMA aside; CREATE TABLE aside.beside (id int PRIMARY KEY); INSERT INTO aside.beside VALUES (1);
  ALTER DATABASE rental SET search_path = public, aside;
  CREATE TABLE bare (what text); INSERT INTO bare SELECT 'same' FROM generate_series(1, 3);
  CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
  CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100); CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (1000);
  INSERT INTO parts SELECT i, 'v' FROM generate_series(95, 105) AS i;
  CREATE TABLE touched (at timestamptz DEFAULT clock_timestamp(), what text);
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.touched (what) VALUES (NEW.full_name); RETURN NEW; END $$;
  CREATE TRIGGER touches AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();`;
const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*, aside.*]').replace(
  'rowsPerTask: 1000',
  'rowsPerTask: 200',
);
const CONTENT = ['customers', 'reservations', 'odd', 'bare', 'parts', 'touched']
  .map((table) => `SELECT '${table}' AS t, count(*), md5(string_agg(x::text, '' ORDER BY x::text)) FROM ${table} AS x`)
  .join(' UNION ALL ');

/** pg_dump is the host's, and no older than the server: so the server is the host's as well. */
const host = servers.filter(({ binaries }) => binaries.from === 'host').slice(0, 1);
if (host.length === 0) it.skip('needs a PostgreSQL server of the host', () => undefined);

describe.each(host)('a branch of a target, on $name', ({ binaries }) => {
  let site: Site;
  let elsewhere: TestServer;
  let gateway: Served;
  let task: OpenedTask;
  let ada: Countersigner;
  let closed: Made;
  beforeAll(async () => {
    [site, elsewhere] = await Promise.all([startSite(binaries, { schema: SCHEMA }), startTestServer(binaries)]);
    await asSuperuser(site.databaseUrl, 'GRANT CONNECT ON DATABASE rental TO countersign_backup');
    writeFileSync(join(site.directory, 'keys/backup-login'), 'backup-secret', { mode: 0o600 });
    writeFileSync(join(site.directory, 'keys/branches'), elsewhere.password, { mode: 0o600 });
    site.edit((text) =>
      text.replace(
        /^( {4}credentials:\n)/m,
        `    branches:
      address: { host: 127.0.0.1, port: ${elsewhere.port}, database: postgres, tls: disable }
      credentials: { user: postgres, password: '\${file:keys/branches}' }
      most: 3
    masks: { public.customers.email: fixed }
$1      backup: { user: countersign_backup, password: '\${file:keys/backup-login}' }
`,
      ),
    );
    gateway = await site.serve();
    task = await site.openTask(TASK);
    ada = await openCountersigner(site);
    closed = await create();
  }, 120_000);
  afterAll(async () => {
    await ada?.close();
    await site?.remove();
    await elsewhere?.remove();
  });

  const create = () => site.ask<Made>('branch', 'create', 'rental-production', '--task', task.task, '--as', 'ada');
  const QUIETLY = () => undefined;
  /** As the commands do it, each of which takes a second to begin. */
  async function submit(branch: string, more?: '--keep-newer'): Promise<{ plan: string }> {
    await ada.countersign.branches.refresh();
    const asked = { askedBy: asId<ActorId>('ada'), channel: 'cli' as const, keepNewer: more === '--keep-newer' };
    const made = await ada.countersign.branches.submit({ branch: asId(branch), ...asked, onProgress: QUIETLY });
    if ('refused' in made) throw new Error(made.refused.message);
    return { plan: made.plan.id };
  }
  async function diff(branch: string): Promise<Difference> {
    await ada.countersign.branches.refresh();
    const found = await ada.countersign.branches.difference(asId(branch), QUIETLY);
    if ('refused' in found) throw new Error(found.refused.message);
    const { tables, definitions } = found.difference;
    return {
      tables: tables.map(({ table, inserted, updated, deleted }) => ({ table, inserted, updated, deleted })),
      definitions,
    };
  }
  async function drop(branch: string): Promise<void> {
    await ada.countersign.branches.refresh();
    expect(await ada.countersign.branches.drop(asId(branch), 'ada')).toBeUndefined();
  }
  const content = () => asSuperuser(site.databaseUrl, CONTENT);
  async function connect(database: string, asked = task): Promise<pg.Client> {
    const url = new URL(asked.postgres);
    url.host = gateway.pg;
    url.pathname = `/${database}`;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }
  async function within(branch: string, ...statements: readonly string[]): Promise<void> {
    const client = await connect(branch);
    for (const sql of statements) await client.query(sql);
    await client.end();
  }
  const outcomeOf = (asked: Promise<unknown>) =>
    asked.then(
      () => 'ran',
      (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
    );

  it('lets a task do there without asking what it would have to ask for, and merges what differs as a plan that can be undone', async () => {
    const before = await content();
    const { id } = await create();
    await within(
      id,
      'UPDATE customers SET loyalty_points = loyalty_points + 1 WHERE id <= 150',
      'DELETE FROM customers WHERE id BETWEEN 151 AND 155',
      `UPDATE odd SET js = '{"a":1}', n = 'Infinity', b = '\\x00', tags = '{}' WHERE id < 3`,
      'DELETE FROM odd WHERE id = 3',
      "INSERT INTO odd (js) VALUES ('null')",
      "DELETE FROM bare WHERE ctid = '(0,1)'",
      "INSERT INTO bare VALUES ('new')",
      'UPDATE parts SET id = id + 50 WHERE id = 97',
      'TRUNCATE touched',
      // The target's own search path is the branch's.
      'INSERT INTO beside (id) VALUES (2)',
    );
    expect(await content(), 'nothing of it is done to the target').toEqual(before);
    const { tables, definitions } = (await site.run('branch', 'diff', id, '--json')).json<Difference>();
    expect(definitions).toEqual([]);
    expect(tables).toEqual(
      expect.arrayContaining([
        { table: 'public.customers', inserted: 0, updated: 150, deleted: 5 },
        { table: 'public.odd', inserted: 1, updated: 2, deleted: 1 },
        { table: 'public.bare', inserted: 1, updated: 0, deleted: 1 },
        { table: 'public.parts', inserted: 1, updated: 0, deleted: 1 },
        { table: 'aside.beside', inserted: 1, updated: 0, deleted: 0 },
      ]),
    );
    expect(tables.map(({ table }) => table)).not.toContain('public.touched');

    const laid = () =>
      asSuperuser<{ n: number }>(
        site.databaseUrl,
        "SELECT count(*)::int AS n FROM countersign.written WHERE intent LIKE 'merge%'",
      );
    const [none] = await laid();
    const earlier = await submit(id);
    await within(id, "INSERT INTO bare VALUES ('newer')");
    const made = await submit(id);
    expect((await site.run('plan', 'show', earlier.plan)).stdout).toContain('its branch was submitted again');
    expect(await laid(), 'of one submission at a time').toEqual([{ n: (none?.n ?? 0) + 1 }]);
    expect(await content()).toEqual(before);
    expect((await submit(id)).plan, 'asked again it is the same plan').toBe(made.plan);
    const shown = (await site.run('plan', 'show', made.plan)).stdout;
    expect(shown).toContain(id);
    expect(shown).toContain('loyalty_points');
    await ada.approve(made.plan);
    expect(await ada.apply(made.plan)).toMatchObject({ reply: 'applied' });
    const branch = new URL(elsewhere.url(id)).href;
    expect(await content(), 'as the branch is, and no trigger ran once more').toEqual(
      await asSuperuser(branch, CONTENT),
    );

    const back = await site.ask<{ plan: string }>('change', 'undo', made.plan, '--as', 'ada');
    await ada.approve(back.plan);
    expect(await ada.apply(back.plan)).toMatchObject({ reply: 'applied' });
    expect(await content()).toEqual(before);
    await site.ask('branch', 'drop', id, '--as', 'ada');
    expect(await laid(), 'nothing is left of what has been merged').toEqual([none]);
  }, 120_000);

  it('is refused where somebody has changed the target since, and merges the rest when told to leave that', async () => {
    const { id } = await create();
    await within(id, 'UPDATE customers SET loyalty_points = 7000 + id WHERE id IN (11, 12)');
    await within('rental-production', 'UPDATE customers SET loyalty_points = 1 WHERE id = 11');
    const refused = await site.run('branch', 'submit', id, '--as', 'ada');
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('public.customers id = 11 has been changed since');
    expect(refused.stderr).toContain(`countersign branch submit ${id} --keep-newer`);
    const laid = "SELECT count(*)::int AS n FROM countersign.written WHERE intent LIKE 'merge%'";
    const [before] = await asSuperuser<{ n: number }>(site.databaseUrl, laid);
    expect(await site.run('branch', 'submit', id, '--as', 'ada')).toMatchObject({ code: 1 });
    expect(await asSuperuser(site.databaseUrl, laid), 'what is refused leaves nothing in the target').toEqual([before]);
    const { plan } = await submit(id, '--keep-newer');
    expect((await site.run('plan', 'show', plan)).stdout).toContain('public.customers id = 11');
    await ada.approve(plan);
    // What comes between the two is another such change.
    expect(await ada.apply(plan)).toMatchObject({ reply: 'applied' });
    expect(
      await asSuperuser(
        site.databaseUrl,
        'SELECT id::int, loyalty_points AS n FROM customers WHERE id IN (11, 12) ORDER BY id',
      ),
    ).toEqual([
      { id: 11, n: 1 },
      { id: 12, n: 7012 },
    ]);
    await within(id, 'UPDATE customers SET loyalty_points = 0 WHERE id = 13');
    const later = await submit(id, '--keep-newer');
    await ada.approve(later.plan);
    await within('rental-production', 'UPDATE customers SET loyalty_points = 2 WHERE id = 13');
    expect(await ada.apply(later.plan)).toMatchObject({ reply: 'refused', refusal: { refused: 'stale' } });
    await drop(id);
  }, 120_000);

  it('is its task’s alone, shows it no more than the target would, and ends with whoever stops it', async () => {
    const narrow = await site.openTask(
      WORK.replace('read: [public.*]', 'read: ["public.customers(id, full_name)"]').replace(
        /write: \[.*\]/,
        'write: [public.bare]',
      ),
    );
    const { id } = await site.ask<Made>('branch', 'create', 'rental-production', '--task', narrow.task, '--as', 'ada');
    const client = await connect(id, narrow);
    expect((await client.query('SELECT id, full_name FROM customers WHERE id = 20')).rows).toHaveLength(1);
    expect(await outcomeOf(client.query('SELECT email FROM customers WHERE id = 20'))).toMatch(/^CS002/);
    expect(await outcomeOf(client.query('DELETE FROM customers'))).toMatch(/^CS002/);
    expect(await outcomeOf(client.query("COPY bare TO PROGRAM 'cat'"))).toMatch(/^CS002/);
    expect(await outcomeOf(connect(id)), 'another task’s').toMatch(/does not declare/);
    const mcp = await mcpClient({ url: gateway.mcp, token: task.token });
    expect(await mcp.call('diff_branch', { branch: id })).toMatchObject({ outcome: 'denied' });
    expect(await mcp.call('drop_branch', { branch: id })).toMatchObject({ outcome: 'denied' });
    await mcp.close();

    await site.ask('halt', '--target', 'rental-production', '--reason', 'stop');
    await expect.poll(() => outcomeOf(client.query('SELECT 1')), { timeout: 10_000 }).toMatch(/^CS004/);
    await site.ask('resume', '--target', 'rental-production', '--reason', 'go on');
    await expect.poll(() => outcomeOf(client.query('SELECT 1')), { timeout: 10_000 }).toBe('ran');

    await drop(id);
    await expect.poll(() => outcomeOf(client.query('SELECT 1')), { timeout: 10_000 }).not.toBe('ran');
    await client.end().catch(() => undefined);
    expect(await outcomeOf(connect(id, narrow))).toMatch(/does not declare|There is no/);
    expect(
      await asSuperuser(
        elsewhere.url('postgres'),
        "SELECT datname FROM pg_database WHERE datname LIKE 'branch%' ORDER BY 1",
      ),
    ).toEqual([{ datname: closed.id }, { datname: `${closed.id}_base` }]);
    expect(await asSuperuser(elsewhere.url('postgres'), "SELECT rolname FROM pg_roles WHERE rolname ~ '^cs_'")).toEqual(
      [],
    );
  }, 120_000);

  it.each<[what: string, ...statements: string[]]>([
    ['a view', 'CREATE VIEW public.leak AS SELECT * FROM hr.salaries', 'SELECT * FROM public.leak'],
    [
      'a view over a masked column',
      'CREATE VIEW public.seen AS SELECT email AS e FROM customers',
      'SELECT e FROM public.seen LIMIT 1',
    ],
    ['a copy', 'CREATE TABLE public.leak AS SELECT * FROM hr.salaries', 'SELECT * FROM public.leak'],
    [
      'a materialised view',
      'CREATE MATERIALIZED VIEW public.leak AS SELECT * FROM hr.salaries',
      'SELECT * FROM public.leak',
    ],
    [
      'a function with its owner’s rights',
      `CREATE FUNCTION public.leaks() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT s::text FROM hr.salaries AS s'`,
      'SELECT * FROM public.leaks()',
    ],
    [
      'a default',
      `CREATE FUNCTION public.told() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT string_agg(s::text, $$,$$) FROM hr.salaries AS s); END'`,
      'ALTER TABLE bare ADD COLUMN leaked text DEFAULT public.told()',
      'SELECT leaked FROM bare',
    ],
    [
      'a trigger',
      `CREATE FUNCTION public.fired() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN NEW.what := (SELECT string_agg(s::text, $$,$$) FROM hr.salaries AS s); RETURN NEW; END'`,
      'CREATE TRIGGER leaks BEFORE INSERT ON bare FOR EACH ROW EXECUTE FUNCTION public.fired()',
      "INSERT INTO bare VALUES ('x')",
      'SELECT what FROM bare',
      'DROP TRIGGER leaks ON bare',
    ],
    [
      'another name of a masked column',
      'ALTER TABLE customers RENAME COLUMN email TO full_email',
      'SELECT full_email FROM customers LIMIT 1',
    ],
    ['another name of a table', 'ALTER TABLE customers RENAME TO clients', 'SELECT email FROM clients LIMIT 1'],
    [
      'a generated column',
      'ALTER TABLE customers ADD COLUMN leaked text GENERATED ALWAYS AS (email) STORED',
      'SELECT leaked FROM customers LIMIT 1',
    ],
    [
      'an heir of a masked table',
      'CREATE TABLE public.heir () INHERITS (customers)',
      'SELECT email FROM public.heir LIMIT 1',
    ],
    [
      'a copy of a masked table',
      'CREATE TABLE public.again AS TABLE customers',
      'SELECT email FROM public.again LIMIT 1',
    ],
    ['a policy that is gone', 'DROP POLICY tenants ON guarded', 'SELECT what FROM guarded'],
    [
      'a view that is not the asker’s',
      'ALTER VIEW public.asked RESET (security_invoker)',
      'SELECT * FROM public.asked',
    ],
    ['everybody’s right', 'GRANT SELECT ON customers TO PUBLIC', 'SELECT email FROM customers LIMIT 1'],
    ['a grant', 'GRANT SELECT ON hr.salaries TO PUBLIC', 'SELECT * FROM hr.salaries'],
    ['a role', 'GRANT countersign_owner TO PUBLIC', 'SELECT * FROM hr.salaries'],
    ['another name', 'ALTER TABLE hr.salaries SET SCHEMA public', 'SELECT * FROM public.salaries'],
    [
      'an heir',
      'CREATE TABLE public.heirs ()',
      'ALTER TABLE hr.salaries INHERIT public.heirs',
      'SELECT h::text FROM public.heirs AS h',
    ],
    [
      'a partition',
      'CREATE TABLE public.parted (who text, salary int) PARTITION BY LIST (who)',
      'ALTER TABLE public.parted ATTACH PARTITION hr.salaries DEFAULT',
      'SELECT * FROM public.parted',
    ],
    [
      'a rule',
      'CREATE RULE leaks AS ON INSERT TO bare DO ALSO SELECT * FROM hr.salaries',
      "INSERT INTO bare VALUES ('y')",
    ],
  ])('shows a task nothing that it may not see by %s', async (_, ...statements) => {
    const client = await connect(closed.id);
    const told: string[] = [];
    for (const sql of statements) {
      const answer = await client.query({ text: sql, rowMode: 'array' }).catch((error: Error) => error.message);
      told.push(typeof answer === 'string' ? answer : JSON.stringify(answer.rows));
    }
    await client.end();
    expect(told.join('\n')).not.toMatch(/8150|@example|@[a-z]+\.[a-z]+/);
    expect(
      told.some((answer) => !answer.startsWith('[')),
      told.join('\n'),
    ).toBe(true);
  });

  it('is not opened where its row in the state is not what the ledger says of it', async () => {
    const state = openStateFile(site);
    const tamper = (column: string, value: string) =>
      state.prepare(`UPDATE branches SET ${column} = ? WHERE id = ?`).run(value, closed.id);
    const [row] = state.prepare('SELECT task FROM branches WHERE id = ?').all(closed.id);
    const other = await site.openTask(TASK);
    tamper('task', other.task);
    await ada.countersign.branches.refresh();
    expect(ada.countersign.branches.known(closed.id as never)).toBeUndefined();
    expect((await site.run('branch', 'diff', closed.id)).stderr).toContain(`There is no branch ${closed.id}`);
    tamper('task', String(row?.['task']));
    await ada.countersign.branches.refresh();
    expect(ada.countersign.branches.known(closed.id as never)).toBeDefined();
    state.close();
  });

  it('is made, worked in and merged by an agent over MCP; what it alters there is told, and not merged', async () => {
    const mcp = await mcpClient({ url: gateway.mcp, token: task.token });
    const { branch } = (await mcp.call('create_branch', { target: 'rental-production' })) as { branch: string };
    expect(JSON.stringify(await mcp.call('list_targets', {}))).toContain(`"target":"${branch}"`);
    const ran = await mcp.call('execute_sql', { target: branch, sql: 'DELETE FROM vehicles WHERE id = 1' });
    expect(JSON.stringify(ran)).not.toContain('"outcome":"held"');
    await mcp.call('execute_sql', { target: branch, sql: 'UPDATE customers SET loyalty_points = 5' });
    // It is of a copy from before what others have changed meanwhile.
    expect(await mcp.call('submit_branch', { branch })).toMatchObject({ outcome: 'stale' });
    expect(await mcp.call('submit_branch', { branch, keep_newer: true })).toMatchObject({
      outcome: 'plan',
      plan: { state: 'held' },
    });
    await mcp.call('execute_sql', { target: branch, sql: 'CREATE TABLE public.later (id int)' });
    expect(await mcp.call('diff_branch', { branch })).toMatchObject({
      outcome: 'difference',
      definitions: expect.arrayContaining([expect.stringContaining('public.later')]),
    });
    expect(await mcp.call('submit_branch', { branch })).toMatchObject({ outcome: 'unsupported' });
    expect(await mcp.call('drop_branch', { branch })).toEqual({ outcome: 'dropped' });
    await mcp.close();
  }, 120_000);

  it('is not made where a target is, nor beyond how many there may be, and goes when its time or its task is over', async () => {
    const [first, second] = [await create(), await create()];
    const fourth = await site.run('branch', 'create', 'rental-production', '--task', task.task, '--as', 'ada');
    expect(fourth).toMatchObject({ code: 1 });
    expect(fourth.stderr).toContain(first.id);
    expect(fourth.stderr).toContain(second.id);
    const databases = async () =>
      (
        await asSuperuser<{ n: string }>(
          elsewhere.url('postgres'),
          "SELECT datname AS n FROM pg_database WHERE datname LIKE 'branch%' ORDER BY 1",
        )
      ).map(({ n }) => n);
    const base = `${closed.id}_base`;
    expect(await databases(), 'clones of one copy').toEqual([closed.id, base, first.id, second.id].sort());
    await within(second.id, 'DELETE FROM bare');
    expect(await diff(first.id)).toMatchObject({ tables: [] });
    await drop(closed.id);
    expect(await databases(), 'as long as somebody needs it').toEqual([base, first.id, second.id].sort());
    expect((await diff(second.id)).tables).toMatchObject([{ table: 'public.bare', deleted: expect.any(Number) }]);
    await drop(second.id);
    await site.ask('task', 'close', task.task);
    await ada.countersign.branches.dropOver();
    expect(await databases()).toEqual([]);
    expect((await site.ask<{ branches: unknown[] }>('branch', 'list')).branches).toEqual([]);

    const branchFindings = async () => {
      const { findings } = (await site.run('doctor', '--json')).json<{
        findings: { id: string; verdict: string; found: string }[];
      }>();
      return findings.filter((finding) => finding.id.startsWith('branches.'));
    };
    expect(await branchFindings()).toMatchObject([{ id: 'branches.server', verdict: 'ok' }]);
    await asSuperuser(elsewhere.url('postgres'), 'CREATE DATABASE branch_0123456789ab');
    expect(await branchFindings()).toMatchObject([
      { id: 'branches.left', verdict: 'warn', found: expect.stringContaining('branch_0123456789ab') },
    ]);

    const port = new URL(site.databaseUrl).port;
    site.edit((text) =>
      text.replace(`port: ${elsewhere.port}, database: postgres`, `port: ${port}, database: postgres`),
    );
    const here = await site.run('branch', 'list');
    expect(here).toMatchObject({ code: 2 });
    expect(here.stderr).toContain('branches need a server of their own');
    // By another name it is found out as well.
    site.edit((text) =>
      text.replace(
        `{ host: 127.0.0.1, port: ${port}, database: postgres`,
        `{ host: localhost, port: ${port}, database: postgres`,
      ),
    );
    writeFileSync(join(site.directory, 'keys/branches'), site.server.password);
    expect(await branchFindings()).toMatchObject([{ id: 'branches.server', verdict: 'fail' }]);
    const again = await site.openTask(TASK);
    const refused = await site.run('branch', 'create', 'rental-production', '--task', again.task, '--as', 'ada');
    expect(refused.stderr).toContain('is the very cluster of rental-production');
    expect((await site.ask<{ branches: unknown[] }>('branch', 'list')).branches).toEqual([]);
    expect(await site.ask('ledger', 'verify')).toMatchObject({ verdict: 'sound' });
    if (hasPython) expect(await judgedByStranger(site)).toMatchObject({ verdict: 'sound' });
  }, 120_000);
});
