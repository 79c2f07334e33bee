import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signAgentApproval } from '../../src/approval/agent-approval.ts';
import { signDelegation } from '../../src/approval/delegation.ts';
import { createPersonKey, loadPersonKey } from '../../src/approval/person-key.ts';
import { approvalAgentNamed, approvedByAgent } from '../../src/cli/as-approval-agent.ts';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { ApprovalAgent } from '../../src/domain/actor.ts';
import type { AgentApprovalStatement, ApprovalEnvelope } from '../../src/domain/approval.ts';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import { asId, instantOf, type PlanId } from '../../src/domain/ids.ts';
import type { PlanRecord } from '../../src/domain/plan.ts';
import { withPolicies } from '../../src/server/load-governance.ts';
import { getPlan } from '../../src/store/plans.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { judgedByStranger } from '../fixtures/verifier.ts';

const POLICY = `
@id("people-for-customers") @reason("Customers are a matter for people")
forbid (principal, action == Action::"delete", resource)
when { context.approvedByAgent && resource.name == "customers" };
`;

describe.each(newest)('G4 an agent that approves, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  let opened: Countersigner;
  const plans: string[] = [];
  const keyFile = (name: string) => join(site.directory, `keys/agents/${name}.key`);

  beforeAll(async () => {
    site = await startSite(binaries, { environment: 'staging' });
    for (const folder of ['keys/people', 'keys/agents']) mkdirSync(join(site.directory, folder), { recursive: true });
    const grace = createPersonKey(join(site.directory, 'keys/people/grace.key'));
    const agent = `{ owner: grace, family: rules, publicKey: "${createPersonKey(keyFile('reviewer'))}", approves: [staging] }`;
    site.edit((text) =>
      `${text}\nidentity: { delegation: { longest: 14d } }\n`
        .replace(
          '  people:\n',
          `  people:\n    grace: { name: Grace, publicKeys: ["${grace}"], approves: [staging] }\n`,
        )
        .replace('  agents:\n', `  approvalAgents:\n    reviewer: ${agent}\n  agents:\n`)
        .replace('    migrator:\n', '    migrator:\n      family: claude\n')
        .replace('    tier: staging\n', '    tier: staging\n    approvalAgents: { maxRows: 500 }\n'),
    );
    served = await site.serve();
    task = await site.openTask(WORK.replace('rental-production', 'rental-staging'));
    opened = await openCountersigner(site);
    const mcp = await mcpClient(task.mcp);
    for (let id = 11; id < 33; id += 2) {
      const sql = `DELETE FROM customers WHERE id IN (${id}, ${id + 1})`;
      const { plan } = await mcp.call('execute_sql', { target: 'rental-staging', sql });
      plans.push((plan as { id: string }).id);
    }
    await mcp.close();
  }, 60_000);
  afterAll(async () => {
    await opened?.close();
    await site?.remove();
  });
  const next = () => plans.shift() ?? '';

  async function signed(plan: string, change: Partial<AgentApprovalStatement> = {}, file = keyFile('reviewer')) {
    const record = await getPlan(opened.countersign.store, asId<PlanId>(plan));
    if (record === undefined) throw new Error(`there is no plan ${plan}`);
    const statement: AgentApprovalStatement = {
      type: 'https://countersign.dev/agent-approval/v1',
      plan: record.id,
      environment: record.plan.environment,
      identity: digestOf(record.plan.identity as unknown as Json),
      agent: asId('reviewer'),
      verdict: 'approve',
      reason: '',
      at: instantOf(Date.now()),
      ...change,
    };
    return signAgentApproval(statement, loadPersonKey(file));
  }
  async function receive(envelope: ApprovalEnvelope): Promise<string> {
    const answer = await opened.countersign.receiveVerdict(envelope);
    return 'refused' in answer ? answer.refused.message : answer.plan.state;
  }
  const apply = async (plan: string) => {
    const reply = await opened.apply(plan);
    return reply.reply === 'refused' ? reply.refusal.message : reply.reply;
  };
  const post = (plan: string, envelope: unknown, headers: Record<string, string> = {}) =>
    fetch(`http://${served.http.replace('http://', '')}/v1/plans/${plan}/approvals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(envelope),
    });

  it('stands for the one person who is asked: by command and over HTTP, shown, applied, proven', async () => {
    const plan = next();
    const approved = await site.run('plan', 'approve', plan, '--as', 'reviewer', '--reason', 'matches the ticket');
    expect(approved.stdout + approved.stderr).toContain('reviewer countersigned plan');
    expect((await site.run('plan', 'show', plan)).stdout).toContain(
      'reviewer (an approval agent; grace answers for it) at ',
    );
    expect(await apply(plan)).toBe('applied');
    expect(await asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers WHERE id = 11')).toHaveLength(0);

    const other = next();
    expect((await post(other, await signed(other), { authorization: `Bearer ${task.token}` })).status).toBe(403);
    expect((await post(other, await signed(plan))).status).toBe(400);
    const answer = await post(other, await signed(other));
    expect({ status: answer.status, ...((await answer.json()) as object) }).toMatchObject({
      status: 200,
      plan: { state: 'approved', approvals: [{ person: 'reviewer', agentOf: 'grace' }] },
    });

    expect((await site.run('ledger', 'verify')).stdout).toContain(
      'approved by the approval agent reviewer, for which grace answers',
    );
    const judged = await judgedByStranger(site);
    if (judged !== null)
      expect(judged).toMatchObject({ code: 0, byAgents: [expect.stringContaining('reviewer'), expect.anything()] });
    const decisions = await site.ask<{ people: object[]; agents: object[] }>('plan', 'decisions');
    expect(decisions).toMatchObject({ people: [], agents: [{ agent: 'reviewer', approved: 2 }] });
  }, 60_000);

  it('gets nowhere with another’s key, environment or name, twice, or by what only people do', async () => {
    const plan = next();
    const adas = join(site.directory, 'keys/people/ada.key');
    expect(await receive(await signed(plan, {}, adas))).toContain('key of reviewer has not signed');
    expect(await receive(await signed(plan, { environment: asId('production') }))).toContain('another target');
    expect(await receive(await signed(plan, { agent: asId('migrator') }))).toContain('migrator is no approval agent');
    const record = (await getPlan(opened.countersign.store, asId<PlanId>(plan))) as PlanRecord;
    const agent = approvalAgentNamed(opened.countersign, 'reviewer', 'plan.decide') as ApprovalAgent;
    const command = (asked: Parameters<typeof approvedByAgent>[3]) => () =>
      approvedByAgent(opened.countersign, agent, record, asked);
    expect(command({ verdict: 'approve', key: adas })).toThrow('is not reviewer’s');
    expect(command({ verdict: 'reject' })).toThrow('or leaves it to people');
    expect(command({ verdict: 'approve', key: '/nowhere' })).toThrow('There is no key of reviewer');
    expect(() => personNamed(opened.countersign, 'reviewer', 'glass.break')).toThrow('has not the right glass.break');
    const at = Date.now();
    const handed = signDelegation(
      {
        type: 'https://countersign.dev/delegation/v1',
        person: asId('grace'),
        to: asId('reviewer'),
        environment: asId('staging'),
        reason: 'on holiday',
        at: instantOf(at),
        until: instantOf(at + 3_600_000),
      },
      keyOf(opened.countersign, personNamed(opened.countersign, 'grace', null), undefined),
    );
    expect(await opened.countersign.delegations.receive(handed)).toMatchObject({
      refused: { message: expect.stringContaining('reviewer is no person') },
    });
    expect(await receive(await signed(plan))).toBe('approved');
    expect(await receive(await signed(plan, { reason: 'again' }))).toContain('has decided on this plan before');
  }, 60_000);

  it('counts at the apply only as far as it would be counted then', async () => {
    const governing = opened.countersign.governance;
    await served.stop();
    const original = (await import('node:fs')).readFileSync(site.config, 'utf8');
    const policy = join(site.directory, 'policies/9-people.cedar');
    const takesForce = async () => opened.countersign.bringIntoForce(await withPolicies(await loadConfig(site.config)));
    const changes: readonly (readonly [what: string, change: (text: string) => string])[] = [
      [
        'another key',
        (text) =>
          text.replace(/(reviewer:.*publicKey: )"[^"]+"/, `$1"ed25519:${Buffer.alloc(32, 7).toString('base64')}"`),
      ],
      ['its family', (text) => text.replace('family: claude', 'family: rules')],
      ['its owner', (text) => text.replace('reviewer: { owner: grace', 'reviewer: { owner: ada')],
      ['fewer rows', (text) => text.replace('maxRows: 500', 'maxRows: 1')],
      [
        'two people',
        (text) => text.replace('quorum: 1\n', 'quorum: 2\n').replace('quorumUnmeasured: 1', 'quorumUnmeasured: 2'),
      ],
      ['gone', (text) => text.replace(/ {2}approvalAgents:\n {4}reviewer:.*\n/, '')],
    ];
    const plan = next();
    expect(await receive(await signed(plan))).toBe('approved');
    for (const [what, change] of changes) {
      expect(change(original), what).not.toBe(original);
      writeFileSync(site.config, change(original));
      await takesForce();
      expect(await apply(plan), what).toContain('not approved');
    }
    writeFileSync(site.config, original);
    writeFileSync(policy, POLICY);
    await takesForce();
    expect(await apply(plan)).toContain('not approved');
    expect(await receive(await signed(next()))).toContain('people-for-customers: Customers are a matter for people');
    writeFileSync(policy, '');
    opened.countersign.bringIntoForce(governing);

    const scope = { scope: 'agent', id: 'reviewer' } as const;
    await opened.countersign.halts.halt(scope, 'it approves everything', asId('ada'));
    expect(await apply(plan)).toContain('not approved');
    expect(await receive(await signed(next()))).toContain('reviewer is stopped. Halted by ada');
    await opened.countersign.halts.resume(scope, 'looked at', asId('ada'));
    expect(await apply(plan)).toBe('applied');

    // What an agent's word no longer decides, a person's does.
    const late = next();
    expect(await receive(await signed(late))).toBe('approved');
    writeFileSync(site.config, changes.at(-1)?.[1](original) ?? '');
    await takesForce();
    const grace = await site.ask('plan', 'approve', late, '--as', 'grace');
    expect(grace).toMatchObject({ approvalsMissing: 0 });
    expect(await apply(late)).toBe('applied');
  }, 60_000);
});
