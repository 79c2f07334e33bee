import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** What a server keeps to check a secret without knowing it (RFC 5802 §3). */
export interface ScramVerifier {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** RFC 7677 §4. A task's token is long and random: more rounds would only slow down those who know it. */
export const SCRAM_ITERATIONS = 4096;
export const SCRAM_SALT_BYTES = 16;
const PRINTABLE_ASCII = /^[\x21-\x7e]+$/;

/**
 * The SCRAM-SHA-256 verifier of a secret (RFC 7677).
 *
 * @throws when the secret has other than printable ASCII characters: those would need SASLprep.
 */
export function makeScramVerifier(secret: string, salt: Uint8Array = randomBytes(SCRAM_SALT_BYTES)): ScramVerifier {
  if (!PRINTABLE_ASCII.test(secret)) throw new Error('a SCRAM secret must be printable ASCII');
  const salted = pbkdf2Sync(secret, salt, SCRAM_ITERATIONS, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  return {
    salt,
    iterations: SCRAM_ITERATIONS,
    storedKey: createHash('sha256').update(clientKey).digest(),
    serverKey: createHmac('sha256', salted).update('Server Key').digest(),
  };
}

/** The form in which PostgreSQL takes a password that it must not see in clear (PostgreSQL, "pg_authid"). */
export function scramPassword(secret: string): string {
  const { salt, iterations, storedKey, serverKey } = makeScramVerifier(secret);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
}
