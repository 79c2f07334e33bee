import type { WebAuthnEvidence } from './passkey.ts';

/** A DSSE envelope (secure-systems-lab/dsse, protocol.md v1.0.2) of one type, with one signature. */
export interface Envelope<Type extends string> {
  readonly payloadType: Type;
  /** Base64 of the canonical statement. */
  readonly payload: string;
  readonly signatures: readonly Signature[];
}

/** By a key over the encoding itself, or by a passkey whose challenge was the digest of the encoding. */
export interface Signature {
  readonly keyid: string;
  readonly sig: string;
  readonly webauthn?: WebAuthnEvidence;
}
