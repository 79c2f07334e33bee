import type { DatabaseFailure } from './database-failure.ts';

/** What the database says to whoever runs a statement that returns no rows. */
export interface StatementAnswer {
  /** The command tag, e.g. `CREATE TABLE` or `INSERT 0 1`. */
  readonly command: string;
  /** Notices and warnings, in order. */
  readonly notices: readonly DatabaseFailure[];
  /** It returned rows, which were not kept. */
  readonly returnsRows: boolean;
}

/** A notice of the gateway's own. */
export function noticeSaying(message: string): DatabaseFailure {
  return { severity: 'NOTICE', sqlstate: '00000', message };
}
