import type { Obligation } from './decision.ts';
import type { Envelope } from './envelope.ts';
import type { ActorId, Digest, EnvironmentId, Instant, PlanId } from './ids.ts';

/** For how long it may be acted on: whoever breaks the glass acts now. */
export const GLASS_STAYS_BROKEN_MS = 3_600_000;

/** What may be missing of a plan, and may be stood in for. */
export type ObligationKind = Obligation['obligation'];

/** What a person signs in an emergency: this plan, on this target identity, by me, without what is still missing of it. */
export interface BreakGlassStatement {
  readonly type: 'https://countersign.dev/break-glass/v1';
  readonly plan: PlanId;
  readonly environment: EnvironmentId;
  /** Digest of the plan's target identity. */
  readonly identity: Digest;
  readonly person: ActorId;
  /** What was missing when it was signed, in the order of the alphabet: for anything else it does not stand in. */
  readonly standsInFor: readonly ObligationKind[];
  readonly reason: string;
  readonly at: Instant;
  /** At most `GLASS_STAYS_BROKEN_MS` later. */
  readonly until: Instant;
}

/** What another person signs afterwards: I have looked at it. */
export interface ReviewStatement {
  readonly type: 'https://countersign.dev/incident-review/v1';
  readonly incident: string;
  readonly plan: PlanId;
  readonly person: ActorId;
  readonly reason: string;
  readonly at: Instant;
}

export const BREAK_GLASS_TYPE = 'application/vnd.countersign.break-glass+json';
export const REVIEW_TYPE = 'application/vnd.countersign.incident-review+json';

/** DSSE envelopes (secure-systems-lab/dsse v1) around the canonical statements. */
export type BreakGlassEnvelope = Envelope<typeof BREAK_GLASS_TYPE>;
export type ReviewEnvelope = Envelope<typeof REVIEW_TYPE>;

/** A broken glass, as it is kept. Whoever decides by it verifies the envelopes again. */
export interface Incident {
  /** `incident_` and sixteen hexadecimal digits, which follow from what was signed. */
  readonly id: string;
  readonly plan: PlanId;
  readonly person: ActorId;
  readonly envelope: BreakGlassEnvelope;
  readonly openedAt: Instant;
  readonly review: { readonly by: ActorId; readonly envelope: ReviewEnvelope; readonly at: Instant } | null;
}
