import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json } from '../../src/domain/digest.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { entryOf, IDENTITY, planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, verifyAsStranger } from '../fixtures/verifier.ts';

const COPY = `sha256:${'c'.repeat(64)}`;
const BRANCH = 'branch_0123456789ab';

/** What is done in a branch, nobody signs: an operator might like to call more than that a branch. */
describe.skipIf(!hasPython)('G7 an operator who tells of a branch', () => {
  let made: WrittenHistory;
  beforeEach(async () => {
    made = await writtenHistory();
    await made.append(
      entryOf('task opened', 'task_01', { id: 'task_01', limits: { rowsPerTask: 2 }, purpose: 'x', agent: 'migrator' }),
    );
  });
  afterEach(() => made.remove());

  const told = (change: { readonly [key: string]: Json } = {}) =>
    entryOf('branch', BRANCH, {
      outcome: 'made',
      branch: BRANCH,
      target: 'rental',
      task: 'task_01',
      environment: 'production',
      identity: COPY,
      ...change,
    });
  const write = (id: string, change: { readonly [key: string]: Json } = {}) =>
    entryOf('intent', id, {
      intent: id,
      task: 'task_01',
      target: BRANCH,
      environment: 'production',
      identity: COPY,
      decision: 'allow',
      measured: [{ table: 'public.customers', inserted: 0, updated: 500, deleted: 0, truncated: 0, via: 'direct' }],
      ...change,
    });
  async function judged(policy = made.trust): Promise<{ problem?: string; inBranches?: number }> {
    const file = join(made.directory, `all-${Math.random()}.jsonl`);
    await pipeline(exportLedger(made.store, made.ledger), createWriteStream(file));
    return verifyAsStranger(file, policy);
  }

  it('is believed what was done there, without a signature and beyond what the task declares, and it is counted apart', async () => {
    const plan = planned('within', { target: BRANCH, identity: COPY, decision: 'allow', missing: [] });
    await made.append(told(), write('intent_1'), plan.plan, plan.apply, plan.outcome());
    expect(await judged()).toMatchObject({ verdict: 'sound', inBranches: 2 });
  });

  it.each<[what: string, entries: () => ReturnType<typeof told>[], why: RegExp]>([
    [
      'a target that the policy names',
      () => [told({ identity: IDENTITY })],
      /calls a branch what the trust policy names/,
    ],
    ['one it has not told of', () => [write('intent_1'), told()], /a target that the trust policy does not name/],
    [
      'another database',
      () => [told(), write('intent_1', { identity: IDENTITY })],
      /in branch_\w+, and to another database/,
    ],
    ['the same branch twice', () => [told(), told({ identity: `sha256:${'d'.repeat(64)}` })], /once more/],
    [
      'an environment of which the policy names no target',
      () => [told({ environment: 'staging' }), write('intent_1', { environment: 'staging' })],
      /changes more rows than task task_01 declared/,
    ],
  ])('is not believed where it is %s', async (_, entries, why) => {
    await made.append(...entries());
    expect((await judged()).problem).toMatch(why);
  });
});
