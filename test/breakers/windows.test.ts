import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signalsOf } from '../../src/breakers/signals.ts';
import { createWindows } from '../../src/breakers/windows.ts';
import type { Breaker, BreakerRule, Signal } from '../../src/domain/breaker.ts';
import type { Json } from '../../src/domain/digest.ts';
import type { EntryKind } from '../../src/domain/entry.ts';
import { asId } from '../../src/domain/ids.ts';

const MINUTE = 60_000;
const rule = (breaker: Breaker): BreakerRule => ({
  breaker,
  max: breaker === 'taskAfterTask' ? 3 : 5,
  withinMs: 5 * MINUTE,
});

function knock(atMs: number, of: { agent?: string; task?: string } = {}): Signal {
  const { agent = 'robot', task = 't1' } = of;
  const scope = { scope: 'task', id: task } as const;
  return {
    breaker: 'knocking',
    scope,
    weight: 1,
    agent,
    task,
    target: 'rental',
    entry: atMs,
    atMs,
    what: 'DROP TABLE was denied',
  };
}

describe('a breaker', () => {
  it('trips at enough within its time, and not by the same number spread over more', () => {
    const quick = createWindows(rule);
    for (let n = 0; n < 5; n++) quick.add(knock(n * MINUTE));
    expect(quick.due()).toMatchObject([{ scope: { scope: 'task', id: 't1' }, count: 5, again: false }]);
    const slow = createWindows(rule);
    for (let n = 0; n < 50; n++) slow.add(knock(n * 2 * MINUTE));
    expect(slow.due()).toEqual([]);
  });

  it('counts nobody for anybody else, whatever comes in which order', () => {
    const signal = fc.record({ agent: fc.constantFrom('loud', 'quiet'), task: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(signal, { maxLength: 60 }), (all) => {
        const windows = createWindows(rule);
        const counts = new Map<string, number>();
        all.forEach(({ agent, task }, n) => {
          const id = `${agent} ${task}`;
          counts.set(id, (counts.get(id) ?? 0) + 1);
          windows.add(knock(n, { agent, task: id }));
        });
        const stopped = new Set(windows.due().map(({ scope }) => scope.id));
        for (const [id, count] of counts) expect(stopped.has(id)).toBe(count >= 5);
        const loud = all.filter(({ agent }) => agent === 'loud').length;
        expect(stopped.has('loud')).toBe(loud >= 15);
      }),
    );
  });

  it('counts what an agent spreads over its tasks, for that agent', () => {
    const windows = createWindows(rule);
    for (let n = 0; n < 14; n++) windows.add(knock(n, { task: `t${n % 7}` }));
    expect(windows.due()).toEqual([]);
    windows.add(knock(20, { task: 'last' }));
    expect(windows.due()).toMatchObject([{ scope: { scope: 'agent', id: 'robot' }, count: 15 }]);
    windows.tripped('knocking', { scope: 'agent', id: 'robot' });
    windows.add(knock(21, { task: 'another' }));
    expect(windows.due()).toEqual([]);
  });

  it('that has stopped a task counts for its agent only what others of its tasks did', () => {
    const windows = createWindows(rule);
    for (let n = 0; n < 5; n++) windows.add(knock(n));
    windows.tripped('knocking', { scope: 'task', id: 't1' });
    for (let n = 0; n < 14; n++) windows.add(knock(10 + n, { task: `u${n % 7}` }));
    expect(windows.due()).toEqual([]);
  });

  it('is half open once it was let go on: the next one stops the agent, and nobody else', () => {
    const windows = createWindows(rule);
    for (let n = 0; n < 5; n++) windows.add(knock(n));
    windows.tripped('knocking', { scope: 'task', id: 't1' });
    expect(windows.due()).toEqual([]);
    windows.resumed({ scope: 'task', id: 't1' }, MINUTE);
    expect(windows.halfOpen(2 * MINUTE)).toHaveLength(1);
    windows.add(knock(MINUTE + 1, { task: 't2' }));
    expect(windows.due()).toEqual([]);
    windows.add(knock(MINUTE + 2));
    expect(windows.due()).toMatchObject([{ scope: { scope: 'agent', id: 'robot' }, again: true }]);
  });

  it('is closed again after that time', () => {
    const windows = createWindows(rule);
    for (let n = 0; n < 5; n++) windows.add(knock(n));
    windows.tripped('knocking', { scope: 'task', id: 't1' });
    windows.resumed({ scope: 'task', id: 't1' }, MINUTE);
    windows.add(knock(7 * MINUTE));
    expect([windows.due(), windows.halfOpen(7 * MINUTE)]).toEqual([[], []]);
  });

  it('counts tasks of an agent, and not how often one of them was stopped', () => {
    const stopped = (task: string, atMs: number): Signal => ({
      ...knock(atMs, { task }),
      breaker: 'taskAfterTask',
      scope: { scope: 'agent', id: 'robot' },
    });
    const windows = createWindows(rule);
    for (let n = 0; n < 4; n++) windows.add(stopped('t1', n));
    windows.add(stopped('t2', 5));
    expect(windows.due()).toEqual([]);
    windows.add(stopped('t3', 6));
    expect(windows.due()).toMatchObject([{ scope: { scope: 'agent', id: 'robot' }, count: 3 }]);
  });

  it('that is off counts nothing', () => {
    const windows = createWindows(() => undefined);
    for (let n = 0; n < 100; n++) windows.add(knock(n));
    expect(windows.due()).toEqual([]);
  });
});

