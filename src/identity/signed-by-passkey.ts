import { challengeOf } from '../approval/dsse.ts';
import type { Envelope } from '../domain/envelope.ts';
import type { Passkey } from '../domain/passkey.ts';
import { keyId } from '../ledger/signing-key.ts';
import { rawKey } from '../ledger/webauthn-signature.ts';

/** What an authenticator answers, in base64url. */
export interface Assertion {
  readonly id: string;
  readonly response: {
    readonly authenticatorData: string;
    readonly clientDataJSON: string;
    readonly signature: string;
    /** Whom the authenticator has it for. */
    readonly userHandle?: string;
  };
}

/** A statement that a passkey is to sign. */
export interface AskedSignature {
  /** Base64 of the canonical statement: what is signed, byte for byte. */
  readonly payload: string;
  /** For `navigator.credentials.get`; its challenge is the digest of the statement. */
  readonly options: {
    readonly challenge: string;
    readonly rpId: string;
    readonly userVerification: 'required';
    readonly timeout: number;
    readonly allowCredentials: readonly { readonly id: string; readonly type: 'public-key' }[];
  };
}

/** For how long an answer may take: what is signed is a decision of now. */
export const GOOD_FOR_MS = 5 * 60_000;

/** @param passkeys of one name; any of them may sign. */
export function askFor(
  payloadType: string,
  payload: Buffer,
  passkeys: readonly [Passkey, ...Passkey[]],
): AskedSignature {
  return {
    payload: payload.toString('base64'),
    options: {
      challenge: challengeOf(payloadType, payload).toString('base64url'),
      rpId: passkeys[0].rpId,
      userVerification: 'required',
      timeout: GOOD_FOR_MS,
      allowCredentials: passkeys.map(({ credential }) => ({ id: credential, type: 'public-key' })),
    },
  };
}

/** The envelope of what a passkey has signed. Nothing is verified here: whoever takes an envelope does that. */
export function envelopeOf<Type extends string>(
  payloadType: Type,
  payload: string,
  passkey: Passkey,
  { response }: Assertion,
): Envelope<Type> {
  const base64 = (text: string) => Buffer.from(text, 'base64url').toString('base64');
  return {
    payloadType,
    payload,
    signatures: [
      {
        keyid: keyId(rawKey(passkey.publicKey)),
        sig: base64(response.signature),
        webauthn: {
          credential: passkey.credential,
          authenticatorData: base64(response.authenticatorData),
          clientData: base64(response.clientDataJSON),
        },
      },
    ],
  };
}
