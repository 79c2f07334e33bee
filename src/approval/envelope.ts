import { z } from 'zod';
import type { ApprovalEnvelope, ApprovalStatement } from '../domain/approval.ts';
import type { Json } from '../domain/digest.ts';
import { digest, type Opened, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

export const APPROVAL_TYPE = 'application/vnd.countersign.approval+json';

/** Signs a verdict with a person's own key. */
export function signApproval(statement: ApprovalStatement, key: PersonKey): ApprovalEnvelope {
  return sealed(APPROVAL_TYPE, statement as unknown as Json, key);
}

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

/** Reads the envelope of an approval, strictly; whose key signed it is then asked with `verifiedBy`. */
export function openEnvelope(envelope: unknown): Opened<ApprovalStatement> {
  return opened(envelope, { payloadType: APPROVAL_TYPE, kind: 'approval', statement: statementSchema });
}
