import { existsSync, renameSync } from 'node:fs';
import { systemClock } from '../domain/clock.ts';
import { RefusalError } from '../domain/refusal.ts';
import { openCheckpoint } from '../ledger/checkpoint.ts';
import { newestCheckpoint } from '../ledger/ledger.ts';
import { rotateKey } from '../ledger/rotate-key.ts';
import { createSigningKey, loadSigningKey, type SigningKey, verifierKey } from '../ledger/signing-key.ts';
import { liveNodes } from '../store/nodes.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { type Answer, type CommonOptions, configOf } from './command.ts';

/**
 * Hands the ledger to a new key, and puts its file in the place of the old one’s, which is kept under another name. What
 * a crash left half done is finished when it is called again.
 */
export async function rotateLedgerKey(options: CommonOptions): Promise<Answer> {
  const config = await configOf(options);
  const before = loadSigningKey(config.ledgerKey, config.origin);
  const making = `${config.ledgerKey}.next`;
  const store = await openStore(config.state);
  try {
    await refuseWhileServed(store);
    if (!existsSync(making)) createSigningKey(making);
    const after = loadSigningKey(making, config.origin);
    const from = (await signedBy(store, after)) ?? (await rotateKey({ store, before, after, clock: systemClock }));
    const old = `${config.ledgerKey}.until-${from}`;
    renameSync(config.ledgerKey, old);
    renameSync(making, config.ledgerKey);
    const key = verifierKey(after.name, after.publicKey);
    return {
      json: { verifierKey: key, before: verifierKey(before.name, before.publicKey), from, old },
      text: `The ledger has a new key from ${from} entries on:\n  ${key}\nThe old one is at ${old}: it signs nothing any more; keep it out of reach, or destroy it.\n→ Give the new key to whoever verifies (countersign ledger trust) and to witnesses (another --log), and copy ${config.ledgerKey} to the other machines before gateways begin again.`,
    };
  } finally {
    await store.close();
  }
}

/** A gateway would go on with the key that it has, and find its own ledger to be another’s. */
async function refuseWhileServed(store: Store): Promise<void> {
  const nodes = await liveNodes(store, await store.nowMs());
  if (nodes.length === 0) return;
  throw new RefusalError({
    refused: 'denied',
    message: `${nodes.length} ${nodes.length === 1 ? 'gateway works' : 'gateways work'} on this ledger with the old key.`,
    hint: 'End them, rotate, and begin them again: a gateway reads its key once.',
  });
}

/** The size of the newest tree when this key has signed it already. */
async function signedBy(store: Store, key: SigningKey): Promise<number | undefined> {
  const newest = await newestCheckpoint(store);
  if (newest === undefined) return undefined;
  try {
    return openCheckpoint(newest.note, key).size;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('it has no valid signature')) return undefined;
    throw error;
  }
}
