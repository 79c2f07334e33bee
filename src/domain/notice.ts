import type { Json } from './digest.ts';
import type { Instant } from './ids.ts';

/** What somebody outside should hear of who is not looking. */
export const NOTICE_TYPES = [
  /** A plan waits for people. */
  'plan.held',
  /** It still waits, and somebody else is told of it now. */
  'plan.escalated',
  'plan.approved',
  'plan.rejected',
  /** It was applied, or came to another end; `outcome` says which. */
  'plan.ended',
  /** What it changed was taken back, by another plan. */
  'plan.undone',
  'plan.expired',
  'halt.set',
  'halt.lifted',
  /** A backup or drill that was due could not be made; or a drill found that its backup would not bring the target back. */
  'backup.failed',
  'drill.failed',
  /** A target's schema is not as its baseline has it, in another way than before; it is again; or nobody can tell. */
  'drift.found',
  'drift.ended',
  'drift.failed',
  /** A breaker has stopped a task, an agent or a target. */
  'breaker.tripped',
  /** Somebody acts on a plan alone, without what is missing of it. */
  'glass.broken',
  /** Nobody has looked at that yet, and somebody else is told of it now. */
  'incident.escalated',
  'incident.reviewed',
] as const;
export type NoticeType = (typeof NOTICE_TYPES)[number];

export interface Notice {
  readonly type: NoticeType;
  /** The plan or halt that it is about. */
  readonly subject: string;
  readonly at: Instant;
  /** The entry of the ledger that it tells of. */
  readonly entry: number;
  /** One line that says it all. */
  readonly headline: string;
  readonly data: { readonly [key: string]: Json };
}

/** A notice on its way to one receiver. The same id in each attempt: who gets it twice can tell. */
export interface Message {
  readonly id: string;
  readonly notice: Notice;
  /** What the receiver said when it took the last message about the same subject. */
  readonly earlier: string | null;
}

export type Sent =
  /** `said`: what the receiver calls it, for messages to come. */
  | { readonly taken: true; readonly said?: string }
  /** `awayForMs`: it takes nothing at all for so long, this message or another. */
  | { readonly taken: false; readonly why: string; readonly awayForMs?: number };

/** Somebody outside, by one way. */
export interface Receiver {
  /** How it is called in the outbox, as long as the configuration names it: `webhook:…`, `email:…`. */
  readonly name: string;
  /** It changes its first message about a plan as the plan goes on: what comes later waits for that one. */
  readonly edits?: true;
  wants(notice: Notice): boolean;
  /** Tries once, within seconds; never throws for a receiver that is away. */
  send(message: Message): Promise<Sent>;
}
