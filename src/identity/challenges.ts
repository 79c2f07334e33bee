import { createHmac, randomBytes } from 'node:crypto';
import { type Instant, instantOf } from '../domain/ids.ts';
import { forgetChallenges, spendChallenge } from '../store/passkeys.ts';
import type { Write } from '../store/write.ts';
import { sameText } from './secret-token.ts';

/**
 * Challenges that nobody has to remember until they are answered: whoever asks costs the state nothing. Each says what it
 * is for and until when, under a key that the gateways of one configuration share; answering it is written down with what
 * comes of it, so that no answer counts twice.
 */
export interface Challenges {
  issue(purpose: string): Buffer;
  /** What spends it, if it was issued for this and is still good. */
  accept(challenge: string, purpose: string): readonly Write[] | undefined;
}

const LIFETIME_MS = 5 * 60_000;
const [NONCE_BYTES, TIME_BYTES] = [16, 6];

export function createChallenges(deps: { readonly secret: Buffer; readonly now: () => number }): Challenges {
  const sealOf = (body: Buffer, purpose: string) =>
    createHmac('sha256', deps.secret).update(body).update(purpose).digest();

  return {
    issue(purpose) {
      const time = Buffer.alloc(TIME_BYTES);
      time.writeUIntBE(deps.now() + LIFETIME_MS, 0, TIME_BYTES);
      const body = Buffer.concat([randomBytes(NONCE_BYTES), time]);
      return Buffer.concat([body, sealOf(body, purpose)]);
    },
    accept(challenge, purpose) {
      const bytes = Buffer.from(challenge, 'base64url');
      const body = bytes.subarray(0, NONCE_BYTES + TIME_BYTES);
      const seal = bytes.subarray(NONCE_BYTES + TIME_BYTES);
      if (bytes.length !== body.length + 32 || bytes.toString('base64url') !== challenge) return undefined;
      const expiresMs = body.readUIntBE(NONCE_BYTES, TIME_BYTES);
      const ours = sameText(seal.toString('hex'), sealOf(body, purpose).toString('hex'));
      if (!ours || deps.now() >= expiresMs) return undefined;
      const expires: Instant = instantOf(expiresMs);
      return [spendChallenge(challenge, expires), forgetChallenges(instantOf(deps.now()))];
    },
  };
}
