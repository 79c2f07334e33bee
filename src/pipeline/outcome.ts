import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { TableEffect } from '../domain/effect.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';

/** What came of a batch, or of the statement that ends a transaction. */
export type Outcome =
  /** `tables`: what a transaction that was committed is measured to have changed. */
  | { readonly outcome: 'done'; readonly tables?: readonly TableEffect[] }
  /** A plan was applied in place of the statements: what the actor would have been answered, at least once. */
  | {
      readonly outcome: 'applied';
      readonly answers: readonly StatementAnswer[];
      /** What the gateway has to say of it. */
      readonly notices: readonly DatabaseFailure[];
    }
  /** Tried, and kept for the COMMIT of the actor's transaction: what the database answered on trial. */
  | {
      readonly outcome: 'gathered';
      readonly answers: readonly StatementAnswer[];
      readonly notices: readonly DatabaseFailure[];
    }
  /** The database's own error; it has not been shown to the actor yet. */
  | { readonly outcome: 'failed'; readonly failure: DatabaseFailure }
  | { readonly outcome: 'refused'; readonly refusal: Refusal };
