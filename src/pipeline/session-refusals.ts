import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { MAX_ADVISORY_LOCKS, MAX_HELD_CURSORS } from './holdings.ts';

/** Replies to a write are kept up to this size until its commit; a write is at most a few thousand rows. */
export const HELD_OUTPUT_MB = 32;

/** query_canceled: whoever asked for it knows better why than the database does. */
export const CANCELLED = '57014';
/** admin_shutdown: what a server process says that was ended because it did not heed a cancellation in time. */
export const TERMINATED = '57P01';

export function answerOver({ limits }: Task, over: 'rows' | 'bytes'): Refusal {
  const most = over === 'rows' ? limits.rowsPerReply : limits.bytesPerReply;
  return {
    refused: 'overLimit',
    message: `The answer has more than the task's ${most} ${over}; what came before stands, the rest was cut off.`,
    hint: 'Ask for less at once: LIMIT, fewer columns, or a sum in SQL.',
  };
}

export function tooManySessions(whose: string, most: number): Refusal {
  return {
    refused: 'overLimit',
    message: `${whose} has ${most} sessions open, and may have no more at a time.`,
    hint: 'Close some, or use a smaller pool.',
  };
}

/** A transaction that nothing happens in holds its locks, and keeps rows from being cleaned up, as long as it is open. */
export function leftOpen(idleMs: number): Refusal {
  return {
    refused: 'overLimit',
    message: `The transaction was left open for ${idleMs / 1000} s without a statement: it was rolled back, and the session ended.`,
    hint: 'Connect again, and end transactions when their work is done.',
  };
}

/** Others need the rows or tables that it has locked, and can't know how long it will be. */
export function keptOthersWaiting(waitingMs: number, sessions: number): Refusal {
  return {
    refused: 'overLimit',
    message: `The transaction kept ${sessions === 1 ? 'another session' : `${sessions} other sessions`} waiting for ${waitingMs / 1000} s: it was rolled back, and the session ended.`,
    hint: 'Connect again, lock fewer rows, and commit sooner; `othersWait` in the limits of the task says how long others may wait.',
  };
}

export function openTooLong(openMs: number): Refusal {
  return {
    refused: 'overLimit',
    message: `The transaction was open for more than ${openMs / 60_000} minutes: it was rolled back, and the session ended.`,
    hint: 'Connect again, and do the work in shorter transactions.',
  };
}

export function overdue({ limits }: Task): Refusal {
  return {
    refused: 'overLimit',
    message: `The statement ran longer than the task's ${limits.statementTimeoutMs / 1000} s, and was cancelled.`,
    hint: 'Ask for less at once, or open a task that declares a longer statementTimeout.',
  };
}

/** What PostgreSQL says to everything but the end of a transaction that has failed. */
export const IN_FAILED_TRANSACTION: DatabaseFailure = {
  severity: 'ERROR',
  sqlstate: '25P02',
  message: 'current transaction is aborted, commands ignored until end of transaction block',
};

export const SETTINGS_MIXED: Refusal = {
  refused: 'unsupported',
  message: 'It would become a plan with what the transaction wrote before, and settings were changed in between.',
  hint: 'Send SET before the first write of the transaction, or write out the schemas of names.',
};
export const CALLED_OFF: Refusal = {
  refused: 'unavailable',
  message: 'The call was cancelled.',
  hint: 'Nothing took effect, and no plan was made of it.',
};
export const RESET_INSIDE: Refusal = {
  refused: 'unsupported',
  message: 'RESET ALL is not carried inside a transaction.',
  hint: 'End the transaction first.',
};
export const RUNS_AT_COMMIT: Refusal = {
  refused: 'unsupported',
  message: 'A cursor WITH HOLD would run code during COMMIT, when what this transaction writes has been measured.',
  hint: 'Declare it outside of the transaction or in BEGIN READ ONLY, or without WITH HOLD.',
};

export const TOO_MANY_CURSORS: Refusal = {
  refused: 'unsupported',
  message: `The session holds ${MAX_HELD_CURSORS} cursors WITH HOLD already.`,
  hint: 'Close one first, or declare it without HOLD inside a transaction.',
};
export const TOO_MANY_LOCKS: Refusal = {
  refused: 'unsupported',
  message: `The session holds ${MAX_ADVISORY_LOCKS} advisory locks already.`,
  hint: 'Give one back first (pg_advisory_unlock).',
};
export const CLOSED: Refusal = { refused: 'unavailable', message: 'The session is closed.', hint: 'Connect again.' };
export const LOST: Refusal = {
  refused: 'unavailable',
  message: 'The connection to the target was lost.',
  hint: 'Nothing that was not committed took effect. Connect again.',
};
export const UNRECORDED: Refusal = {
  refused: 'unavailable',
  message: 'The ledger can’t be written, so nothing more may run unrecorded.',
  hint: 'An operator must see that the state file can be written: disk full, or locked by another process.',
};
export const ANSWER_TOO_LARGE: Refusal = {
  refused: 'overLimit',
  message: `The write returned more than ${HELD_OUTPUT_MB} MB before it could be committed; it was rolled back.`,
  hint: 'Leave out RETURNING, or write fewer rows at a time.',
};

export function expired(task: Task): Refusal {
  return {
    refused: 'denied',
    message: `Task ${task.id} expired at ${task.expiresAt}.`,
    hint: 'Open a new task.',
  };
}
