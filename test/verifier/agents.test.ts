import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signAgentApproval } from '../../src/approval/agent-approval.ts';
import type { AgentApprovalStatement } from '../../src/domain/approval.ts';
import type { Json } from '../../src/domain/digest.ts';
import type { Entry } from '../../src/domain/entry.ts';
import { asId, instantOf } from '../../src/domain/ids.ts';
import { proveAction } from '../../src/ledger/action-proof.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { loadSigningKey } from '../../src/ledger/signing-key.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { IDENTITY, planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, verifyAsStranger } from '../fixtures/verifier.ts';

/** `reviewer` approves in staging, up to three rows; grace answers for it, ada for the migrator. */
describe.skipIf(!hasPython)('G7 an operator who claims that an agent approved', () => {
  let made: WrittenHistory;
  beforeEach(async () => {
    made = await writtenHistory();
  });
  afterEach(() => made.remove());

  const publicKey = (name: string) => `ed25519:${Buffer.from(made.person(name).publicKey).toString('base64')}`;
  const reviewer = (change: object = {}) => ({
    keys: [publicKey('reviewer')],
    owner: 'grace',
    family: 'rules',
    approves: ['staging'],
    ...change,
  });
  const trust = (change: object = {}) =>
    made.trusting((policy) => ({
      ...policy,
      people: {
        ada: { keys: [publicKey('ada')], approves: ['staging'] },
        grace: { keys: [publicKey('grace')], approves: ['staging'] },
      },
      approvalAgents: { reviewer: reviewer() },
      agents: { migrator: { owner: 'ada', family: 'claude' } },
      environments: {
        production: { quorum: 1 },
        staging: { quorum: 1, identities: { rental: IDENTITY }, approvalAgents: { maxRows: 3 } },
      },
      ...(change as { readonly [key: string]: Json }),
    }));
  const STAGING = { environment: 'staging' };
  const of = planned('one', STAGING);

  function approved(
    plan = of,
    {
      said = {},
      key = 'reviewer',
      body = {},
    }: { said?: Partial<AgentApprovalStatement>; key?: string; body?: object } = {},
  ): Entry {
    const envelope = signAgentApproval(
      {
        type: 'https://countersign.dev/agent-approval/v1',
        plan: plan.id,
        environment: asId('staging'),
        identity: asId(IDENTITY),
        agent: asId('reviewer'),
        verdict: 'approve',
        reason: '',
        at: instantOf(Date.parse('2026-01-01T11:00:00Z')),
        ...said,
      },
      made.person(key),
    );
    const named = { agent: 'reviewer', owner: 'grace', family: 'rules', key: publicKey('reviewer'), reason: '' };
    const { environment } = STAGING;
    return {
      ...plan.approval('ada', made.person('ada')),
      body: { plan: plan.id, ...named, environment, envelope: envelope as unknown as Json, ...body } as Json,
    };
  }
  async function judged(policy = trust()): Promise<string> {
    const file = join(made.directory, `all-${Math.random()}.jsonl`);
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    return (await verifyAsStranger(file, policy)).problem ?? 'sound';
  }

  it('is believed where the policy lets it, told apart, and with nothing of it refused', async () => {
    await made.append(of.plan, approved(), of.apply, of.intent(), of.outcome());
    expect(await judged()).toBe('sound');
    expect(await verifyLedger(made.path)).toMatchObject({
      verdict: 'sound',
      byAgents: [{ plan: of.id, agent: 'reviewer', owner: 'grace' }],
    });
    expect(await judged(made.trust)).toContain('names as no approval agent');
    const grace = { ada: { keys: [publicKey('ada')], approves: ['staging'] }, grace: { keys: [], approves: ['moon'] } };
    expect(await judged(trust({ people: grace }))).toContain(
      'grace, who answers for it, may not countersign in staging',
    );
    expect(await judged(trust({ agents: {} }))).toContain('does not say of what kind migrator is');
    const kind = (owner: string, family: string) => trust({ agents: { migrator: { owner, family } } });
    expect(await judged(kind('ada', 'rules'))).toContain('own kind');
    expect(await judged(kind('grace', 'claude'))).toContain('own kind');
    const most = (maxRows: number, quorum = 1) =>
      trust({ environments: { production: { quorum: 1 }, staging: { quorum, approvalAgents: { maxRows } } } });
    expect(await judged(most(2))).toContain('more than 2 rows');
    expect(await judged(most(0))).toContain('none does in staging');
    expect(await judged(most(3, 2))).toContain('0 of 2 people');
    expect(await judged(trust({ approvalAgents: { reviewer: reviewer({ approves: [] }) } }))).toContain('none does');
    expect(await judged(trust({ approvalAgents: { reviewer: reviewer({ keys: [publicKey('ada')] }) } }))).toContain(
      'one key stands in it twice',
    );
    const key = loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
    const proof = join(made.directory, 'one.proof.jsonl');
    writeFileSync(proof, await proveAction({ store: made.store, ledger: made.ledger, key }, of.id));
    const found = await verifyAsStranger(proof, trust());
    expect(found).toMatchObject({
      code: 0,
      byAgents: [expect.stringContaining('the approval agent reviewer, for which grace answers')],
    });
  });

  const about = (change: { readonly [field: string]: Json }) => planned('one', { ...STAGING, ...change });
  const two = { missing: [{ obligation: 'approvals', count: 2 }] };
  it.each<[string, () => readonly Entry[], stranger: string, own: string]>([
    ['by another’s key', () => [of.plan, approved(of, { key: 'mallory' })], 'no valid signature', 'has not signed'],
    [
      'of another plan',
      () => [of.plan, approved(of, { said: { plan: planned('x').id } })],
      'another plan',
      'something else',
    ],
    [
      'for another environment',
      () => [of.plan, approved(of, { said: { environment: asId('production') } })],
      'another environment',
      'another environment',
    ],
    [
      'of another agent',
      () => [of.plan, approved(of, { said: { agent: asId('x') } })],
      'something else',
      'something else',
    ],
    ['as if a person', () => [of.plan, approved(of, { body: { person: 'ada' } })], 'something else', 'sound'],
    ['of another owner', () => [of.plan, approved(of, { body: { owner: 'ada' } })], 'names ada for reviewer', 'sound'],
    ['as a rejection', () => [of.plan, { ...approved(), kind: 'rejection' }], 'only approve', 'agent rejects'],
    ['twice', () => [of.plan, approved(), approved()], 'second verdict of reviewer', 'sound'],
    [
      'of what its owner asked for',
      () => [about({ onBehalfOf: 'grace' }).plan, approved()],
      'grace, who answers for it, asked',
      'its own intent',
    ],
    [
      'of what can’t be undone',
      () => [about({ undo: { undo: 'irreversible', why: 'x' } }).plan, approved()],
      "can't be undone",
      'no agent decides',
    ],
    ['of what two must sign', () => [about(two).plan, approved(), of.apply], '0 of 2 people', 'no agent decides'],
    [
      'in the envelope of a person',
      () => {
        const signed = of.approval('ada', made.person('ada'));
        return [of.plan, { ...signed, body: { ...(signed.body as object), agent: 'reviewer' } as Json }];
      },
      'no envelope of',
      'nobody signed',
    ],
  ])('can’t pass off one %s', async (_, entries, stranger, own) => {
    await made.append(...entries());
    expect(await judged()).toContain(stranger);
    const verified = await verifyLedger(made.path);
    expect(verified.verdict === 'tampered' ? verified.problem : verified.verdict).toContain(own);
  });

  it('is not made of what a person gives as a reason', async () => {
    const reason =
      'application/vnd.countersign.agent-approval+json, not application/vnd.countersign.attested-approval+json';
    const signed = of.approval('ada', made.person('ada'), { reason });
    await made.append(of.plan, { ...signed, body: { ...(signed.body as object), reason } as Json });
    expect(await verifyLedger(made.path)).toMatchObject({ verdict: 'sound' });
  });
});
