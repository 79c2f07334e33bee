import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, connectClient, PROTOCOLS } from '../channels/mcp/running-gateway.ts';
import { type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, servers, WHOLE } from '../fixtures/postgres.ts';

/** With WHOLE=1: test/channels/mcp/safety.test.ts has as many clients at once. */
const SESSIONS = Number(process.env['MCP_SESSIONS'] ?? 50);
const target = 'rental-production';
const [newest] = servers;

describe.skipIf(newest === undefined || !WHOLE)(`${SESSIONS} MCP sessions at once`, () => {
  let site: Site;
  let gateway: Served;
  let token: string;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { schema: 'CREATE TABLE public.notes (id int, body text)' });
    gateway = await site.serve();
    token = readFileSync(join(site.directory, 'keys/agents/migrator.token'), 'utf8').trim();
  });
  afterAll(() => site?.remove());

  const connections = async () =>
    (
      await asSuperuser<{ n: number }>(
        site.databaseUrl,
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename LIKE 'cs\\_%'",
      )
    )[0]?.n ?? 0;

  /** One agent's work, in a task of its own: everything it is answered must be its own. */
  async function work(client: Client, at: number): Promise<string> {
    const secret = randomUUID();
    const opened = await call(client, 'open_task', {
      purpose: `session ${at}: ${secret}`,
      targets: { [target]: { read: ['public.customers'], write: ['public.notes'] } },
    });
    const { id: task } = opened.structured['task'] as { id: string };
    expect((await client.listTools()).tools.length).toBeGreaterThan(10);
    for (let round = 0; round < 2; round++) {
      const rows = await call(client, 'execute_sql', {
        target,
        task,
        sql: 'SELECT $1::text AS secret, c.id FROM generate_series($2::int, $2::int + 20) AS c (id)',
        parameters: [secret, at * 100],
      });
      const expected = Array.from({ length: 21 }, (_, n) => [secret, String(at * 100 + n)]);
      expect(rows.structured).toMatchObject({ outcome: 'rows', rows: expected });
      const denied = await call(client, 'execute_sql', { target, task, sql: 'SELECT 1 FROM public.vehicles' });
      expect(denied.structured).toMatchObject({ outcome: 'denied' });
    }
    const { structured } = await call(client, 'get_status', { task });
    expect(structured).toMatchObject({ task: { id: task, purpose: `session ${at}: ${secret}` }, plans: [] });
    // Dry runs on one table wait for each other.
    if (at % 5 !== 0) return task;
    const held = await call(client, 'execute_sql', {
      target,
      task,
      sql: `DELETE FROM public.notes WHERE body = '${secret}' OR true`,
    });
    expect(held.structured).toMatchObject({ outcome: 'held' });
    expect((await call(client, 'get_status', { task })).structured).toMatchObject({
      plans: [{ statements: [expect.stringContaining(secret)] }],
    });
    return task;
  }

  it('get each its own answers and no other’s, in bounded memory, and leave no connection behind', async () => {
    const clients = await Promise.all(
      Array.from({ length: SESSIONS }, (_, at) => connectClient(gateway.http, token, PROTOCOLS[at % 2])),
    );
    const tasks = await Promise.all(clients.map(work));
    expect(new Set(tasks).size).toBe(SESSIONS);
    expect(await connections()).toBeLessThanOrEqual(80);
    // Compiling the parser takes more than all of the sessions, once and for a moment.
    expect(memoryMb('VmHWM')).toBeLessThan(1_200);
    await expect.poll(() => memoryMb('VmRSS'), { timeout: 30_000 }).toBeLessThan(450);
    await Promise.all(clients.map((client) => client.close()));
    await expect.poll(connections, { timeout: 40_000, interval: 1_000 }).toBe(0);
  }, 150_000);

  /** What the gateway's process holds of the machine's memory (`VmRSS`), and the most it ever did (`VmHWM`). */
  function memoryMb(field: 'VmRSS' | 'VmHWM'): number {
    if (process.platform !== 'linux') return 0;
    const status = readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  }
});
