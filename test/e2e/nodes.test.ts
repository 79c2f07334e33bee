import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../fixtures/cluster.ts';
import { type OpenedTask, type Served, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const LEASE_MS = 2000;
const LONG = 'SELECT pg_sleep(30)';

const AS_ADA = ['--target', 'rental-production', '--as', 'ada', '--reason', 'I have read it'];

function namedBy(column: string): string {
  return `CREATE OR REPLACE FUNCTION public.named(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT ${column} FROM public.customers WHERE id = $1'`;
}

function statusFor(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

describe.each(servers.slice(0, 1))('two gateways on one state, on $name', ({ binaries }) => {
  let cluster: Cluster;
  let task: OpenedTask;
  let gateways: [Served, Served];
  const clients: pg.Client[] = [];

  beforeAll(async () => {
    cluster = await startCluster(binaries, {
      lease: `${LEASE_MS}ms`,
      schema: `CREATE TABLE public.pace AS SELECT 0 AS seconds; ${namedBy('email')}`,
    });
    gateways = [await cluster.nodes[0].serve(), await cluster.nodes[1].serve()];
    const file = join(cluster.site.directory, 'task.yaml');
    writeFileSync(file, WORK.replace('statementTimeout: 10s', 'statementTimeout: 60s'));
    task = (await cluster.nodes[0].run('task', 'open', '--file', file, '--json')).json<OpenedTask>();
  }, 120_000);
  afterAll(() => cluster?.remove());
  afterEach(async () => {
    await Promise.allSettled(clients.splice(0).map((client) => client.end()));
  });

  async function connect({ pg: address }: Served): Promise<pg.Client> {
    const url = new URL(task.postgres);
    url.host = address;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  }
  const codeOf = (run: Promise<unknown>) =>
    run.then(
      () => 'done',
      (error: { code?: string }) => error.code ?? 'lost',
    );
  const answers = async (client: pg.Client) => codeOf(client.query('SELECT count(*) FROM customers'));

  it('are reached at one name, which is told and known', async () => {
    expect(task.postgres).toContain('@gateways.example:6434/');
    expect(task.mcp.url).toBe('http://gateways.example:6480/mcp');
    for (const { http } of gateways) {
      expect(await statusFor(`${http}/healthz`, 'gateways.example:6480')).toBe(200);
      expect(await statusFor(`${http}/healthz`, 'elsewhere.example:6480')).toBe(403);
    }
  });

  it('G11 stops what runs on both when one is told to halt', async () => {
    const both = await Promise.all(gateways.map(connect));
    const ended = both.map(async (client) => {
      const code = await codeOf(client.query(LONG));
      return { code, atMs: Date.now() };
    });
    await sleep(500);
    const halted = (await cluster.nodes[0].run('halt', '--reason', 'in the test', '--json')).json<{
      at: string;
      gateways: number;
    }>();
    expect(halted.gateways).toBe(2);
    const tookMs = (await Promise.all(ended)).map(({ code, atMs }) => {
      expect(code).toBe('CS004');
      return atMs - Date.parse(halted.at);
    });
    console.info('halted on both after', tookMs.join(' and '), 'ms');
    for (const ms of tookMs) expect(ms).toBeLessThan(2000);
    for (const client of both) expect(await answers(client)).toBe('CS004');
    expect((await cluster.nodes[1].run('resume', '--reason', 'in the test')).code).toBe(0);
    for (const client of both) await expect.poll(() => answers(client)).toBe('done');
  });

  it('a task that is closed on one is over on the other', async () => {
    const file = join(cluster.site.directory, 'task.yaml');
    const other = (await cluster.nodes[0].run('task', 'open', '--file', file, '--json')).json<OpenedTask>();
    const url = new URL(other.postgres);
    url.host = gateways[1].pg;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    expect(await answers(client)).toBe('done');
    expect((await cluster.nodes[0].run('task', 'close', other.task)).code).toBe(0);
    await expect.poll(() => answers(client), { timeout: 3000 }).not.toBe('done');
    await client.end().catch(() => undefined);
  });

  it('G1 what a person vouches for on one holds on the other, and only what they signed', async () => {
    const both = await Promise.all(gateways.map(connect));
    const become = async (code: 'done' | 'CS001') => {
      for (const client of both)
        await expect.poll(() => codeOf(client.query('SELECT public.named(1)')), { timeout: 5000 }).toBe(code);
    };
    const trust = async (at: 0 | 1, ...args: readonly string[]) =>
      expect((await cluster.nodes[at].run('policy', 'trust', ...args, 'public.named(integer)', ...AS_ADA)).code).toBe(
        0,
      );
    await become('CS001');
    await trust(0, 'function');
    await become('done');
    const [kept] = await cluster.askState<{ envelope: string }>('SELECT envelope FROM vouchers');
    const { payload, ...envelope } = JSON.parse(kept?.envelope ?? '');
    const other = Buffer.from(payload, 'base64').toString().replace('I have read it', 'I have not read it');
    const forged = JSON.stringify({ ...envelope, payload: Buffer.from(other).toString('base64') });
    await cluster.askState(`UPDATE vouchers SET envelope = '${forged}'`);
    await become('CS001');
    await cluster.askState(`UPDATE vouchers SET envelope = '${kept?.envelope}'`);
    await become('done');
    await asSuperuser(cluster.site.databaseUrl, namedBy('full_name'));
    await become('CS001');
    await trust(1, 'function');
    await become('done');
    await trust(0, 'revoke');
    await become('CS001');
  });

  it('a plan that one makes is approved and applied by commands of the other, and the ledger proves it', async () => {
    const client = await connect(gateways[0]);
    const held = await client.query('UPDATE customers SET loyalty_points = loyalty_points + 1').catch((error) => error);
    expect(held).toMatchObject({ code: 'CS001' });
    const there = cluster.nodes[1];
    const run = async (...args: string[]) => {
      const ran = await there.run(...args, '--json');
      expect(ran.code, `${args.join(' ')}: ${ran.stderr}`).toBe(0);
      return ran;
    };
    const { plans } = (await run('plan', 'list', '--state', 'held')).json<{ plans: { id: string }[] }>();
    const id = /sha256:[0-9a-f]{64}/.exec(held.detail)?.[0] ?? '';
    expect(plans.map((plan) => plan.id)).toContain(id);
    await run('plan', 'approve', id, '--as', 'ada', '--reason', 'in the test');
    await run('plan', 'apply', id, '--as', 'ada');
    expect((await client.query(`CALL countersign.apply('${id}')`)).command).toBe('CALL');
    const applied = await asSuperuser(cluster.site.databaseUrl, 'SELECT plan FROM countersign.applied');
    expect(applied).toEqual([{ plan: id }]);

    const shown = (await run('ledger', 'show', '--subject', id)).json<{ entries: { kind: string }[] }>();
    expect(shown.entries.map(({ kind }) => kind)).toEqual(['plan', 'approval', 'apply', 'intent', 'outcome']);
    const copy = join(cluster.site.directory, 'export.jsonl');
    await run('ledger', 'export', copy);
    expect((await run('ledger', 'verify', copy)).json()).toMatchObject({ verdict: 'sound' });
    expect((await run('ledger', 'verify')).json()).toMatchObject({ verdict: 'sound', keyFrom: 'outside' });
    expect((await run('task', 'list')).stdout).toContain(task.task);
  });

  it('G12 a node that is cut off from the store stops within its lease, and goes on when it is back', async () => {
    const [here, there] = await Promise.all(gateways.map(connect));
    if (here === undefined || there === undefined) throw new Error('no clients');
    const running = codeOf(there.query(LONG));
    await sleep(300);
    const beganMs = performance.now();
    cluster.nodes[1].proxy.freeze();
    expect(await running).toBe('CS007');
    const tookMs = performance.now() - beganMs;
    console.info('cut off, and stopped after', Math.round(tookMs), 'ms');
    expect(tookMs).toBeLessThan(LEASE_MS + 1000);
    expect(await answers(there)).toBe('CS007');
    expect(await codeOf(there.query('UPDATE customers SET loyalty_points = 7 WHERE id = 1'))).toBe('CS007');
    expect(await codeOf(connect(gateways[1]))).not.toBe('done');
    expect(await answers(here)).toBe('done');
    expect(await codeOf(here.query('UPDATE customers SET loyalty_points = 7 WHERE id = 1'))).toBe('done');
    cluster.nodes[1].proxy.mend();
    await expect.poll(() => answers(there), { timeout: 10_000 }).toBe('done');
    expect(await codeOf(there.query('UPDATE customers SET loyalty_points = 8 WHERE id = 1'))).toBe('done');
  });

  it('G11 a node that is cut off ends the apply that it has under way, and the plan can be applied by another', async () => {
    const [here, there] = await Promise.all(gateways.map(connect));
    if (here === undefined || there === undefined) throw new Error('no clients');
    const paced = 'UPDATE customers SET loyalty_points = 5 WHERE (SELECT pg_sleep(seconds) FROM pace) IS NOT NULL';
    expect(await codeOf(there.query(paced))).toBe('CS001');
    const run = async (...args: string[]) => (await cluster.nodes[0].run(...args, '--json')).json();
    const { plans } = (await run('plan', 'list', '--state', 'held')) as { plans: { id: string }[] };
    const id = plans[0]?.id ?? '';
    await run('plan', 'approve', id, '--as', 'ada', '--reason', 'in the test');
    const pace = (seconds: number) =>
      asSuperuser(cluster.site.databaseUrl, `UPDATE public.pace SET seconds = ${seconds}`);
    await pace(25);
    const applying = codeOf(there.query(`CALL countersign.apply('${id}')`));
    const runs = async () =>
      (
        await asSuperuser(
          cluster.site.databaseUrl,
          "SELECT 1 FROM pg_stat_activity WHERE usename = 'countersign_apply' AND state = 'active'",
        )
      ).length;
    await expect.poll(runs, { timeout: 5000, interval: 20 }).toBe(1);
    cluster.nodes[1].proxy.freeze();
    expect(await applying).not.toBe('done');
    expect(await runs()).toBe(0);
    await pace(0);
    cluster.nodes[1].proxy.mend();
    await expect
      .poll(async () => ((await run('plan', 'show', id)) as { state: string }).state, {
        timeout: 20_000,
        interval: 500,
      })
      .toBe('approved');
    expect(await codeOf(here.query(`CALL countersign.apply('${id}')`))).toBe('done');
  }, 60_000);

  it('a node with older policies serves nothing, until a person takes them into force', async () => {
    const [old, changed] = cluster.nodes;
    const outdated = await connect(gateways[0]);
    await gateways[1].stop();
    changed.edit((text) => text.replace('quorumUnmeasured: 1', 'quorumUnmeasured: 2'));
    gateways[1] = await changed.serve();
    const current = await connect(gateways[1]);
    expect(await answers(current)).toBe('done');
    await expect.poll(() => answers(outdated), { timeout: 3000 }).toBe('CS007');
    const file = join(cluster.site.directory, 'task.yaml');
    const refused = await old.run('task', 'open', '--file', file, '--json');
    expect(refused.code).toBe(3);
    expect(refused.stdout).toContain('policy accept');

    // It follows when its own files are brought up to them, without a restart.
    old.edit((text) => text.replace('quorumUnmeasured: 1', 'quorumUnmeasured: 2'));
    await expect.poll(() => answers(outdated), { timeout: 5000 }).toBe('done');
    old.edit((text) => text.replace('quorumUnmeasured: 2', 'quorumUnmeasured: 1'));
    await expect.poll(() => answers(outdated), { timeout: 5000 }).toBe('CS007');
    expect(await answers(current)).toBe('done');

    // With what is over it does not come back by itself, however often it starts.
    await gateways[0].stop();
    gateways[0] = await old.serve();
    expect(await codeOf(connect(gateways[0]))).toBe('CS007');
    const ready = await fetch(`${gateways[0].http}/readyz`);
    expect(ready.status).toBe(503);
    expect(await answers(current)).toBe('done');

    expect((await old.run('policy', 'accept')).code).toBe(0);
    await expect.poll(() => answers(current), { timeout: 3000 }).toBe('CS007');
    expect(await answers(await connect(gateways[0]))).toBe('done');
    changed.edit((text) => text.replace('quorumUnmeasured: 2', 'quorumUnmeasured: 1'));
    await gateways[1].stop();
    gateways[1] = await changed.serve();
    expect(await answers(await connect(gateways[1]))).toBe('done');
  });

  it('what runs goes on while policies change, wherever they changed first', async () => {
    const both = await Promise.all(gateways.map(connect));
    const writer = await connect(gateways[1]);
    await writer.query('BEGIN; UPDATE customers SET loyalty_points = 3 WHERE id = 2');
    const running = both.map((client) => codeOf(client.query('SELECT pg_sleep(4)')));
    await sleep(300);
    // Only the files of the first are changed: it begins an epoch, and the second decides nothing from then on.
    const [first, second] = cluster.nodes;
    first.edit((text) => text.replace('quorumUnmeasured: 1', 'quorumUnmeasured: 3'));
    const newcomer = await connect(gateways[1]);
    await expect.poll(() => answers(newcomer), { timeout: 5000 }).toBe('CS007');
    expect(await codeOf(writer.query('COMMIT'))).toBe('CS007');
    expect(await Promise.all(running)).toEqual(['done', 'done']);
    second.edit((text) => text.replace('quorumUnmeasured: 1', 'quorumUnmeasured: 3'));
    await expect.poll(() => answers(newcomer), { timeout: 5000 }).toBe('done');
    // Where the files agree already, nobody is refused for longer than a look at them takes.
    for (const { edit } of cluster.nodes) edit((text) => text.replace('quorumUnmeasured: 3', 'quorumUnmeasured: 4'));
    await sleep(1000);
    for (const client of both) await expect.poll(() => answers(client), { timeout: 5000 }).toBe('done');
  }, 60_000);
});
