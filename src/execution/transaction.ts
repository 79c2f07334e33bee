import type { Analysis } from '../domain/effect.ts';
import type { IntentId } from '../domain/ids.ts';
import type { Commitment, Statement } from '../domain/intent.ts';
import type { Purpose, Setting } from './connections.ts';

/** The transaction that a session is in, as the gateway must know it to measure it before it commits (G5). */
export interface Transaction {
  readonly purpose: Purpose;
  /** Begun by the gateway around one batch of the actor's, not by the actor. */
  implicit: boolean;
  /** Statements that may have changed rows, in order: they become a plan when the whole is over its limits. */
  readonly writes: WrittenStatement[];
  /** Settings made inside it, which hold after its commit. */
  readonly settings: Setting[];
  /** Settings that end with it. */
  readonly localSettings: Pick<Setting, 'name' | 'value'>[];
  readonly intent: IntentId;
  /** Parts of it can be taken back by themselves. */
  hasSavepoints: boolean;
  /** How many settings had been made in it when it first wrote; `null` before that. */
  madeBeforeWrites: number | null;
  /** How much of texts and values is kept with its writes. */
  keptBytes: number;
}

export function settingsMade({ settings, localSettings }: Pick<Transaction, 'settings' | 'localSettings'>): number {
  return settings.length + localSettings.length;
}

/** Its writes don't all mean what they say under the same settings: they can't be run again as one. */
export function mixesSettings(transaction: Transaction): boolean {
  return transaction.madeBeforeWrites !== null && transaction.madeBeforeWrites !== settingsMade(transaction);
}

export interface WrittenStatement {
  readonly statement: Statement;
  readonly analysis: Analysis;
  /** Set when its values were too large to be kept: they are not in `statement`, and it can't become a plan. */
  readonly sealed?: Commitment;
}
