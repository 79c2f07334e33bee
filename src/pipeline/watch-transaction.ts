import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { keptOthersWaiting, leftOpen, openTooLong } from './session-refusals.ts';

/**
 * How long a transaction may be left without a statement, be open in all, and keep others waiting. The server's own settings
 * for this are the session's to change; these are not.
 */
const MOST_IDLE_MS = 5 * 60_000;
const MOST_OPEN_MS = 60 * 60_000;
const MOST_WAITING_MS = 5000;
const LOOK_EVERY_MS = 1000;

export interface TransactionWatch {
  close(): void;
}

interface Seen {
  readonly transaction: object;
  readonly sinceMs: number;
  waitingSinceMs: number | null;
}

/**
 * Ends a session whose transaction is left open, or keeps others waiting for what it has locked: it holds up people's work, and
 * keeps the server from cleaning up.
 *
 * @param deps.open the open transaction, as an object of its own; `null` where there is none.
 * @param deps.idleSinceMs since when nothing runs; `null` while something does.
 * @param deps.othersWaiting how many sessions wait for the open transaction's locks.
 */
export function watchTransaction(deps: {
  readonly open: () => object | null;
  readonly idleSinceMs: () => number | null;
  readonly othersWaiting: () => Promise<number>;
  readonly end: (why: Refusal) => void;
  readonly onTrouble: (error: Error) => void;
  readonly now: () => number;
  readonly task: Task;
}): TransactionWatch {
  const { limits } = deps.task;
  const idleMs = Math.min(limits.idleInTransactionMs ?? MOST_IDLE_MS, MOST_IDLE_MS);
  const waitingMs = limits.othersWaitMs ?? MOST_WAITING_MS;
  let seen: Seen | null = null;
  let looksAtOthers = false;

  const looking = setInterval(
    () => {
      const transaction = deps.open();
      const nowMs = deps.now();
      if (transaction === null) seen = null;
      else if (seen?.transaction !== transaction) seen = { transaction, sinceMs: nowMs, waitingSinceMs: null };
      // What has only just begun keeps nobody waiting for long.
      else lookAtOthers(seen);
      if (seen === null) return;
      const idleSinceMs = deps.idleSinceMs();
      if (nowMs - seen.sinceMs > MOST_OPEN_MS) deps.end(openTooLong(MOST_OPEN_MS));
      else if (idleSinceMs !== null && nowMs - Math.max(idleSinceMs, seen.sinceMs) > idleMs) deps.end(leftOpen(idleMs));
    },
    Math.min(LOOK_EVERY_MS, waitingMs / 2),
  );
  looking.unref();

  function lookAtOthers(mine: Seen): void {
    if (looksAtOthers) return;
    looksAtOthers = true;
    deps
      .othersWaiting()
      .then((waiting) => {
        if (deps.open() !== mine.transaction) return;
        if (waiting === 0) mine.waitingSinceMs = null;
        else mine.waitingSinceMs ??= deps.now();
        if (mine.waitingSinceMs !== null && deps.now() - mine.waitingSinceMs >= waitingMs)
          deps.end(keptOthersWaiting(waitingMs, waiting));
      })
      .catch(deps.onTrouble)
      .finally(() => {
        looksAtOthers = false;
      });
  }

  return { close: () => clearInterval(looking) };
}
