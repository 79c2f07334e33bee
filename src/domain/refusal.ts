import type { DatabaseFailure } from './database-failure.ts';

/** SQLSTATEs of class CS: part of the contract for scripts. */
export const SQLSTATES = {
  held: 'CS001',
  denied: 'CS002',
  stale: 'CS003',
  halted: 'CS004',
  overLimit: 'CS005',
  identityMismatch: 'CS006',
  unavailable: 'CS007',
  unsupported: 'CS008',
} as const;
export type RefusalCode = keyof typeof SQLSTATES;
const REFUSAL_CODES = Object.keys(SQLSTATES) as RefusalCode[];

/** An expected no: a value, never an exception. Each says the fact, what stands behind it, and the next step. */
export interface Refusal {
  readonly refused: RefusalCode;
  /** One sentence with the fact. */
  readonly message: string;
  /** Effects, figures, policies. */
  readonly detail?: string;
  /** What to do next, or what would be allowed. */
  readonly hint: string;
  /** The plan that was made of it, where there is one. */
  readonly plan?: string;
}

/** Carries a refusal through code that has no other way to return it; caught where the refusal is answered. */
export class RefusalError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal.message, options);
    this.name = 'RefusalError';
    this.refusal = refusal;
  }
}

/** The refusal that an error of class CS tells of; `undefined` for an error of the database's own. */
export function refusalOf({ sqlstate, message, detail, hint }: DatabaseFailure): Refusal | undefined {
  const refused = REFUSAL_CODES.find((code) => SQLSTATES[code] === sqlstate);
  if (refused === undefined) return undefined;
  return { refused, message, hint: hint ?? '', ...(detail === undefined ? {} : { detail }) };
}

/** A refusal as an error of class CS. */
export function failureOf(refusal: Refusal): DatabaseFailure {
  return {
    severity: 'ERROR',
    sqlstate: SQLSTATES[refusal.refused],
    message: refusal.message,
    ...(refusal.detail === undefined ? {} : { detail: refusal.detail }),
    hint: refusal.hint,
  };
}
