import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const PATIENCE = { timeout: 20_000, interval: 100 };

describe.each(servers.slice(0, 1))('breakers, before $name', ({ binaries }) => {
  let site: Site;
  let gateways: readonly Served[];
  let [bad, good, other]: (OpenedTask | undefined)[] = [];
  const clients: pg.Client[] = [];

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.01 });
    site.edit((text) =>
      text
        .replace('breakers: off\n', 'breakers: { knocking: { max: 5, within: 5m }, rows: { max: 40, within: 5m } }\n')
        .replace(
          /^ {2}agents:\n {4}migrator:\n/m,
          '  agents:\n    bystander: { owner: ada, role: migrator }\n    migrator:\n',
        ),
    );
    gateways = await Promise.all([site.serve(), site.serve()]);
    bad = await site.openTask(WORK);
    good = await site.openTask(WORK);
    other = await site.openTask(WORK.replace('agent: migrator', 'agent: bystander'));
  }, 120_000);
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await site?.remove();
  });

  const said = async (client: pg.Client, sql: string) =>
    client.query(sql).then(
      () => 'ran',
      ({ code, message, hint }: pg.DatabaseError) => `${code} ${message} ${hint ?? ''}`,
    );
  /** By the gateway that is named. */
  async function connect(task: OpenedTask | undefined, gateway = gateways[0]): Promise<pg.Client> {
    const url = new URL(task?.postgres ?? '');
    const [host = '', port = ''] = gateway?.pg.split(':') ?? [];
    [url.hostname, url.port] = [host, port];
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    clients.push(client);
    await client.connect();
    return client;
  }
  const trips = async () =>
    (await site.ask<{ entries: { body: Record<string, unknown> }[] }>('ledger', 'show', '--kind', 'trip')).entries;

  it('stop a task that knocks, at both gateways, once, and nobody else', async () => {
    const [knocking, elsewhere, colleague, bystander] = await Promise.all([
      connect(bad),
      connect(bad, gateways[1]),
      connect(good),
      connect(other, gateways[1]),
    ]);
    for (let n = 0; n < 5; n++) expect(await said(knocking, `DROP TABLE payments`)).toMatch(/^CS002/);
    await expect.poll(() => said(knocking, 'SELECT 1'), PATIENCE).toMatch(/^CS004 The breaker knocking tripped/);
    await expect.poll(() => said(elsewhere, 'SELECT 1'), PATIENCE).toContain(`countersign resume --task ${bad?.task}`);
    expect(await said(colleague, 'SELECT count(*) FROM customers')).toBe('ran');
    expect(await said(bystander, 'SELECT count(*) FROM customers')).toBe('ran');
    expect(await trips()).toMatchObject([
      { body: { breaker: 'knocking', scope: 'task', id: bad?.task, actor: 'migrator', owner: 'ada', again: false } },
    ]);
  }, 60_000);

  it('are told to the agent, in figures and to whoever asks', async () => {
    const mcp = await mcpClient({ url: gateways[0]?.mcp ?? '', token: bad?.mcp.token ?? '' });
    expect(JSON.stringify(await mcp.call('get_status'))).toContain('breaker knocking');
    await mcp.close();
    const page = await (await fetch(`${gateways[0]?.http}/metrics`)).text();
    expect(page).toMatch(/^countersign_breakers_tripped\{breaker="knocking"\} 1$/m);
    const listed = await site.run('breaker', 'list');
    expect([listed.code, listed.stdout]).toEqual([
      1,
      expect.stringMatching(/TRIPPED {2}knocking .*5 within 5 minutes/),
    ]);
    const shown = await site.run('breaker', 'show', 'incident_');
    expect(shown.stdout.match(/DROP TABLE was denied/g)).toHaveLength(6);
    expect(shown.stdout).toContain('countersign incident playbook --target rental-production');
  }, 60_000);

  it('are half open once a person lets it go on: again, and the agent is stopped, and nobody else', async () => {
    await site.ask('resume', '--task', bad?.task ?? '', '--reason', 'it was told not to', '--as', 'ada');
    const again = await connect(bad);
    expect(await said(again, 'SELECT count(*) FROM customers')).toBe('ran');
    expect(await said(again, 'DROP TABLE payments')).toMatch(/^CS002/);
    await expect.poll(() => said(again, 'SELECT 1'), PATIENCE).toMatch(/^CS004 .* has stopped the agent migrator/);
    const bystander = await connect(other);
    expect(await said(bystander, 'SELECT count(*) FROM customers')).toBe('ran');
    expect((await trips()).at(-1)).toMatchObject({ body: { scope: 'agent', id: 'migrator', again: true } });
  }, 60_000);

  it('outlive a restart', async () => {
    await gateways[0]?.stop();
    gateways = [await site.serve(), ...gateways.slice(1)];
    const fresh = await connect(good).catch((error: pg.DatabaseError) => error);
    const answer = fresh instanceof pg.Client ? await said(fresh, 'SELECT 1') : `${(fresh as pg.DatabaseError).code}`;
    expect(answer).toMatch(/^CS004/);
    expect(await trips()).toHaveLength(2);
  }, 60_000);

  it('stop an agent that changes too many rows, little by little', async () => {
    const client = await connect(other);
    for (let n = 0; n < 5; n++)
      await said(client, `UPDATE customers SET email = email WHERE id BETWEEN ${n * 10} AND ${n * 10 + 9}`);
    await expect.poll(() => said(client, 'SELECT 1'), PATIENCE).toMatch(/^CS004 The breaker rows .* agent bystander/);
  }, 60_000);

  it('don’t mind harmless work that fails: wrong SQL, what may not be read, plans that wait', async () => {
    await site.ask('resume', '--agent', 'migrator', '--reason', 'looked at', '--as', 'ada');
    const before = (await trips()).length;
    const client = await connect(good);
    for (let n = 0; n < 12; n++) {
      await said(client, 'SELECT * FROM no_such_table');
      await said(client, 'SELEC 1');
      await said(client, 'SELECT rolpassword FROM pg_authid');
      await said(client, 'DELETE FROM reservations');
      await said(client, 'INSERT INTO payments DEFAULT VALUES');
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(await said(client, 'SELECT count(*) FROM customers')).toBe('ran');
    expect(await trips()).toHaveLength(before);
  }, 60_000);

  it('stop a target that is another one of a sudden, until a person says that it is well', async () => {
    // Another breaker may still be telling of what was done before.
    const mistaken = async () => (await trips()).filter(({ body }) => body['breaker'] === 'identity');
    const server = site.server.url('postgres');
    await asSuperuser(server, 'CREATE DATABASE impostor');
    const told = 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO PUBLIC';
    await asSuperuser(site.server.url('impostor'), told);
    await asSuperuser(server, 'DROP DATABASE rental WITH (FORCE)');
    await asSuperuser(server, 'ALTER DATABASE impostor RENAME TO rental');
    await expect.poll(async () => (await mistaken()).length, PATIENCE).toBeGreaterThan(0);
    expect((await mistaken())[0]).toMatchObject({
      body: { breaker: 'identity', scope: 'target', id: 'rental-production', owner: 'ada', again: false },
    });
    const resumed = await site.run(
      'resume',
      '--target',
      'rental-production',
      '--reason',
      'it was restored',
      '--as',
      'ada',
    );
    expect(resumed.code).toBe(0);
    // It is not: the next look stops it again.
    await expect.poll(async () => (await mistaken()).at(-1)?.body['again'], PATIENCE).toBe(true);
  }, 90_000);
});
