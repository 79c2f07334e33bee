import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import type { StateLocation } from '../../src/domain/state-location.ts';
import { openCheckpoint } from '../../src/ledger/checkpoint.ts';
import { GuardFailed, LedgerCorrupt, LedgerUnavailable, openLedger } from '../../src/ledger/ledger.ts';
import { createSigningKey, loadSigningKey, parseVerifierKey } from '../../src/ledger/signing-key.ts';
import { leafHash } from '../../src/ledger/tree.ts';
import { verifyInclusion } from '../../src/ledger/tree-proof.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { activeHalts, insertHalt } from '../../src/store/halts.ts';
import { openStore } from '../../src/store/open-store.ts';
import { statements } from '../../src/store/schema.ts';
import { type Write, write } from '../../src/store/write.ts';
import { entry, type TestLedger, testLedger } from '../fixtures/ledger.ts';
import { dialects, type StatePlace } from '../fixtures/state.ts';

/** What the ledger promises, whatever store is beneath it. */
describe.each(dialects)('on $name', (dialect) => {
  let place: StatePlace;
  let location: StateLocation;
  let made: TestLedger;
  beforeAll(async () => {
    place = await dialect.start();
  });
  afterAll(() => place?.remove());
  beforeEach(async () => {
    location = await place.make();
    made = await testLedger(location);
  });
  afterEach(() => made?.remove());

  const verify = (from = location) =>
    verifyLedger(typeof from === 'string' ? from.slice('sqlite:'.length) : from, made.ledger.verifierKey);

  function halt(id: string, reason = 'r'): Write {
    const by = asId<ActorId>('ada');
    return insertHalt({ id: asId<HaltId>(id), scope: { scope: 'global' }, reason, by, at: instantOf(0) });
  }

  async function kept(): Promise<{ readonly subjects: readonly string[]; readonly halts: readonly string[] }> {
    const entries = await made.ledger.entries({ from: 1, limit: 10_000 });
    const halts = await activeHalts(made.store);
    return { subjects: entries.map(({ entry: { subject } }) => subject), halts: halts.map(({ id }) => id).sort() };
  }

  describe('G7 a record', () => {
    it('keeps its entries together and in order, among others that come at once', async () => {
      const recorded = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          made.ledger.record({ entries: [entry(`${n}`, { part: 0 }), entry(`${n}`, { part: 1 })] }),
        ),
      );
      for (const [n, { indexes }] of recorded.entries()) {
        const [first = -1, second = -1] = indexes;
        expect(second).toBe(first + 1);
        const [one, two] = await made.ledger.entries({ from: first, limit: 2 });
        expect([one?.entry, two?.entry]).toEqual([entry(`${n}`, { part: 0 }), entry(`${n}`, { part: 1 })]);
      }
    });

    it('changes the state with its entry, or neither', async () => {
      await made.ledger.record({ entries: [entry('a')], writes: [halt('h-a')] });
      const guard = write(statements.deleteFrom('halts').where('id', '=', 'nobody'), 1);
      await expect(made.ledger.record({ entries: [entry('b')], writes: [halt('h-b'), guard] })).rejects.toThrow(
        GuardFailed,
      );
      expect(await kept()).toEqual({ subjects: ['a'], halts: ['h-a'] });
    });

    it('that breaks a rule of the state is refused alone: what came with it is recorded', async () => {
      await made.ledger.record({ entries: [entry('first')], writes: [halt('h')] });
      const [broken, ...others] = await Promise.allSettled([
        made.ledger.record({ entries: [entry('twice')], writes: [halt('h')] }),
        made.ledger.record({ entries: [entry('other')], writes: [halt('h-other')] }),
        made.ledger.record({ entries: [entry('third')] }),
      ]);
      expect(broken).toMatchObject({ status: 'rejected', reason: expect.any(GuardFailed) });
      expect(others.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
      expect(await kept()).toEqual({ subjects: ['first', 'other', 'third'], halts: ['h', 'h-other'] });
    });

    it('that has no canonical form is refused alone', async () => {
      const [broken, other] = await Promise.allSettled([
        made.ledger.record({ entries: [entry('nan', { n: Number.NaN })] }),
        made.ledger.record({ entries: [entry('other')] }),
      ]);
      expect([broken.status, other.status]).toEqual(['rejected', 'fulfilled']);
    });

    it('without an entry is refused: the state never changes without a proof', async () => {
      const [empty, other] = await Promise.allSettled([
        made.ledger.record({ entries: [], writes: [halt('h')] }),
        made.ledger.record({ entries: [entry('other')] }),
      ]);
      expect([empty.status, other.status]).toEqual(['rejected', 'fulfilled']);
      expect(await kept()).toEqual({ subjects: ['other'], halts: [] });
    });

    it('can be proven to be in the tree that was signed', async () => {
      await Promise.all(Array.from({ length: 37 }, (_, n) => made.ledger.record({ entries: [entry(`s${n}`)] })));
      const { size, root } = openCheckpoint(await made.ledger.checkpoint(), parseVerifierKey(made.ledger.verifierKey));
      expect(size).toBe(38);
      for (const row of await made.store.all(statements.selectFrom('ledger_entries').select(['idx', 'entry']))) {
        const path = await made.ledger.inclusionProof(row.idx, size);
        const leaf = leafHash(Buffer.from(row.entry, 'utf8'));
        expect(verifyInclusion({ leaf, index: row.idx, size, path }, root)).toBe(true);
      }
      await expect(made.ledger.inclusionProof(38, size)).rejects.toThrow(RangeError);
    });
  });

  describe('G7 a record by one of several', () => {
    it('is one chain, whoever appends, and each has its turn', async () => {
      const others = await Promise.all([made.another(), made.another(), made.another()]);
      const ledgers = [made.ledger, ...others.map(({ ledger }) => ledger)];
      for (let round = 0; round < 20; round++) {
        await Promise.all(ledgers.map((ledger, n) => ledger.record({ entries: [entry(`${round}-${n}`)] })));
      }
      await Promise.all(others.map((other) => other.close()));
      expect(new Set((await kept()).subjects).size).toBe(80);
      expect(await verify()).toMatchObject({ verdict: 'sound', entries: 81 });
    });

    it('is done by one of them when all want the same transition', async () => {
      await made.ledger.record({ entries: [entry('a')], writes: [halt('h')] });
      const others = await Promise.all([made.another(), made.another(), made.another()]);
      const lift = write(statements.deleteFrom('halts').where('id', '=', 'h'), 1);
      const answers = await Promise.allSettled(
        others.flatMap(({ ledger }) => [0, 1].map(() => ledger.record({ entries: [entry('lift')], writes: [lift] }))),
      );
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const answer of answers) if (answer.status === 'rejected') expect(answer.reason).toBeInstanceOf(GuardFailed);
      await Promise.all(others.map((other) => other.close()));
      expect(await kept()).toEqual({ subjects: ['a', 'lift'], halts: [] });
      expect(await verify()).toMatchObject({ verdict: 'sound', entries: 3 });
    });
  });

  describe('G7 when it is over', () => {
    it('says so when it is closed, and when its store is', async () => {
      const other = await made.another();
      await other.store.close();
      await expect(other.ledger.record({ entries: [entry('a')] })).rejects.toThrow(LedgerUnavailable);
      await other.ledger.close();
      await expect(other.ledger.record({ entries: [entry('a')] })).rejects.toThrow(LedgerUnavailable);
    });

    it('has recorded what was asked before it was closed', async () => {
      const other = await made.another();
      const asked = Array.from({ length: 20 }, (_, n) => other.ledger.record({ entries: [entry(`s${n}`)] }));
      await other.close();
      await Promise.all(asked);
      expect((await kept()).subjects).toHaveLength(20);
    });
  });

  describe('G7 a ledger that is opened', () => {
    it('begins with one genesis, whoever opens it first', async () => {
      const elsewhere = await place.make();
      const key = loadSigningKey(join(made.directory, 'ledger.key'), 'test.example/ledger');
      const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(elsewhere)));
      const ledgers = await Promise.all(stores.map((store) => openLedger({ store, key, clock: systemClock })));
      await Promise.all(ledgers.map((ledger) => ledger.record({ entries: [entry('s')] })));
      const entries = await ledgers[0]?.entries({ from: 0, limit: 100 });
      await Promise.all(ledgers.map((ledger) => ledger.close()));
      await Promise.all(stores.map((store) => store.close()));
      expect(entries?.map(({ entry: { kind } }) => kind)).toEqual(['genesis', 'intent', 'intent', 'intent', 'intent']);
      expect(await verify(elsewhere)).toMatchObject({ verdict: 'sound', entries: 5 });
    });

    it('is refused with another key than the one that signed it', async () => {
      const file = join(made.directory, 'other.key');
      createSigningKey(file);
      const key = loadSigningKey(file, 'test.example/ledger');
      await expect(openLedger({ store: made.store, key, clock: systemClock })).rejects.toThrow(LedgerCorrupt);
    });

    it('is refused when its store was set back behind what this machine knows', async () => {
      await made.ledger.record({ entries: [entry('a')] });
      const elsewhere = await place.make();
      const key = loadSigningKey(join(made.directory, 'ledger.key'), 'test.example/ledger');
      const store = await openStore(elsewhere);
      writeFileSync(store.checkpointFile, readFileSync(made.store.checkpointFile));
      await expect(openLedger({ store, key, clock: systemClock })).rejects.toThrow(/set back/);
      await store.close();
      expect(existsSync(made.store.checkpointFile)).toBe(true);
      rmSync(made.store.checkpointFile);
      await (await made.another()).close();
    });

    it('finds entries by kind, by what they are about, and from a place on', async () => {
      await made.ledger.record({
        entries: [entry('a_1'), entry('a_2'), entry('ab3'), { ...entry('a_4'), kind: 'plan' }],
      });
      const found = async (filter: object) =>
        (await made.ledger.entries({ limit: 10, ...filter })).map(({ entry: { subject } }) => subject);
      expect(await found({ subject: 'a_' })).toEqual(['a_1', 'a_2', 'a_4']);
      expect(await found({ subject: '%' })).toEqual([]);
      expect(await found({ kind: 'plan' })).toEqual(['a_4']);
      expect(await found({ from: 3 })).toEqual(['ab3', 'a_4']);
      expect(await found({ limit: 2 })).toEqual(['ab3', 'a_4']);
      expect(await found({ from: 1, limit: 2 })).toEqual(['a_1', 'a_2']);
    });
  });
});
