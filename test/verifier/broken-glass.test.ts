import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { incidentId, signBreakGlass } from '../../src/approval/break-glass.ts';
import { signReview } from '../../src/approval/incident-review.ts';
import type { PersonKey } from '../../src/approval/person-key.ts';
import type { BreakGlassStatement } from '../../src/domain/break-glass.ts';
import type { Json } from '../../src/domain/digest.ts';
import type { Entry } from '../../src/domain/entry.ts';
import { asId } from '../../src/domain/ids.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { entryOf, IDENTITY, planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, verifyAsStranger } from '../fixtures/verifier.ts';

const MAY = { grace: ['production'], ada: ['staging'] };

describe.skipIf(!hasPython)('G7 an operator who claims broken glass', () => {
  let made: WrittenHistory;
  let trust: string;
  async function begin(): Promise<void> {
    made = await writtenHistory();
    trust = made.trusting((policy) => {
      const people = Object.entries(policy['people'] as Record<string, { [key: string]: Json }>);
      const named = people.map(([name, known]) => [name, { ...known, breaksGlass: MAY[name as keyof typeof MAY] }]);
      return { ...policy, people: Object.fromEntries(named) };
    });
  }
  beforeEach(begin);
  afterEach(() => made.remove());

  const of = planned('one');
  function glass(key: PersonKey, change: Partial<BreakGlassStatement> = {}, subject = of.id) {
    const statement: BreakGlassStatement = {
      type: 'https://countersign.dev/break-glass/v1',
      plan: subject,
      environment: asId('production'),
      identity: asId(IDENTITY),
      person: asId('grace'),
      standsInFor: ['approvals'],
      reason: 'the site is down',
      at: asId('2026-01-01T09:59:00.000Z'),
      until: asId('2026-01-01T10:59:00.000Z'),
      ...change,
    };
    const envelope = signBreakGlass(statement, key);
    const incident = incidentId(envelope);
    const body = { plan: of.id, incident, person: statement.person, envelope: envelope as unknown as Json };
    return { incident, opened: entryOf('break-glass', of.id, body) };
  }
  const apply = (incident: string, by = 'grace') =>
    entryOf('apply', of.id, { plan: of.id, by, approvedBy: [], breakGlass: incident, node: 'node_1' });
  function review(incident: string, person: string, key: PersonKey): Entry {
    const signed = signReview(
      {
        type: 'https://countersign.dev/incident-review/v1',
        incident,
        plan: of.id,
        person: asId(person),
        reason: 'right',
        at: asId('2026-01-01T11:00:00.000Z'),
      },
      key,
    );
    return entryOf('incident review', of.id, { plan: of.id, incident, person, envelope: signed as unknown as Json });
  }

  /** What the stranger says, and what `ledger verify` does. */
  async function judged(): Promise<{ stranger: string; own: string; glass: readonly string[] }> {
    const file = join(made.directory, 'all.jsonl');
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    const stranger = (await verifyAsStranger(file, trust)) as { problem?: string; brokenGlass?: string[] };
    const own = await verifyLedger(made.path);
    return {
      stranger: stranger.problem ?? 'sound',
      own: own.verdict === 'tampered' ? own.problem : own.verdict,
      glass: stranger.brokenGlass ?? [],
    };
  }

  it('is believed with the person’s signature, and both say who acted, and who has looked at it', async () => {
    const { incident, opened } = glass(made.person('grace'));
    await made.append(of.plan, opened, apply(incident), of.intent(), of.outcome());
    const alone = `plan ${of.id} applied without approvals by break-glass of grace`;
    expect(await judged()).toEqual({ stranger: 'sound', own: 'sound', glass: [`${alone}, not reviewed`] });
    await made.append(review(incident, 'ada', made.person('ada')));
    expect(await judged()).toEqual({ stranger: 'sound', own: 'sound', glass: [`${alone}, reviewed by ada`] });
    expect(await verifyLedger(made.path)).toMatchObject({
      brokenGlass: [{ incident, plan: of.id, by: 'grace', applied: true, reviewedBy: 'ada' }],
    });
  });

  it('can’t apply by it without a signature for this plan, by somebody else, or too late', async () => {
    const { incident } = glass(made.person('grace'));
    await made.append(of.plan, apply(incident));
    expect(await judged()).toMatchObject({
      stranger: expect.stringContaining('nobody signed that for this plan'),
      own: expect.stringContaining('nobody signed that for this plan'),
    });
    const cases: [Parameters<typeof glass>[1], string, string][] = [
      [{}, 'migrator', 'grace broke the glass'],
      [{ until: asId('2026-01-01T09:59:30.000Z') }, 'grace', 'was good until'],
    ];
    for (const [change, by, said] of cases) {
      await made.remove();
      await begin();
      const one = glass(made.person('grace'), change);
      await made.append(of.plan, one.opened, apply(one.incident, by));
      expect((await judged()).stranger).toContain(said);
      expect((await judged()).own).not.toBe('sound');
    }
  });

  it.each<[string, (made: WrittenHistory) => readonly Entry[], string]>([
    ['another’s key', (own) => [glass(own.person('mallory')).opened], 'no valid signature of grace'],
    [
      'a person who may not',
      (own) => [glass(own.person('ada'), { person: asId('ada') }).opened],
      'may not break the glass in production',
    ],
    [
      'a statement of another plan',
      (own) => [glass(own.person('grace'), {}, planned('two').id).opened],
      'broken glass of another plan',
    ],
    [
      'a statement for another environment',
      (own) => [glass(own.person('grace'), { environment: asId('staging') }).opened],
      'another environment or target',
    ],
    [
      'no approvals in what it stands in for',
      (own) => {
        const { incident, opened } = glass(own.person('grace'), { standsInFor: ['in window'] });
        return [opened, apply(incident)];
      },
      '0 of 1 people',
    ],
    [
      'one’s own review',
      (own) => {
        const { incident, opened } = glass(own.person('grace'));
        return [opened, review(incident, 'grace', own.person('grace'))];
      },
      'who broke the glass',
    ],
  ])('can’t do so by %s', async (_, entries, said) => {
    await made.append(of.plan, ...entries(made));
    expect((await judged()).stranger).toContain(said);
  });
});
