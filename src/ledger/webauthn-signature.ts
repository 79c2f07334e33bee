import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { z } from 'zod';

/** An assertion of an authenticator (WebAuthn Level 3 §7.2), and what it must be about. */
export interface WebAuthnQuestion {
  /** As {@link Passkey.publicKey} writes it. */
  readonly publicKey: string;
  readonly rpId: string;
  readonly origin: string;
  readonly challenge: Uint8Array;
  readonly authenticatorData: Uint8Array;
  readonly clientData: Uint8Array;
  readonly signature: Uint8Array;
}

export type WebAuthnVerdict =
  | { readonly valid: true; readonly counter: number }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const [FLAGS_AT, COUNTER_AT, LEAST_BYTES] = [32, 33, 37] as const;

const clientDataSchema = z.looseObject({
  type: z.literal('webauthn.get'),
  challenge: z.string(),
  origin: z.string(),
  crossOrigin: z.literal(false).optional(),
  topOrigin: z.undefined().optional(),
});

/** Whether the holder of a key signed exactly this challenge on a page of this origin, and showed who they are. Pure. */
export function verifyWebAuthn(question: WebAuthnQuestion): WebAuthnVerdict {
  const { authenticatorData } = question;
  const client = clientDataSchema.safeParse(parsed(question.clientData));
  if (!client.success) return no('it was not made to sign in or to sign, or in a frame of another page');
  if (client.data.challenge !== Buffer.from(question.challenge).toString('base64url'))
    return no('it is about something else');
  if (client.data.origin !== question.origin) return no(`it was made on a page of ${client.data.origin.slice(0, 200)}`);
  if (authenticatorData.length < LEAST_BYTES) return no('its authenticator data is cut off');
  const forName = createHash('sha256').update(question.rpId).digest();
  if (!forName.equals(authenticatorData.subarray(0, FLAGS_AT))) return no('it was made for another name');
  const flags = authenticatorData[FLAGS_AT] ?? 0;
  if ((flags & USER_PRESENT) === 0 || (flags & USER_VERIFIED) === 0)
    return no('the authenticator did not check who used it');
  const signed = Buffer.concat([authenticatorData, createHash('sha256').update(question.clientData).digest()]);
  const key = keyOf(question.publicKey);
  if (key === undefined) return no('its key is of no kind that is known');
  if (!verify(key.asymmetricKeyType === 'ec' ? 'sha256' : null, signed, key, question.signature))
    return no('no key of theirs signed it');
  return { valid: true, counter: Buffer.from(authenticatorData).readUInt32BE(COUNTER_AT) };
}

const P256_SPKI = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** The raw bytes of a key, by which it is named. */
export function rawKey(publicKey: string): Buffer {
  return Buffer.from(publicKey.slice(publicKey.indexOf(':') + 1), 'base64');
}

function keyOf(publicKey: string): KeyObject | undefined {
  const head = publicKey.startsWith('p256:') ? P256_SPKI : publicKey.startsWith('ed25519:') ? ED25519_SPKI : undefined;
  if (head === undefined) return undefined;
  try {
    return createPublicKey({ key: Buffer.concat([head, rawKey(publicKey)]), format: 'der', type: 'spki' });
  } catch (error) {
    // OpenSSL's own words for bytes that are no key, or no point of the curve.
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}

function parsed(clientData: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(clientData).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function no(why: string): WebAuthnVerdict {
  return { valid: false, why };
}
