import type { Channel } from '../config/scenario-schema.ts';
import type { Attempt } from './scenario.ts';

/** How an actor reaches a database: a gateway by a task, or the bare database by a login. */
export interface Way {
  readonly postgres: string;
  readonly mcp?: { readonly url: string; readonly token: string };
  readonly target: string;
}

/** An attempt, and how it is carried. */
export interface Carriage {
  readonly attempt: Attempt;
  readonly channel: Channel;
  readonly way: Way;
  /** What placeholders mean. */
  readonly words: Readonly<Record<string, string>>;
  /** Ends it; without one it ends by itself after a while. */
  readonly signal?: AbortSignal;
  /** What another session, which is at work, would be cancelled by. */
  readonly neighbour?: () => CancelKey | undefined;
  /** It was let in, with the sessions that it opens beforehand. */
  readonly onOpen?: (key: CancelKey) => void;
}

/** A carriage that ends. */
export type Timed = Carriage & { readonly signal: AbortSignal };

export interface CancelKey {
  readonly processId: number;
  readonly secret: Buffer;
}

/** What came back, as far as it matters. */
export interface Reply {
  /** SQLSTATEs of errors, in order; `closed` for a connection that ended, `timeout` for one that was ended here. */
  readonly errors: readonly string[];
  /** The first error in words. */
  readonly said: string;
  /** All that the actor received. */
  readonly received: string;
}

/** What has come back so far. */
export interface Heard {
  readonly errors: string[];
  said: string;
  received: string;
}
