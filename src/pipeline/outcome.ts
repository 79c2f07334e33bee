import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { TableEffect } from '../domain/effect.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';

/** What came of a batch, or of the statement that ends a transaction. */
export type Outcome =
  /** `tables`: what a transaction that was committed is measured to have changed. */
  | { readonly outcome: 'done'; readonly tables?: readonly TableEffect[] }
  /** A plan was applied in place of the statements: what the actor would have been answered, at least once. */
  | { readonly outcome: 'applied'; readonly answers: readonly StatementAnswer[] }
  /** The database's own error; it has not been shown to the actor yet. */
  | { readonly outcome: 'failed'; readonly failure: DatabaseFailure }
  | { readonly outcome: 'refused'; readonly refusal: Refusal };
