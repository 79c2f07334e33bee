import { z } from 'zod';
import type { KeySuccession } from './key-succession.ts';
import { preAuthenticationEncoding } from './pre-authentication-encoding.ts';
import { keyId, parseVerifierKey, verifyEd25519 } from './signing-key.ts';

const ATTESTED_TYPE = 'application/vnd.countersign.attested-approval+json';

const bodySchema = z.object({
  person: z.string(),
  environment: z.string(),
  via: z.literal('slack'),
  envelope: z.object({
    payloadType: z.literal(ATTESTED_TYPE),
    payload: z.base64(),
    signatures: z.tuple([z.strictObject({ keyid: z.string(), sig: z.base64() })]),
  }),
});

const claimSchema = z.object({ via: z.unknown().optional(), envelope: z.unknown().optional() });
const typeSchema = z.object({ payloadType: z.literal(ATTESTED_TYPE) });

const statementSchema = z.object({
  type: z.literal('https://countersign.dev/attested-approval/v1'),
  plan: z.string(),
  environment: z.string(),
  person: z.string(),
  verdict: z.enum(['approve', 'reject']),
  via: z.literal('slack'),
  click: z.object({ team: z.string(), user: z.string() }),
});

/**
 * Holds what the gateway attests of clicks against the ledger's key that was in force then: no other says so. That the
 * person clicked, and that a click was enough, is not for a ledger to know: a trust policy says whom it believes, and where.
 *
 * @returns what is wrong with an entry, or `undefined`.
 */
export function wrongAttestation(entry: string, index: number, succession: KeySuccession): string | undefined {
  // Most entries are none, and are told apart without being read.
  if (!entry.includes(ATTESTED_TYPE) && !entry.includes('"via":"slack"')) return undefined;
  const { kind, subject, body } = JSON.parse(entry) as { kind: string; subject: string; body: unknown };
  if (kind !== 'approval' && kind !== 'rejection') return undefined;
  // What somebody gives as a reason may name the type: that makes no click of it.
  const claimed = claimSchema.safeParse(body).data;
  if (claimed?.via === undefined && !typeSchema.safeParse(claimed?.envelope).success) return undefined;
  const read = bodySchema.safeParse(body);
  if (!read.success) return 'it says of a click what nobody attested';
  const { person, environment, envelope } = read.data;
  const payload = Buffer.from(envelope.payload, 'base64');
  const said = statementSchema.safeParse(jsonOf(payload));
  const verdict = kind === 'approval' ? 'approve' : 'reject';
  if (
    !said.success ||
    said.data.plan !== subject ||
    said.data.person !== person ||
    said.data.environment !== environment ||
    said.data.verdict !== verdict
  )
    return 'it says of a click something else than what was attested';
  const inForce = succession.keys.findLast(({ from }) => from <= index + 1)?.verifierKey ?? '';
  const { publicKey } = parseVerifierKey(inForce);
  const [{ keyid, sig }] = envelope.signatures;
  const message = preAuthenticationEncoding(ATTESTED_TYPE, payload);
  return keyid === keyId(publicKey) && verifyEd25519(publicKey, message, Buffer.from(sig, 'base64'))
    ? undefined
    : `no gateway of this ledger has attested that ${person} clicked`;
}

function jsonOf(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
