import type { PlanId } from '../domain/ids.ts';
import { shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { ChangeFacts } from './change-facts.ts';

export const EXPIRED = 'undo expired: the target keeps none of its rows any more';

export function noWayBack({ id, undo }: ChangeFacts, undone: PlanId | null): Refusal | undefined {
  if (undone !== null)
    return {
      refused: 'denied',
      message: `The change ${shortId(id)} has been undone already, by plan ${shortId(undone)}.`,
      hint: `To have it again, undo that: countersign change undo ${shortId(undone)}`,
      plan: undone,
    };
  if (undo.undo !== 'irreversible') return undefined;
  return {
    refused: 'denied',
    message: `The change ${shortId(id)} can’t be undone.`,
    detail: undo.why,
    hint: 'Restore what is missing from a backup.',
  };
}

export function noChange(id: string): Refusal {
  return {
    refused: 'denied',
    message: `There is no change ${id}.`,
    hint: '`countersign change list` shows those there are; a plan is a change once it has been applied.',
  };
}

export function expired({ id }: ChangeFacts): Refusal {
  return {
    refused: 'denied',
    message: `The undo of ${shortId(id)} has expired: the target keeps none of its rows any more.`,
    hint: 'Restore what is missing from a backup.',
  };
}

/** What was dropped is in quarantine no more. */
export function purged({ id }: Pick<ChangeFacts, 'id'>): Refusal {
  return {
    refused: 'denied',
    message: `What ${shortId(id)} has dropped is in quarantine no more.`,
    hint: 'It has been purged or brought back: `countersign change list` shows by which plan. Restore what is missing from a backup.',
  };
}

export function changedSince(
  { id }: ChangeFacts,
  conflicts: readonly string[],
  kept: 'rows' | 'quarantine' = 'rows',
): Refusal {
  return {
    refused: 'stale',
    message: 'Somebody has changed since what this would put back: nothing was changed.',
    detail: conflicts.join('\n'),
    hint:
      kept === 'quarantine'
        ? 'Bring what is named into the state in which it was, and try again.'
        : `Look at these rows. To leave them as they are and put the others back: countersign change undo ${shortId(id)} --keep-newer`,
  };
}

export function refusedByDatabase(message: string, detail: string | undefined): Refusal {
  return {
    refused: 'stale',
    message: `The database does not let it be put back as it was: ${message}. Nothing was changed.`,
    ...(detail === undefined ? {} : { detail }),
    hint: 'Something that was made since stands in the way. Change that first, or restore what is missing from a backup.',
  };
}

export function unmeasured(why: string): Refusal {
  return {
    refused: 'unavailable',
    message: `The undo could not be tried: ${why}. Nothing was changed.`,
    hint: 'Try again when the tables are less busy.',
  };
}

export function nothingLeft({ id }: ChangeFacts): Refusal {
  return {
    refused: 'denied',
    message: `Nothing is left to undo of ${shortId(id)}: every row is as it was before, or newer.`,
    hint: 'Nothing needs to be done.',
  };
}
