import type { Envelope } from './envelope.ts';
import type { ActorId, EnvironmentId, Instant } from './ids.ts';

/** What a person signs before they are away: until then, this person decides there in my place. */
export interface DelegationStatement {
  readonly type: 'https://countersign.dev/delegation/v1';
  readonly person: ActorId;
  readonly to: ActorId;
  readonly environment: EnvironmentId;
  readonly reason: string;
  readonly at: Instant;
  readonly until: Instant;
}

/** What ends one before its time: signed by either of the two, or by whoever may end sessions. */
export interface DelegationEndStatement {
  readonly type: 'https://countersign.dev/delegation-end/v1';
  readonly delegation: string;
  readonly person: ActorId;
  readonly reason: string;
  readonly at: Instant;
}

export const DELEGATION_TYPE = 'application/vnd.countersign.delegation+json';
export const DELEGATION_END_TYPE = 'application/vnd.countersign.delegation-end+json';

/** DSSE envelopes (secure-systems-lab/dsse v1) around the canonical statements. */
export type DelegationEnvelope = Envelope<typeof DELEGATION_TYPE>;
export type DelegationEndEnvelope = Envelope<typeof DELEGATION_END_TYPE>;

declare const verified: unique symbol;
/** A delegation that stands, with what it is called. Only `approval/delegation.ts` makes one. */
export type StandingDelegation = DelegationStatement & { readonly id: string; readonly [verified]: true };
