import type { Json } from './digest.ts';
import type { Instant } from './ids.ts';

/** What the ledger records. Each kind is written at one place of the pipeline. */
export const ENTRY_KINDS = [
  'genesis',
  /** The ledger is handed to another key: signed with both. */
  'key',
  'task opened',
  'task closed',
  /** Reads that flowed through, several to an entry; they lose nothing, so they are batched. */
  'reads',
  /** A statement that may have an effect, before it runs (G7). */
  'intent',
  'denied',
  'plan',
  'approval',
  'rejection',
  /** An apply begins. */
  'apply',
  'outcome',
  'expired',
  /** The policies and configuration by which gateways decide from here on. */
  'policy',
  /** What opens the commitments about a subject was removed. */
  'erased',
  'halt',
  'resume',
  /** A person vouches for a function of a target, or takes it back. */
  'voucher',
  /** Configuration and policies were loaded anew, or were refused. */
  'reload',
  /** A backup was made: what it holds, and the digest of its manifest. */
  'backup',
  /** A backup was restored into a scratch server and compared by content. */
  'drill',
  /** A backup or drill that was due could not be made, and why. */
  'not done',
  /** The red team tried the whole of a set-up: what got through, what harmless work was refused, and what of it is worse. */
  'red team',
  /** A person was offered a way to sign in, signed in, or a session of theirs ended. */
  'session',
  /** A passkey of a person was registered, vouched for, or taken back. */
  'passkey',
  /** A token was made with which programs act for a person, or taken back. */
  'token',
  /** What a target's schema is meant to be: as it was first seen, as plans have made it since, or as a person accepts it. */
  'baseline',
  /** A target's schema deviates from its baseline, in another way than it did, or no longer. */
  'drift',
  /** A breaker stopped a task, an agent or a target, and why: an incident, with what led to it. */
  'trip',
  /** A person lets another decide in their place for a time, or that ends. */
  'delegation',
  /** A person acts on a plan without what is missing of it, and signs so. */
  'break-glass',
  /** Another person has looked at what was done so. */
  'incident review',
  /** A shadow copy of a target was made for a task, or is gone. */
  'branch',
] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** One leaf of the ledger, before it is canonicalised (RFC 8785) and hashed (RFC 6962). */
export interface Entry {
  readonly v: 1;
  readonly kind: EntryKind;
  readonly at: Instant;
  /** What this entry is about: an intent id, a plan id, a task id … `ledger show` finds entries by it. */
  readonly subject: string;
  readonly body: Json;
}
