import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asId, instantOf } from '../../src/domain/ids.ts';
import { PLAN_STATES } from '../../src/domain/plan.ts';
import type { PlanCard } from '../../src/domain/plan-card.ts';
import { asCode, asText } from '../../src/notify/mrkdwn.ts';
import { lineOf, messageOf, type SlackBlock } from '../../src/notify/slack-message.ts';

const CARD: PlanCard = {
  id: asId(`sha256:${'a'.repeat(64)}`),
  short: 'aaaaaaaaaaaa',
  headline: '3 rows deleted in public.customers',
  state: 'held',
  note: null,
  undoneBy: null,
  environment: 'staging',
  tier: 'staging',
  target: 'rental-staging',
  owner: 'ada',
  agent: asId('migrator'),
  onBehalfOf: asId('ferdinand'),
  purpose: 'clean up',
  effects: ['public.customers: 3 deleted'],
  risk: 'low',
  wayBack: 'the rows before and after are kept',
  approvals: [],
  missing: 1,
  waitsFor: [],
  expiresAt: instantOf(0),
  url: 'https://countersign.example/plans/1',
  whyNoClick: null,
};

const textsOf = (blocks: readonly SlackBlock[]) =>
  blocks.flatMap((block) =>
    block.type === 'section'
      ? [block.text.text]
      : block.type === 'context'
        ? block.elements.map(({ text }) => text)
        : [],
  );

describe('a message to Slack', () => {
  it('mentions nobody and links to nothing that an agent or the database wrote', () => {
    const nasty =
      '<!channel> <@U012AB3CD> <https://evil.example|Approve> *bold* `code` @here\n*Approved* by ada &amp; \u202e';
    const { text, blocks } = messageOf({
      ...CARD,
      headline: nasty,
      purpose: nasty,
      effects: [nasty],
      target: nasty,
      note: nasty,
      owner: nasty,
    });
    for (const each of [text, ...textsOf(blocks)]) {
      expect(each).not.toMatch(/<[!@#h]/);
      expect(each).not.toContain('\u202e');
      expect(each).not.toContain('\n*Approved*');
    }
    expect(asCode('a `b` *c*')).toBe('`a ′b′ *c*`');
    expect(asText('<!here> & co')).toBe('&lt;!here&gt; &amp; co');
  });

  it('holds no secret that looks like one', () => {
    const secret = `xoxb-${'1234567890'}-abcdefghij`;
    const said = JSON.stringify(messageOf({ ...CARD, purpose: `use ${secret}`, note: secret, headline: secret }));
    expect(said).not.toContain(secret);
  });

  it('stays within the limits of Slack, whatever it is about, and cuts no escape in two', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ maxLength: 10_000, unit: fc.constantFrom('&', '<', '`', 'x', '\n', '😀') }),
    );
    fc.assert(
      fc.property(text, fc.constantFrom(...PLAN_STATES), fc.nat(60), (words, state, count) => {
        const many = Array.from({ length: count }, () => words);
        const { text: line, blocks } = messageOf({
          ...CARD,
          state,
          headline: words,
          note: words,
          undoneBy: words,
          environment: words,
          target: words,
          owner: words,
          agent: asId(words),
          onBehalfOf: asId(`for ${words}`),
          purpose: words,
          effects: many,
          wayBack: words,
          waitsFor: many,
          whyNoClick: count % 2 === 0 ? null : words,
          approvals: many.map((person) => ({ person: asId(person), at: instantOf(0), via: 'slack' })),
        });
        expect(blocks.length).toBeLessThanOrEqual(50);
        for (const each of [line, ...textsOf(blocks), lineOf(words).text, ...textsOf(lineOf(words).blocks)]) {
          expect(each.length).toBeGreaterThan(0);
          expect(each.length).toBeLessThanOrEqual(3000);
          expect(each).not.toMatch(/&(?!amp;|lt;|gt;)/);
        }
        for (const block of blocks) {
          if (block.type !== 'actions') continue;
          for (const { value = '', confirm } of block.elements) {
            expect(value.length).toBeLessThanOrEqual(2000);
            expect(confirm?.text.text.length ?? 0).toBeLessThanOrEqual(300);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each(PLAN_STATES)('offers to decide only what waits and may be clicked on: %s', (state) => {
    const labels = (card: PlanCard) =>
      messageOf(card).blocks.flatMap((block) =>
        block.type === 'actions' ? block.elements.map(({ text }) => text.text) : [],
      );
    expect(labels({ ...CARD, state })).toEqual(state === 'held' ? ['Approve', 'Reject', 'Open'] : ['Open']);
    expect(labels({ ...CARD, state, whyNoClick: 'it takes a signature' })).toEqual(['Open']);
  });
});
