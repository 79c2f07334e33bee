import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json } from '../../src/domain/digest.ts';
import { proveAction } from '../../src/ledger/action-proof.ts';
import { exportLedger } from '../../src/ledger/archive.ts';
import { signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { rotationBody } from '../../src/ledger/key-succession.ts';
import { LedgerCorrupt, openLedger } from '../../src/ledger/ledger.ts';
import { rotateKey } from '../../src/ledger/rotate-key.ts';
import { createSigningKey, loadSigningKey, type SigningKey, verifierKey } from '../../src/ledger/signing-key.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { statements } from '../../src/store/schema.ts';
import { entryOf, planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, verifyAsStranger } from '../fixtures/verifier.ts';

describe.skipIf(!hasPython)('G7 a ledger that is handed to another key', () => {
  let made: WrittenHistory;
  const clock = { now: () => Date.parse('2026-02-01T00:00:00Z') };
  const keyNamed = (name: string): SigningKey => {
    const file = join(made.directory, `${name}.key`);
    createSigningKey(file);
    return loadSigningKey(file, made.ledger.origin);
  };
  const text = (key: SigningKey) => verifierKey(key.name, key.publicKey);
  const trusting = (key: SigningKey) => made.trusting((policy) => ({ ...policy, log: text(key) }));
  const first = () => loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
  beforeEach(async () => {
    made = await writtenHistory();
  });
  afterEach(() => made.remove());

  async function exported(store = made.store, ledger = made.ledger): Promise<string> {
    const file = join(made.directory, `all-${Math.random()}.jsonl`);
    await pipeline(exportLedger(store, ledger), createWriteStream(file));
    return file;
  }

  it('is sound for whoever trusts any of its keys, by both verifiers, with a checkpoint of an earlier one', async () => {
    const [one, two, three] = [first(), keyNamed('two'), keyNamed('three')];
    const kept = join(made.directory, 'kept');
    writeFileSync(kept, await made.ledger.checkpoint());
    const { id, plan, approval, apply, intent, outcome } = planned('one');
    await made.append(plan, approval('ada', made.person('ada')));
    const from = await rotateKey({ store: made.store, before: one, after: two, clock });
    const middle = await openLedger({ store: made.store, key: two, clock });
    await middle.record({ entries: [apply, intent(), outcome()] });
    await rotateKey({ store: made.store, before: two, after: three, clock });
    const last = await openLedger({ store: made.store, key: three, clock });
    await last.record({ entries: [entryOf('halt', 'halt_1', {})] });
    expect(from).toBe(4);

    const archive = await exported(made.store, last);
    const proof = join(made.directory, 'proof.jsonl');
    const earlier = statements.selectFrom('checkpoints').select('note').where('size', '=', 3);
    const note = await made.store.first(earlier);
    writeFileSync(proof, await proveAction({ store: made.store, ledger: last, key: three }, id, note?.note));
    for (const key of [one, two, three]) {
      expect(await verifyLedger(archive, text(key))).toMatchObject({ verdict: 'sound', entries: 9 });
      expect(await verifyLedger(made.path, text(key))).toMatchObject({ verdict: 'sound', verifierKey: text(three) });
      expect(await verifyAsStranger(archive, trusting(key), '--kept', kept)).toMatchObject({ verdict: 'sound' });
      expect(await verifyAsStranger(proof, trusting(key))).toMatchObject({ verdict: 'sound', applied: 1, entries: 7 });
    }
    const stranger = keyNamed('stranger');
    expect(await verifyLedger(archive, text(stranger))).toMatchObject({ verdict: 'tampered' });
    expect(await verifyAsStranger(archive, trusting(stranger))).toMatchObject({ code: 1 });
  });

  it('takes nothing more from whoever still has the old key', async () => {
    const before = first();
    const after = keyNamed('two');
    await made.append(entryOf('halt', 'halt_1', {}));
    await rotateKey({ store: made.store, before, after, clock });
    await expect(made.append(entryOf('halt', 'halt_2', {}))).rejects.toThrow();
    await expect(openLedger({ store: made.store, key: before, clock })).rejects.toThrow(LedgerCorrupt);
  });

  it('is judged by the size of the tree: the old key, stolen, signs nothing that counts', async () => {
    const before = first();
    await made.append(entryOf('halt', 'halt_1', {}));
    await rotateKey({ store: made.store, before, after: keyNamed('two'), clock });
    const ledger = await openLedger({
      store: made.store,
      key: loadSigningKey(join(made.directory, 'two.key'), before.name),
      clock,
    });
    const archive = await exported(made.store, ledger);
    const forged = join(made.directory, 'forged');
    for (const size of [3, 4]) {
      writeFileSync(forged, signCheckpoint({ origin: before.name, size, root: Buffer.alloc(32) }, before));
      expect(await verifyAsStranger(archive, trusting(before), '--kept', forged)).toMatchObject({
        code: 1,
        problem: expect.stringContaining('no valid signature'),
      });
    }
  });

  it.each(['the old one', 'the new one'])('is not handed on without the signature of %s', async (missing) => {
    const [before, after] = [first(), keyNamed('two')];
    const body = rotationBody(before, after, 2) as { signatures: Json[] };
    const thief = rotationBody(keyNamed('thief'), after, 2) as { signatures: Json[] };
    const signatures =
      missing === 'the old one' ? [thief.signatures[0], body.signatures[1]] : [body.signatures[0], thief.signatures[0]];
    await made.append(entryOf('key', before.name, { ...body, signatures } as Json));
    const archive = await exported();
    expect(await verifyLedger(archive)).toMatchObject({ verdict: 'tampered', entry: 1 });
    expect(await verifyAsStranger(archive, made.trust)).toMatchObject({
      code: 1,
      problem: expect.stringContaining('without both signatures'),
    });
  });
});
