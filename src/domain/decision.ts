import type { Opening } from './change-time.ts';
import type { ActorId, Digest, Instant } from './ids.ts';

/** What policy says of an intent. */
export type Decision = Allowed | Held | Denied;

export interface Allowed {
  readonly decision: 'allow';
  readonly policies: readonly PolicyReason[];
  readonly policyDigest: Digest;
}

/** Not now, but with what is missing it may be done: it becomes a plan. */
export interface Held {
  readonly decision: 'hold';
  /** Why it was not simply allowed, said for people. */
  readonly policies: readonly PolicyReason[];
  readonly missing: readonly Obligation[];
  readonly policyDigest: Digest;
}

/** Not in any way. */
export interface Denied {
  readonly decision: 'deny';
  readonly policies: readonly PolicyReason[];
  /** What would be allowed instead. */
  readonly instead: string;
  readonly policyDigest: Digest;
}

export interface PolicyReason {
  readonly policy: string;
  readonly reason: string;
}

export type Obligation =
  | { readonly obligation: 'approvals'; readonly count: number }
  | {
      readonly obligation: 'after freeze';
      readonly until: Instant;
      readonly reason: string;
      /** People whose countersignature lifts it; left out where nobody's does. */
      readonly override?: readonly ActorId[];
    }
  /** `next`: the window that opens next, at the time this was said. */
  | { readonly obligation: 'in window'; readonly windows: readonly string[]; readonly next: Opening | null }
  /** What can't be taken back waits for a backup that a fresh drill has proven; `newest`: when one passed last. */
  | { readonly obligation: 'fresh drill'; readonly newest: Instant | null }
  /** The target's schema must be as its baseline has it: what came another way is taken back, or a person accepts it. */
  | { readonly obligation: 'no drift'; readonly objects: number; readonly since: Instant }
  /** The gateway's clock went back, so that what is open or frozen can't be told until it is past that time again. */
  | { readonly obligation: 'steady clock'; readonly until: Instant };
