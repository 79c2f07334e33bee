import type { Config } from '../config/load.ts';
import type { Clock } from '../domain/clock.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { writtenAt } from '../ledger/newest-entry.ts';
import type { Halts } from '../pipeline/halts.ts';
import type { Store } from '../store/store.ts';
import { witnessingOf } from './witnessing-of.ts';

/**
 * Makes this process stand down while entries have waited longer than `witnesses.stopAfter` for enough witnesses: what is
 * done then could be denied later. The witnesses are asked on, and it goes on by itself when they have signed.
 *
 * @returns what looks once, and throws StoreUnavailable when the ledger can't be read; `null` where nothing is to stop.
 */
export function standForWitnesses({
  config,
  store,
  ledger,
  clock,
  halts,
}: {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly config: Config;
  readonly clock: Clock;
  readonly halts: Halts;
}): (() => Promise<void>) | null {
  const witnessing = witnessingOf(config, { store, ledger });
  const asked = config.witnesses;
  if (witnessing === null || asked === null || asked.stopAfterMs === null) return null;
  const { stopAfterMs, quorum, known } = asked;
  return async () => {
    const { entries, witnessed } = await witnessing.witnessed();
    const sinceMs = witnessed < entries ? await writtenAt(store, witnessed) : null;
    const waitsMs = sinceMs === null ? 0 : clock.now() - sinceMs;
    const silent =
      waitsMs > stopAfterMs ? unwitnessed(entries - witnessed, quorum, known.length, stopAfterMs) : undefined;
    await halts.standDown('unwitnessed', silent);
  };
}

function unwitnessed(entries: number, quorum: number, witnesses: number, stopAfterMs: number): Refusal {
  return {
    refused: 'unavailable',
    message: `${entries} entries of the ledger have waited for more than ${stopAfterMs / 1000} s for ${quorum} of ${witnesses} witnesses: nothing runs until they have signed.`,
    hint: 'It goes on by itself. Whoever runs the gateway: its log says what each witness answered; countersign doctor says how far each has come.',
  };
}
