import type { DatabaseFailure } from '../../domain/database-failure.ts';
import type { Refusal } from '../../domain/refusal.ts';

/** What goes wrong in the extended protocol before a server hears of it, in PostgreSQL's own words. */

export const SEVERAL_COMMANDS: DatabaseFailure = {
  severity: 'ERROR',
  sqlstate: '42601',
  message: 'cannot insert multiple commands into a prepared statement',
};

export const BOUND_BY_PROTOCOL: Refusal = {
  refused: 'unsupported',
  message: 'A statement that was prepared with PREPARE and is held can’t be bound by protocol.',
  hint: 'Send EXECUTE with its values, or let the driver prepare the statement itself.',
};

export const MASKED_SINCE: Refusal = {
  refused: 'unsupported',
  message: 'Columns that the statement reads are masked since it was prepared.',
  hint: 'Prepare it again.',
};

export function duplicateStatement(name: string): DatabaseFailure {
  return { severity: 'ERROR', sqlstate: '42P05', message: `prepared statement "${name}" already exists` };
}

export function unknownStatement(name: string): DatabaseFailure {
  const message =
    name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`;
  return { severity: 'ERROR', sqlstate: '26000', message };
}

export function unknownPortal(name: string): DatabaseFailure {
  return { severity: 'ERROR', sqlstate: '34000', message: `portal "${name}" does not exist` };
}
