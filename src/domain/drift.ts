import type { Envelope } from './envelope.ts';
import type { ActorId, Digest, EnvironmentId, Instant, TargetId } from './ids.ts';

/**
 * The schema of a target at one moment: an object's definition by `kind name`. A definition is the JSON of its aspects
 * (owner, type, grants …), without oids and in a fixed order: equal schemas have equal definitions.
 */
export interface Definitions {
  readonly objects: ReadonlyMap<string, string>;
  /** The server's major version: another one writes some definitions in another way. */
  readonly major: number;
}

/** What an applied plan has made of one object; `null` where there is none. */
export interface DefinitionMove {
  readonly object: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** One object that is not as it should be. */
export interface Deviation {
  readonly object: string;
  /** Seen from what it should be: `added` is there and should not be. */
  readonly change: 'added' | 'removed' | 'changed';
  /** What of it, in the order of their names; of an added or removed object all of it. */
  readonly aspects: readonly AspectChange[];
}

export interface AspectChange {
  readonly aspect: string;
  /** As people read it; `null` where it has none. */
  readonly before: string | null;
  readonly after: string | null;
}

/** How a target stood when it was looked at last. */
export interface DriftState {
  readonly target: TargetId;
  readonly checkedAt: Instant;
  /** Since when something differs: the first look that found it. `null` while nothing does. */
  readonly since: Instant | null;
  /** How many objects. */
  readonly objects: number;
  /** Over the deviations, so that the same drift is told once. */
  readonly digest: Digest;
  /** The first of them, by name. */
  readonly listed: readonly Pick<Deviation, 'object' | 'change'>[];
}

/** What a person signs: this is how the schema of this target is meant to be from now on. */
export interface BaselineStatement {
  readonly type: 'https://countersign.dev/baseline/v1';
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  /** Digest of the target's identity. */
  readonly identity: Digest;
  /** Digests of the baseline that was, and of the schema that takes its place. */
  readonly was: Digest;
  readonly becomes: Digest;
  readonly person: ActorId;
  readonly reason: string;
  readonly at: Instant;
}

/** A DSSE envelope (secure-systems-lab/dsse v1) around a canonical baseline statement. */
export type BaselineEnvelope = Envelope<'application/vnd.countersign.baseline+json'>;
