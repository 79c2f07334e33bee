import type { Digest } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { beginEpoch, newestEpoch, type PolicyEpoch, wasInForce } from '../store/policy-epochs.ts';
import type { Store } from '../store/store.ts';
import type { Proof } from './proof.ts';

/**
 * That all who share a state decide by the same policies. Newer is what was started later: a gateway that starts, or
 * reloads, with a digest that was never in force begins a new epoch, and those that serve another one serve nothing from
 * then on. A digest whose epoch is over never comes back by itself (a node that slept through a change), only when a
 * person accepts it. Where all read one file on one machine, a start is that person's word.
 */
export interface Agreement {
  /** Takes this process' policies into force where they are new. A gateway asks this when it starts and when it reloads. */
  adopt(): Promise<void>;
  /** Takes them into force whatever was before: a person's word. @returns the epoch that is now in force. */
  accept(by: string): Promise<PolicyEpoch>;
  /** Looks whether another epoch has begun, and tells `onStanding`. @returns the one that this process is behind. */
  check(): Promise<PolicyEpoch | undefined>;
}

export function createAgreement(deps: {
  readonly store: Store;
  readonly proof: Proof;
  /** Digest of what this process decides by, at this moment. */
  readonly digest: () => Digest;
  /** How long it may take until this process has found by itself what others have begun: where all read the same files. */
  readonly followWithinMs: number;
  /** Called with why this process may decide nothing, or with `undefined` when it may. */
  readonly onStanding: (outdated: Refusal | undefined) => Promise<void>;
}): Agreement {
  const { store, proof } = deps;
  let behindSinceMs: number | null = null;

  async function begin(digest: Digest, newest: PolicyEpoch | undefined, by: string): Promise<PolicyEpoch | undefined> {
    const epoch: PolicyEpoch = { epoch: (newest?.epoch ?? 0) + 1, digest, by, at: proof.now() };
    try {
      await proof.record({
        kind: 'policy',
        subject: digest,
        body: { epoch: epoch.epoch, digest, before: newest?.digest ?? null, by },
        writes: [beginEpoch(epoch)],
      });
      return epoch;
    } catch (error) {
      // Another process began this epoch: what it began is looked at anew.
      if (error instanceof GuardFailed) return undefined;
      throw error;
    }
  }

  async function check(): Promise<PolicyEpoch | undefined> {
    const newest = await newestEpoch(store);
    const own = deps.digest();
    if (newest === undefined || newest.digest === own) {
      behindSinceMs = null;
      await deps.onStanding(undefined);
      return undefined;
    }
    behindSinceMs ??= performance.now();
    if (performance.now() - behindSinceMs >= deps.followWithinMs) await deps.onStanding(outdated(own, newest));
    return newest;
  }

  return {
    check,
    async adopt() {
      for (;;) {
        const own = deps.digest();
        const newest = await newestEpoch(store);
        if (newest?.digest === own) break;
        if (store.leaseMs !== null && (await wasInForce(store, own))) break;
        if ((await begin(own, newest, proof.node)) !== undefined) break;
      }
      await check();
    },
    async accept(by) {
      for (;;) {
        const own = deps.digest();
        const newest = await newestEpoch(store);
        if (newest?.digest === own) return newest;
        const begun = await begin(own, newest, by);
        if (begun !== undefined) return begun;
      }
    },
  };
}

function outdated(own: Digest, newest: PolicyEpoch): Refusal {
  return {
    refused: 'unavailable',
    message: 'This gateway’s policies are not those in force: it decides nothing.',
    detail: `Its own: ${own}\nIn force since ${newest.at} (epoch ${newest.epoch}, by ${newest.by}): ${newest.digest}`,
    hint: 'Bring its policies and configuration up to those in force and start it again; to take its own into force: countersign policy accept.',
  };
}
