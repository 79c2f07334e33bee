import type { Statement } from '../../domain/intent.ts';
import type { UndoOf } from '../engine.ts';
import type { Capture } from './capture.ts';

/** What is run, and what is looked at, in one transaction of a dry run or an apply. */
export interface Trial {
  readonly statements: readonly Statement[];
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** What is taken back in place of statements that are run. */
  readonly undo?: UndoOf | undefined;
  /** The drop whose quarantine is let go in place of statements that are run. */
  readonly purge?: string | undefined;
  /** Statements that only drop things move them into quarantine, for as long. */
  readonly quarantine?: { readonly keepMs: number } | undefined;
  /** They must: they were approved so. */
  readonly mustKeep?: boolean;
  readonly capture: Capture;
  /** Tables whose rows are counted beforehand, because they may be dropped. */
  readonly counted: readonly string[];
}
