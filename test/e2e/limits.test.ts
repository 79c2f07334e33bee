import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const BOUNDED = `
purpose: try the limits
agent: migrator
targets:
  rental-production:
    read: [public.*]
    write: [public.customers]
limits:
  { rowsPerStatement: 5, rowsPerTask: 12, statementTimeout: 1s, rowsPerReply: 30, bytesPerReply: 20000, sessions: 4, idleInTransaction: 1s, othersWait: 300ms }
expires: 2h
`;

const [newest] = servers;
describe.skipIf(newest === undefined)('limits that a session can’t change', () => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  const clients: pg.Client[] = [];

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { settings: { max_connections: '60' } });
    site.edit((text) => text.replace('    credentials:', '    maxSessions: 7\n    credentials:'));
    served = await site.serve();
    task = await site.openTask(BOUNDED);
  }, 60_000);

  afterAll(async () => {
    await served?.stop();
    await site?.remove();
  });

  async function connect(url = task.postgres): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  }
  async function leave(): Promise<void> {
    await Promise.all(clients.splice(0).map((client) => client.end()));
  }
  const refusal = (running: Promise<unknown>) =>
    running.then(
      () => 'ran',
      (error: pg.DatabaseError) => `${error.code} ${error.message} ${error.detail ?? ''}`,
    );

  it('keep others from being locked out of a table that the task may write', async () => {
    const client = await connect();
    for (const mode of ['SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE']) {
      await client.query('BEGIN');
      await client.query(`LOCK TABLE customers IN ${mode} MODE`);
      await asSuperuser(
        site.databaseUrl,
        "SET lock_timeout = '200ms'; UPDATE customers SET email = email WHERE id = 2",
      );
      const said = await refusal(client.query('COMMIT'));
      expect(said).toContain(`LOCK TABLE IN ${mode} MODE; the modes up to ROW EXCLUSIVE`);
      expect(said).toMatch(/^CS001 /);
    }
    for (const mode of ['ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE']) {
      await client.query(
        `BEGIN; LOCK TABLE customers IN ${mode} MODE; UPDATE customers SET email = email WHERE id = 1`,
      );
      await asSuperuser(
        site.databaseUrl,
        "SET lock_timeout = '200ms'; UPDATE customers SET email = email WHERE id = 2",
      );
      await client.query('ROLLBACK');
    }
    await leave();
  });

  it('stop a statement in time, however the time-out is set', async () => {
    const client = await connect();
    for (const set of [
      'SET statement_timeout = 0',
      "SELECT set_config('statement_timeout', '0', false)",
      'SET lock_timeout = 0',
      'RESET ALL',
      'DISCARD ALL',
    ]) {
      // On a machine with much to do this itself may take longer than the task allows.
      await expect.poll(() => refusal(client.query(set)), { timeout: 20_000 }).toBe('ran');
      const before = Date.now();
      expect(await refusal(client.query('SELECT count(*) FROM telemetry a, telemetry b, telemetry c')), set).toMatch(
        /^CS005 .*ran longer/,
      );
      expect(Date.now() - before).toBeLessThan(4000);
    }
    const options = new URL(task.postgres);
    options.searchParams.set('options', '-c statement_timeout=0');
    const other = await connect(options.href);
    expect(await refusal(other.query('SELECT pg_sleep(20)'))).toMatch(/^CS005 /);
    await leave();
  });

  it.each([
    "SET work_mem = '2GB'",
    "SET LOCAL temp_file_limit = '-1'",
    'SET max_parallel_workers_per_gather = 64',
    "SET session_replication_role = 'replica'",
    'SET default_transaction_read_only = off',
    "SELECT set_config('work_mem', '2GB', false)",
    "SELECT id, set_config('statement_timeout', '0', true) FROM customers LIMIT 1",
    "ALTER ROLE CURRENT_USER SET work_mem = '2GB'",
    "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET work_mem = '2GB' AS 'SELECT 1'",
  ])('are not raised by %s', async (sql) => {
    const client = await connect();
    expect(await refusal(client.query(sql))).toMatch(/^CS00[128] /);
    await leave();
  });

  it('refuse settings at the start that nobody may set', async () => {
    const url = new URL(task.postgres);
    url.searchParams.set('options', '-c work_mem=2GB');
    expect(await refusal(connect(url.href))).toMatch(/^CS008 .*work_mem/);
  });

  it('roll back what is left open, and tell why', async () => {
    const client = await connect();
    await client.query('SET idle_in_transaction_session_timeout = 0');
    await client.query('BEGIN; SELECT id FROM customers WHERE id = 1 FOR UPDATE');
    const held = async () =>
      (
        await asSuperuser(
          site.databaseUrl,
          "SELECT 1 FROM pg_stat_activity WHERE usename ~ '^cs_' AND state LIKE 'idle in transaction%'",
        )
      ).length;
    expect(await held()).toBe(1);
    await expect.poll(held, { timeout: 5000, interval: 100 }).toBe(0);
    expect(await refusal(client.query('SELECT 1'))).toMatch(/^CS005 .*left open/);
    await leave();
  });

  it.each(['', 'SELECT pg_sleep(15)'])(
    'let nobody wait for rows that a transaction holds, whatever it does: %j',
    async (sql) => {
      const patient = await site.openTask(BOUNDED.replace('statementTimeout: 1s', 'statementTimeout: 20s'));
      const client = await connect(patient.postgres);
      await client.query('BEGIN');
      await client.query('SELECT count(*) FROM (SELECT id FROM customers FOR UPDATE) AS locked');
      const neighbour = asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers WHERE id = 1 FOR UPDATE');
      if (sql !== '') expect(await refusal(client.query(sql))).toMatch(/^CS005 .*another session waiting for 0.3 s/);
      await neighbour;
      // The session of a statement that was ended may be over before anything else is said.
      expect(await refusal(client.query('SELECT 1'))).toMatch(
        sql === '' ? /^CS005 .*another session waiting for 0.3 s/ : /^CS005 .*waiting for 0.3 s|connection error/,
      );
      await leave();
    },
  );

  it('cut an answer off at its rows and bytes, on the wire and over MCP', async () => {
    const client = await connect();
    expect((await client.query('SELECT id FROM customers LIMIT 30')).rowCount).toBe(30);
    expect(await refusal(client.query('SELECT id FROM telemetry_2026_10, customers LIMIT 100000'))).toMatch(
      /^CS005 .*more than the task's 30 rows/,
    );
    expect(await refusal(client.query('SELECT id FROM customers WHERE id > $1', [0]))).toMatch(/^CS005 /);
    expect(await refusal(client.query("SELECT repeat('x', 30000)"))).toMatch(/^CS005 .*20000 bytes/);
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    const rows: unknown[] = [];
    const cut = new pg.Query('SELECT id FROM customers');
    cut.on('row', (row) => rows.push(row));
    await new Promise((resolve) => client.query(cut).on('error', resolve).on('end', resolve));
    expect(rows).toHaveLength(30);
    const mcp = await mcpClient(task.mcp);
    const answer = await mcp.call('execute_sql', {
      target: 'rental-production',
      sql: 'SELECT id FROM customers',
      max_rows: 1000,
    });
    expect(answer).toMatchObject({ outcome: 'rows', truncated: true });
    expect(answer['rows']).toHaveLength(30);
    await mcp.close();
    await leave();
  });

  it('bound the sessions of a task, and of an agent, so that others get in', async () => {
    const mine = await site.openTask(BOUNDED);
    const open = () => refusal(connect(mine.postgres));
    expect(await Promise.all([open(), open(), open(), open()])).toEqual(['ran', 'ran', 'ran', 'ran']);
    expect(await open()).toMatch(/^CS005 Task .* has 4 sessions/);
    const other = await site.openTask(BOUNDED.replace('try', 'also try'));
    const elsewhere = () => refusal(connect(other.postgres));
    // One place is still taken by the session that MCP keeps for its next call.
    expect((await Promise.all([elsewhere(), elsewhere()])).filter((outcome) => outcome === 'ran')).not.toHaveLength(0);
    expect(await elsewhere()).toMatch(/^CS005 Agent migrator on rental-production has 6 sessions/);
    await leave();
    await expect.poll(open, { timeout: 5000 }).toBe('ran');
    await leave();
  });

  it('count the rows of a task over sessions, statements and rollbacks', async () => {
    const biting = await site.openTask(BOUNDED);
    const url = biting.postgres;
    const bite = async (ids: readonly number[]) => {
      const client = await connect(url);
      const outcome = await refusal(client.query('UPDATE customers SET loyalty_points = 1 WHERE id = ANY ($1)', [ids]));
      await client.end();
      clients.splice(clients.indexOf(client), 1);
      return outcome;
    };
    const back = await connect(url);
    await back.query('BEGIN');
    await back.query('UPDATE customers SET loyalty_points = 1 WHERE id < 4');
    await back.query('ROLLBACK');
    await leave();
    // Five bites of four rows at once, where twelve rows are declared: three of them, and no more.
    const outcomes = await Promise.all([1, 5, 9, 13].map((from) => bite([from, from + 1, from + 2, from + 3])));
    expect(outcomes.filter((outcome) => outcome === 'ran')).toHaveLength(3);
    expect(outcomes.filter((outcome) => outcome.startsWith('CS001'))).toHaveLength(1);
    await served.kill();
    served = await site.serve();
    const again = new URL(url);
    again.host = served.pg;
    const after = await connect(again.href);
    expect(await refusal(after.query('UPDATE customers SET loyalty_points = 1 WHERE id = 20'))).toMatch(
      /^CS001 [\s\S]*12 rows in all/,
    );
    await leave();
    const [changed] = await asSuperuser<{ n: string }>(
      site.databaseUrl,
      'SELECT count(*) AS n FROM customers WHERE loyalty_points = 1',
    );
    expect(Number(changed?.n)).toBeLessThanOrEqual(12 + 2);
  });
});
