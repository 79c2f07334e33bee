import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasPsql, type OpenedTask, psql, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';

const LONG = 'SELECT count(*) FROM public.telemetry a, public.telemetry b, public.telemetry c';

describe.each(newest)('the wire channel before $name', ({ binaries }) => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.1 });
    gateway = await site.serve();
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
  const codeOf = (run: Promise<unknown>) =>
    run.then(
      () => 'it was not refused',
      (error: { code?: string }) => error.code,
    );

  it.skipIf(!hasPsql)('copies out as the database does', async () => {
    const governed = await psql(task.postgres, 'COPY (SELECT id, plate, model FROM vehicles ORDER BY id) TO STDOUT');
    const direct = await psql(site.databaseUrl, 'COPY (SELECT id, plate, model FROM vehicles ORDER BY id) TO STDOUT');
    expect(governed.stdout).toBe(direct.stdout);
    expect(governed.stdout.split('\n').length).toBeGreaterThan(50);
  });

  it('gives the same rows as the database, for every type of the scenario, in text and binary', async () => {
    const sql = 'SELECT * FROM public.customers ORDER BY id LIMIT 50';
    const read = async (url: string, binary: boolean) =>
      withClient(async (client) => (await client.query({ text: sql, binary } as pg.QueryConfig)).rows, url);
    expect(await read(task.postgres, false)).toEqual(await read(site.databaseUrl, false));
    expect(JSON.stringify(await read(task.postgres, true))).toBe(JSON.stringify(await read(site.databaseUrl, true)));
  });

  it('runs several statements of one Query as one transaction', async () => {
    await withClient(async (client) => {
      const results = (await client.query(
        'SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c',
      )) as unknown as pg.QueryResult[];
      expect(results.map((result) => Object.values(result.rows[0] as object)[0])).toEqual([1, 2, 3]);
      // The second fails, so the first must not have happened.
      const failed = codeOf(
        client.query(
          "UPDATE customers SET full_name = 'never' WHERE id = 1; UPDATE customers SET loyalty_points = -1 WHERE id = 2",
        ),
      );
      expect(await failed).toBe('23514');
    });
    expect(await asSuperuser(site.databaseUrl, "SELECT 1 FROM customers WHERE full_name = 'never'")).toEqual([]);
  });

  it('judges all of a Query before it runs any of it', async () => {
    await withClient(async (client) => {
      const held = codeOf(
        client.query("UPDATE customers SET full_name = 'never' WHERE id = 1; DROP TABLE vehicles CASCADE"),
      );
      expect(await held).toBe('CS001');
      expect(await codeOf(client.query('SELECT 1; DROP DATABASE rental'))).toBe('CS002');
    });
    expect(await asSuperuser(site.databaseUrl, "SELECT 1 FROM customers WHERE full_name = 'never'")).toEqual([]);
  });

  it('pipelines, and skips to the Sync after an error', async () => {
    const sql = postgres(task.postgres, { max: 1, onnotice: () => undefined });
    try {
      const [a, b, c] = await Promise.allSettled([
        sql`SELECT ${1}::int AS n`,
        sql`SELECT 1 / ${0}::int AS n`,
        sql`SELECT ${3}::int AS n`,
      ]);
      expect(a).toMatchObject({ status: 'fulfilled', value: [{ n: 1 }] });
      expect(b).toMatchObject({ status: 'rejected', reason: { code: '22012' } });
      expect(c).toMatchObject({ status: 'fulfilled', value: [{ n: 3 }] });
    } finally {
      await sql.end();
    }
  });

  it('carries transactions and savepoints of postgres.js, and its prepared statements', async () => {
    const sql = postgres(task.postgres, { max: 2, onnotice: () => undefined });
    try {
      await sql.begin(async (transaction) => {
        await transaction`UPDATE customers SET loyalty_points = 11 WHERE id = ${3}`;
        await transaction
          .savepoint(async (inner) => {
            await inner`UPDATE customers SET loyalty_points = 12 WHERE id = ${3}`;
            throw new Error('back');
          })
          .catch(() => undefined);
      });
      expect(await sql`SELECT loyalty_points FROM customers WHERE id = 3`).toEqual([{ loyalty_points: 11 }]);
      for (let id = 1; id <= 20; id++) await sql`SELECT full_name FROM customers WHERE id = ${id}`;
      await sql`UPDATE customers SET preferences = ${sql.json({ colour: 'red' })} WHERE id = ${4}`;
      expect(await sql`SELECT preferences FROM customers WHERE id = 4`).toEqual([{ preferences: { colour: 'red' } }]);
    } finally {
      await sql.end();
    }
  });

  it('reads with a cursor inside a transaction', async () => {
    const sql = postgres(task.postgres, { max: 1, onnotice: () => undefined });
    try {
      let rows = 0;
      await sql`SELECT vehicle_id FROM telemetry_2026_09`.cursor(100, (chunk) => {
        rows += chunk.length;
        if (rows >= 300) return sql.CLOSE;
        return undefined;
      });
      expect(rows).toBe(300);
    } finally {
      await sql.end();
    }
  });

  it('makes settings hold for reads and writes alike', async () => {
    await withClient(async (client) => {
      await client.query("SET TIME ZONE 'Asia/Tokyo'");
      const { rows } = await client.query("SELECT '2026-01-01T00:00:00Z'::timestamptz::text AS at");
      expect(rows).toEqual([{ at: '2026-01-01 09:00:00+09' }]);
      const written = await client.query(
        "UPDATE customers SET created_at = '2026-01-01 09:00' WHERE id = 6 RETURNING created_at::text AS at",
      );
      expect(written.rows).toEqual([{ at: '2026-01-01 09:00:00+09' }]);
    });
    expect(
      await asSuperuser(
        site.databaseUrl,
        "SELECT created_at = '2026-01-01T00:00:00Z' AS right FROM customers WHERE id = 6",
      ),
    ).toEqual([{ right: true }]);
  });

  it('G1 judges by what names will mean when a statement runs', async () => {
    await asSuperuser(
      site.databaseUrl,
      'CREATE SCHEMA IF NOT EXISTS shadow; CREATE TABLE IF NOT EXISTS shadow.customers (id int)',
    );
    const restricted = await site.openTask(WORK);
    await withClient(async (client) => {
      // In one text: what comes after SET is judged under it.
      expect(await codeOf(client.query('SET search_path = shadow; SELECT * FROM customers'))).toBe('CS002');
      expect((await client.query('SHOW search_path')).rows).not.toEqual([{ search_path: 'shadow' }]);
      for (const text of [
        'BEGIN; SET search_path = shadow; ROLLBACK; SELECT * FROM customers',
        'SET LOCAL search_path = shadow; SELECT * FROM customers',
        'RESET ALL; SELECT * FROM customers',
      ]) {
        expect(await codeOf(client.query(text)), text).toMatch(/^CS00[28]$/);
        await client.query('ROLLBACK');
      }
      // Across a transaction: what was set in it holds after COMMIT, and not after ROLLBACK.
      await client.query('BEGIN; SET search_path = shadow');
      await client.query('COMMIT');
      expect(await codeOf(client.query('SELECT * FROM customers'))).toBe('CS002');
      await client.query('SET search_path = public');
      await client.query('BEGIN');
      await client.query('SAVEPOINT a');
      await client.query('SET search_path = shadow');
      await client.query('ROLLBACK TO a');
      await client.query('SELECT * FROM customers LIMIT 1');
      await client.query('ROLLBACK');
      // Prepared before, bound after: looked up anew.
      const prepared = { name: 'p', text: 'SELECT count(*) FROM customers' };
      await client.query(prepared);
      await client.query('SET search_path = shadow');
      expect(await codeOf(client.query(prepared))).toBe('CS002');
    }, restricted.postgres);
  });

  it('streams a large result without keeping it, though the client reads slowly', async () => {
    const before = await memoryOf(gateway);
    await withClient(async (client) => {
      const stream = client.connection.stream as unknown as { pause(): void; resume(): void };
      const query = client.query(
        "SELECT repeat('x', 1000) AS filler FROM public.telemetry a, generate_series(1, 40) LIMIT 100000",
      );
      await sleep(50);
      stream.pause();
      await sleep(1500);
      const during = await memoryOf(gateway);
      expect(during - before).toBeLessThan(80 * 1024 * 1024);
      stream.resume();
      expect((await query).rows).toHaveLength(100_000);
    });
  });

  it('cancels by its own key', async () => {
    await withClient(async (client) => {
      const running = codeOf(client.query(LONG));
      await sleep(200);
      const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
      const other = new pg.Client({ connectionString: task.postgres }) as unknown as {
        connection: {
          connect(port: number, host: string): void;
          once(event: string, listener: () => void): void;
          cancel(pid: number, key: number): void;
        };
        port: number;
        host: string;
      };
      other.connection.connect(other.port, other.host);
      other.connection.once('connect', () => other.connection.cancel(processID, secretKey));
      expect(await running).toBe('57014');
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });
  });

  it('ends a statement that runs longer than the task declares', async () => {
    const short = await site.openTask(WORK.replace('statementTimeout: 10s', 'statementTimeout: 500ms'));
    await withClient(async (client) => {
      await client.query('SET statement_timeout = 0');
      const startedMs = performance.now();
      expect(await codeOf(client.query(LONG))).toBe('CS005');
      expect(performance.now() - startedMs).toBeLessThan(3000);
    }, short.postgres);
  });

  it('G11 stops what runs and refuses what comes, by task, agent, target and all; a restart changes nothing', async () => {
    for (const scope of [['--task', task.task], ['--agent', 'migrator'], ['--target', 'rental-production'], []]) {
      await withClient(async (client) => {
        const running = codeOf(client.query(LONG));
        await sleep(200);
        await site.ask('halt', ...scope, '--reason', 'a test');
        expect(await running).toBe('CS004');
        // Where a cancellation took too long its server process was ended, and the session with it.
        expect(['CS004', undefined]).toContain(await codeOf(client.query('SELECT 1')));
      });
      expect(await codeOf(withClient(async () => undefined))).toBe('CS004');
      if (scope.length === 0) {
        await gateway.stop();
        gateway = await site.serve();
        const moved = new URL(task.postgres);
        moved.host = gateway.pg;
        task = { ...task, postgres: moved.href };
        expect(await codeOf(withClient(async () => undefined))).toBe('CS004');
      }
      await site.ask('resume', ...scope, '--reason', 'done');
      await expect
        .poll(() => codeOf(withClient((client) => client.query('SELECT 1'))), { timeout: 5000 })
        .toBe('it was not refused');
    }
  });

  it('ends a session at once when its task is closed', async () => {
    const other = await site.openTask(WORK);
    const url = new URL(other.postgres);
    url.host = gateway.pg;
    await withClient(async (client) => {
      await client.query('SELECT 1');
      await site.ask('task', 'close', other.task);
      await expect.poll(() => codeOf(client.query('SELECT 1')), { timeout: 5000 }).toBe('CS002');
    }, url.href);
    expect(await codeOf(withClient(async () => undefined, url.href))).toBe('28P01');
  });

  it('lets work that runs end when it is told to end', async () => {
    await withClient(async (client) => {
      const running = client.query('SELECT pg_sleep(0.5), 1 AS one');
      await sleep(100);
      const stopped = gateway.stop();
      expect((await running).rows).toMatchObject([{ one: 1 }]);
      expect(await stopped).toBe(0);
    });
  });
});

function memoryOf({ process: child }: Served): Promise<number> {
  return new Promise((resolve, reject) => {
    execFile('ps', ['-o', 'rss=', '-p', String(child.pid)], (error, stdout) =>
      error === null ? resolve(Number(stdout) * 1024) : reject(error),
    );
  });
}
