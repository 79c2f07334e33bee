import type { HaltId, Instant } from './ids.ts';

/** What stops an actor, or a target, without a person. */
export const BREAKERS = [
  /** Statements that would lose something were denied, again and again. */
  'knocking',
  /** Plans that would lose something were made, one after the other, whether anybody countersigns them or not. */
  'insisting',
  /** Writes went over a limit again and again, and were rolled back. */
  'overLimit',
  /** What plans did when they were applied was not what had been approved. */
  'effectDiffers',
  /** The database refused what was to take effect. */
  'failures',
  /** Many rows changed within limits, over all tasks of an agent. */
  'rows',
  /** Breakers tripped for one task of an agent after the other. */
  'taskAfterTask',
  /** What answers is not the pinned target. */
  'identity',
] as const;
export type Breaker = (typeof BREAKERS)[number];

/** A breaker trips when more than enough of its signals come within a time. */
export interface BreakerRule {
  readonly breaker: Breaker;
  /** It trips at so many. */
  readonly max: number;
  readonly withinMs: number;
}

/** Always one agent, one task of it, or one target: what one does never stops another. */
export interface BreakerScope {
  readonly scope: 'agent' | 'task' | 'target';
  readonly id: string;
}

/** One thing that happened and that a breaker counts. */
export interface Signal {
  readonly breaker: Breaker;
  readonly scope: BreakerScope;
  /** How much it counts: rows, else 1. */
  readonly weight: number;
  readonly agent: string;
  readonly target: string;
  readonly task: string;
  /** The entry of the ledger that says so. */
  readonly entry: number;
  readonly atMs: number;
  /** In a few words. */
  readonly what: string;
}

/** A breaker has enough. */
export interface Tripping {
  readonly rule: BreakerRule;
  readonly scope: BreakerScope;
  readonly signals: readonly Signal[];
  readonly count: number;
  /** It was let go on, and has tripped again right away. */
  readonly again: boolean;
}

/** A trip as the ledger tells it. */
export interface Trip {
  readonly halt: HaltId;
  readonly incident: string;
  readonly breaker: Breaker;
  readonly scope: BreakerScope;
  readonly at: Instant;
  readonly reason: string;
  readonly again: boolean;
  readonly agent: string | null;
  readonly owner: string | null;
  readonly timeline: readonly { readonly entry: number; readonly at: Instant; readonly what: string }[];
}
