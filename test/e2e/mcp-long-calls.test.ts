import type { Client } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { call, connectClient, PROTOCOLS } from '../channels/mcp/running-gateway.ts';
import { type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const [newest] = servers;
const target = 'rental-production';
/** Statements that would run for long, so that on a busy machine too they are still running when they are to be ended. */
const PATIENT = WORK.replace('statementTimeout: 10s', 'statementTimeout: 60s');

let site: Site;
let gateway: Served;
beforeAll(async () => {
  if (newest === undefined) return;
  // A dry run gives way to whoever waits for it, and autovacuum is one of those.
  site = await startSite(newest.binaries, { settings: { autovacuum: 'off' } });
  gateway = await site.serve();
});
afterAll(() => site?.remove());

describe.skipIf(newest === undefined).each(PROTOCOLS)('long calls over MCP %s', (version) => {
  let client: Client;
  beforeEach(async () => {
    client = await connectClient(gateway.http, (await site.openTask(PATIENT)).mcp.token, version);
  });
  afterEach(() => client.close());

  /** Logins under which a statement that carries this mark runs now. */
  const running = async (mark: string) =>
    (
      await asSuperuser<{ usename: string }>(
        site.databaseUrl,
        "SELECT usename FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()",
        [mark],
      )
    ).map(({ usename }) => usename);
  const customers = async () =>
    (await asSuperuser<{ n: number }>(site.databaseUrl, 'SELECT count(*)::int AS n FROM public.customers'))[0]?.n;
  const marked = (name: string) => `${name}_${version.replaceAll('-', '')}`;

  /** Calls, cancels as soon as the database runs it, and waits until the database no longer does. */
  async function cancelled(sql: string, mark: string): Promise<string> {
    const abort = new AbortController();
    const pending = call(client, 'execute_sql', { target, sql }, { signal: abort.signal });
    const outcome = expect(pending).rejects.toThrow();
    let login: string | undefined;
    await expect
      .poll(
        async () => {
          [login] = await running(mark);
          return login;
        },
        { timeout: 20_000 },
      )
      .toBeDefined();
    abort.abort();
    await outcome;
    await expect.poll(() => running(mark), { timeout: 10_000 }).toEqual([]);
    return login ?? '';
  }

  it('stop a read in the database when they are cancelled', async () => {
    const mark = marked('cancelled_read');
    expect(await cancelled(`SELECT pg_sleep(50) AS ${mark}`, mark)).toMatch(/^cs_\w+_r$/);
    expect((await call(client, 'execute_sql', { target, sql: 'SELECT 1 AS n' })).structured).toMatchObject({
      rows: [['1']],
    });
  });

  it('undo a write in limits when they are cancelled', async () => {
    const mark = marked('cancelled_write');
    const before = await customers();
    const sql = `INSERT INTO public.customers (email, full_name) SELECT '${mark}', 'x' FROM pg_sleep(50)`;
    expect(await cancelled(sql, mark)).toMatch(/^cs_\w+_w$/);
    expect(await customers()).toBe(before);
    expect((await call(client, 'get_status')).structured).toMatchObject({ rowsUsed: 0, plans: [] });
  });

  it('stop a dry run when they are cancelled, and make no plan of it', async () => {
    const mark = marked('cancelled_dry_run');
    const before = await customers();
    const sql = `DELETE FROM public.customers WHERE (SELECT pg_sleep(50)) IS NOT NULL OR '${mark}' = '' OR true`;
    expect(await cancelled(sql, mark)).toBe('countersign_apply');
    expect(await customers()).toBe(before);
    expect((await call(client, 'get_status')).structured).toMatchObject({ plans: [] });
  });

  it('say that they took longer than the task allows, and that a halt has ended them, as what they are', async () => {
    const hasty = WORK.replace('statementTimeout: 10s', 'statementTimeout: 1s');
    const short = await connectClient(gateway.http, (await site.openTask(hasty)).mcp.token, version);
    const slow = await call(short, 'execute_sql', { target, sql: 'SELECT pg_sleep(5)' });
    expect(slow).toMatchObject({ isError: true, structured: { outcome: 'overLimit', code: 'CS005' } });
    expect(slow.structured['next']).toEqual([expect.stringContaining('split'), expect.anything()]);
    await short.close();
    const mark = marked('halted_read');
    const halted = call(client, 'execute_sql', { target, sql: `SELECT pg_sleep(50) AS ${mark}` });
    await expect.poll(() => running(mark), { timeout: 20_000 }).toHaveLength(1);
    await site.run('halt', '--target', target, '--reason', 'something looks wrong', '--as', 'ada');
    expect((await halted).structured).toMatchObject({ outcome: 'halted', code: 'CS004' });
    await site.run('resume', '--target', target, '--reason', 'it was nothing', '--as', 'ada');
  });

  it('tell each step of a held statement, and only ever more progress', async () => {
    const told: { readonly progress: number; readonly message?: string | undefined }[] = [];
    const held = await call(
      client,
      'execute_sql',
      { target, sql: 'DELETE FROM public.customers' },
      { onprogress: (progress) => told.push(progress) },
    );
    expect(held.structured).toMatchObject({ outcome: 'held', plan: { measured: true } });
    expect(told.map(({ message }) => message)).toEqual([
      'Held: trying it on the real data, to be rolled back.',
      'Held: trying it a second time, to learn which values differ from run to run.',
      'Held: recording the plan.',
    ]);
    const seconds = told.map(({ progress }) => progress);
    expect(seconds).toEqual([...new Set(seconds)].sort((a, b) => a - b));
  });

  it('tell that a long read is alive', async () => {
    const told: { readonly progress: number; readonly message?: string | undefined }[] = [];
    const sql = 'SELECT pg_sleep(6) IS NULL AS waited';
    await call(client, 'execute_sql', { target, sql }, { onprogress: (progress) => told.push(progress) });
    expect(told.length).toBeGreaterThanOrEqual(2);
    expect(told.map(({ message }) => message)).toEqual(told.map(() => 'Running the statement.'));
    expect(told[1]?.progress).toBeGreaterThan(4.9);
  });
});