describe('what is counted', () => {
  const of = (kind: EntryKind, body: { readonly [key: string]: Json }) =>
    signalsOf(
      {
        v: 1,
        kind,
        at: asId('2026-11-21T12:00:00.000Z'),
        subject: 'x',
        body: { actor: 'robot', task: 't1', target: 'rental', ...body },
      },
      7,
      () => undefined,
    ).map(({ breaker, weight }) => `${breaker} ${weight}`);

  it('is what would lose something, and not what only may not be read', () => {
    expect(of('denied', { decision: 'denied', verbs: ['drop'] })).toEqual(['knocking 1']);
    expect(of('denied', { decision: 'denied', verbs: ['read'] })).toEqual([]);
    expect(of('denied', { decision: 'denied', verbs: ['insert', 'update'] })).toEqual([]);
    expect(of('denied', { decision: 'unsupported', verbs: ['server'] })).toEqual([]);
  });

  it('is no migration, and nothing that people take back', () => {
    expect(of('plan', { decision: 'hold', verbs: ['create', 'alter'], policies: ['schema-change'] })).toEqual([]);
    expect(of('plan', { decision: 'hold', verbs: ['drop'], policies: ['destructive'] })).toEqual(['insisting 1']);
    expect(of('plan', { decision: 'hold', verbs: ['drop'], policies: [], askedBy: 'ada' })).toEqual([]);
    expect(of('plan', { decision: 'hold', verbs: ['delete'], policies: ['over-threshold'] })).toEqual(['overLimit 1']);
  });

  it('is how many rows were changed without anybody, and not what people approved', () => {
    const measured = [{ table: 'public.a', inserted: 1, updated: 2, deleted: 3, truncated: 0 }];
    expect(of('intent', { measured })).toEqual(['rows 6']);
    expect(of('intent', { measured, plan: 'sha256:1' })).toEqual([]);
  });

  it('is a plan that did something else, and not one whose table was altered meanwhile', () => {
    expect(of('outcome', { outcome: 'stale', changed: ['public.a: approved 3 deleted, now 4'] })).toEqual([
      'effectDiffers 1',
    ]);
    const altered = 'the definition of an object that the plan names has changed';
    expect(of('outcome', { outcome: 'stale', changed: [altered] })).toEqual([]);
  });
});
