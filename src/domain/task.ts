import type { ActorId, Instant, TargetId, TaskId } from './ids.ts';

/** A short-lived capability: a purpose and a declared blast radius. */
export interface Task {
  readonly id: TaskId;
  readonly purpose: string;
  readonly agent: ActorId;
  /** The person on whose behalf it runs, who therefore can't countersign its plans; the agent itself where nobody asked. */
  readonly onBehalfOf: ActorId;
  readonly openedBy: ActorId;
  readonly openedAt: Instant;
  readonly expiresAt: Instant;
  readonly radius: readonly TargetRadius[];
  readonly limits: TaskLimits;
}

/** What may be touched on one target. Names are `schema.table` or patterns with `*` for a whole part. */
export interface TargetRadius {
  readonly target: TargetId;
  readonly read: readonly string[];
  /** Tables whose rows may be changed; they may also be read. */
  readonly write: readonly string[];
}

export interface TaskLimits {
  /** Rows changed by one statement, cascades and triggers included. */
  readonly rowsPerStatement: number;
  /** Rows changed by all statements of the task together. */
  readonly rowsPerTask: number;
  readonly statementTimeoutMs: number;
  /** Rows of one answer, and their bytes as they go over the wire; left out where nothing bounds them. */
  readonly rowsPerReply?: number;
  readonly bytesPerReply?: number;
  /** How long a transaction may be left without a statement; 5 minutes where it isn't said. */
  readonly idleInTransactionMs?: number;
  /** How long others may wait for what one of its transactions holds; 5 seconds where it isn't said. */
  readonly othersWaitMs?: number;
  /** Sessions that the task has open on one target at a time, on each gateway. */
  readonly sessions?: number;
}

export type TaskState = 'open' | 'closed' | 'expired';
