import { Cron } from 'croner';
import type { Recurring } from '../domain/recurring.ts';

/** How it went the last times, where it went wrong. */
export interface Tries {
  readonly failures: number;
  /** When it was tried last. */
  readonly triedMs: number;
}

const MINUTE_MS = 60_000;
/** After the first failure in a row, the second … and all that follow. */
const AGAIN_AFTER_MS = [5 * MINUTE_MS, 15 * MINUTE_MS, 60 * MINUTE_MS, 6 * 60 * MINUTE_MS];

/**
 * When something is due. What nobody was there for is made up for, once.
 *
 * @param lastMs when it was done last; `null`: never, then it counts from `sinceMs` on.
 */
export function dueAt(
  recurring: Recurring,
  { lastMs, sinceMs, tries }: { readonly lastMs: number | null; readonly sinceMs: number; readonly tries: Tries },
): number {
  const again = AGAIN_AFTER_MS[Math.min(tries.failures, AGAIN_AFTER_MS.length) - 1];
  const due = nextAfter(recurring, lastMs, sinceMs);
  return again === undefined ? due : Math.max(due, tries.triedMs + again);
}

function nextAfter(recurring: Recurring, lastMs: number | null, sinceMs: number): number {
  if ('everyMs' in recurring) return lastMs === null ? sinceMs : lastMs + recurring.everyMs;
  const cron = new Cron(recurring.cron, { timezone: recurring.timeZone, mode: '5-part', paused: true });
  return cron.nextRun(new Date(lastMs ?? sinceMs))?.getTime() ?? Number.POSITIVE_INFINITY;
}
