import type { ActorId, Digest, Instant, IntentId, TargetId, TaskId } from './ids.ts';

export type Channel = 'mcp' | 'pgwire' | 'http' | 'cli';

/** What an actor asks. */
export interface Intent {
  readonly id: IntentId;
  readonly at: Instant;
  readonly channel: Channel;
  readonly actor: ActorId;
  readonly task: TaskId;
  readonly target: TargetId;
  readonly statements: readonly Statement[];
}

/** One statement as the actor wrote it, with the values bound to it. */
export interface Statement {
  readonly text: string;
  readonly parameters: readonly Parameter[];
}

/** What the ledger is told of a statement and its values: nobody can put others in their place afterwards. */
export interface Commitment {
  readonly salt: string;
  readonly commitment: Digest;
  /** Set when the values were too large to be kept: how many bytes of the Bind message they took. */
  readonly valuesBytes?: number;
}

/** A bound value in the database's own text form. */
export interface Parameter {
  /** The type's name as `format_type` writes it; `unknown` when the actor left it to the server. */
  readonly type: string;
  readonly value: string | null;
}
