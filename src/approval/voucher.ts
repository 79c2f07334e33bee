import { z } from 'zod';
import type { Json } from '../domain/digest.ts';
import type { VoucherEnvelope, VoucherStatement } from '../domain/voucher.ts';
import { type TargetQuestion, type Verified, verifyAboutTarget } from './about-target.ts';
import { digest, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

const PAYLOAD_TYPE = 'application/vnd.countersign.voucher+json';

/** Signs with a person's own key that a function does nothing but read, or that this is no longer so. */
export function signVoucher(statement: VoucherStatement, key: PersonKey): VoucherEnvelope {
  return sealed(PAYLOAD_TYPE, statement as unknown as Json, key);
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/voucher/v1'),
  target: z.string().min(1),
  environment: z.string().min(1),
  identity: digest,
  signature: z.string().min(1).max(4000),
  definition: z.string().regex(/^[0-9a-f]{64}$/),
  person: z.string().min(1),
  verdict: z.enum(['trust', 'revoke']),
  reason: z.string().min(1).max(4000),
  at: z.iso.datetime({ precision: 3 }),
});

/** Whether a signed voucher counts on this target. Asked when it comes, and each time it is read again. */
export function verifyVoucher(envelope: VoucherEnvelope, question: TargetQuestion): Verified<VoucherStatement> {
  const expected = { payloadType: PAYLOAD_TYPE, kind: 'voucher', statement: statementSchema };
  return verifyAboutTarget(envelope, expected, question);
}
