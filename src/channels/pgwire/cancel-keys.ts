import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import type { WireProtocol } from './startup.ts';

/**
 * The gateway's own cancel keys: a client never learns those of the target. A key cancels the one session it was issued
 * to, and nothing once that is over.
 */
export interface CancelKeys {
  issue(protocol: WireProtocol): CancelKey;
  /** Whether the secret is that of the session with this process id. Says nothing of which of the two was wrong. */
  matches(processId: number, secret: Uint8Array): boolean;
  revoke(processId: number): void;
}

export interface CancelKey {
  /** Positive, 31 bits; the first 7 say which process of the gateway issued it, the rest nothing. */
  readonly processId: number;
  readonly secret: Buffer;
}

/** The protocol holds 4 bytes up to 3.1, and since 3.2 as many as the server likes (PostgreSQL, "BackendKeyData"). */
const SECRET_BYTES: Readonly<Record<WireProtocol, number>> = { '3.0': 4, '3.2': 32 };

/** So many processes can listen on one port. */
export const MAX_ISSUERS = 128;
const IDS_EACH = 2 ** 24;

/** Which process of the gateway issued the key of a session. */
export function issuerOf(processId: number): number {
  return Math.floor(processId / IDS_EACH);
}

/** @param issuer which process of the gateway this is, from 0. */
export function createCancelKeys(issuer = 0): CancelKeys {
  const secrets = new Map<number, Buffer>();
  return {
    issue(protocol) {
      const newId = (): number => issuer * IDS_EACH + randomInt(1, IDS_EACH);
      let processId = newId();
      while (secrets.has(processId)) processId = newId();
      const secret = randomBytes(SECRET_BYTES[protocol]);
      secrets.set(processId, secret);
      return { processId, secret };
    },
    matches(processId, secret) {
      const right = secrets.get(processId);
      // A comparison is made in any case, so that its time doesn't tell whether there is such a session.
      const against = right?.length === secret.length ? right : randomBytes(secret.length);
      return timingSafeEqual(against, secret) && right === against;
    },
    revoke(processId) {
      secrets.delete(processId);
    },
  };
}
