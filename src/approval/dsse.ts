import { z } from 'zod';
import { canonicalJson, type Json } from '../domain/digest.ts';
import { preAuthenticationEncoding } from '../ledger/pre-authentication-encoding.ts';
import { keyId, verifyEd25519 } from '../ledger/signing-key.ts';
import type { PersonKey } from './person-key.ts';

/** A DSSE envelope (secure-systems-lab/dsse, protocol.md v1.0.2) of one type, with one signature. */
export interface Envelope<Type extends string> {
  readonly payloadType: Type;
  /** Base64 of the canonical statement. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

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

export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

const outerSchema = z.strictObject({
  payloadType: z.string(),
  payload: z.base64().max(16_384),
  signatures: z.array(z.strictObject({ keyid: digest, sig: z.base64().length(88) })).length(1),
});

export type Opened<Statement> =
  | { readonly opened: true; readonly statement: Statement; verifiedBy(publicKey: Uint8Array): boolean }
  | { readonly opened: false; readonly why: string };

/**
 * Reads an envelope strictly: exactly the fields of a statement, in canonical form, one signature. Whose key signed it
 * is then asked with `verifiedBy`.
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
  const [signature] = outer.data.signatures;
  return {
    opened: true,
    statement,
    verifiedBy: (publicKey) =>
      signature !== undefined &&
      signature.keyid === keyId(publicKey) &&
      verifyEd25519(
        publicKey,
        preAuthenticationEncoding(expected.payloadType, payload),
        Buffer.from(signature.sig, 'base64'),
      ),
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
