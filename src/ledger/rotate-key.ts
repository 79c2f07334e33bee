import type { Clock } from '../domain/clock.ts';
import { instantOf } from '../domain/ids.ts';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { write } from '../store/write.ts';
import { rotationBody } from './key-succession.ts';
import { openLedger } from './ledger.ts';
import type { SigningKey } from './signing-key.ts';

/**
 * Hands a ledger to another key, by an entry that both sign. From the checkpoint of that entry on only the new key counts:
 * a gateway that still has the old one finds a checkpoint that isn't its own, and records nothing more.
 *
 * @returns the size of the first tree that the new key has signed.
 * @throws GuardFailed when somebody else appended in the same moment; LedgerCorrupt as `openLedger`.
 */
export async function rotateKey(deps: {
  readonly store: Store;
  readonly before: SigningKey;
  readonly after: SigningKey;
  readonly clock: Clock;
}): Promise<number> {
  const { store, before, after, clock } = deps;
  const ledger = await openLedger({ store, key: after, takesOverFrom: before, clock });
  try {
    const head = await store.first(statements.selectFrom('ledger_head').select('size'));
    const from = (head?.size ?? 0) + 1;
    const body = rotationBody(before, after, from);
    // Nothing may come in between: what is signed says after which entry it stands.
    const alone = write(statements.updateTable('ledger_head').set({ size: from }).where('size', '=', from), 1);
    await ledger.record({
      entries: [{ v: 1, kind: 'key', at: instantOf(clock.now()), subject: before.name, body }],
      writes: [alone],
    });
    return from;
  } finally {
    await ledger.close();
  }
}
