import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const [server] = servers;
/** Stands in rows, in literals, in bound values and in what the database says of them. */
const ROW = 'marker-row-4711';
const SECRET = 'marker-secret-0815';

describe.runIf(server !== undefined)('the log of a gateway', () => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;
  let plan: string;

  const lines = () =>
    gateway
      .log()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const fails = (client: pg.Client, sql: string, values: readonly unknown[] = []) =>
    client.query(sql, [...values]).then(
      () => Promise.reject(new Error(`${sql} was let through`)),
      (error: { code: string }) => error.code,
    );

  beforeAll(async () => {
    if (server === undefined) return;
    site = await startSite(server.binaries);
    await asSuperuser(
      site.databaseUrl,
      `UPDATE public.customers SET full_name = '${ROW}' WHERE id < 10;
       CREATE FUNCTION public.shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'row %', NEW; END $$;
       CREATE TRIGGER shout BEFORE UPDATE ON public.customers FOR EACH ROW WHEN (NEW.id = 4) EXECUTE FUNCTION public.shout()`,
    );
    gateway = await site.serve('--log-level', 'debug');
    task = await site.openTask(WORK);

    const stranger = new pg.Client({ connectionString: task.postgres.replace(task.token, SECRET) });
    await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
    const swapped = new URL(task.postgres);
    [swapped.username, swapped.password] = [swapped.password, swapped.username];
    await expect(new pg.Client({ connectionString: swapped.href }).connect()).rejects.toMatchObject({ code: '28P01' });

    const client = new pg.Client({ connectionString: task.postgres });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('SELECT full_name FROM public.customers WHERE full_name = $1', [ROW]);
    await client.query(`UPDATE public.customers SET full_name = '${ROW}' WHERE id = 3`);
    await fails(client, `SELECT '${ROW}'::int`);
    await fails(client, 'SELECT $1::int', [ROW]);
    await fails(client, `UPDATE public.customers SET full_name = '${ROW}' WHERE id = 4`);
    await fails(client, `INSERT INTO public.customers SELECT * FROM public.customers WHERE full_name = '${ROW}'`);
    await fails(client, `CREATE ROLE ${ROW.replaceAll('-', '_')} PASSWORD '${SECRET}'`);
    await fails(client, `SELECT 1 FROM "${ROW}"`);
    await fails(client, `DELETE FROM public.customers WHERE full_name = '${ROW}' OR id > 0`);
    const { plans } = await site.ask<{ plans: readonly { id: string }[] }>('plan', 'list');
    plan = plans[0]?.id ?? 'none';
    await fails(client, `CALL countersign.apply('${plan}')`);

    const agent = await mcpClient(task.mcp);
    await agent.call('execute_sql', {
      sql: `SELECT * FROM public.customers WHERE full_name = '${ROW}'`,
      target: 'rental-production',
    });
    await agent.call('execute_sql', { sql: `SELECT '${ROW}'::int`, target: 'rental-production' });
    await agent.close();
    await fetch(`${gateway.http}/mcp`, { method: 'POST', headers: { authorization: `Bearer ${SECRET}` } });
    await fetch(`${gateway.http}/v1/plans/x/approvals`, { method: 'POST', body: SECRET });
    // The connection is lost under the session, as when a server is restarted.
    await asSuperuser(
      site.databaseUrl,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign session'",
    );
    await client.end();
    await gateway.stop();
  }, 90_000);
  afterAll(() => site?.remove());

  it('is one JSON object a line, each with a time, a level and a sentence', () => {
    expect(lines().length).toBeGreaterThan(10);
    for (const line of lines()) {
      expect(line).toMatchObject({ time: expect.stringMatching(/^\d{4}-.*Z$/), level: expect.any(Number) });
      expect(line['msg']).toEqual(expect.stringMatching(/^\S.+/));
    }
  });

  it('names task, plan and change, so that the ledger can be asked', () => {
    const told = (sentence: string) => lines().filter(({ msg }) => msg === sentence);
    expect(told('a write was committed')).toEqual([
      expect.objectContaining({ task: task.task, change: expect.stringMatching(/^intent_/) }),
    ]);
    expect(told('a statement was held')).toContainEqual(
      expect.objectContaining({ task: task.task, plan, code: 'CS001' }),
    );
    expect(told('a statement was denied')).toContainEqual(
      expect.objectContaining({ task: task.task, command: 'CREATE ROLE', code: 'CS002' }),
    );
    expect(told('a plan was not applied')).toContainEqual(expect.objectContaining({ plan, code: 'CS001' }));
    expect(told('a session was opened').length).toBe(told('a session was closed').length);
  });

  it('holds no secret: no token, no password, not even one that was wrong', () => {
    const secrets = readdirSync(join(site.directory, 'secrets')).map((name) =>
      readFileSync(join(site.directory, 'secrets', name), 'utf8').trim(),
    );
    expect(secrets.length).toBeGreaterThan(1);
    for (const secret of [...secrets, task.token, task.mcp.token, SECRET]) expect(gateway.log()).not.toContain(secret);
  });

  it('holds nothing of a row, a literal or a bound value', () => {
    expect(gateway.log()).not.toContain(ROW);
    expect(gateway.log()).not.toContain('SELECT ');
  });
});
