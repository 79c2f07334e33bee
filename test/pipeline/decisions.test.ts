import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApprovalStatement } from '../../src/domain/approval.ts';
import { type ActorId, asId, instantOf } from '../../src/domain/ids.ts';
import { decisionsByPerson } from '../../src/pipeline/decisions.ts';
import { insertApproval } from '../../src/store/approvals.ts';
import { hasSeen, putSight } from '../../src/store/decisions.ts';
import { openStore } from '../../src/store/open-store.ts';
import { statements } from '../../src/store/schema.ts';
import type { Store } from '../../src/store/store.ts';
import { write } from '../../src/store/write.ts';
import { dialects, type StatePlace } from '../fixtures/state.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const [S, M, DAY] = [1000, 60_000, 86_400_000];

describe.each(dialects)('how people decide, kept on $name', (dialect) => {
  let place: StatePlace;
  let store: Store;
  beforeAll(async () => {
    place = await dialect.start();
  });
  afterAll(() => place?.remove());
  beforeEach(async () => {
    store = await openStore(await place.make());
  });
  afterEach(() => store.close());

  /** @param tookMs from plan to verdict. @param sawMs from the first sight to the verdict. */
  async function decided(
    name: string,
    person: string,
    atMs: number,
    tookMs: number,
    sawMs: number | null,
    verdict = 'approve',
  ) {
    const plan = asId<ApprovalStatement['plan']>(`sha256:${name.padEnd(64, '0')}`);
    const row = {
      task: 't',
      target: 'x',
      wish: name,
      state: 'held',
      note: null,
      plan: '{}',
      changed_at: instantOf(atMs),
    };
    const made = { ...row, id: plan, created_at: instantOf(atMs - tookMs) };
    const said = { plan, person: asId<ActorId>(person), verdict, at: instantOf(atMs) } as ApprovalStatement;
    await store.commit([
      write(
        statements
          .insertInto('plans')
          .values(made)
          .onConflict((conflict) => conflict.doNothing()),
      ),
      insertApproval(said, {} as never),
      ...(sawMs === null ? [] : [putSight({ plan, person, at: instantOf(atMs - sawMs), by: 'console' })]),
    ]);
  }

  it('is told for each person: how often, how fast, and how much of it unread', async () => {
    await decided('a1', 'ada', NOW - 2 * DAY, 10 * M, 60 * S);
    await decided('a2', 'ada', NOW - 2 * DAY + 1, 20 * M, 4 * S);
    await decided('a3', 'ada', NOW - DAY, 60 * M, null);
    await decided('a4', 'ada', NOW - DAY, 60 * M, 90 * S, 'reject');
    await decided('old', 'ada', NOW - 11 * DAY, M, null);
    await decided('a1', 'grace', NOW - 2 * DAY, 10 * M, 5 * S);
    expect(await decisionsByPerson(store, { sinceMs: NOW - 10 * DAY, nowMs: NOW })).toEqual([
      {
        person: 'ada',
        approved: 3,
        rejected: 1,
        clicked: 0,
        perDay: 0.4,
        busiest: { day: '2026-11-19', verdicts: 2 },
        medianToDecideMs: 40 * M,
        medianFromSightMs: 60 * S,
        unread: 2,
      },
      expect.objectContaining({ person: 'grace', approved: 1, unread: 0 }),
    ]);
  });

  it('counts from the first sight, wherever that was, and none that came after the verdict', async () => {
    await decided('b1', 'ada', NOW, 10 * M, 60 * S);
    const sight = { plan: `sha256:${'b1'.padEnd(64, '0')}`, person: 'ada' };
    await store.commit([putSight({ ...sight, at: instantOf(NOW - S), by: 'cli' })]);
    expect((await decisionsByPerson(store, { sinceMs: NOW - DAY, nowMs: NOW }))[0]?.medianFromSightMs).toBe(60 * S);
    await store.commit([putSight({ ...sight, at: instantOf(NOW - 2 * M), by: 'slack' })]);
    expect((await decisionsByPerson(store, { sinceMs: NOW - DAY, nowMs: NOW }))[0]?.medianFromSightMs).toBe(2 * M);
    await decided('b2', 'grace', NOW, 10 * M, -S);
    const [, grace] = await decisionsByPerson(store, { sinceMs: NOW - DAY, nowMs: NOW });
    expect(grace).toMatchObject({ person: 'grace', medianFromSightMs: null, unread: 1 });
    expect(await hasSeen(store, sight.plan, 'ada')).toBe(true);
    expect(await hasSeen(store, sight.plan, 'linus')).toBe(false);
  });
});
