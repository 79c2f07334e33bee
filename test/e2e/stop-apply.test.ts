import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

interface PlanShown {
  readonly state: string;
  readonly note: string | null;
}

describe.each(servers.slice(0, 1))('G11 stop reaches an apply under way, before $name', ({ binaries }) => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { schema: 'CREATE TABLE public.pace AS SELECT 0 AS seconds' });
    gateway = await site.serve();
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  async function connect(): Promise<pg.Client> {
    const url = new URL(task.postgres);
    url.host = gateway.pg;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async function approved(statement: string): Promise<string> {
    const client = await connect();
    const held = (await client.query(statement).catch((error: unknown) => error)) as { code: string; detail: string };
    await client.end();
    expect(held.code).toBe('CS001');
    const id = /sha256:[0-9a-f]{64}/.exec(held.detail)?.[0] ?? '';
    await site.ask('plan', 'approve', id, '--as', 'ada');
    return id;
  }

  /** Whether the apply login runs the change itself, and not what comes before it. */
  const underWay = async () =>
    (
      await asSuperuser(
        site.databaseUrl,
        "SELECT query FROM pg_stat_activity WHERE usename = 'countersign_apply' AND state = 'active' AND query ~ '^(UPDATE customers|CREATE INDEX)'",
      )
    ).length;

  /** Somebody who has written and not committed: an index that is built concurrently waits for that. */
  async function holdUp(): Promise<() => Promise<void>> {
    const client = new pg.Client({ connectionString: site.databaseUrl });
    await client.connect();
    await client.query('BEGIN; UPDATE public.customers SET loyalty_points = loyalty_points WHERE id = 1');
    return async () => {
      await client.query('ROLLBACK');
      await client.end();
    };
  }

  async function haltMidway(apply: () => Promise<unknown>): Promise<{ code?: string; message?: string }> {
    const failed = apply().then(
      () => ({}),
      (error: { code?: string; message?: string }) => error,
    );
    await expect.poll(underWay, { timeout: 30_000, interval: 10 }).toBe(1);
    await site.ask('halt', '--task', task.task, '--reason', 'wrong table');
    const said = await failed;
    await expect.poll(underWay, { timeout: 5000, interval: 10 }).toBe(0);
    await site.ask('resume', '--task', task.task, '--reason', 'looked at it');
    return said;
  }

  it('a change of rows is rolled back, and its approval stands', async () => {
    const id = await approved(
      'UPDATE customers SET loyalty_points = loyalty_points + 1000 WHERE (SELECT pg_sleep(seconds) FROM pace) IS NOT NULL',
    );
    const client = await connect();
    await asSuperuser(site.databaseUrl, 'UPDATE public.pace SET seconds = 25');
    const said = await haltMidway(() => client.query(`CALL countersign.apply('${id}')`));
    await asSuperuser(site.databaseUrl, 'UPDATE public.pace SET seconds = 0');
    expect(said).toMatchObject({ code: 'CS004', message: expect.stringContaining('wrong table') });
    expect(await site.ask<PlanShown>('plan', 'show', id)).toMatchObject({
      state: 'approved',
      note: expect.stringContaining('wrong table'),
    });
    expect(await asSuperuser(site.databaseUrl, 'SELECT plan FROM countersign.applied')).toEqual([]);
    expect((await client.query(`CALL countersign.apply('${id}')`)).command).toBe('CALL');
    await client.end();
  }, 90_000);

  it('what runs outside of a transaction is cancelled, has failed, and says that something may be left of it', async () => {
    const id = await approved('CREATE INDEX CONCURRENTLY customers_points ON customers (loyalty_points)');
    const release = await holdUp();
    const said = await haltMidway(async () => {
      const ran = await site.run('plan', 'apply', id, '--as', 'ada', '--json');
      if (ran.code !== 0) throw Object.assign(new Error(ran.stdout), { code: String(ran.code) });
    });
    await release();
    expect(said).toMatchObject({ code: '1', message: expect.stringContaining('wrong table') });
    expect(said.message).toContain('CS004');
    expect(await site.ask<PlanShown>('plan', 'show', id)).toMatchObject({
      state: 'failed',
      note: expect.stringContaining('invalid index'),
    });
    const [left] = await asSuperuser<{ valid: boolean }>(
      site.databaseUrl,
      "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'public.customers_points'::regclass",
    );
    expect(left).toEqual({ valid: false });
  }, 90_000);
});
