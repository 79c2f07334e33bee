import { GuardFailed } from '../ledger/ledger.ts';
import { plansInState, transition } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import type { Proof } from './proof.ts';

/** Writes down that plans are over which nobody decided on, or applied, in time. They could not be applied any more as it was. */
export async function expirePlans(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly nowMs: () => number;
}): Promise<void> {
  const { store, proof } = deps;
  for (const state of ['held', 'approved'] as const) {
    for (const { id, plan } of await plansInState(store, state)) {
      if (deps.nowMs() < Date.parse(plan.expiresAt)) continue;
      try {
        await proof.record({
          kind: 'expired',
          subject: id,
          body: { plan: id, expiresAt: plan.expiresAt, was: state },
          writes: [transition(id, state, 'expired', { note: null, at: proof.now() })],
        });
      } catch (error) {
        // Another gateway wrote it down, or it was decided on in the last moment.
        if (!(error instanceof GuardFailed)) throw error;
      }
    }
  }
}
