import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { TableEffect } from '../domain/effect.ts';
import type { Refusal } from '../domain/refusal.ts';

/** What came of a batch, or of the statement that ends a transaction. */
export type Outcome =
  /** `tables`: what a transaction that was committed is measured to have changed. */
  | { readonly outcome: 'done'; readonly tables?: readonly TableEffect[] }
  /** An approved plan was applied in place of the statement: what the actor would have been answered. */
  | { readonly outcome: 'applied'; readonly command: string; readonly notice: string }
  /** The database's own error; it has not been shown to the actor yet. */
  | { readonly outcome: 'failed'; readonly failure: DatabaseFailure }
  | { readonly outcome: 'refused'; readonly refusal: Refusal };
