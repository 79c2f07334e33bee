import type { ProvenBackup } from './backup.ts';
import type { Held } from './decision.ts';
import type { Effect, MeasuredEffect } from './effect.ts';
import type { Tier } from './environment.ts';
import type { ActorId, Digest, EnvironmentId, Instant, PlanId, TargetId, TaskId } from './ids.ts';
import type { Channel, Statement } from './intent.ts';
import type { TargetIdentity } from './target.ts';

/**
 * An immutable description of a held intent. Its id is the digest of everything here, so an approval of the id is an
 * approval of exactly this, and a plan that differs in one byte is another plan.
 */
export interface Plan {
  readonly version: 1;
  readonly task: TaskId;
  readonly actor: ActorId;
  readonly onBehalfOf: ActorId;
  readonly purpose: string;
  readonly channel: Channel;
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  readonly tier: Tier;
  readonly identity: TargetIdentity;
  readonly statements: readonly Statement[];
  /** `search_path` and other session settings under which the statements are understood. */
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  readonly effects: readonly Effect[];
  readonly measurement: Measurement;
  /** Digest over the definitions of all objects the statements name, at the time of the measurement. */
  readonly baseState: Digest;
  readonly undo: UndoPath;
  /** What would bring all of the target back, as it was when the plan was made; absent where no backup is proven. */
  readonly backup?: ProvenBackup;
  /** What of the target's schema had come another way when the plan was made; absent where nothing had, as far as was looked. */
  readonly drift?: { readonly objects: number; readonly since: Instant };
  /** Set on a plan that takes a change back: by its statements, or by putting rows back that were kept of the change. */
  readonly undoes?: Undoes;
  /** Set on a plan that brings in what a branch has otherwise. */
  readonly merges?: Merges;
  /** Set on a plan that lets go of what a drop has put into quarantine. */
  readonly purges?: Purges;
  readonly held: Pick<Held, 'policies' | 'missing'>;
  readonly policyDigest: Digest;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
  /** Random, so that the same wish made twice is two plans. */
  readonly nonce: string;
}

export type Measurement =
  | { readonly measured: true; readonly effect: MeasuredEffect }
  /** Could not be tried without risk or at all; held to a stricter rule. */
  | { readonly measured: false; readonly why: string };

/** How one gets back. Said on the plan before anybody countersigns (G8). */
export type UndoPath =
  /** The rows before and after are kept in the target, in the same transaction. */
  | { readonly undo: 'row images'; readonly rows: number; readonly takesMs?: number }
  /** Definitions are made as they were by these, if nobody has changed them since. */
  | { readonly undo: 'statements'; readonly statements: readonly string[] }
  /** What it drops is moved out of the way, and back. */
  | { readonly undo: 'quarantine'; readonly keepMs: number; readonly bytes: number; readonly takesMs: number }
  | { readonly undo: 'irreversible'; readonly why: string };

/** What a plan takes back. */
export interface Undoes {
  /** The plan that was applied, or the intent of a write. */
  readonly change: string;
  /** Rows that were changed since are left as they are. */
  readonly keepNewer: boolean;
  /** `schema.name` of all tables of which rows were kept; empty where statements take the change back. */
  readonly tables: readonly string[];
  /** What was dropped comes back from quarantine. */
  readonly fromQuarantine?: true;
  readonly askedBy: ActorId;
  /** The rows that are left, one a line, as far as a person reads. */
  readonly newer: readonly string[];
}

/** What a plan brings in. */
export interface Merges {
  readonly branch: TargetId;
  /** The branch was made of the target as it was then. */
  readonly copiedAt: Instant;
  /** As the rows of which change the target keeps what is to come and to go. */
  readonly change: string;
  readonly tables: readonly string[];
  /** Rows that were changed in the target since are left as they are. */
  readonly keepNewer: boolean;
  readonly askedBy: ActorId;
  /** The rows that are left, one a line, as far as a person reads. */
  readonly newer: readonly string[];
}

/** What a plan lets go of for good. */
export interface Purges {
  /** The plan that dropped it. */
  readonly change: string;
  readonly askedBy: ActorId;
  /** It was to be kept until then. */
  readonly until: Instant;
}

export const PLAN_STATES = [
  'held',
  'approved',
  'rejected',
  'applying',
  'applied',
  'failed',
  'stale',
  'expired',
  'indeterminate',
] as const;
export type PlanState = (typeof PLAN_STATES)[number];

/** The legal transitions of a plan; everything else is a bug or an attack. */
export const PLAN_TRANSITIONS: Readonly<Record<PlanState, readonly PlanState[]>> = {
  held: ['approved', 'rejected', 'expired', 'stale'],
  approved: ['applying', 'rejected', 'expired', 'stale'],
  /** `approved` again when the attempt is known not to have begun its effect (target unreachable, lock not to be had). */
  applying: ['applied', 'failed', 'stale', 'approved', 'indeterminate'],
  applied: [],
  rejected: [],
  failed: [],
  stale: [],
  expired: [],
  indeterminate: ['applied', 'failed'],
};

/** A plan with where it stands. */
export interface PlanRecord {
  readonly id: PlanId;
  readonly plan: Plan;
  readonly state: PlanState;
  /** Why it stands there, where that needs saying. */
  readonly note: string | null;
}

/** Whether a plan can still come to something: it waits for approvals or to be applied, and its time isn't over. */
export function isLive(record: PlanRecord, nowMs: number): boolean {
  return (record.state === 'held' || record.state === 'approved') && nowMs < Date.parse(record.plan.expiresAt);
}

/** Enough of a plan's id to type: the first twelve hexadecimal digits. Other ids are short as they are. */
export function shortId(id: string): string {
  return id.startsWith('sha256:') ? id.slice('sha256:'.length, 'sha256:'.length + 12) : id;
}
