import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../../src/domain/actor.ts';
import { type ActorId, asId } from '../../src/domain/ids.ts';
import { createPersonSessions, type PersonSessions } from '../../src/identity/person-sessions.ts';
import { createSignInLimits } from '../../src/identity/sign-in-limits.ts';
import { createLog } from '../../src/observing/log.ts';
import { createProof } from '../../src/pipeline/proof.ts';
import { type TestLedger, testLedger } from '../fixtures/ledger.ts';

const ADA: Person = {
  kind: 'person',
  id: asId<ActorId>('ada'),
  name: 'Ada',
  publicKeys: [],
  passkeys: [],
  approves: ['*'],
  breaksGlass: [],
  requests: ['*'],
  roles: ['requester', 'approver'],
};
const MINUTE_MS = 60_000;

describe('a session of a person', () => {
  let made: TestLedger;
  let sessions: PersonSessions;
  let nowMs = Date.parse('2026-01-01T10:00:00Z');
  let people = new Map([[ADA.id, ADA]]);
  let limits = { idleMs: 30 * MINUTE_MS, longestMs: 12 * 60 * MINUTE_MS };
  let counts = true;
  beforeAll(async () => {
    made = await testLedger();
    const { store, ledger } = made;
    const clock = { now: () => nowMs };
    sessions = createPersonSessions({
      store,
      proof: createProof({ ledger, clock, node: 'node_1', log: createLog('error') }),
      people: () => people,
      limits: () => limits,
      counts: async () => counts,
      secret: Buffer.alloc(32, 1),
      now: clock.now,
    });
  });
  afterAll(() => made.remove());

  const open = () => sessions.open({ person: ADA.id, via: 'key', credential: 'sha256:1' });
  const pass = (minutes: number) => {
    nowMs += minutes * MINUTE_MS;
  };

  it('is over after half an hour without a request, and not while there are some', async () => {
    const [idle, busy] = [await open(), await open()];
    for (let passed = 0; passed < 60; passed += 20) {
      pass(20);
      expect((await sessions.byToken(busy.token))?.person).toBe('ada');
    }
    expect(await sessions.byToken(idle.token)).toBeUndefined();
    expect((await sessions.all()).map(({ id }) => id)).toEqual([busy.session.id]);
  });

  it('is over after twelve hours, however busy', async () => {
    const { token } = await open();
    let lived = 0;
    for (; (await sessions.byToken(token)) !== undefined; lived += 10) pass(10);
    expect(lived).toBe(12 * 60);
  });

  it('is over when the configuration says less than it did when it began', async () => {
    const { token } = await open();
    pass(10);
    limits = { ...limits, longestMs: 5 * MINUTE_MS };
    expect(await sessions.byToken(token)).toBeUndefined();
    limits = { ...limits, longestMs: 12 * 60 * MINUTE_MS };
    expect(await sessions.byToken(token)).toBeDefined();
    people = new Map([[ADA.id, { ...ADA, roles: ['auditor'] }]]);
    expect((await sessions.byToken(token))?.rights).not.toContain('plan.decide');
    people = new Map();
    expect(await sessions.byToken(token)).toBeUndefined();
    people = new Map([[ADA.id, ADA]]);
    counts = false;
    expect(await sessions.byToken(token)).toBeUndefined();
    counts = true;
  });
});

describe('an address that keeps failing to sign in', () => {
  it('waits ever longer, up to a quarter of an hour, and is forgiven when it succeeds or stops', () => {
    let nowMs = 0;
    const locked: string[] = [];
    const limits = createSignInLimits(
      () => nowMs,
      (address) => locked.push(address),
    );
    for (let tried = 1; tried < 10; tried++) limits.failed('192.0.2.1');
    expect(limits.lockedFor('192.0.2.1')).toBe(0);
    const waits = [1, 2, 4, 8, 15, 15].map((minutes) => {
      limits.failed('::ffff:192.0.2.1');
      const waiting = limits.lockedFor('192.0.2.1');
      nowMs += waiting;
      return waiting / MINUTE_MS === minutes;
    });
    expect(waits).toEqual(Array(6).fill(true));
    expect(limits.lockedFor('192.0.2.2')).toBe(0);
    expect(new Set(locked)).toEqual(new Set(['192.0.2.1']));
    limits.failed('192.0.2.1');
    limits.succeeded('192.0.2.1');
    expect(limits.lockedFor('192.0.2.1')).toBe(0);
  });
});
