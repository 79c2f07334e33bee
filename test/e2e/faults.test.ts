import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEmbeddedServer } from '../../src/engines/postgres/embedded-server.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { openStateFile } from '../fixtures/state-file.ts';

describe.each(servers.slice(0, 1))('G12 when something fails, before $name', ({ binaries }) => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    gateway = await site.serve();
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: task.postgres });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }
  const codeOf = (run: Promise<unknown>) =>
    run.then(
      () => 'done',
      (error: { code?: string }) => error.code ?? 'lost',
    );
  const points = async (id: number) =>
    (
      await asSuperuser<{ n: number }>(site.databaseUrl, `SELECT loyalty_points AS n FROM customers WHERE id = ${id}`)
    )[0]?.n;

  it('G7 lets nothing take effect while the ledger can’t be written, and goes on afterwards', async () => {
    const client = await connect();
    const other = openStateFile(site);
    other.exec('BEGIN EXCLUSIVE');
    try {
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      const before = await points(31);
      expect(await codeOf(client.query('UPDATE customers SET loyalty_points = 4242 WHERE id = 31'))).toBe('CS007');
      expect(await points(31)).toBe(before);
    } finally {
      other.exec('ROLLBACK');
      other.close();
    }
    expect(await codeOf(client.query('UPDATE customers SET loyalty_points = 4242 WHERE id = 31'))).toBe('done');
    expect(await points(31)).toBe(4242);
    await client.end();
  }, 30_000);

  it('G6 keeps what was answered as done through a crash of a server whose commits don’t wait for the disk', async () => {
    const settings = { synchronous_commit: 'off', wal_writer_delay: '10s', autovacuum: 'off' };
    const doomed = await startSite(binaries, { settings });
    const served = await doomed.serve();
    const opened = await doomed.openTask(WORK);
    const client = new pg.Client({ connectionString: opened.postgres });
    client.on('error', () => undefined);
    await client.connect();
    // Nobody waits for this one: it is what the crash takes, so that one knows that it takes anything.
    const bare = new pg.Client({ connectionString: doomed.databaseUrl });
    bare.on('error', () => undefined);
    await bare.connect();
    const planned = 'UPDATE customers SET loyalty_points = 4245';
    const held = await client.query(planned).catch((error: pg.DatabaseError) => `${error.detail} ${error.hint}`);
    const plan = /\b[0-9a-f]{12}\b/.exec(String(held))?.[0] ?? '';
    expect((await doomed.run('plan', 'approve', plan, '--as', 'ada')).stderr).toBe('');
    await client.query(`CALL countersign.apply('${plan}')`);
    await client.query('UPDATE customers SET loyalty_points = 4246 WHERE id = 34');
    await bare.query('UPDATE customers SET loyalty_points = 4247 WHERE id = 35');
    await doomed.server.kill();

    const { dataDirectory, port } = doomed.server;
    const again = await startEmbeddedServer({ dataDirectory, port, binaries, durable: false });
    const kept = await asSuperuser(
      doomed.databaseUrl,
      'SELECT id::int, loyalty_points AS points FROM customers WHERE id IN (34, 35) ORDER BY id',
    );
    expect(kept).toEqual([
      { id: 34, points: 4246 },
      { id: 35, points: 4245 },
    ]);
    await Promise.allSettled([client.end(), bare.end()]);
    await served.stop();
    await again.stop();
    await doomed.remove();
  }, 60_000);

  it('commits nothing of a client that went away in a transaction', async () => {
    const client = await connect();
    await client.query('BEGIN');
    await client.query('UPDATE customers SET loyalty_points = 4243 WHERE id = 32');
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    const open = "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    await expect.poll(() => asSuperuser(site.databaseUrl, open), { timeout: 5000 }).toEqual([]);
    expect(await points(32)).not.toBe(4243);
  });

  it('goes on after the target ended its connections', async () => {
    const client = await connect();
    await client.query('SELECT 1');
    await client.query('BEGIN');
    await client.query('UPDATE customers SET loyalty_points = 4244 WHERE id = 33');
    await asSuperuser(
      site.databaseUrl,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'cs\\_%'",
    );
    await sleep(200);
    expect(await codeOf(client.query('SELECT 1'))).toMatch(/CS007|lost/);
    const again = await connect();
    expect((await again.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(await points(33)).not.toBe(4244);
    await Promise.allSettled([client.end(), again.end()]);
  });

  it('ends a client that breaks the protocol, and nobody else', async () => {
    const [broken, other] = [await connect(), await connect()];
    const { stream } = (broken as unknown as { connection: { stream: { write(bytes: Buffer): void } } }).connection;
    const ended = new Promise<string>((resolve) => broken.on('error', (error) => resolve(error.message)));
    stream.write(Buffer.from([0x51, 0, 0, 0, 2, 0xff]));
    expect(await ended).toMatch(/\w/);
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await other.end();
  });

  it('says that an unknown target, or one that the task doesn’t declare, is not to be had', async () => {
    const elsewhere = new URL(task.postgres);
    elsewhere.pathname = '/somewhere';
    const client = new pg.Client({ connectionString: elsewhere.href });
    expect(await codeOf(client.connect())).toBe('CS002');
  });

  it('lets nobody in with another’s token', async () => {
    const other = await site.openTask(WORK);
    const mixed = new URL(task.postgres);
    mixed.password = other.token;
    expect(await codeOf(new pg.Client({ connectionString: mixed.href }).connect())).toBe('28P01');
  });

  it('carries MCP over stdio by `countersign mcp`, with the agent’s own token and a task that it opens', async () => {
    const client = new Client({ name: 'tests', version: '1' });
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [
          fileURLToPath(new URL('../../bin/countersign.js', import.meta.url)),
          'mcp',
          '--url',
          gateway.mcp,
          '--token-file',
          join(site.directory, 'keys/agents/migrator.token'),
        ],
        stderr: 'ignore',
      }),
    );
    const call = async (name: string, args: Record<string, unknown>) =>
      (await client.callTool({ name, arguments: args })).structuredContent as Record<string, unknown>;
    expect(await call('execute_sql', { target: 'rental-production', sql: 'SELECT 1' })).toMatchObject({
      outcome: 'denied',
    });
    const opened = await call('open_task', {
      purpose: 'look around',
      targets: { 'rental-production': { read: ['public.customers'], write: [] } },
    });
    expect(opened).toMatchObject({ outcome: 'opened' });
    const { id } = opened['task'] as { id: string };
    expect(await call('execute_sql', { task: id, target: 'rental-production', sql: 'SELECT 1 AS one' })).toMatchObject({
      outcome: 'rows',
      rows: [['1']],
    });
    expect(
      await call('execute_sql', { task: id, target: 'rental-production', sql: 'SELECT * FROM payments' }),
    ).toMatchObject({ outcome: 'denied' });
    await client.close();
  });

  it('has said nothing secret in its log', async () => {
    const log = gateway.log();
    for (const secret of [task.token, 'O’Hara', '4242']) expect(log).not.toContain(secret);
    expect(await site.ask('ledger', 'verify')).toMatchObject({ verdict: 'sound' });
  });
});
