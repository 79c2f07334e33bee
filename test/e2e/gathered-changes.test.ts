import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';

const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*]');

/** What a migration tool sends: definitions and a note of its own that they were made, in one transaction. */
const MIGRATION = [
  'BEGIN',
  'CREATE TABLE public.loans (id int PRIMARY KEY, customer int REFERENCES public.customers)',
  'ALTER TABLE public.vehicles ADD COLUMN loaned boolean NOT NULL DEFAULT false',
  "INSERT INTO public.schema_migrations (version) VALUES ('20261121_loans')",
  'INSERT INTO public.loans VALUES (1, 1)',
];

describe.each(newest)('definitions in a transaction of the actor’s, before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    await site.serve();
    task = await site.openTask(TASK);
  }, 60_000);
  afterAll(() => site?.remove());

  async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  const truth = (sql: string) => withClient(site.databaseUrl, async (client) => (await client.query(sql)).rows);

  it('become one plan at COMMIT, which the same transaction applies when it was countersigned', async () => {
    await withClient(task.postgres, async (client) => {
      const notices: string[] = [];
      client.on('notice', ({ message }) => notices.push(message ?? ''));
      const migrate = async () => {
        for (const text of MIGRATION) await client.query(text);
        return client.query('COMMIT');
      };
      const held = await migrate().catch((error: pg.DatabaseError) => error);
      expect(held).toMatchObject({ code: 'CS001' });
      expect(notices[0]).toMatch(/At COMMIT this transaction becomes a plan/);
      expect(await truth("SELECT to_regclass('public.loans') AS loans")).toEqual([{ loans: null }]);
      // The database's transaction is over; the next one begins as usual.
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);

      const { plans } = await site.ask<{ plans: { id: string; statements: unknown[] }[] }>('plan', 'list');
      expect(plans).toHaveLength(1);
      expect(plans[0]?.statements).toHaveLength(4);
      await site.ask('plan', 'approve', plans[0]?.id ?? '', '--as', 'ada');
      expect((await migrate()).command).toBe('COMMIT');
      expect(notices.at(-1)).toMatch(/countersigned by ada/);
      expect(await client.query('SELECT customer FROM public.loans')).toMatchObject({ rows: [{ customer: 1 }] });
    });
    expect(
      await truth("SELECT count(*)::int AS n FROM public.schema_migrations WHERE version = '20261121_loans'"),
    ).toEqual([{ n: 1 }]);
  });

  it('come over the extended protocol as well, with values', async () => {
    const extended = (text: string, values: unknown[] = []) => ({ text, values, queryMode: 'extended' });
    await withClient(task.postgres, async (client) => {
      await client.query('BEGIN');
      await client.query(extended('CREATE TABLE public.bound (id int, said text)'));
      expect((await client.query(extended('INSERT INTO public.bound VALUES ($1, $2)', ['1', 'one']))).rowCount).toBe(1);
      await expect(client.query('COMMIT')).rejects.toMatchObject({ code: 'CS001' });
    });
  });

  it('leave nothing behind after ROLLBACK, a lost client, or an error', async () => {
    await withClient(task.postgres, async (client) => {
      await client.query('BEGIN');
      await client.query('DROP VIEW public.fleet_utilisation');
      await client.query('ROLLBACK');
      await client.query('BEGIN');
      await client.query('DROP VIEW public.fleet_utilisation');
      await expect(client.query('DROP VIEW public.fleet_utilisation')).rejects.toMatchObject({ code: '42P01' });
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
      expect((await client.query('COMMIT')).command).toBe('ROLLBACK');
      await client.query('BEGIN');
      await client.query('DROP VIEW public.fleet_utilisation');
    });
    expect(await truth("SELECT to_regclass('public.fleet_utilisation') IS NOT NULL AS there")).toEqual([
      { there: true },
    ]);
  });

  it('keep no lock while the actor thinks', async () => {
    await withClient(task.postgres, async (client) => {
      await client.query('BEGIN');
      await client.query('ALTER TABLE public.customers ADD COLUMN thinking int');
      await truth('BEGIN; LOCK TABLE public.customers IN ACCESS EXCLUSIVE MODE NOWAIT; ROLLBACK');
      await client.query('ROLLBACK');
    });
  });

  it('don’t let the transaction read what it would have changed, and say what to do', async () => {
    await withClient(task.postgres, async (client) => {
      for (const [change, read] of [
        ['ALTER TABLE public.customers ADD COLUMN x int', 'SELECT * FROM public.customers LIMIT 1'],
        ['CREATE TABLE public.fresh (id int)', 'SELECT * FROM public.fresh'],
        ['CREATE TABLE public.fresh (id int)', 'INSERT INTO public.fresh VALUES (1) RETURNING id'],
        ['CREATE TABLE public.fresh (id int)', "SELECT relname FROM pg_class WHERE relname = 'fresh'"],
        ['DROP VIEW public.fleet_utilisation', 'SELECT * FROM public.fleet_utilisation'],
        ['CREATE TABLE public.fresh (id int)', 'SAVEPOINT s'],
      ] as const) {
        await client.query('BEGIN');
        await client.query(change);
        await expect(client.query(read), read).rejects.toMatchObject({ code: 'CS008', hint: /./ });
        await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
        await client.query('ROLLBACK');
      }
    });
  });

  it('are held at once where the transaction has savepoints, and rows that it wrote don’t stand in the way', async () => {
    await withClient(task.postgres, async (client) => {
      await client.query('BEGIN');
      await client.query('SAVEPOINT s');
      await client.query('UPDATE public.vehicles SET retired = true WHERE id = 1');
      const held = await client.query('ALTER TABLE public.vehicles ADD COLUMN y int').catch((error: unknown) => error);
      expect(held).toMatchObject({ code: 'CS001', detail: expect.not.stringMatching(/[Nn]ot measured/) });
      await client.query('ROLLBACK');
    });
  });

  it('are not planned with writes that meant something else by the same names', async () => {
    await withClient(task.postgres, async (client) => {
      await client.query('BEGIN');
      await client.query('CREATE TABLE mine (id int)');
      await client.query("SET LOCAL search_path = 'pg_catalog'");
      await expect(client.query('CREATE TABLE public.other (id int)')).rejects.toMatchObject({ code: 'CS008' });
      await client.query('ROLLBACK');
      await client.query('BEGIN');
      await client.query('CREATE TABLE mine (id int)');
      await client.query("SET LOCAL search_path = 'pg_catalog'");
      await expect(client.query('COMMIT')).rejects.toMatchObject({ code: 'CS008' });
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });
  });

  it('over a limit or not allowed are refused at their place', async () => {
    await withClient(task.postgres, async (client) => {
      await client.query('BEGIN');
      await client.query('CREATE TABLE public.fresh (id int)');
      await expect(client.query('ALTER SYSTEM SET work_mem = 1')).rejects.toMatchObject({ code: 'CS002' });
      await client.query('ROLLBACK');
    });
  });
});
