import { execFile } from 'node:child_process';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type OpenedTask, psql, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';

describe.each(newest)('statements prepared by SQL, before $name', ({ name, binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.1 });
    await site.serve();
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  async function withClient<Result>(use: (client: pg.Client) => Promise<Result>, url = task.postgres): Promise<Result> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }
  const refusal = (run: Promise<unknown>) =>
    run.then(
      () => ({ code: 'it was not refused', detail: '' }),
      (error: { code: string; detail: string }) => error,
    );
  const truth = async (sql: string) => String(Object.values((await asSuperuser(site.databaseUrl, sql))[0] ?? {})[0]);

  it('run where they must: reads and writes alike, whatever was executed before', async () => {
    await withClient(async (client) => {
      await client.query('PREPARE one (int) AS SELECT full_name FROM customers WHERE id = $1');
      await client.query('PREPARE points (int, int) AS UPDATE customers SET loyalty_points = $2 WHERE id = $1');
      expect((await client.query('EXECUTE one(1)')).rows).toHaveLength(1);
      expect((await client.query('EXECUTE points(5, 77)')).rowCount).toBe(1);
      expect((await client.query('EXECUTE one(5)')).rows).toHaveLength(1);
      await client.query('BEGIN');
      await client.query('EXECUTE points(6, 78)');
      expect((await client.query('EXECUTE one(6)')).rows).toHaveLength(1);
      await client.query('COMMIT');
      expect((await client.query('EXPLAIN EXECUTE one(1)')).rows.length).toBeGreaterThan(0);
    });
    expect(await truth('SELECT sum(loyalty_points)::int FROM customers WHERE id IN (5, 6)')).toBe('155');
  });

  it('are measured: what changes too much becomes a plan that can be applied later', async () => {
    await withClient(async (client) => {
      await client.query(
        'PREPARE raise (int) AS UPDATE customers SET loyalty_points = loyalty_points + 1 WHERE id <= $1',
      );
      expect((await client.query('EXECUTE raise(3)')).rowCount).toBe(3);
      const before = await truth('SELECT sum(loyalty_points) FROM customers');
      const held = await refusal(client.query('EXECUTE raise(500)'));
      expect(held.code).toBe('CS001');
      expect(await truth('SELECT sum(loyalty_points) FROM customers')).toBe(before);
      const plan = /Plan (\S+)/.exec(held.detail)?.[1] ?? '';
      expect(await refusal(client.query('EXECUTE raise(500)'))).toMatchObject({
        detail: expect.stringContaining(plan),
      });
      const shown = await site.ask<{ plan: { statements: { text: string }[] } }>('plan', 'show', plan);
      expect(JSON.stringify(shown)).toContain('PREPARE raise');
      await site.ask('plan', 'approve', plan, '--as', 'ada');
      expect((await client.query('EXECUTE raise(500)')).command).toBe('UPDATE');
      expect(Number(await truth('SELECT sum(loyalty_points) FROM customers')) - Number(before)).toBe(500);
    });
  });

  it('are governed by what was prepared under the name, not by the name', async () => {
    await withClient(async (client) => {
      expect((await refusal(client.query("PREPARE secret AS SELECT pg_read_file('/etc/passwd')"))).code).toBe('CS002');
      expect((await refusal(client.query('EXECUTE secret'))).code).toBe('26000');
      await client.query('PREPARE innocent AS SELECT 1');
      await client.query('DEALLOCATE innocent');
      await client.query('PREPARE innocent AS DELETE FROM reservations');
      expect((await refusal(client.query('EXECUTE innocent'))).code).toBe('CS001');
      expect((await refusal(client.query('EXECUTE innocent'))).code).toBe('CS001');
      await client.query('PREPARE echo (text) AS SELECT $1');
      expect((await refusal(client.query("EXECUTE echo(pg_read_file('/etc/passwd'))"))).code).toBe('CS002');
      expect((await refusal(client.query('PREPARE echo AS SELECT 1'))).code).toBe('42P05');
      expect((await refusal(client.query('PREPARE a AS SELECT 1; DEALLOCATE a; EXECUTE a'))).code).toBe('26000');
      expect((await refusal(client.query('PREPARE b AS DELETE FROM reservations; EXECUTE b'))).code).toBe('CS001');
      const batch = (await client.query('PREPARE c AS SELECT 7 AS n; EXECUTE c')) as unknown as pg.QueryResult[];
      expect(batch[1]?.rows).toEqual([{ n: 7 }]);
      // The path in which its names are looked up may change between the two.
      await client.query('PREPARE named AS DELETE FROM reservations WHERE id < 0');
      await client.query('SET search_path = pg_catalog');
      expect((await refusal(client.query('EXECUTE named'))).code).toMatch(/42P01|CS002/);
    });
    expect(Number(await truth('SELECT count(*) FROM reservations'))).toBeGreaterThan(0);
  });

  it('share their names with those of the protocol, and are gone for both', async () => {
    await withClient(async (client) => {
      const named = { name: 'shared', text: 'SELECT id FROM customers WHERE id = $1', values: [1] };
      expect((await client.query(named)).rows).toEqual([{ id: '1' }]);
      expect((await client.query('EXECUTE shared(2)')).rows).toEqual([{ id: '2' }]);
      expect((await refusal(client.query('PREPARE shared AS SELECT 1'))).code).toBe('42P05');
      await client.query('DEALLOCATE ALL');
      expect((await refusal(client.query('EXECUTE shared(2)'))).code).toBe('26000');
    });
    await withClient(async (client) => {
      const wrong = { name: 'again', text: 'SELECT nothing FROM customers WHERE id = $1', values: [1] };
      expect((await refusal(client.query(wrong))).code).toBe('42703');
      expect((await client.query({ ...wrong, text: 'SELECT id FROM customers WHERE id = $1' })).rows).toHaveLength(1);
      await client.query('DISCARD ALL');
    });
  });

  it.skipIf(!hasPsql)('say what the database says', async () => {
    const script = [
      'PREPARE p (int) AS SELECT $1 + 1 AS n',
      'EXECUTE p(1)',
      'EXECUTE p',
      "EXECUTE p('x')",
      'EXECUTE nobody',
      'PREPARE p AS SELECT 1',
      'PREPARE q AS SELECT nothing',
      'DEALLOCATE p',
      'DEALLOCATE p',
      'DEALLOCATE PREPARE ALL',
      'EXECUTE p(1)',
    ];
    const [governed, direct] = [await psql(task.postgres, ...script), await psql(site.databaseUrl, ...script)];
    expect(governed.stdout).toBe(direct.stdout);
    // The name of a statement is looked up by the gateway: it has no line of the server's sources to tell.
    const said = (text: string) => text.split('\n').filter((line) => !line.startsWith('LOCATION'));
    expect(said(governed.stderr)).toEqual(said(direct.stderr));
  });

  it.skipIf(!hasPsql || !name.includes('15'))('let pg_dump read the database', async () => {
    const dump = (url: string) =>
      new Promise<string>((resolve, reject) => {
        execFile('pg_dump', ['-n', 'public', url], { maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
          error === null ? resolve(stdout) : reject(new Error(stderr)),
        );
      });
    const everything = await site.openTask(
      WORK.replace('write: [public.customers, public.reservations, public.vehicles, public.notes]', 'write: []'),
    );
    const lines = (text: string) => text.split('\n').filter((line) => !/^\\(un)?restrict /.test(line));
    expect(lines(await dump(everything.postgres))).toEqual(lines(await dump(site.databaseUrl)));
  });
});
