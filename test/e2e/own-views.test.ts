import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';

describe.each(newest)('countersign.plans and countersign.status, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let client: pg.Client;

  beforeAll(async () => {
    site = await startSite(binaries);
    await site.serve();
    task = await site.openTask(WORK);
    client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
  }, 60_000);
  afterAll(async () => {
    await client?.end();
    await site?.remove();
  });

  const codeOf = (sql: string) =>
    client.query(sql).then(
      () => 'it was not refused',
      (error: { code?: string }) => error.code,
    );

  it('lead a plain SQL client from a held statement to its effect', async () => {
    expect((await client.query('SELECT * FROM countersign.plans')).rows).toEqual([]);
    expect(await codeOf('DELETE FROM reservations')).toBe('CS001');
    const { rows } = await client.query('SELECT * FROM countersign.plans');
    expect(rows).toMatchObject([
      { state: 'held', statement: 'DELETE FROM reservations', approvals_missing: 1, apply_with: null },
    ]);
    expect(rows[0].effect).toContain('public.reservations: ');
    expect(rows[0].created_at).toBeInstanceOf(Date);
    await site.ask('plan', 'approve', rows[0].id, '--as', 'ada');
    const named = { name: 'approved', text: 'SELECT apply_with FROM countersign.plans AS p WHERE state = $1' };
    const [approved] = (await client.query({ ...named, values: ['approved'] })).rows;
    expect(approved.apply_with).toBe(`CALL countersign.apply('${rows[0].id}')`);
    await client.query(approved.apply_with);
    expect((await client.query({ ...named, values: ['approved'] })).rows).toEqual([]);
    expect((await client.query({ ...named, values: ['applied'] })).rows).toHaveLength(1);
  });

  it('take part in a query like any other relation', async () => {
    const sql = `WITH p AS (SELECT * FROM "countersign" . plans WHERE effect LIKE '%ü%' OR true)
      SELECT s.task, count(p.id)::int AS plans FROM p RIGHT JOIN countersign.status s ON true
      WHERE EXISTS (SELECT FROM countersign.plans) AND (SELECT count(*) FROM customers) > 0 GROUP BY s.task /* ü */`;
    expect((await client.query(sql)).rows).toEqual([{ task: task.task, plans: 1 }]);
    const both = (await client.query('SELECT state FROM countersign.status; SELECT 2')) as unknown as pg.QueryResult[];
    expect(both[0]?.rows).toEqual([{ state: 'open' }]);
    await client.query('BEGIN');
    await client.query('DECLARE c CURSOR FOR SELECT id FROM countersign.plans');
    expect((await client.query('FETCH ALL FROM c')).rows).toHaveLength(1);
    await client.query('COMMIT');
    const mcp = await mcpClient(task.mcp);
    const sent = { target: 'rental-production', sql: 'SELECT state FROM countersign.plans' };
    expect(JSON.stringify(await mcp.call('execute_sql', sent))).toContain('applied');
    await mcp.client.close();
  });

  it('show nothing of other tasks, and can’t be changed or mistaken', async () => {
    const other = await site.openTask(WORK);
    const second = new pg.Client({ connectionString: other.postgres });
    await second.connect();
    expect((await second.query('SELECT * FROM countersign.plans')).rows).toEqual([]);
    expect((await second.query('SELECT task FROM countersign.status')).rows).toEqual([{ task: other.task }]);
    await second.end();
    expect(await codeOf('DELETE FROM countersign.plans')).toMatch(/^CS00[28]$/);
    expect(await codeOf('INSERT INTO customers SELECT * FROM countersign.plans')).toBe('CS008');
    expect(await codeOf('SELECT * FROM countersign.applied')).toBe('CS002');
    expect(await codeOf('PREPARE p AS SELECT * FROM countersign.plans')).toBe('CS002');
    expect(await codeOf('SELECT * FROM countersign.plans FOR UPDATE')).toMatch(/^(CS00[28]|0A000|42)/);
    expect(await codeOf('SELECT * FROM ONLY countersign.plans')).toMatch(/^42/);
  });
});
