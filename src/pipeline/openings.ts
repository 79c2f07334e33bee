import type { Json } from '../domain/digest.ts';
import { keepOpenings, type Opening } from '../store/openings.ts';
import type { Write } from '../store/write.ts';

/** What is told of a statement, with what opens its commitment where it has one. */
export type Told = { readonly [name: string]: Json | undefined };

/** The part that goes into the ledger for good: without the salts, so that no value can be found by trying. */
export function withoutSalts(told: readonly Told[]): Told[] {
  return told.map(({ salt: _, ...rest }) => rest);
}

/** Keeps the salts beside the ledger, where they can be erased. */
export function keepSalts(subject: string, told: readonly Told[]): readonly Write[] {
  const openings = told.flatMap(({ commitment, salt }): Opening[] =>
    typeof commitment === 'string' && typeof salt === 'string' ? [{ commitment, salt }] : [],
  );
  return openings.length === 0 ? [] : [keepOpenings(subject, openings)];
}
