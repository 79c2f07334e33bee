import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Analysis, TransactionAct } from '../domain/effect.ts';
import { noticeResponse } from '../engines/postgres/wire-messages.ts';
import type { Purpose } from '../execution/connections.ts';
import type { Judgement } from './judge.ts';

/**
 * The transaction that several statements of one text are in though nobody has begun it (PostgreSQL, "Multiple Statements in
 * a Simple Query"). To the server the gateway begins a real one; what the server would say differently of it is said here.
 */

/** Which login it runs under, and whether nothing in it may write. `rest`: all that comes in this text from here on. */
export function blockFor(
  rest: readonly Judgement[],
  canWrite: boolean,
): { readonly purpose: Purpose; readonly pinned: boolean } {
  const writes = rest.some(
    (judgement) =>
      (judgement.verdict === 'run' && judgement.how === 'write') ||
      // Once the actor takes it for its own, it may write in later texts too.
      (judgement.verdict === 'transaction' && judgement.act.act === 'begin' && !judgement.act.readOnly),
  );
  if (writes && canWrite) return { purpose: 'write', pinned: false };
  const pinned = rest.some((judgement) => judgement.verdict === 'run' && judgement.how === 'pinned read');
  return { purpose: 'read', pinned };
}

/** Alone, these are refused by the server before they do anything: no transaction may be begun around them. */
export function needsBlock({ command, holdsCursor }: Analysis): boolean {
  return command === 'LOCK TABLE' || (command === 'DECLARE CURSOR' && holdsCursor === undefined);
}

/** COMMIT and ROLLBACK end it, and are told that nobody has begun it. */
export const NOBODY_BEGAN = noticeResponse({
  severity: 'WARNING',
  sqlstate: '25P01',
  message: 'there is no transaction in progress',
});

/** It can't be divided. */
export function notInBlock(act: Extract<TransactionAct, { name: string }>['act']): DatabaseFailure {
  const command = act === 'savepoint' ? 'SAVEPOINT' : act === 'release' ? 'RELEASE SAVEPOINT' : 'ROLLBACK TO SAVEPOINT';
  return { severity: 'ERROR', sqlstate: '25P01', message: `${command} can only be used in transaction blocks` };
}
