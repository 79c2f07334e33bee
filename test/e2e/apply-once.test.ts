import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signApproval } from '../../src/approval/envelope.ts';
import { loadPersonKey } from '../../src/approval/person-key.ts';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import { instantOf } from '../../src/domain/ids.ts';
import type { PlanView } from '../../src/pipeline/gateway.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { hasPython, judgedByStranger } from '../fixtures/verifier.ts';

/** For whoever wants to be surer: KILL_ROUNDS=210 npm test -- apply-once. */
const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 9);
/** Applying this plan takes about as long from its first record to its last. */
const KILL_WITHIN_MS = 110;
const STATEMENT = 'UPDATE public.customers SET loyalty_points = loyalty_points + 1';

describe.each(servers.slice(0, 1))('G6 exactly once, on $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;

  beforeAll(async () => {
    site = await startSite(binaries);
    task = await site.openTask(WORK);
  }, 60_000);
  afterAll(() => site?.remove());

  const truth = async () => {
    const [row] = await asSuperuser<{ points: string; applied: number }>(
      site.databaseUrl,
      `SELECT (SELECT sum(loyalty_points) FROM public.customers) AS points, (SELECT count(*)::int FROM countersign.applied) AS applied`,
    );
    return { points: Number(row?.points), applied: row?.applied ?? -1 };
  };

  async function propose(gateway: Served): Promise<string> {
    const mcp = await mcpClient({ url: gateway.mcp, token: task.token });
    const held = await mcp.call('execute_sql', { target: 'rental-production', sql: STATEMENT });
    await mcp.close();
    expect(held).toMatchObject({ outcome: 'held' });
    return (held['plan'] as { id: string }).id;
  }

  /** As a person does who signs elsewhere and sends the envelope. */
  async function approve(gateway: Served, id: string): Promise<void> {
    const shown = await fetch(`${gateway.http}/v1/plans/${id}`, { headers: { authorization: `Bearer ${task.token}` } });
    const { plan: view } = (await shown.json()) as { plan: PlanView };
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
      loadPersonKey(join(site.directory, 'keys/people/ada.key')),
    );
    const sent = await fetch(`${gateway.http}/v1/plans/${id}/approvals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(envelope),
    });
    expect(sent.status, await sent.text()).toBe(200);
  }

  async function connect(gateway: Served): Promise<pg.Client> {
    const url = new URL(task.postgres);
    url.host = gateway.pg;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async function applyBy(client: pg.Client, id: string): Promise<string> {
    try {
      await client.query(`CALL countersign.apply('${id}')`);
      return 'applied';
    } catch (error) {
      return error instanceof pg.DatabaseError ? `${error.code}` : 'lost';
    }
  }

  async function stateOf(gateway: Served, id: string): Promise<string> {
    const shown = await fetch(`${gateway.http}/v1/plans/${id}`, { headers: { authorization: `Bearer ${task.token}` } });
    return ((await shown.json()) as { plan: PlanView }).plan.state;
  }

  it(`survives ${ROUNDS} kills at every point of an apply, with two gateways racing`, {
    timeout: 60_000 + ROUNDS * 20_000,
  }, async () => {
    const survivor = await site.serve();
    const before = await truth();
    const [customers] = await asSuperuser<{ n: number }>(
      site.databaseUrl,
      'SELECT count(*)::int AS n FROM public.customers',
    );
    const seen = new Map<string, number>();

    for (let round = 0; round < ROUNDS; round++) {
      const victim = await site.serve();
      const id = await propose(survivor);
      await approve(survivor, id);
      const [doomed, other] = [await connect(victim), await connect(survivor)];
      // In every third round only the one that is killed applies: then nobody else brings it to an end.
      const alone = round % 3 === 0;
      const attempts = [applyBy(doomed, id), ...(alone ? [] : [applyBy(other, id)])];
      await sleep((round / ROUNDS) * KILL_WITHIN_MS);
      await victim.kill();
      await Promise.all(attempts);

      const { applied } = await truth();
      const kind = `${await stateOf(survivor, id)}, ${applied - before.applied - round === 1 ? 'in the target' : 'not in the target'}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);

      // Whatever state it was left in, it becomes known, and asking again brings it to exactly one application.
      const deadline = Date.now() + 20_000;
      let outcome = '';
      while (outcome !== 'applied' && Date.now() < deadline) {
        outcome = await applyBy(other, id);
        if (outcome !== 'applied') await sleep(50);
      }
      await other.end();
      expect(outcome, `round ${round}`).toBe('applied');
      expect(await stateOf(survivor, id)).toBe('applied');
      const now = await truth();
      expect(now.applied - before.applied).toBe(round + 1);
      expect(now.points - before.points).toBe((round + 1) * (customers?.n ?? 0));
    }

    // The kills must have come at different points, else this shows nothing.
    console.info('left behind by the kills:', JSON.stringify(Object.fromEntries(seen)));
    expect([...seen.keys()].length, JSON.stringify([...seen])).toBeGreaterThan(1);
    await survivor.stop();
    expect(await site.ask('ledger', 'verify')).toMatchObject({ verdict: 'sound' });
    if (hasPython) expect(await judgedByStranger(site)).toMatchObject({ verdict: 'sound' });
  });
});
