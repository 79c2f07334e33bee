import type { Clock } from '../domain/clock.ts';
import type { Json } from '../domain/digest.ts';
import type { EntryKind } from '../domain/entry.ts';
import { type Instant, instantOf } from '../domain/ids.ts';
import type { Ledger, Recorded } from '../ledger/ledger.ts';
import type { Write } from '../store/write.ts';

/** How the pipeline proves: one entry and the state transition that goes with it, durable together or not at all (G7). */
export interface Proof {
  /** Identifies this running gateway, so that another can tell whose unfinished work it finds. */
  readonly node: string;
  readonly log: Log;
  /** What this process is at right now, by subject: recovery leaves it alone. */
  readonly underWay: Set<string>;
  now(): Instant;
  /** Resolves when durable. @throws GuardFailed when the state was not what the writes expect; LedgerUnavailable. */
  record(fact: {
    readonly kind: EntryKind;
    readonly subject: string;
    readonly body: Json;
    readonly writes?: readonly Write[];
  }): Promise<Recorded>;
}

/** The part of a structured logger that is used: an object of fields, then one sentence. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export function createProof(deps: {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly node: string;
  readonly log: Log;
}): Proof {
  const now = () => instantOf(deps.clock.now());
  return {
    node: deps.node,
    log: deps.log,
    underWay: new Set(),
    now,
    record: ({ kind, subject, body, writes = [] }) =>
      deps.ledger.record({ entries: [{ v: 1, kind, at: now(), subject, body }], writes }),
  };
}
