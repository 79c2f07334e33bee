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
  /** Positive, 31 bits; means nothing but this session, on this node. */
  readonly processId: number;
  readonly secret: Buffer;
}

/** The protocol holds 4 bytes up to 3.1, and since 3.2 as many as the server likes (PostgreSQL, "BackendKeyData"). */
const SECRET_BYTES: Readonly<Record<WireProtocol, number>> = { '3.0': 4, '3.2': 32 };

export function createCancelKeys(): CancelKeys {
  const secrets = new Map<number, Buffer>();
  return {
    issue(protocol) {
      let processId = randomInt(1, 2 ** 31);
      while (secrets.has(processId)) processId = randomInt(1, 2 ** 31);
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
