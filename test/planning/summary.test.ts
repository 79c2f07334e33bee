import { describe, expect, it } from 'vitest';
import type { Plan } from '../../src/domain/plan.ts';
import { headlineOf } from '../../src/planning/headline.ts';
import { riskOf } from '../../src/planning/risk.ts';

/** What a person reads first of a plan, and in which order plans are put before them. */
describe('a plan in short', () => {
  const table = (name: string, via: string, counts: object) => ({
    table: name,
    inserted: 0,
    updated: 0,
    deleted: 0,
    truncated: 0,
    via,
    ...counts,
  });
  const plan = (more: object, effect: object = {}): Plan =>
    ({
      tier: 'production',
      effects: [],
      undo: { undo: 'row images', rows: 1 },
      measurement: { measured: true, effect: { tables: [], objects: [], ...effect } },
      ...more,
    }) as unknown as Plan;

  it('says the numbers first, and what follows after what is meant', () => {
    const tables = [
      table('public.payments', 'cascade', { deleted: 90_000 }),
      table('public.customers', 'direct', { deleted: 12_000 }),
      table('public.audit_log', 'trigger', { inserted: 138_000 }),
    ];
    expect(headlineOf(plan({}, { tables }))).toBe(
      '12,000 rows deleted in public.customers; 228,000 more by cascade and trigger in 2 tables',
    );
    expect(headlineOf(plan({}, { tables: [table('public.t', 'direct', { updated: 1, inserted: 2 })] }))).toBe(
      '1 row updated, 2 inserted in public.t',
    );
    expect(headlineOf(plan({}))).toBe('Nothing changes');
    expect(headlineOf(plan({}, { objects: [{ change: 'dropped', object: 'table public.t', rows: 3 }] }))).toBe(
      'Drops table public.t with 3 rows',
    );
  });

  it('says of rights that they are rights, though the catalogue tells it as a change of the table', () => {
    const effects = [
      { verb: 'privilege', object: { kind: 'object', schema: '', name: 'GRANT' }, via: 'direct' },
      { verb: 'privilege', object: { kind: 'table', schema: 'public', name: 't' }, via: 'direct' },
    ];
    expect(headlineOf(plan({ effects }, { objects: [{ change: 'altered', object: 'table public.t' }] }))).toBe(
      'Changes who may do what with public.t',
    );
  });

  it('says what could not be measured as that, never as nothing', () => {
    const effects = [{ verb: 'maintain', object: { kind: 'table', schema: 'public', name: 't' }, via: 'direct' }];
    expect(headlineOf(plan({ effects, measurement: { measured: false, why: 'it can’t run in a transaction' } }))).toBe(
      'Not measured: it would maintain public.t',
    );
  });

  it('puts what can’t be taken back above what can, and production above staging', () => {
    const gone = { undo: { undo: 'irreversible', why: 'x' } };
    const unmeasured = { measurement: { measured: false, why: 'x' } };
    const order = [plan({ ...gone, ...unmeasured }), plan(gone), plan(unmeasured), plan({}), plan({ tier: 'staging' })];
    const scores = order.map((each) => riskOf(each).score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(order.map((each) => riskOf(each).level)).toEqual(['critical', 'critical', 'high', 'moderate', 'low']);
    expect(riskOf(plan(gone)).reasons).toEqual(['no way back, and no proven backup', 'production']);
  });
});
