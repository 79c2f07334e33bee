import { describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/domain/effect.ts';
import { asId, type IntentId } from '../../src/domain/ids.ts';
import type { Transaction } from '../../src/execution/transaction.ts';
import { commitmentOf } from '../../src/pipeline/commitment.ts';
import { keepWrite } from '../../src/pipeline/keep-write.ts';
import { plannedWrites, VALUES_TOO_LARGE } from '../../src/pipeline/planned-writes.ts';

const WRITE: Analysis = {
  class: { kind: 'write' },
  effects: [],
  unknown: [],
  vouchable: [],
  shape: 'UPDATE notes SET body = $1',
  command: 'UPDATE',
};

describe('writes that a transaction keeps', () => {
  it('lets go of texts and values beyond 64 MB, commits to them all the same, and makes no plan of the rest', () => {
    const transaction: Transaction = {
      purpose: 'write',
      implicit: false,
      writes: [],
      settings: [],
      localSettings: [],
      intent: asId<IntentId>('intent_1'),
      keptBytes: 0,
      hasSavepoints: false,
      madeBeforeWrites: null,
    };
    const statement = (megabytes: number) => ({
      text: 'UPDATE notes SET body = $1',
      parameters: [{ type: 'text', value: 'x'.repeat(megabytes * 1024 * 1024) }],
    });
    for (const megabytes of [30, 30, 10, 1])
      keepWrite(transaction, { statement: statement(megabytes), analysis: WRITE });
    const kept = transaction.writes.map((write) => write.statement.parameters[0]?.value?.length ?? 'let go');
    expect(kept).toEqual([30 * 1024 * 1024, 30 * 1024 * 1024, 'let go', 1024 * 1024]);
    const [, , letGo] = transaction.writes;
    expect(letGo === undefined ? undefined : commitmentOf(letGo)).toEqual(letGo?.sealed);
    expect(letGo?.sealed?.commitment).toMatch(/^sha256:/);
    expect(plannedWrites(transaction.writes.slice(0, 2))).toHaveLength(2);
    expect(plannedWrites(transaction.writes)).toBe(VALUES_TOO_LARGE);
  });
});
