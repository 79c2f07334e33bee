import type { ActorId, Instant } from './ids.ts';

/** A WebAuthn credential with which a person signs in and countersigns, as somebody who may has vouched for it. */
export interface Passkey {
  /** `passkey_` and sixteen hexadecimal digits, which follow from credential and key. */
  readonly id: string;
  readonly person: ActorId;
  /** The credential id of the authenticator, base64url. */
  readonly credential: string;
  /** `p256:` and the 65 bytes of an uncompressed point, or `ed25519:` and 32 bytes, in base64. */
  readonly publicKey: string;
  /** The name that the authenticator binds the credential to (WebAuthn Level 3 §5.1.2). */
  readonly rpId: string;
  /** The pages it counts from: scheme, name and port. */
  readonly origin: string;
}

/** What is signed to vouch for a passkey: this key is this person's. */
export interface PasskeyStatement extends Omit<Passkey, 'id'> {
  readonly type: 'https://countersign.dev/passkey/v1';
  readonly at: Instant;
}

/** What an authenticator signed besides the challenge, in base64. */
export interface WebAuthnEvidence {
  /** Base64url, as authenticators name it. */
  readonly credential: string;
  readonly authenticatorData: string;
  readonly clientData: string;
}
