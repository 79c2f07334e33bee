import type { ActorId, Digest, EnvironmentId, TargetId } from './ids.ts';
import type { MaskRule } from './masking.ts';
import type { SecretMode } from './secrets.ts';

/** Two connections of the target each, at most. */
export const DEFAULT_MAX_SESSIONS = 200;

/** One governed database in one environment. */
export interface Target {
  readonly id: TargetId;
  readonly engine: 'postgres';
  readonly environment: EnvironmentId;
  readonly owner: ActorId;
  readonly endpoint: Endpoint;
  /** Digest of the pinned identity; a connection that reaches anything else is refused (G9). */
  readonly identity: Digest;
  /** Of all tasks together, on each gateway. */
  readonly maxSessions?: number;
  /** What becomes of values in results that look like secrets; `off` where it isn't said. */
  readonly secrets?: SecretMode;
  /** Whether rows are kept of writes within limits, so that they can be undone. */
  readonly keepsWrites?: boolean;
  /** How long, and up to which size, it keeps rows for undo. */
  readonly undoKept?: { readonly keepMs: number; readonly maxBytes: number };
  /** How long what is dropped stays in quarantine; nothing goes there where it isn't said. */
  readonly quarantineMs?: number;
  /** Which columns actors see only through a mask. */
  readonly masks?: readonly MaskRule[];
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** As libpq's sslmode: `disable`, `require` (encrypted, server not verified) or `verify-full`. */
  readonly tls: 'disable' | 'require' | 'verify-full';
  /** PEM of the authorities to trust with `verify-full`. */
  readonly tlsAuthorities?: string;
}

/** What a connection finds at the other end. All of it is copied by a clone except the endpoint, so the endpoint is part of it. */
export interface TargetIdentity {
  readonly engine: 'postgres';
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly databaseOid: number;
  /** Decimal, 64 bits. */
  readonly systemIdentifier: string;
}
