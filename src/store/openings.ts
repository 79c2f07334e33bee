import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Rows, type Write, write } from './write.ts';

/** What opens a commitment of the ledger, kept beside it: it can be given away, or erased, and no entry changes. */
export interface Opening {
  readonly commitment: string;
  readonly salt: string;
}

/** @param subject of the entry in which the commitments stand. */
export function keepOpenings(subject: string, openings: readonly Opening[]): Rows {
  return {
    into: 'openings',
    columns: [
      ['commitment', 'text'],
      ['subject', 'text'],
      ['salt', 'text'],
    ],
    rows: openings.map(({ commitment, salt }) => [commitment, subject, salt]),
  };
}

export async function openingsOf(store: Store, subject: string): Promise<readonly Opening[]> {
  return store.all(statements.selectFrom('openings').select(['commitment', 'salt']).where('subject', '=', subject));
}

export function eraseOpenings(subject: string): Write {
  return write(statements.deleteFrom('openings').where('subject', '=', subject));
}
