import type { Testimony, Witnessing } from '../ledger/witnessing.ts';
import type { Countersign } from './open-countersign.ts';
import { repeat } from './repeat.ts';
import { witnessingOf } from './witnessing-of.ts';

/** What is known of the witnesses of a gateway. */
export interface Witnesses {
  /** Of each whether it cosigned when it was asked last. */
  testimonies(): readonly Testimony[];
  witnessed: Witnessing['witnessed'];
  /** Asks once more: what was recorded last is witnessed too, where they answer. */
  close(): Promise<void>;
}

/**
 * Asks the witnesses again and again, beside what the gateway does: nothing waits for them. What changes with one of them
 * is logged once.
 */
export function askWitnesses(countersign: Countersign): Witnesses | null {
  const { config, log } = countersign;
  const witnessing = witnessingOf(config, countersign);
  if (witnessing === null || config.witnesses === null) return null;
  let latest: readonly Testimony[] = [];

  async function ask(from: Witnessing): Promise<void> {
    const before = new Map(latest.map((testimony) => [testimony.witness, testimony]));
    latest = await from.ask();
    for (const testimony of latest) tell(testimony, before.get(testimony.witness));
  }

  function tell(now: Testimony, before: Testimony | undefined): void {
    const { witness } = now;
    if (now.cosigned) {
      if (before?.cosigned === false) log.info({ witness }, 'the witness cosigns again');
    } else if (before === undefined || before.cosigned || before.why !== now.why) {
      if (now.grave)
        log.error({ witness, why: now.why }, 'a witness knows another past of this ledger: look at it now');
      else log.warn({ witness, why: now.why }, 'a witness does not cosign; nothing waits for it');
    }
  }

  const asking = repeat({
    everyMs: config.witnesses.everyMs,
    run: () => ask(witnessing),
    onError: (error) => log.warn({ err: error }, 'the newest checkpoint could not be shown to witnesses'),
  });
  return {
    testimonies: () => latest,
    witnessed: witnessing.witnessed,
    async close() {
      await asking.close();
      await asking.now();
    },
  };
}
