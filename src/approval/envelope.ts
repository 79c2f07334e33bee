import { z } from 'zod';
import type { ApprovalEnvelope, ApprovalStatement } from '../domain/approval.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import { verifyEd25519 } from '../ledger/signing-key.ts';
import { keyId, type PersonKey } from './person-key.ts';

const PAYLOAD_TYPE = 'application/vnd.countersign.approval+json';

/** Signs a verdict with a person's own key: a DSSE envelope (secure-systems-lab/dsse, protocol.md v1.0.2). */
export function signApproval(statement: ApprovalStatement, key: PersonKey): ApprovalEnvelope {
  const payload = Buffer.from(canonicalJson(statement as unknown as Json), 'utf8');
  const signature = key.sign(preAuthenticationEncoding(payload));
  return {
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId(key.publicKey), sig: signature.toString('base64') }],
  };
}

/** What the signature is over: type and payload with their lengths, so that neither can flow into the other. */
function preAuthenticationEncoding(payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(PAYLOAD_TYPE)} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head, 'utf8'), payload]);
}

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/approval/v1'),
  plan: digest,
  environment: z.string().min(1),
  identity: digest,
  person: z.string().min(1),
  verdict: z.enum(['approve', 'reject']),
  reason: z.string().max(4000),
  at: z.iso.datetime({ precision: 3 }),
});

const envelopeSchema = z.strictObject({
  payloadType: z.literal(PAYLOAD_TYPE),
  payload: z.base64().max(16_384),
  signatures: z.array(z.strictObject({ keyid: digest, sig: z.base64().length(88) })).length(1),
});

export type OpenedEnvelope =
  | { readonly opened: true; readonly statement: ApprovalStatement; verifiedBy(publicKey: Uint8Array): boolean }
  | { readonly opened: false; readonly why: string };

/**
 * Reads an envelope strictly: exactly the fields of a statement, in canonical form, one signature. Whose key signed it
 * is then asked with `verifiedBy`.
 */
export function openEnvelope(envelope: unknown): OpenedEnvelope {
  const outer = envelopeSchema.safeParse(envelope);
  if (!outer.success) return { opened: false, why: 'it is no approval envelope' };
  const payload = Buffer.from(outer.data.payload, 'base64');
  const statement = parsed(payload);
  if (statement === undefined) return { opened: false, why: 'its statement is malformed' };
  const [signature] = outer.data.signatures;
  return {
    opened: true,
    statement,
    verifiedBy: (publicKey) =>
      signature !== undefined &&
      signature.keyid === keyId(publicKey) &&
      verifyEd25519(publicKey, preAuthenticationEncoding(payload), Buffer.from(signature.sig, 'base64')),
  };
}

function parsed(payload: Buffer): ApprovalStatement | undefined {
  try {
    const inner = statementSchema.safeParse(JSON.parse(payload.toString('utf8')));
    if (!inner.success) return undefined;
    // Two texts with one meaning would be two approvals that look alike.
    if (canonicalJson(inner.data) !== payload.toString('utf8')) return undefined;
    return inner.data as unknown as ApprovalStatement;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
