import { mkdirSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import { LedgerUnavailable } from '../../src/ledger/ledger.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { activeHalts, insertHalt } from '../../src/store/halts.ts';
import { statements } from '../../src/store/schema.ts';
import type { Store } from '../../src/store/store.ts';
import type { Write } from '../../src/store/write.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';

let made: TestLedger;
beforeEach(async () => {
  made = await testLedger();
});
afterEach(() => made.remove());

function halt(id: string, reason = 'r'): Write {
  const by = asId<ActorId>('ada');
  return insertHalt({ id: asId<HaltId>(id), scope: { scope: 'global' }, reason, by, at: instantOf(0) });
}

async function kept(): Promise<{ readonly subjects: readonly string[]; readonly halts: readonly string[] }> {
  const entries = await made.ledger.entries({ from: 1, limit: 10_000 });
  const halts = await activeHalts(made.store);
  return { subjects: entries.map(({ entry: { subject } }) => subject), halts: halts.map(({ id }) => id).sort() };
}

function pragma(store: Store, name: string): Promise<unknown> {
  return store.first({ compile: () => sql.raw(`PRAGMA ${name}`).compile(statements) });
}

describe('G7 when it can’t be written', () => {
  it('says so on a full disk, leaves nothing behind, and goes on when there is room', async () => {
    await made.ledger.record({ entries: [entry('before')] });
    const { page_count: pages } = (await pragma(made.store, 'page_count')) as { page_count: number };
    await pragma(made.store, `max_page_count = ${pages}`);
    const large = { entries: [entry('large', { text: 'x'.repeat(200_000) })], writes: [halt('h')] };
    await expect(made.ledger.record(large)).rejects.toThrow(LedgerUnavailable);
    expect(await kept()).toEqual({ subjects: ['before'], halts: [] });
    await pragma(made.store, 'max_page_count = 1000000');
    await made.ledger.record(large);
    expect(await kept()).toEqual({ subjects: ['before', 'large'], halts: ['h'] });
    expect(await verifyLedger(made.path, made.ledger.verifierKey)).toMatchObject({ verdict: 'sound', entries: 3 });
  });

  it('says so when the checkpoint beside it can’t be written, and leaves nothing behind', async () => {
    const inTheWay = Array.from({ length: 99 }, (_, n) => `${made.store.checkpointFile}.${process.pid}-${n}`);
    for (const path of inTheWay) mkdirSync(path);
    await expect(made.ledger.record({ entries: [entry('a')], writes: [halt('h')] })).rejects.toThrow(LedgerUnavailable);
    expect(await kept()).toEqual({ subjects: [], halts: [] });
    for (const path of inTheWay) rmSync(path, { recursive: true });
    await made.ledger.record({ entries: [entry('b')] });
    expect(await kept()).toEqual({ subjects: ['b'], halts: [] });
    expect(await verifyLedger(made.path, made.ledger.verifierKey)).toMatchObject({ verdict: 'sound', entries: 2 });
  });

  it('says so while another process holds the lock for too long, and goes on after', async () => {
    const other = new DatabaseSync(made.path);
    other.exec('BEGIN IMMEDIATE');
    await expect(made.ledger.record({ entries: [entry('a')] })).rejects.toThrow(LedgerUnavailable);
    other.exec('ROLLBACK');
    other.close();
    await made.ledger.record({ entries: [entry('b')] });
    expect(await kept()).toEqual({ subjects: ['b'], halts: [] });
  });
});

describe('G7 a ledger that is opened', () => {
  it.each([
    ['a node of its edge is another', 'UPDATE ledger_nodes SET hash = zeroblob(32) WHERE level = 1'],
    ['a node of its edge is gone', 'DELETE FROM ledger_nodes WHERE level = 1'],
    ['its checkpoint is gone', 'DELETE FROM checkpoints'],
    ['its size is another', 'UPDATE ledger_head SET size = 1'],
  ])('is refused when %s', async (_, change) => {
    await made.ledger.record({ entries: [entry('a')] });
    const database = new DatabaseSync(made.path);
    database.exec(change);
    database.close();
    await expect(made.another()).rejects.toThrow(/ledger/);
  });
});
