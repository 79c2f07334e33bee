import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type AgentRules, signAgentApproval } from '../../src/approval/agent-approval.ts';
import { signBreakGlass, verifyBreakGlass } from '../../src/approval/break-glass.ts';
import { signApproval } from '../../src/approval/envelope.ts';
import { createPersonKey, loadPersonKey, type PersonKey } from '../../src/approval/person-key.ts';
import { type QuorumQuestion, verifyQuorum, verifyVerdict } from '../../src/approval/quorum.ts';
import type { ApprovalAgent, Person } from '../../src/domain/actor.ts';
import type { AgentApprovalStatement, ApprovalEnvelope, ApprovalStatement } from '../../src/domain/approval.ts';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import { type ActorId, asId, instantOf, type PlanId } from '../../src/domain/ids.ts';
import type { Plan } from '../../src/domain/plan.ts';

const directory = mkdtempSync(join(tmpdir(), 'countersign-agents-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const NOW = Date.parse('2026-03-01T12:00:00Z');

const keys = new Map<string, PersonKey>();
function keyOf(name: string): PersonKey {
  const file = join(directory, `${name}.key`);
  if (!keys.has(name)) {
    createPersonKey(file);
    keys.set(name, loadPersonKey(file));
  }
  return keys.get(name) as PersonKey;
}
const person = (id: string, roles: Person['roles'] = ['approver']): readonly [ActorId, Person] => [
  asId(id),
  {
    kind: 'person',
    id: asId(id),
    name: id,
    publicKeys: [keyOf(id).publicKey],
    passkeys: [],
    approves: ['*'],
    breaksGlass: [],
    requests: ['*'],
    roles,
  },
];
const people = new Map([
  person('edsger', ['requester']),
  person('ada'),
  person('grace'),
  person('chief', ['administrator', 'approver']),
]);
const agent = (id: string, change: Partial<ApprovalAgent> = {}): ApprovalAgent => ({
  kind: 'approval agent',
  id: asId(id),
  owner: asId('grace'),
  family: 'rules',
  publicKey: keyOf(id).publicKey,
  approves: ['staging'],
  ...change,
});

const zero = asId<Plan['baseState']>(`sha256:${'0'.repeat(64)}`);
const table = { table: 'public.x', via: 'direct', inserted: 0, updated: 0, deleted: 3, truncated: 0 } as const;
const effect = {
  tables: [table],
  objects: [],
  samples: [],
  locks: [],
  walBytes: 0,
  durationMs: 1,
  volatileColumns: {},
};
const plan: Plan = {
  version: 1,
  task: asId('task_1'),
  actor: asId('migrator'),
  onBehalfOf: asId('migrator'),
  purpose: 'test',
  channel: 'mcp',
  target: asId('rental'),
  environment: asId('staging'),
  tier: 'staging',
  identity: { engine: 'postgres', host: 'h', port: 1, database: 'd', databaseOid: 1, systemIdentifier: '1' },
  statements: [{ text: 'DELETE FROM x', parameters: [] }],
  settings: [],
  effects: [],
  measurement: { measured: true, effect: { ...effect, digest: zero } },
  baseState: zero,
  undo: { undo: 'row images', rows: 3 },
  held: { policies: [], missing: [{ obligation: 'approvals', count: 1 }] },
  policyDigest: zero,
  createdAt: instantOf(NOW - 60_000),
  expiresAt: instantOf(NOW + 3_600_000),
  nonce: 'n',
};
const rules: AgentRules = {
  known: new Map(
    [agent('reviewer'), agent('second', { owner: asId('ada'), family: 'other' })].map((one) => [one.id, one]),
  ),
  proposer: { id: asId('migrator'), owner: asId('ada'), family: 'claude' },
  needed: 1,
  environment: { tier: 'staging', approvalAgents: { maxRows: 3 } },
  stopped: () => undefined,
  forbidden: () => undefined,
};

interface Change {
  readonly plan?: Partial<Plan>;
  readonly rules?: Partial<AgentRules>;
  readonly said?: Partial<AgentApprovalStatement>;
  readonly by?: string;
  readonly now?: number;
}

function asked({
  plan: other = {},
  rules: more = {},
  now = NOW,
}: Change): Omit<QuorumQuestion, 'envelopes' | 'needed'> {
  const of = { ...plan, ...other };
  return {
    plan: of,
    planId: digestOf(of as unknown as Json),
    people,
    clicks: null,
    agents: { ...rules, ...more },
    now,
  };
}

function approval(name: string, change: Change = {}): ApprovalEnvelope {
  const { planId, plan: of } = asked(change);
  const statement: AgentApprovalStatement = {
    type: 'https://countersign.dev/agent-approval/v1',
    plan: planId,
    environment: of.environment,
    identity: digestOf(of.identity as unknown as Json),
    agent: asId(name),
    verdict: 'approve',
    reason: '',
    at: instantOf(NOW),
    ...change.said,
  };
  return signAgentApproval(statement, keyOf(change.by ?? name));
}

function signed(name: string, by = name): ApprovalEnvelope {
  const { planId } = asked({});
  const statement: ApprovalStatement = {
    type: 'https://countersign.dev/approval/v1',
    plan: planId,
    environment: plan.environment,
    identity: digestOf(plan.identity as unknown as Json),
    person: asId(name),
    verdict: 'approve',
    reason: '',
    at: instantOf(NOW),
  };
  return signApproval(statement, keyOf(by));
}

describe('G4 an approval agent', () => {
  const says = (change: Change = {}) => {
    const verdict = verifyVerdict(approval('reviewer', change), asked(change));
    return verdict.valid ? 'valid' : verdict.why;
  };
  const own = (proposer: Partial<NonNullable<AgentRules['proposer']>>): Change => ({
    rules: { proposer: { id: asId('migrator'), owner: asId('ada'), family: 'claude', ...proposer } },
  });
  const owned = (owner: string) => new Map([[asId<ActorId>('reviewer'), agent('reviewer', { owner: asId(owner) })]]);
  const undone = { change: 'x', keepNewer: false, tables: [], newer: [] };

  it.each<[why: string, change: Change, said: RegExp | 'valid']>([
    ['as it should be', {}, 'valid'],
    ['by another’s key', { by: 'ada' }, /key of reviewer has not signed/],
    ['by another agent’s key', { by: 'second' }, /key of reviewer has not signed/],
    ['in the name of a person', { said: { agent: asId('ada') }, by: 'ada' }, /ada is no approval agent/],
    ['in the name of who proposes', { said: { agent: asId('migrator') } }, /migrator is no approval agent/],
    ['of another plan', { said: { plan: asId<PlanId>(zero) } }, /another plan/],
    ['for another environment', { said: { environment: asId('development') } }, /another target/],
    ['for another target', { said: { identity: zero } }, /another target/],
    ['after its time', { now: NOW + 3_600_000 }, /expired/],
    ['from the future', { said: { at: instantOf(NOW + 600_000) } }, /future/],
    ['where it may not', { plan: { environment: asId('development') } }, /may not approve in development/],
    [
      'where none may',
      { rules: { environment: { tier: 'staging', approvalAgents: null } } },
      /no approval agent counts/,
    ],
    ['in production, by the plan', { plan: { tier: 'production' } }, /in production/],
    [
      'in production, by now',
      { rules: { environment: { tier: 'production', approvalAgents: { maxRows: 9 } } } },
      /in production/,
    ],
    ['while halted', { rules: { stopped: () => 'Halted by ada.' } }, /reviewer is stopped. Halted by ada/],
    [
      'of who may not countersign there',
      { rules: { known: owned('edsger') } },
      /edsger, who answers for reviewer, may not/,
    ],
    ['of nobody who is here', { rules: { known: owned('linus') } }, /linus, who answers for reviewer, may not/],
    [
      'of an administrator',
      { rules: { known: owned('chief') } },
      /chief, who answers for reviewer, is an administrator/,
    ],
    ['of what is not configured', { rules: { proposer: undefined } }, /no longer configured/],
    ['of its own', { plan: { actor: asId('reviewer') } }, /proposed it itself/],
    ['of its family', own({ family: 'rules' }), /rules decides in both/],
    ['of its owner’s', own({ owner: asId('grace') }), /grace answers for both/],
    ['asked for by its owner', { plan: { onBehalfOf: asId('grace') } }, /grace, who answers for reviewer, asked/],
    ['undone for its owner', { plan: { undoes: { ...undone, askedBy: asId('grace') } } }, /asked for it/],
    [
      'above the rows',
      { rules: { environment: { tier: 'staging', approvalAgents: { maxRows: 2 } } } },
      /changes 3 rows/,
    ],
    ['not measured', { plan: { measurement: { measured: false, why: 'x' } } }, /could not be measured/],
    ['irreversible', { plan: { undo: { undo: 'irreversible', why: 'x' } } }, /can’t be undone/],
    ['where two are asked', { rules: { needed: 2 } }, /2 people are asked/],
    ['against policy', { rules: { forbidden: () => 'policy lets no agent decide on it' } }, /policy lets no agent/],
    [
      'in a freeze',
      {
        plan: { held: { policies: [], missing: [{ obligation: 'after freeze', until: instantOf(NOW), reason: 'r' }] } },
      },
      /freeze/,
    ],
  ])('counts or not: %s', (_, change, said) => {
    if (said === 'valid') expect(says(change)).toBe('valid');
    else expect(says(change)).toMatch(said);
    const quorum = verifyQuorum({ ...asked(change), envelopes: [approval('reviewer', change)], needed: 1 });
    expect('approved' in quorum).toBe(said === 'valid');
  });

  it('has every family where who proposes says none', () => {
    const silent: Change = { rules: { proposer: { id: asId('migrator'), owner: asId('ada') } } };
    expect(says(silent)).toMatch(/does not say what decides in it/);
  });

  it('stands for one person, never for one of two, nor beside one, nor for an administrator’s other half', () => {
    const quorum = (needed: number, ...envelopes: ApprovalEnvelope[]) => {
      const found = verifyQuorum({ ...asked({}), envelopes, needed });
      return 'approved' in found ? `${found.byAgent ? 'agent' : 'people'} ${found.by}` : `${found.missing} missing`;
    };
    const [one, two] = [approval('reviewer'), approval('second', own({}))];
    expect(quorum(1, one)).toBe('agent reviewer');
    expect(quorum(1, one, signed('ada'))).toBe('people ada');
    expect(quorum(0, one)).toBe('1 missing');
    expect(quorum(2, one)).toBe('2 missing');
    expect(quorum(2, one, two)).toBe('2 missing');
    expect(quorum(2, one, signed('ada'))).toBe('1 missing');
    expect(quorum(2, one, one, signed('ada'))).toBe('1 missing');
    expect(quorum(2, one, signed('ada'), signed('chief'))).toBe('people ada,chief');
    expect(quorum(2, one, signed('chief'))).toBe('1 missing');
  });

  it('is no person with its key, and no person is it with theirs', () => {
    const asPerson = verifyVerdict(signed('reviewer'), asked({}));
    expect(asPerson).toMatchObject({ valid: false, why: 'reviewer is no person of the configuration' });
    expect(verifyVerdict(signed('ada', 'reviewer'), asked({}))).toMatchObject({
      valid: false,
      why: 'no key of ada signed it',
    });
    const relabelled = { ...signed('ada'), payloadType: approval('reviewer').payloadType };
    expect(verifyVerdict(relabelled, asked({}))).toMatchObject({ valid: false, why: 'its statement is malformed' });
    const other = { ...approval('reviewer'), payloadType: signed('ada').payloadType };
    expect(verifyVerdict(other, asked({}))).toMatchObject({ valid: false });
    const { planId } = asked({});
    const broken = signBreakGlass(
      {
        type: 'https://countersign.dev/break-glass/v1',
        plan: planId,
        environment: plan.environment,
        identity: digestOf(plan.identity as unknown as Json),
        person: asId('reviewer'),
        standsInFor: ['approvals'],
        reason: 'an emergency',
        at: instantOf(NOW),
        until: instantOf(NOW + 60_000),
      },
      keyOf('reviewer'),
    );
    expect(verifyBreakGlass(broken, { plan, planId, people, now: NOW })).toMatchObject({
      valid: false,
      why: 'reviewer is no person of the configuration',
    });
    expect(verifyVerdict(approval('reviewer', { said: { verdict: 'reject' as 'approve' } }), asked({}))).toMatchObject({
      valid: false,
      why: 'its statement is malformed',
    });
  });
});
