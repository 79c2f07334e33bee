import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  hasPsql,
  mcpClient,
  type OpenedTask,
  psql,
  type Served,
  type Site,
  startSite,
  WORK,
} from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';

describe.each(newest)('the governed path on $name', ({ binaries }) => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    gateway = await site.serve();
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  const count = async (table: string) => {
    const [row] = await asSuperuser<{ n: number }>(site.databaseUrl, `SELECT count(*)::int AS n FROM ${table}`);
    return row?.n ?? -1;
  };

  async function withClient<Result>(use: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }

  const refusal = async (
    run: Promise<unknown>,
  ): Promise<{ code: string; message: string; detail: string; hint: string }> =>
    run.then(
      () => {
        throw new Error('it was not refused');
      },
      (error: { code: string; message: string; detail: string; hint: string }) => error,
    );

  it.skipIf(!hasPsql)('lets reads flow through psql', async () => {
    const { stdout, code } = await psql(
      task.postgres,
      'SELECT count(*) FROM customers',
      'SELECT full_name FROM customers WHERE id = 1',
    );
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([String(await count('public.customers')), expect.stringMatching(/\w/), '']);
  });

  it('lets reads flow through node-postgres, with parameters, and in a transaction', async () => {
    await withClient(async (client) => {
      const { rows } = await client.query(
        'SELECT id, created_at FROM public.customers WHERE id = ANY($1) ORDER BY id',
        [[1, 2]],
      );
      expect(rows.map((row: { id: unknown }) => Number(row.id))).toEqual([1, 2]);
      expect(rows[0].created_at).toBeInstanceOf(Date);
      await client.query('BEGIN');
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await client.query('COMMIT');
    });
  });

  it('passes the database’s own errors on unchanged', async () => {
    const direct = await refusal(asSuperuser(site.databaseUrl, 'SELECT nope FROM public.customers'));
    const governed = await refusal(withClient((client) => client.query('SELECT nope FROM public.customers')));
    expect(governed.code).toBe('42703');
    expect(governed.message).toBe(direct.message);
  });

  it('G5 commits a write inside the limits once it is measured', async () => {
    await withClient(async (client) => {
      const { rowCount } = await client.query(
        'UPDATE public.customers SET loyalty_points = $1 WHERE id = $2',
        [4711, 5],
      );
      expect(rowCount).toBe(1);
    });
    expect(await asSuperuser(site.databaseUrl, 'SELECT loyalty_points FROM public.customers WHERE id = 5')).toEqual([
      { loyalty_points: 4711 },
    ]);
  });

  it('G5 rolls a write over the limits back into a plan, also at an explicit COMMIT', async () => {
    const before = await asSuperuser(site.databaseUrl, 'SELECT sum(loyalty_points) FROM public.customers');
    const single = await refusal(
      withClient((client) => client.query('UPDATE public.customers SET loyalty_points = 0 WHERE id <= 200')),
    );
    expect(single.code).toBe('CS001');
    expect(single.detail).toContain('public.customers: 200 updated');
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('UPDATE public.customers SET loyalty_points = 1 WHERE id <= 60');
      await client.query('UPDATE public.customers SET loyalty_points = 1 WHERE id > 60 AND id <= 120');
      const refused = await refusal(client.query('COMMIT'));
      expect(refused.code).toBe('CS001');
      expect(refused.detail).toContain('120 updated');
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });
    expect(await asSuperuser(site.databaseUrl, 'SELECT sum(loyalty_points) FROM public.customers')).toEqual(before);
  });

  it.skipIf(!hasPsql)('G2 makes a plan of what destroys, with measured effects, and changes nothing', async () => {
    const before = await Promise.all(
      ['customers', 'reservations', 'payments', 'audit_log'].map((table) => count(`public.${table}`)),
    );
    const { stderr } = await psql(
      task.postgres,
      'DELETE FROM customers',
      'DROP TABLE vehicles CASCADE',
      'TRUNCATE customers CASCADE',
    );
    expect(stderr.match(/CS001/g)).toHaveLength(2);
    expect(stderr).toContain(`public.customers: ${before[0]} deleted`);
    expect(stderr).toContain('(cascade)');
    expect(stderr).toMatch(/dropped table public\.vehicles with \d+ rows/);
    // TRUNCATE … CASCADE reaches tables that the task does not declare.
    expect(stderr).toContain('CS002');
    expect(
      await Promise.all(
        ['customers', 'reservations', 'payments', 'audit_log'].map((table) => count(`public.${table}`)),
      ),
    ).toEqual(before);
  });

  it.skipIf(!hasPsql)('denies for good what no approval makes possible', async () => {
    const { stderr } = await psql(
      task.postgres,
      'DROP DATABASE rental',
      "COPY customers TO PROGRAM 'cat > /tmp/x'",
      "SELECT pg_read_file('/etc/passwd')",
      'ALTER ROLE postgres PASSWORD NULL',
      'ALTER SYSTEM SET fsync = off',
      'DELETE FROM payments',
    );
    expect(stderr.match(/CS002/g)).toHaveLength(6);
  });

  it('G3 G4 G6 applies a plan once, after a person countersigned, though asked three ways', async () => {
    const statement = 'DELETE FROM public.customers WHERE id BETWEEN 11 AND 13';
    const held = await refusal(withClient((client) => client.query(statement)));
    expect(held.code).toBe('CS001');
    const id = /sha256:[0-9a-f]{64}/.exec(held.detail)?.[0] ?? '';

    const mcp = await mcpClient(task.mcp);
    expect(await mcp.call('apply_plan', { plan: id })).toMatchObject({ outcome: 'held' });
    expect((await site.run('plan', 'approve', id, '--as', 'migrator')).code).toBe(1);
    expect((await site.run('plan', 'apply', id, '--as', 'ada')).code).toBe(1);
    expect(await count('public.customers WHERE id BETWEEN 11 AND 13')).toBe(3);

    expect(await site.ask('plan', 'approve', id, '--as', 'ada', '--reason', 'seen')).toMatchObject({
      state: 'approved',
    });
    expect(await count('public.customers WHERE id BETWEEN 11 AND 13')).toBe(3);

    await withClient(async (client) => {
      const notices: string[] = [];
      client.on('notice', (notice) => notices.push(notice.message ?? ''));
      const applied = await client.query(statement);
      expect(applied.rowCount).toBe(3);
      expect(notices.join()).toContain('countersigned by ada');
      await client.query(`CALL countersign.apply('${id}')`);
      expect(notices.join()).toContain('once only');
    });
    expect(await site.ask('plan', 'apply', id, '--as', 'ada')).toMatchObject({ state: 'applied', already: true });
    expect(await mcp.call('apply_plan', { plan: id })).toMatchObject({ outcome: 'applied' });
    await mcp.close();
    expect(await count('public.customers WHERE id BETWEEN 11 AND 13')).toBe(0);
    expect(await count(`countersign.applied WHERE plan = '${id}'`)).toBe(1);
  });

  it('G3 refuses an approved plan after its rows changed, with the same count', async () => {
    const mcp = await mcpClient(task.mcp);
    const sql = 'DELETE FROM public.customers WHERE id = 21';
    const held = await mcp.call('execute_sql', { target: 'rental-production', sql });
    expect(held).toMatchObject({ outcome: 'held' });
    const { id } = held['plan'] as { id: string };
    await site.ask('plan', 'approve', id, '--as', 'ada');
    await asSuperuser(site.databaseUrl, "UPDATE public.customers SET full_name = 'Somebody Else' WHERE id = 21");
    expect(await mcp.call('apply_plan', { plan: id })).toMatchObject({ outcome: 'stale' });
    await mcp.close();
    expect(await count('public.customers WHERE id = 21')).toBe(1);
    expect(await site.ask('plan', 'show', id)).toMatchObject({ state: 'stale' });
  });

  it('keeps a rejected plan from being applied', async () => {
    const held = await refusal(withClient((client) => client.query('DELETE FROM public.customers WHERE id = 22')));
    const id = /sha256:[0-9a-f]{64}/.exec(held.detail)?.[0] ?? '';
    await site.ask('plan', 'reject', id, '--as', 'ada', '--reason', 'no');
    expect((await site.run('plan', 'approve', id, '--as', 'ada')).code).toBe(1);
    expect((await site.run('plan', 'apply', id, '--as', 'ada')).code).toBe(1);
    expect(await count('public.customers WHERE id = 22')).toBe(1);
  });

  it.skipIf(!hasPsql)('applies a schema change and a statement that runs outside a transaction', async () => {
    for (const statement of [
      'CREATE TABLE public.notes (id int PRIMARY KEY, note text)',
      'ALTER TABLE public.customers ADD COLUMN nickname text',
      'CREATE INDEX CONCURRENTLY customers_nickname ON public.customers (nickname)',
      'ALTER TABLE public.customers DROP COLUMN nickname',
    ]) {
      const held = await refusal(withClient((client) => client.query(statement)));
      expect(held.code, statement).toBe('CS001');
      const id = /sha256:[0-9a-f]{64}/.exec(held.detail)?.[0] ?? '';
      await site.ask('plan', 'approve', id, '--as', 'ada');
      expect(await site.ask('plan', 'apply', id, '--as', 'ada'), statement).toMatchObject({ state: 'applied' });
    }
    // A table that was made by a plan can be written by a task that declares it.
    const after = await site.openTask(WORK);
    const { stdout } = await psql(after.postgres, "INSERT INTO notes VALUES (1, 'hello')", 'SELECT note FROM notes');
    expect(stdout).toContain('hello');
  });

  it('speaks MCP: targets, objects, rows as data, status', async () => {
    const mcp = await mcpClient(task.mcp);
    expect(await mcp.call('list_targets')).toMatchObject({
      targets: [{ target: 'rental-production', tier: 'production' }],
    });
    expect(
      (await mcp.call('search_objects', { target: 'rental-production', pattern: '*customers*' }))['objects'],
    ).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'public.customers' })]));
    const rows = await mcp.call('execute_sql', {
      target: 'rental-production',
      sql: 'SELECT id FROM customers WHERE id > $1 ORDER BY id',
      parameters: [100],
      max_rows: 2,
    });
    expect(rows).toMatchObject({ outcome: 'rows', rows: [['101'], ['102']], truncated: true });
    const write = await mcp.call('execute_sql', {
      target: 'rental-production',
      sql: 'UPDATE customers SET loyalty_points = 7 WHERE id = 101',
    });
    expect(write).toMatchObject({ outcome: 'done', effect: [{ table: 'public.customers', updated: 1 }] });
    expect(await mcp.call('explain_sql', { target: 'rental-production', sql: 'DELETE FROM payments' })).toMatchObject({
      decision: 'deny',
    });
    expect(await mcp.call('execute_sql', { target: 'rental-production', sql: 'DELETE FROM payments' })).toMatchObject({
      outcome: 'denied',
    });
    expect(await mcp.call('get_status')).toMatchObject({ outcome: 'status' });
    await mcp.close();
  });

  it('G7 proves all of it: the ledger verifies, and names the entry when one byte is changed', async () => {
    const sound = await site.ask('ledger', 'verify');
    expect(sound).toMatchObject({ verdict: 'sound' });
    const { entries } = await site.ask<{ entries: { kind: string }[] }>('ledger', 'show', '--limit', '1000');
    for (const kind of [
      'genesis',
      'task opened',
      'intent',
      'outcome',
      'denied',
      'plan',
      'approval',
      'rejection',
      'apply',
    ]) {
      expect(entries.map((entry) => entry.kind)).toContain(kind);
    }
    const file = `${site.directory}/export.jsonl`;
    await site.ask('ledger', 'export', file);
    expect((await site.run('ledger', 'verify', file)).code).toBe(0);
  });

  it('ends in good order', async () => {
    expect(await gateway.stop()).toBe(0);
    expect(gateway.log()).not.toMatch(/"level":50/);
  });
});
