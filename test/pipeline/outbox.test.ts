import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asId, instantOf } from '../../src/domain/ids.ts';
import type { Notice, NoticeType, Receiver } from '../../src/domain/notice.ts';
import type { PlanState } from '../../src/domain/plan.ts';
import type { PlanCard } from '../../src/domain/plan-card.ts';
import { slackTo } from '../../src/notify/slack.ts';
import { createOutbox, type Outbox } from '../../src/pipeline/outbox.ts';
import { outboxMessages } from '../../src/store/outbox.ts';
import { entryOf } from '../fixtures/history.ts';
import { type TestLedger, testLedger } from '../fixtures/ledger.ts';
import { type FakeSlack, fakeSlack } from '../fixtures/slack.ts';

const PLAN = `sha256:${'a'.repeat(64)}`;

/** The outbox with a real ledger and state, and a Slack that answers as it is documented. */
describe('G12 messages to Slack', () => {
  let ledger: TestLedger;
  let slack: FakeSlack;
  let state: PlanState;
  let nowMs: number;
  const others: string[] = [];
  beforeEach(async () => {
    [ledger, slack] = await Promise.all([testLedger(), fakeSlack()]);
    state = 'held';
    nowMs = Date.parse('2026-01-01T00:00:00Z');
    others.length = 0;
  });
  afterEach(async () => {
    await slack.stop();
    await ledger.remove();
  });

  const card = (): PlanCard => ({
    id: asId(PLAN),
    short: 'aaaaaaaaaaaa',
    headline: '3 rows deleted',
    state,
    note: null,
    undoneBy: null,
    environment: 'staging',
    tier: 'staging',
    target: 'rental',
    owner: null,
    agent: asId('migrator'),
    onBehalfOf: asId('migrator'),
    purpose: 'a test',
    effects: [],
    risk: 'low',
    wayBack: 'none',
    approvals: [],
    missing: 1,
    waitsFor: [],
    expiresAt: instantOf(0),
    url: 'https://countersign.example/plans/1',
    whyNoClick: null,
  });
  const other: Receiver = {
    name: 'webhook:other',
    wants: () => true,
    send: async ({ notice }) => {
      others.push(notice.type);
      return { taken: true };
    },
  };

  /** @param then called while a card is read: what happens in between. */
  async function outbox(then: () => void = () => undefined): Promise<Outbox> {
    const app = { token: { reveal: () => slack.token }, api: slack.api };
    const channel = { channel: 'C0PLANS', takes: () => true, tellsAll: true };
    const receiver = slackTo(app, channel, async () => {
      const read = card();
      then();
      return read;
    });
    const made = createOutbox({
      store: ledger.store,
      ledger: ledger.ledger,
      size: async () => 0,
      receivers: () => [receiver, other],
      escalations: () => [],
      noticesOf: async ({ index, entry }) => (entry.kind === 'genesis' ? [] : [noticeOf(index, String(entry.kind))]),
      waits: async () => true,
      nowMs: () => nowMs,
      waitsMs: [1000, 1000],
    });
    await made.follow();
    return made;
  }
  const happened = (kind: 'plan' | 'approval' | 'outcome') =>
    ledger.ledger.record({ entries: [entryOf(kind, PLAN, {})] });
  const states = async () =>
    (await outboxMessages(ledger.store, { limit: 9 }))
      .filter(({ receiver }) => receiver === 'slack:C0PLANS')
      .map((message) => `${message.notice.type} ${message.state} ${message.attempts}`)
      .sort();

  it('are one message, changed as the plan goes on, and a new one where that was deleted', async () => {
    await happened('plan');
    await (await outbox()).deliver();
    expect(slack.messages).toMatchObject([{ text: expect.stringContaining('Waits for 1 person'), edits: 0 }]);
    state = 'approved';
    await happened('approval');
    await (await outbox()).deliver();
    expect(slack.messages).toMatchObject([{ text: expect.stringContaining('Approved'), edits: 1 }]);
    (slack.messages as unknown[]).splice(0);
    state = 'applied';
    await happened('outcome');
    await (await outbox()).deliver();
    expect(slack.messages).toMatchObject([{ text: expect.stringContaining('Applied'), edits: 0 }]);
  });

  it('are not tried before the Retry-After of a 429, and keep nobody else waiting', async () => {
    slack.answerWith('ratelimited');
    await happened('plan');
    await happened('approval');
    const box = await outbox();
    await box.deliver();
    expect(slack.calls).toHaveLength(1);
    expect(others).toEqual(['plan.held', 'plan.approved']);
    // What is not tried for that is no failure.
    expect(await states()).toEqual(['plan.approved waiting 0', 'plan.held waiting 1']);
    nowMs += 1900;
    await box.deliver();
    expect(slack.calls).toHaveLength(1);
    slack.answerWith();
    state = 'approved';
    nowMs += 200;
    for (let round = 0; round < 3; round++) {
      await box.deliver();
      nowMs += 1100;
    }
    expect(slack.messages).toMatchObject([{ text: expect.stringContaining('Approved') }]);
    expect(await states()).toEqual(['plan.approved delivered 1', 'plan.held delivered 2']);
  });

  it('are dead after the last attempt, with why, and never lost', async () => {
    slack.answerWith('error');
    await happened('plan');
    const box = await outbox();
    for (let round = 0; round < 5; round++) {
      await box.deliver();
      nowMs += 6000;
    }
    expect(await states()).toEqual(['plan.held dead 3']);
    expect(await outboxMessages(ledger.store, { state: 'dead', limit: 9 })).toMatchObject([
      { said: 'it answered 503' },
    ]);
  });

  it('say how the plan stands in the end, also when it went on while they were sent', async () => {
    await happened('plan');
    const box = await outbox(() => {
      state = 'approved';
    });
    await box.deliver();
    expect(slack.messages).toMatchObject([{ text: expect.stringContaining('Approved'), edits: 1 }]);
  });
});

const TYPES: Readonly<Record<string, NoticeType>> = {
  plan: 'plan.held',
  approval: 'plan.approved',
  outcome: 'plan.ended',
};

function noticeOf(entry: number, kind: string): Notice {
  const data = { environment: 'staging', approvals: 1 };
  return { type: TYPES[kind] ?? 'halt.set', subject: PLAN, at: instantOf(0), entry, headline: kind, data };
}
