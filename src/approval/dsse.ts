import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Envelope, Signature } from '../domain/envelope.ts';
import type { Passkey } from '../domain/passkey.ts';
import { preAuthenticationEncoding } from '../ledger/pre-authentication-encoding.ts';
import { keyId, verifyEd25519 } from '../ledger/signing-key.ts';
import { rawKey, verifyWebAuthn } from '../ledger/webauthn-signature.ts';
import type { PersonKey } from './person-key.ts';

/** Signs a statement with a person's own key. */
export function sealed<Type extends string>(payloadType: Type, statement: Json, key: PersonKey): Envelope<Type> {
  const payload = Buffer.from(canonicalJson(statement), 'utf8');
  const signature = key.sign(preAuthenticationEncoding(payloadType, payload));
  return {
    payloadType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId(key.publicKey), sig: signature.toString('base64') }],
  };
}

/** What a passkey is asked to sign for a statement: it signs nothing but challenges, so that is where the statement goes. */
export function challengeOf(payloadType: string, payload: Uint8Array): Buffer {
  return createHash('sha256').update(preAuthenticationEncoding(payloadType, payload)).digest();
}

export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

const outerSchema = z.strictObject({
  payloadType: z.string(),
  payload: z.base64().max(16_384),
  signatures: z
    .array(
      z.union([
        z.strictObject({ keyid: digest, sig: z.base64().length(88) }),
        z.strictObject({
          keyid: digest,
          sig: z.base64().max(200),
          webauthn: z.strictObject({
            credential: z.string().max(1400),
            authenticatorData: z.base64().max(4096),
            clientData: z.base64().max(4096),
          }),
        }),
      ]),
    )
    .length(1),
});

export type Opened<Statement> =
  | {
      readonly opened: true;
      readonly statement: Statement;
      verifiedBy(publicKey: Uint8Array): boolean;
      verifiedByPasskey(passkey: Passkey): boolean;
      /** With a key or a passkey of theirs: they are equal. */
      verifiedByPerson(person: Pick<Person, 'publicKeys' | 'passkeys'>): boolean;
    }
  | { readonly opened: false; readonly why: string };

/**
 * Reads an envelope strictly: exactly the fields of a statement, in canonical form, one signature. Whose key signed it
 * is then asked with `verifiedByPerson`.
 *
 * @param kind for people, e.g. `approval`.
 */
export function opened<Statement>(
  envelope: unknown,
  expected: { readonly payloadType: string; readonly kind: string; readonly statement: z.ZodType },
): Opened<Statement> {
  const outer = outerSchema.safeParse(envelope);
  if (!outer.success || outer.data.payloadType !== expected.payloadType)
    return { opened: false, why: `it is no ${expected.kind} envelope` };
  const payload = Buffer.from(outer.data.payload, 'base64');
  const statement = parsed<Statement>(payload, expected.statement);
  if (statement === undefined) return { opened: false, why: 'its statement is malformed' };
  const signature = outer.data.signatures[0] as Signature;
  const verifiedBy = (publicKey: Uint8Array) =>
    signature.webauthn === undefined &&
    signature.keyid === keyId(publicKey) &&
    verifyEd25519(
      publicKey,
      preAuthenticationEncoding(expected.payloadType, payload),
      Buffer.from(signature.sig, 'base64'),
    );
  const verifiedByPasskey = ({ credential, publicKey, rpId, origin }: Passkey) =>
    signature.webauthn?.credential === credential &&
    signature.keyid === keyId(rawKey(publicKey)) &&
    verifyWebAuthn({
      publicKey,
      rpId,
      origin,
      challenge: challengeOf(expected.payloadType, payload),
      authenticatorData: Buffer.from(signature.webauthn.authenticatorData, 'base64'),
      clientData: Buffer.from(signature.webauthn.clientData, 'base64'),
      signature: Buffer.from(signature.sig, 'base64'),
    }).valid;
  return {
    opened: true,
    statement,
    verifiedBy,
    verifiedByPasskey,
    verifiedByPerson: ({ publicKeys, passkeys }) => publicKeys.some(verifiedBy) || passkeys.some(verifiedByPasskey),
  };
}

function parsed<Statement>(payload: Buffer, schema: z.ZodType): Statement | undefined {
  try {
    const inner = schema.safeParse(JSON.parse(payload.toString('utf8')));
    if (!inner.success) return undefined;
    // Two texts with one meaning would be two statements that look alike.
    if (canonicalJson(inner.data as Json) !== payload.toString('utf8')) return undefined;
    return inner.data as Statement;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
