import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Refusal } from '../domain/refusal.ts';

/** What came of a batch, or of the statement that ends a transaction. */
export type Outcome =
  | { readonly outcome: 'done' }
  /** An approved plan was applied in place of the statement: what the actor would have been answered. */
  | { readonly outcome: 'applied'; readonly command: string; readonly notice: string }
  /** The database's own error; it has not been shown to the actor yet. */
  | { readonly outcome: 'failed'; readonly failure: DatabaseFailure }
  | { readonly outcome: 'refused'; readonly refusal: Refusal };
