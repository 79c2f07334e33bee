import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** What a server needs to check a secret by SCRAM-SHA-256 without knowing it (RFC 5802 §3, RFC 7677). */
export interface ScramVerifier {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export const SCRAM_SALT_BYTES = 16;
/** RFC 7677 §4. A task's token is random and long: more rounds would only slow down those who know it. */
export const SCRAM_ITERATIONS = 4096;

/** What SASLprep (RFC 4013) leaves as it is, so that it needs not be done: printable ASCII. */
const UNPREPARED = /^[\x20-\x7e]{1,512}$/;

/**
 * The verifier of a token, with a salt of its own.
 *
 * @throws when the token is empty, longer than 512 characters or has anything but printable ASCII in it.
 */
export function makeScramVerifier(
  token: string,
  salt: Uint8Array = randomBytes(SCRAM_SALT_BYTES),
  iterations: number = SCRAM_ITERATIONS,
): ScramVerifier {
  if (!UNPREPARED.test(token)) throw new Error('a token is 1 to 512 characters of printable ASCII');
  const saltedPassword = pbkdf2Sync(token, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', saltedPassword).update('Client Key').digest();
  return {
    salt,
    iterations,
    storedKey: createHash('sha256').update(clientKey).digest(),
    serverKey: createHmac('sha256', saltedPassword).update('Server Key').digest(),
  };
}
