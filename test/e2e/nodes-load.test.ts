import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signApproval } from '../../src/approval/envelope.ts';
import { loadPersonKey } from '../../src/approval/person-key.ts';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import { instantOf } from '../../src/domain/ids.ts';
import type { PlanView } from '../../src/pipeline/gateway.ts';
import { type Cluster, startCluster } from '../fixtures/cluster.ts';
import { mcpClient, type OpenedTask, type Served, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

/**
 * Gateways, the state's server and the target's are killed, and the disks of the servers filled; in turn, then at random:
 * DURABILITY_ROUNDS=200 for whoever wants to be surer.
 */
const ROUNDS = Number(process.env['DURABILITY_ROUNDS'] ?? 2);
const VICTIMS = ['state', 'disk of target', 'first gateway', 'target', 'disk of state', 'second gateway'] as const;
const FULL_MS = 1500;
/** What a plan has come to, as far as whoever makes it knows. */
const MOMENTS = ['proposed', 'approved', 'applying'] as const;
const WRITERS = 4;
const READERS = 2;
/** How much is done at least between two of them. */
const WRITES_A_ROUND = 30;
const PLANNED = 'UPDATE public.reservations SET ends_on = ends_on + 1 WHERE id <= 300';

/** What clients were told of what they sent. */
interface Told {
  reads: number;
  /** Answered as done. */
  writes: number;
  /** Refused, with nothing changed or not known: by code. */
  readonly refused: Map<string, number>;
}

describe.each(servers.slice(0, 1))('G6 G12 two gateways under load, on $name', ({ binaries }) => {
  let cluster: Cluster;
  let task: OpenedTask;

  beforeAll(async () => {
    cluster = await startCluster(binaries, { lease: '2s', smallDisks: true, durable: true });
    const file = join(cluster.site.directory, 'task.yaml');
    writeFileSync(file, WORK.replace('rowsPerTask: 1000', 'rowsPerTask: 1000000'));
    task = (await cluster.nodes[0].run('task', 'open', '--file', file, '--json')).json<OpenedTask>();
  }, 120_000);
  afterAll(() => cluster?.remove());

  const codeOf = (error: unknown) => (error instanceof pg.DatabaseError ? (error.code ?? 'lost') : 'lost');

  async function connect({ pg: address }: Served): Promise<pg.Client> {
    const url = new URL(task.postgres);
    url.host = address;
    const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5000 });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** One client that goes on until the end, and connects anew when it was lost. */
  async function keepOn(
    gateway: () => Served,
    until: AbortSignal,
    told: Told,
    work: (client: pg.Client) => Promise<void>,
  ) {
    let client: pg.Client | null = null;
    while (!until.aborted) {
      try {
        client ??= await connect(gateway());
        await work(client);
      } catch (error) {
        const code = codeOf(error);
        told.refused.set(code, (told.refused.get(code) ?? 0) + 1);
        if (code === 'lost') client = null;
        await sleep(20);
      }
    }
    await client?.end().catch(() => undefined);
  }

  async function propose(gateway: Served): Promise<string> {
    const mcp = await mcpClient({ url: gateway.mcp, token: task.token });
    try {
      const held = await mcp.call('execute_sql', { target: 'rental-production', sql: PLANNED });
      return (held['plan'] as { id: string }).id;
    } finally {
      await mcp.close();
    }
  }

  async function viewOf(gateway: Served, id: string): Promise<PlanView> {
    const shown = await fetch(`${gateway.http}/v1/plans/${id}`, { headers: { authorization: `Bearer ${task.token}` } });
    return ((await shown.json()) as { plan: PlanView }).plan;
  }

  /** @returns whether the gateway said that it has it. */
  async function approve(gateway: Served, id: string): Promise<boolean> {
    const view = await viewOf(gateway, id);
    const envelope = signApproval(
      {
        type: 'https://countersign.dev/approval/v1',
        plan: view.id,
        environment: view.plan.environment,
        identity: digestOf(view.plan.identity as unknown as Json),
        person: 'ada' as never,
        verdict: 'approve',
        reason: 'in the test',
        at: instantOf(Date.now()),
      },
      loadPersonKey(join(cluster.site.directory, 'keys/people/ada.key')),
    );
    const answer = await fetch(`${gateway.http}/v1/plans/${id}/approvals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(envelope),
    });
    return answer.ok;
  }

  /** Plans are made on one, approved, and applied by both at once; remembers what anybody was told of. */
  async function keepPlanning(
    gateways: readonly [Served, Served],
    until: AbortSignal,
    made: { readonly plans: Set<string>; readonly approved: Set<string>; readonly moments: EventEmitter },
  ): Promise<void> {
    while (!until.aborted) {
      try {
        const [first] = gateways;
        const id = await propose(first);
        made.plans.add(id);
        made.moments.emit('proposed');
        if (await approve(first, id)) made.approved.add(id);
        made.moments.emit('approved');
        await Promise.allSettled(
          gateways.map(async (gateway) => {
            const client = await connect(gateway);
            made.moments.emit('applying');
            await client.query(`CALL countersign.apply('${id}')`).finally(() => client.end().catch(() => undefined));
          }),
        );
      } catch {
        // Refused or lost while something was away: the next round makes another, or finds it again.
        await sleep(50);
      }
    }
  }

  /** A plan needs more peace than most rounds leave it: else none would ever be in the middle of anything. */
  async function soonAfter(moments: EventEmitter, moment: (typeof MOMENTS)[number]): Promise<void> {
    await once(moments, moment, { signal: AbortSignal.timeout(15_000) }).catch(() => undefined);
    await sleep(Math.random() * 100);
  }

  async function until(condition: () => boolean): Promise<void> {
    await expect.poll(condition, { timeout: 60_000, interval: 20 }).toBe(true);
  }

  it(`loses and doubles nothing while ${ROUNDS} times something is killed, or its disk is full`, {
    timeout: 120_000 + ROUNDS * 20_000,
  }, async () => {
    const url = cluster.site.databaseUrl;
    const truth = async () => {
      const [row] = await asSuperuser<{ points: number; written: number; applied: number; days: number }>(
        url,
        `SELECT (SELECT sum(loyalty_points)::int FROM customers WHERE id <= 100) AS points,
                (SELECT count(*)::int FROM countersign.written WHERE at > '-infinity') AS written,
                (SELECT count(*)::int FROM countersign.applied) AS applied,
                (SELECT (max(ends_on) FILTER (WHERE id = 1) - date '2000-01-01') FROM reservations) AS days`,
      );
      if (row === undefined) throw new Error('no answer');
      return row;
    };
    const gateways: [Served, Served] = [await cluster.nodes[0].serve(), await cluster.nodes[1].serve()];
    const before = await truth();
    const ended = new AbortController();
    const told: Told = { reads: 0, writes: 0, refused: new Map() };
    const clients = ([0, 1] as const).flatMap((node) => [
      ...Array.from({ length: WRITERS }, (_, n) =>
        keepOn(
          () => gateways[node],
          ended.signal,
          told,
          async (client) => {
            const customer = 1 + node * WRITERS + n;
            await client.query('UPDATE customers SET loyalty_points = loyalty_points + 1 WHERE id = $1', [customer]);
            told.writes++;
          },
        ),
      ),
      ...Array.from({ length: READERS }, () =>
        keepOn(
          () => gateways[node],
          ended.signal,
          told,
          async (client) => {
            await client.query('SELECT full_name FROM customers WHERE id = 3');
            told.reads++;
          },
        ),
      ),
    ]);
    const made = { plans: new Set<string>(), approved: new Set<string>(), moments: new EventEmitter() };
    const planning = keepPlanning(gateways, ended.signal, made);
    const aRound = async () => {
      const [writes, plans] = [told.writes, made.plans.size];
      await until(() => told.writes >= writes + WRITES_A_ROUND && made.plans.size > plans);
    };
    const kill = {
      state: cluster.restartState,
      target: cluster.restartTarget,
      'first gateway': () => again(0),
      'second gateway': () => again(1),
      'disk of state': async () => cluster.fillDisk?.('state', FULL_MS * Math.random()),
      'disk of target': async () => cluster.fillDisk?.('target', FULL_MS * Math.random()),
    };
    const again = async (node: 0 | 1) => {
      await gateways[node].kill();
      gateways[node] = await cluster.nodes[node].serve();
    };

    await aRound();
    for (let round = 0; round < ROUNDS; round++) {
      const inTurn = VICTIMS[round];
      await kill[inTurn ?? VICTIMS[Math.floor(Math.random() * VICTIMS.length)] ?? 'target']();
      // Later ones fall upon whatever is going on, recovery from the last one too.
      if (inTurn !== undefined) await aRound();
      else if (Math.random() < 0.5) await sleep(Math.random() * 2000);
      else await soonAfter(made.moments, MOMENTS[Math.floor(Math.random() * MOMENTS.length)] ?? 'applying');
    }
    await aRound();
    ended.abort();
    await Promise.all([...clients, planning]);

    // They find out how everything ended that one of them had begun.
    await expect
      .poll(
        () =>
          cluster.askState(
            "SELECT id FROM intents WHERE outcome IS NULL UNION ALL SELECT id FROM plans WHERE state = 'applying'",
          ),
        {
          timeout: 30_000,
        },
      )
      .toEqual([]);
    const after = await truth();
    const outcomes = await cluster.askState<{ applied: number; intents: number }>(
      `SELECT count(*) FILTER (WHERE kind = 'outcome' AND entry::json->'body'->>'outcome' = 'applied')::int AS applied,
              count(*) FILTER (WHERE kind = 'intent')::int AS intents
       FROM ledger_entries WHERE subject LIKE 'intent%'`,
    );
    const changed = after.points - before.points;
    console.info(
      JSON.stringify({
        ...told,
        refused: Object.fromEntries(told.refused),
        changed,
        plans: made.plans.size,
        approved: made.approved.size,
        applied: after.applied - before.applied,
      }),
    );

    // Each write that was answered took effect; each that took effect has its intent and its outcome; none twice.
    expect(changed).toBeGreaterThanOrEqual(told.writes);
    expect(changed - told.writes).toBeLessThanOrEqual(
      [...told.refused.values()].reduce((sum, count) => sum + count, 0),
    );
    expect(after.written - before.written).toBe(changed);
    const [written] = await asSuperuser<{ intents: string[] }>(
      url,
      "SELECT array_agg(intent) AS intents FROM countersign.written WHERE at > '-infinity'",
    );
    const untold = await cluster.askState(
      `SELECT w.intent, json_agg(e.entry ORDER BY e.idx) AS entries
       FROM unnest('{${(written?.intents ?? []).join(',')}}'::text[]) AS w (intent) LEFT JOIN ledger_entries AS e ON e.subject = w.intent
       GROUP BY w.intent HAVING count(*) FILTER (WHERE kind = 'outcome' AND entry::json->'body'->>'outcome' = 'applied') <> 1`,
    );
    expect(JSON.stringify(untold)).toBe('[]');
    expect(outcomes[0]?.applied).toBe(changed);
    expect(outcomes[0]?.intents).toBeGreaterThanOrEqual(changed);
    const [task_] = await cluster.askState<{ used: number }>(
      `SELECT rows_used::int AS used FROM tasks WHERE id = '${task.task}'`,
    );
    expect(task_?.used).toBe(changed);

    // Each plan moved the dates by a day, once; the ledger says the same.
    const applied = after.applied - before.applied;
    expect(applied).toBeGreaterThan(0);
    expect(after.days - before.days).toBe(applied);
    expect(await cluster.askState("SELECT count(*)::int AS n FROM plans WHERE state = 'applied'")).toEqual([
      { n: applied },
    ]);

    // Whoever was told that it is there finds it there.
    const [kept] = await cluster.askState<{ plans: string[]; approved: string[] }>(
      `SELECT (SELECT json_agg(id) FROM plans) AS plans, (SELECT json_agg(plan) FROM approvals) AS approved`,
    );
    expect(kept?.plans).toEqual(expect.arrayContaining([...made.plans]));
    expect(kept?.approved).toEqual(expect.arrayContaining([...made.approved]));

    const verdict = await cluster.nodes[0].run('ledger', 'verify', '--json');
    expect(verdict.json(), verdict.stdout).toMatchObject({ verdict: 'sound', keyFrom: 'outside' });
    for (const gateway of gateways) {
      const client = await connect(gateway);
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await client.end();
      await gateway.stop();
    }
  });
});
