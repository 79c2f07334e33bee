import type { ActorId, RoleId } from './ids.ts';
import type { Passkey } from './passkey.ts';

/** Who acts. Everyone has a named owner: a person who answers for it. */
export type Actor = Agent | ApprovalAgent | Person | Service;

export interface Agent {
  readonly kind: 'agent';
  readonly id: ActorId;
  readonly owner: ActorId;
  readonly role: RoleId;
  /** What decides in it, as in `claude`: approval agents of the same family don't count for what it proposes. */
  readonly family?: string;
}

/** Countersigns in a person's stead where an environment lets it, and does nothing else: it has no role, no token and no task. */
export interface ApprovalAgent {
  readonly kind: 'approval agent';
  readonly id: ActorId;
  readonly owner: ActorId;
  readonly family: string;
  /** A raw Ed25519 public key (RFC 8032), 32 bytes; nobody else's. */
  readonly publicKey: Uint8Array;
  /** Environments by id, each named. */
  readonly approves: readonly string[];
}

/** What people do here. The duties are apart: who looks after all of it changes nothing, who configures doesn't decide alone. */
export const PERSON_ROLES = ['requester', 'approver', 'operator', 'responder', 'auditor', 'administrator'] as const;
export type PersonRole = (typeof PERSON_ROLES)[number];

export interface Person {
  readonly kind: 'person';
  readonly id: ActorId;
  readonly name: string;
  readonly email?: string;
  /** What the OpenID Connect provider calls them; without it they are found by their verified e-mail address. */
  readonly subject?: string;
  /** What Slack calls them (`U…`), in the workspace of the configuration. Their clicks are worth what the environment says. */
  readonly slack?: string;
  /** Raw Ed25519 public keys (RFC 8032), 32 bytes each. Whoever holds the private key of one speaks as this person. */
  readonly publicKeys: readonly Uint8Array[];
  /** Those that somebody has vouched for; they count as much as keys. The configuration knows of none. */
  readonly passkeys: readonly Passkey[];
  /** Environments by id in which this person may countersign; `*` is every one. */
  readonly approves: readonly string[];
  /** Environments by id in which this person may break the glass; `*` is every one. Nobody may unless they are named. */
  readonly breaksGlass: readonly string[];
  /** Environments by id in which agents may act for this person; `*` is every one. */
  readonly requests: readonly string[];
  /** What this person may do; `rights.ts` says what each means. */
  readonly roles: readonly PersonRole[];
}

export interface Service {
  readonly kind: 'service';
  readonly id: ActorId;
  readonly owner: ActorId;
  readonly role: RoleId;
  readonly family?: string;
}

/** The ceiling of what an actor may ever do. Patterns are `schema.table` with `*` for a whole part. */
export interface Role {
  readonly id: RoleId;
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Verbs beyond reading and writing rows that this role may at least propose. */
  readonly propose: readonly ('truncate' | 'schema' | 'privilege' | 'unknown' | 'maintain')[];
  readonly maxRowsPerStatement: number;
  readonly maxRowsPerTask: number;
  readonly maxTaskMs: number;
  /** Left out where nothing bounds them. */
  readonly maxRowsPerReply?: number;
  readonly maxBytesPerReply?: number;
  readonly maxSessions?: number;
}
