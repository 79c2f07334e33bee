import { digestOf } from '../domain/digest.ts';
import type { ActorId, Digest, PlanId } from '../domain/ids.ts';
import { asId, type Instant } from '../domain/ids.ts';
import { shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { effectsOn } from './undo-from-quarantine.ts';
import { changedSince, purged, unmeasured } from './undo-refusals.ts';
import type { Proposal } from './undo-request.ts';

/** Who wants to let go of what a change has dropped into quarantine. */
export interface PurgeRequest {
  readonly change: string;
  readonly askedBy: ActorId;
  /** Before the time is over for which it was to be kept. */
  readonly early: boolean;
}

/** Asked again it is the same wish, whoever asks. */
export function purgeWish(change: string): Digest {
  return digestOf({ purge: change });
}

/** Tries to let go of it; what is lost is shown on the plan, and nothing but a backup brings it back. */
export async function proposePurge(
  target: GovernedTarget,
  change: ChangeFacts,
  { askedBy, early }: PurgeRequest,
): Promise<Proposal | Refused> {
  const kept = (await target.engine.quarantined()).find((one) => one.change === change.id);
  if (kept === undefined) return { refused: purged(change) };
  if (!kept.due && !early) return { refused: notDue(change.id, kept.until) };
  const measured = await target.engine.measure({
    statements: [],
    purge: change.id,
    settings: [],
    tables: [],
    baseObjects: [],
    bounds: target.measureBounds,
    repeatable: true,
  });
  if (measured.conflicts !== undefined) return { refused: changedSince(change, measured.conflicts, 'quarantine') };
  if (!measured.measurement.measured) return { refused: unmeasured(measured.measurement.why) };
  const text = `CALL countersign.purge('${change.id}')`;
  return {
    ...measured,
    statements: [{ text, parameters: [] }],
    told: [{ shape: text, command: 'PURGE' }],
    settings: [],
    effects: effectsOn('drop', kept.objects),
    purges: { change: change.id, askedBy, until: asId<Instant>(kept.until) },
  };
}

function notDue(id: string, until: string): Refusal {
  return {
    refused: 'denied',
    message: `What ${shortId(id)} has dropped is kept until ${until}: its purge is not due.`,
    hint: `Wait until then. If it must go before: countersign change purge ${shortId(id)} --early`,
  };
}

export function nothingInQuarantine({ id }: ChangeFacts, undone: PlanId | null): Refusal {
  return {
    refused: 'denied',
    message: `The change ${shortId(id)} has nothing in quarantine${undone === null ? '' : `: plan ${shortId(undone)} has brought it back`}.`,
    hint: '`countersign change list` shows what is kept, and until when.',
  };
}
