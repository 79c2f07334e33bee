import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { leftOpen, openTooLong } from './session-refusals.ts';

/**
 * How long a transaction may be left without a statement, and be open in all. The server's own settings for this are the
 * session's to change; these are not.
 */
const MOST_IDLE_MS = 5 * 60_000;
const MOST_OPEN_MS = 60 * 60_000;
const LOOK_EVERY_MS = 1000;

export interface TransactionWatch {
  close(): void;
}

/**
 * Ends a session whose transaction is left open: it holds locks that others wait for, and keeps the server from cleaning up.
 *
 * @param deps.open the open transaction, as an object of its own; `null` where there is none.
 * @param deps.idleSinceMs since when nothing runs; `null` while something does.
 */
export function watchTransaction(deps: {
  readonly open: () => object | null;
  readonly idleSinceMs: () => number | null;
  readonly end: (why: Refusal) => void;
  readonly now: () => number;
  readonly task: Task;
}): TransactionWatch {
  const idleMs = Math.min(deps.task.limits.idleInTransactionMs ?? MOST_IDLE_MS, MOST_IDLE_MS);
  const openMs = MOST_OPEN_MS;
  let seen: { readonly transaction: object; readonly sinceMs: number } | null = null;

  const looking = setInterval(() => {
    const transaction = deps.open();
    const nowMs = deps.now();
    if (transaction === null) seen = null;
    else if (seen?.transaction !== transaction) seen = { transaction, sinceMs: nowMs };
    if (seen === null) return;
    const idleSinceMs = deps.idleSinceMs();
    if (nowMs - seen.sinceMs > openMs) deps.end(openTooLong(openMs));
    else if (idleSinceMs !== null && nowMs - Math.max(idleSinceMs, seen.sinceMs) > idleMs) deps.end(leftOpen(idleMs));
  }, LOOK_EVERY_MS);
  looking.unref();
  return { close: () => clearInterval(looking) };
}
