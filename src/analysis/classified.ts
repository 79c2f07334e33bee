import type { SessionAct, StatementClass } from '../domain/effect.ts';

/** How a statement is carried, and what PostgreSQL calls it. */
export interface Classified {
  readonly statementClass: StatementClass;
  readonly command: string;
}

/** It changes or shows only what the session holds. */
export function session(act: SessionAct, command: string): Classified {
  return { statementClass: { kind: 'session', act }, command };
}

/** It is not carried in any way (CS008). */
export function unsupported(what: string): Classified {
  return { statementClass: { kind: 'unsupported', what }, command: what };
}
