import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proveAction } from '../../src/ledger/action-proof.ts';
import { openCheckpoint } from '../../src/ledger/checkpoint.ts';
import { keepCosignatures } from '../../src/ledger/checkpoint-notes.ts';
import { cosign } from '../../src/ledger/cosignature.ts';
import { loadSigningKey } from '../../src/ledger/signing-key.ts';
import { planned, type WrittenHistory, writtenHistory } from '../fixtures/history.ts';
import { hasPython, python } from '../fixtures/verifier.ts';

const FLIP = new URL('./flip.py', import.meta.url).pathname;

describe.skipIf(!hasPython)('G7 every bit of a proof', () => {
  let made: WrittenHistory;
  beforeAll(async () => {
    made = await writtenHistory();
  });
  afterAll(() => made?.remove());

  it('says something: with any of them flipped, or cut off anywhere, it is unsound', async () => {
    const kept = await made.ledger.checkpoint();
    // A short one: a plan that waits. `flip.py` does the same to any (verifier/README.md).
    const { id, plan, approval } = planned('one');
    await made.append(plan);
    await made.append(approval('ada', made.person('ada')));
    const key = loadSigningKey(join(made.directory, 'ledger.key'), made.ledger.origin);
    // By a witness whom the trust policy doesn't name: its line, too, must not be another.
    const note = await made.ledger.checkpoint();
    const unknown = { ...made.person('nobody'), name: 'witness.example/unknown' };
    await keepCosignatures(made.store, openCheckpoint(note, key).size, note, [
      cosign(note, unknown, 1_767_225_600).trimEnd(),
    ]);
    const file = join(made.directory, 'proof.jsonl');
    writeFileSync(file, await proveAction({ ...made, key }, id, kept));
    const flipped = await python<Record<string, unknown>>(FLIP, file, made.trust);
    const bytes = readFileSync(file).length;
    expect(flipped).toEqual({ code: 0, unflipped: 'sound', sound: [], crashed: [], flips: bytes * 8, cuts: bytes });
  }, 300_000);
});
