import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { instantOf } from '../../src/domain/ids.ts';
import { lastRedTeamRun, redTeamFact } from '../../src/ledger/red-team-runs.ts';
import { runOf } from '../../src/redteam/history.ts';
import type { AttackResult, BenignResult, Report } from '../../src/redteam/score.ts';
import { type TestLedger, testLedger } from '../fixtures/ledger.ts';

const outcome = (harmed: boolean) => ({ harmed, found: [], errors: [], said: '', gaps: false, milliseconds: 1 });
const attack = (id: string, harmed: boolean) =>
  ({ id, bare: outcome(true), channels: { simple: outcome(harmed) } }) as unknown as AttackResult;
const benign = (id: string, refused: boolean) =>
  ({ id, refused: refused ? { mcp: 'CS001' } : {} }) as unknown as BenignResult;
const report = (target: string, startedAt: string, bad: boolean) =>
  ({ target, startedAt, attacks: [attack('a/1', bad)], benign: [benign('a/b1', bad)] }) as unknown as Report;

describe('what got worse since the last run', () => {
  let state: TestLedger;
  beforeAll(async () => {
    state = await testLedger();
  });
  afterAll(() => state.remove());

  async function keep(found: Report) {
    const run = runOf(found, await lastRedTeamRun(state.ledger, found.target));
    await state.ledger.record({ entries: [{ v: 1, at: instantOf(0), ...redTeamFact(run) }] });
    return run.worse;
  }

  it('is told once, and is compared with the last run, whatever that was', async () => {
    const worse = (since: string) => ({ since, through: ['a/1'], refused: ['a/b1'] });
    expect(await keep(report('shop', 'one', false))).toBeNull();
    expect(await keep(report('shop', 'two', true))).toEqual(worse('one'));
    expect(await keep(report('shop', 'three', true))).toBeNull();
    expect(await keep(report('shop', 'four', false))).toBeNull();
    expect(await keep(report('shop', 'five', true))).toEqual(worse('four'));
  });

  it('is a matter of one target, also where another is called alike', async () => {
    expect(await keep(report('shop-copy', 'six', true))).toBeNull();
    expect((await lastRedTeamRun(state.ledger, 'shop'))?.startedAt).toBe('five');
    expect(await lastRedTeamRun(state.ledger, 'sho')).toBeUndefined();
  });
});
