import type { Envelope } from './envelope.ts';
import type { ActorId, Digest, EnvironmentId, Instant, TargetId } from './ids.ts';

/** What a person signs: I have read this definition of this function on this target, and it does nothing but read. */
export interface VoucherStatement {
  readonly type: 'https://countersign.dev/voucher/v1';
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  /** Digest of the target's identity: what was read in staging says nothing of production. */
  readonly identity: Digest;
  /** `schema.name(type, type)` */
  readonly signature: string;
  /** SHA-256 over the definition and its owner: of another definition nothing was said. */
  readonly definition: string;
  readonly person: ActorId;
  readonly verdict: 'trust' | 'revoke';
  readonly reason: string;
  readonly at: Instant;
}

/** A DSSE envelope (secure-systems-lab/dsse v1) around a canonical voucher statement. */
export type VoucherEnvelope = Envelope<'application/vnd.countersign.voucher+json'>;
