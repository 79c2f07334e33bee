import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { query } from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { cancelRequest, connectRaw, dialRaw, type RawClient, spoken } from '../fixtures/raw-client.ts';

const WORKERS = 3;
const CLIENTS = 24;

describe.each(servers.slice(0, 1))('several processes behind one port, before $name', ({ binaries }) => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;
  let clients: RawClient[] = [];

  beforeAll(async () => {
    site = await startSite(binaries);
    gateway = await site.serve('--workers', String(WORKERS));
    task = await site.openTask(WORK);
    await until(async () => (await issuersOf(await connectAll())).size === WORKERS);
  }, 120_000);
  afterAll(() => site?.remove());

  async function connectAll(): Promise<RawClient[]> {
    await Promise.allSettled(clients.map((client) => client.close()));
    clients = await Promise.all(Array.from({ length: CLIENTS }, () => connectRaw(task.postgres)));
    return clients;
  }
  const issuersOf = async (all: readonly RawClient[]) => new Set(all.map(({ processId }) => processId >> 24));
  async function until(holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; !(await holds()); tries++) {
      if (tries > 50) throw new Error('it did not come to be');
      await sleep(200);
    }
  }
  const childrenOf = (pid: number | undefined) =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((name) => {
        try {
          return readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(pid);
        } catch {
          return false;
        }
      })
      .map(Number);

  it('counts for all of them, whichever is asked', async () => {
    const page = await (await fetch(`${gateway.http}/metrics`)).text();
    expect(page).toMatch(new RegExp(`^countersign_sessions\\{.*channel="pgwire".*\\} ${CLIENTS}$`, 'm'));
    expect(page).toMatch(/^countersign_ready\{part="state"\} 1$/m);
    expect(page).toMatch(/^countersign_halts\{scope="global"\} 0$/m);
  });

  it('cancels by the right key, whichever process the request comes in at', async () => {
    const { hostname, port } = new URL(task.postgres);
    for (const client of clients) client.send(query('SELECT pg_sleep(30)'));
    await sleep(500);
    for (const { processId, secret } of clients.slice(1)) {
      const request = await dialRaw(hostname, Number(port));
      request.send(cancelRequest(processId, secret));
      await request.closed;
    }
    for (const client of clients.slice(1)) expect(spoken(await client.until('Z'))).toMatch(/E\(57014 /);
    const running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)' AND state = 'active'";
    expect(await asSuperuser(site.databaseUrl, running)).toHaveLength(1);
  });

  it('G11 stops in all of them what a halt stops', async () => {
    await connectAll();
    for (const client of clients) client.send(query('SELECT pg_sleep(30)'));
    await sleep(500);
    await site.ask('halt', '--task', task.task, '--reason', 'test');
    for (const client of clients) expect(spoken(await client.until('Z'))).toMatch(/E\(CS004 /);
    await site.ask('resume', '--task', task.task, '--reason', 'test');
  });

  it('keeps one count of rows and one ledger between them', async () => {
    await connectAll();
    await Promise.all(
      clients.map(async (client, index) => {
        client.send(query(`UPDATE customers SET loyalty_points = 5 WHERE id = ${index + 1}`));
        return client.until('Z');
      }),
    );
    const [status] = await Promise.all(
      [clients[0]].map(async (client) => {
        client?.send(query('SELECT rows_used FROM countersign.status'));
        return client?.until('Z');
      }),
    );
    expect(status?.find(({ type }) => type === 'D')?.body.toString('latin1')).toContain(String(CLIENTS));
    await site.ask('ledger', 'verify');
  });

  it('begins one again that was killed, and ends with all of them', async () => {
    const [victim] = childrenOf(gateway.process.pid);
    expect(victim).toBeDefined();
    process.kill(victim ?? 0, 'SIGKILL');
    await sleep(300);
    await connectAll();
    await until(async () => (await issuersOf(await connectAll())).size === WORKERS);
    await Promise.allSettled(clients.map((client) => client.close()));
    const children = childrenOf(gateway.process.pid);
    expect(children).toHaveLength(WORKERS - 1);
    expect(await gateway.stop()).toBe(0);
    for (const child of children) expect(() => process.kill(child, 0)).toThrow();
  });
});
