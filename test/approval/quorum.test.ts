import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Attested, attestApproval, openEnvelope, signApproval } from '../../src/approval/envelope.ts';
import { createPersonKey, loadPersonKey, type PersonKey } from '../../src/approval/person-key.ts';
import { type ClickRules, verifyQuorum, verifyVerdict } from '../../src/approval/quorum.ts';
import type { Person } from '../../src/domain/actor.ts';
import type { ApprovalEnvelope, ApprovalStatement } from '../../src/domain/approval.ts';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import { type ActorId, asId, instantOf, type PlanId } from '../../src/domain/ids.ts';
import type { Plan } from '../../src/domain/plan.ts';

const directory = mkdtempSync(join(tmpdir(), 'countersign-keys-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const NOW = Date.parse('2026-03-01T12:00:00Z');
const keys = new Map<string, PersonKey>();
const people = new Map<ActorId, Person>();
for (const id of ['ada', 'grace', 'edsger', 'asker', 'stranger']) {
  const file = join(directory, `${id}.key`);
  createPersonKey(file);
  keys.set(id, loadPersonKey(file));
  if (id === 'stranger') continue;
  const key = keys.get(id)?.publicKey ?? Buffer.alloc(0);
  people.set(asId(id), {
    kind: 'person',
    id: asId(id),
    name: id,
    publicKeys: [key],
    passkeys: [],
    approves: id === 'edsger' ? ['staging'] : ['*'],
    breaksGlass: [],
    requests: ['*'],
    roles: ['approver'],
  });
}

const plan: Plan = {
  version: 1,
  task: asId('task_1'),
  actor: asId('migrator'),
  onBehalfOf: asId('asker'),
  purpose: 'test',
  channel: 'mcp',
  target: asId('rental'),
  environment: asId('production'),
  tier: 'production',
  identity: { engine: 'postgres', host: 'h', port: 1, database: 'd', databaseOid: 1, systemIdentifier: '1' },
  statements: [{ text: 'DELETE FROM x', parameters: [] }],
  settings: [],
  effects: [],
  measurement: { measured: false, why: 'a test' },
  baseState: asId(`sha256:${'0'.repeat(64)}`),
  undo: { undo: 'irreversible', why: 'a test' },
  held: { policies: [], missing: [{ obligation: 'approvals', count: 1 }] },
  policyDigest: asId(`sha256:${'0'.repeat(64)}`),
  createdAt: instantOf(NOW - 60_000),
  expiresAt: instantOf(NOW + 3_600_000),
  nonce: 'n',
};
const planId: PlanId = digestOf(plan as unknown as Json);

function statement(person: string, change: Partial<ApprovalStatement> = {}): ApprovalStatement {
  return {
    type: 'https://countersign.dev/approval/v1',
    plan: planId,
    environment: plan.environment,
    identity: digestOf(plan.identity as unknown as Json),
    person: asId(person),
    verdict: 'approve',
    reason: '',
    at: instantOf(NOW),
    ...change,
  };
}

function signed(person: string, change: Partial<ApprovalStatement> = {}, by = person): ApprovalEnvelope {
  const key = keys.get(by);
  if (key === undefined) throw new Error(`${by} has no key`);
  return signApproval(statement(person, change), key);
}

const question = { plan, planId, people, clicks: null, now: NOW };
const approvedBy = (needed: number, ...envelopes: ApprovalEnvelope[]) => {
  const quorum = verifyQuorum({ ...question, envelopes, needed });
  return 'approved' in quorum ? `approved by ${quorum.by.join(', ')}` : `${quorum.missing} missing`;
};

describe('G3 G4 a quorum', () => {
  it('is as many different people as are needed', () => {
    expect(approvedBy(1, signed('ada'))).toBe('approved by ada');
    expect(approvedBy(2, signed('ada'))).toBe('1 missing');
    expect(approvedBy(2, signed('ada'), signed('ada', { reason: 'again' }))).toBe('1 missing');
    expect(approvedBy(2, signed('ada'), signed('grace'))).toBe('approved by ada, grace');
    expect(approvedBy(0, signed('ada'))).toBe('1 missing');
  });

  it('may be nobody for a plan alone that waits for nothing', () => {
    const free = { ...plan, held: { policies: [], missing: [] } };
    const asked = { ...question, plan: free, planId: digestOf(free as unknown as Json), envelopes: [] };
    expect(verifyQuorum({ ...asked, needed: 0 })).toMatchObject({ approved: free, by: [] });
    expect(verifyQuorum({ ...asked, needed: 1 })).toEqual({ missing: 1, by: [] });
    expect(verifyQuorum({ ...asked, planId, needed: 0 })).toEqual({ missing: 1, by: [] });
    expect(verifyQuorum({ ...question, envelopes: [], needed: 0 })).toEqual({ missing: 1, by: [] });
  });

  it('is not met for a plan of which one byte was changed', () => {
    const changed = { ...plan, statements: [{ text: 'DELETE FROM y', parameters: [] }] };
    expect(verifyQuorum({ ...question, plan: changed, envelopes: [signed('ada')], needed: 1 })).not.toHaveProperty(
      'approved',
    );
  });

  it.each<[why: string, envelope: ApprovalEnvelope, said: RegExp]>([
    ['about another plan', signed('ada', { plan: asId(`sha256:${'1'.repeat(64)}`) }), /another plan/],
    ['about another environment', signed('ada', { environment: asId('staging') }), /another target/],
    ['about another target', signed('ada', { identity: asId(`sha256:${'1'.repeat(64)}`) }), /another target/],
    ['by somebody unknown', signed('stranger'), /no person/],
    ['by who asked for it', signed('asker'), /their own intent/],
    ['by who may not in this environment', signed('edsger'), /may not countersign/],
    ['in the name of another', signed('ada', {}, 'grace'), /no key of ada/],
    ['from the future', signed('ada', { at: instantOf(NOW + 600_000) }), /future/],
    ['older than the plan', signed('ada', { at: instantOf(NOW - 3_600_000) }), /older/],
    ['after its time', signed('ada', { at: instantOf(NOW + 3_600_000) }), /future|expired/],
  ])('counts nothing %s', (_, envelope, said) => {
    const verdict = verifyVerdict(envelope, question);
    expect(verdict).toMatchObject({ valid: false, why: expect.stringMatching(said) });
    expect(approvedBy(1, envelope)).toBe('1 missing');
  });

  it('counts no rejection, and no key that was taken out of the configuration', () => {
    expect(approvedBy(1, signed('ada', { verdict: 'reject' }))).toBe('1 missing');
    const without = new Map([...people].map(([id, person]) => [id, { ...person, publicKeys: [] }] as const));
    expect(verifyQuorum({ ...question, people: without, envelopes: [signed('ada')], needed: 1 })).not.toHaveProperty(
      'approved',
    );
  });

  it('ends with the plan', () => {
    expect(
      verifyQuorum({ ...question, now: NOW + 3_600_000, envelopes: [signed('ada')], needed: 1 }),
    ).not.toHaveProperty('approved');
  });
});

describe('an envelope', () => {
  it('with any one byte of its payload or signature changed counts for nothing', () => {
    const envelope = signed('ada');
    for (const field of ['payload', 'sig'] as const) {
      const bytes = Buffer.from(field === 'payload' ? envelope.payload : (envelope.signatures[0]?.sig ?? ''), 'base64');
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 1;
        const base64 = changed.toString('base64');
        const forged: ApprovalEnvelope =
          field === 'payload'
            ? { ...envelope, payload: base64 }
            : { ...envelope, signatures: [{ keyid: envelope.signatures[0]?.keyid ?? '', sig: base64 }] };
        expect(approvedBy(1, forged), `${field} byte ${at}`).toBe('1 missing');
      }
    }
  });

  it.each<[why: string, envelope: unknown]>([
    ['nothing', null],
    ['text', 'approve'],
    ['more signatures', { ...signed('ada'), signatures: [...signed('ada').signatures, ...signed('grace').signatures] }],
    ['another type', { ...signed('ada'), payloadType: 'application/json' }],
    ['a field too many', { ...signed('ada'), extra: 1 }],
    [
      'a payload that isn’t canonical',
      { ...signed('ada'), payload: Buffer.from(JSON.stringify(statement('ada'), null, 1)).toString('base64') },
    ],
  ])('is not opened as %s', (_, envelope) => {
    expect(openEnvelope(envelope)).toMatchObject({ opened: false });
  });
});

describe('a person’s key', () => {
  it('is refused when others can read it', () => {
    const file = join(directory, 'open.key');
    createPersonKey(file);
    writeFileSync(join(directory, 'copy.key'), 'x', { mode: 0o644 });
    expect(() => loadPersonKey(join(directory, 'copy.key'))).toThrow(/chmod 600/);
    expect(() => createPersonKey(file)).toThrow(/EEXIST/);
  });
});

describe('G4 a click that the gateway attests', () => {
  const TEAM = 'T012AB3CD';
  const gateway = keys.get('stranger') as PersonKey;
  /** What can be undone; the plan above can't. */
  const mild: Plan = {
    ...plan,
    environment: asId('staging'),
    undo: { undo: 'row images', rows: 3 },
    measurement: measured(),
  };
  const mildId: PlanId = digestOf(mild as unknown as Json);
  const withSlack = new Map(
    [...people.values()].map(
      (person) => [person.id, { ...person, approves: ['*'], slack: slackOf(person.id) }] as const,
    ),
  );
  const rules = (count: ClickRules['count']): ClickRules => ({ count, team: TEAM, gatewayKey: gateway.publicKey });
  const asked = { plan: mild, planId: mildId, people: withSlack, now: NOW, clicks: rules('reversible') };

  function clicked(person: string, change: Partial<Attested> = {}, by = gateway): ApprovalEnvelope {
    const click = {
      team: TEAM,
      user: slackOf(person),
      conversation: 'C1',
      message: '1.2',
      at: instantOf(NOW),
      callback: asId<Attested['identity']>(`sha256:${'2'.repeat(64)}`),
    };
    const { type: _type, ...said } = statement(person, { plan: mildId, environment: asId('staging') });
    const type = 'https://countersign.dev/attested-approval/v1';
    return attestApproval({ ...said, type, via: 'slack', click, ...change }, by);
  }
  const clickOf = (person: string) => {
    const opened = openEnvelope(clicked(person));
    if (!opened.opened || opened.statement.click === undefined) throw new Error('it is no click');
    return opened.statement.click;
  };
  const said = (envelope: ApprovalEnvelope, change: Partial<typeof asked> | { clicks: null } = {}) => {
    const verdict = verifyVerdict(envelope, { ...asked, ...change });
    return verdict.valid ? 'valid' : verdict.why;
  };

  it('counts where the environment says so, for the person whose user it is', () => {
    const quorum = verifyQuorum({ ...asked, envelopes: [clicked('ada')], needed: 1 });
    expect(quorum).toMatchObject({ approved: mild, by: ['ada'] });
    const both = [clicked('ada'), clicked('ada')];
    expect(verifyQuorum({ ...asked, envelopes: both, needed: 2 })).toMatchObject({ missing: 1 });
  });

  it.each<[why: string, envelope: () => ApprovalEnvelope, said: RegExp]>([
    ['that the person signed as if they were the gateway', () => clicked('ada', {}, keys.get('ada')), /not attested/],
    ['of another user', () => clicked('ada', { click: clickOf('grace') }), /not the Slack user of ada/],
    ['of a user of another workspace', () => clicked('ada', { click: { ...clickOf('ada'), team: 'T9' } }), /T9/],
    ['of who asked for it', () => clicked('asker'), /their own intent/],
    ['of an agent', () => clicked('migrator'), /no person/],
    ['on another plan', () => clicked('ada', { plan: planId }), /another plan/],
  ])('counts nothing %s', (_, envelope, why) => {
    expect(said(envelope())).toMatch(why);
    expect(verifyQuorum({ ...asked, envelopes: [envelope()], needed: 1 })).toEqual({ missing: 1, by: [] });
  });

  it('counts nothing once user, Slack or the gateway’s key are others, or the environment asks for more', () => {
    const envelope = clicked('ada');
    expect(said(envelope)).toBe('valid');
    const unmapped = new Map([...withSlack].map(([id, { slack: _slack, ...person }]) => [id, person] as const));
    expect(said(envelope, { people: unmapped as typeof withSlack })).toMatch(/not the Slack user/);
    expect(said(envelope, { clicks: null })).toMatch(/no Slack is configured/);
    expect(said(envelope, { clicks: { ...rules('any'), gatewayKey: keyOf('grace') } })).toMatch(/not attested/);
    expect(said(envelope, { clicks: rules('never') })).toMatch(/own key or passkey/);
  });

  it('counts for what can’t be undone or measured, or is frozen, only where that is allowed', () => {
    const of = (change: Partial<Plan>, count: ClickRules['count']) => {
      const other = { ...mild, ...change };
      const id: PlanId = digestOf(other as unknown as Json);
      return said(clicked('ada', { plan: id }), { plan: other, planId: id, clicks: rules(count) });
    };
    const irreversible = { undo: { undo: 'irreversible', why: 'a test' } } as const;
    expect(of(irreversible, 'reversible')).toMatch(/can’t be undone/);
    expect(of(irreversible, 'any')).toBe('valid');
    expect(of({ measurement: plan.measurement }, 'reversible')).toMatch(/not be measured/);
    const freeze = {
      obligation: 'after freeze',
      until: instantOf(NOW),
      reason: 'r',
      override: [asId<ActorId>('ada')],
    } as const;
    expect(of({ held: { policies: [], missing: [freeze] } }, 'any')).toMatch(/freeze/);
  });

  it('is no signature of a person, and a signature of a person is no click', () => {
    const own = clicked('ada', {}, keys.get('ada'));
    const asSigned = { ...own, payloadType: 'application/vnd.countersign.approval+json' } as const;
    expect(said(asSigned)).toMatch(/malformed/);
    const signedByGateway = signed('ada', { plan: mildId, environment: asId('staging') }, 'stranger');
    expect(said(signedByGateway)).toMatch(/no key of ada/);
  });
});

function slackOf(person: string): string {
  return `U${person.toUpperCase()}`;
}

function keyOf(person: string): Uint8Array {
  return keys.get(person)?.publicKey ?? Buffer.alloc(0);
}

function measured(): Plan['measurement'] {
  const digest = asId<Plan['baseState']>(`sha256:${'3'.repeat(64)}`);
  return {
    measured: true,
    effect: {
      tables: [],
      objects: [],
      samples: [],
      locks: [],
      walBytes: 0,
      durationMs: 1,
      digest,
      volatileColumns: {},
    },
  };
}
