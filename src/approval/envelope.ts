import { z } from 'zod';
import type { ApprovalEnvelope, ApprovalStatement } from '../domain/approval.ts';
import type { Json } from '../domain/digest.ts';
import { digest, type Opened, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

export const APPROVAL_TYPE = 'application/vnd.countersign.approval+json';
const ATTESTED_TYPE = 'application/vnd.countersign.attested-approval+json';

/** Signs a verdict with a person's own key. */
export function signApproval(statement: ApprovalStatement, key: PersonKey): ApprovalEnvelope {
  return sealed(APPROVAL_TYPE, statement as unknown as Json, key);
}

/** Says with the gateway's key that a person has clicked. It is their verdict only as far as the gateway is believed. */
export function attestApproval(statement: Attested, gateway: PersonKey): ApprovalEnvelope {
  return sealed(ATTESTED_TYPE, statement as unknown as Json, gateway);
}

export type Attested = ApprovalStatement & Required<Pick<ApprovalStatement, 'via' | 'click'>>;

const SIGNED = {
  plan: digest,
  environment: z.string().min(1),
  identity: digest,
  person: z.string().min(1),
  verdict: z.enum(['approve', 'reject']),
  reason: z.string().max(4000),
  at: z.iso.datetime({ precision: 3 }),
};

const signedSchema = z.strictObject({
  type: z.literal('https://countersign.dev/approval/v1'),
  ...SIGNED,
  // A click is nobody's word but that of whoever clicked.
  delegation: z
    .string()
    .regex(/^delegation_[0-9a-f]{16}$/)
    .optional(),
});

const attestedSchema = z.strictObject({
  type: z.literal('https://countersign.dev/attested-approval/v1'),
  ...SIGNED,
  via: z.literal('slack'),
  click: z.strictObject({
    team: z.string().min(1),
    user: z.string().min(1),
    conversation: z.string().min(1),
    message: z.string().min(1),
    at: z.iso.datetime({ precision: 3 }),
    callback: digest,
  }),
});

/**
 * Reads the envelope of an approval, strictly. Whose key signed it is then asked: of one that was attested
 * (`statement.via`) with `verifiedBy` and the gateway's key, of all others with `verifiedByPerson`.
 */
export function openEnvelope(envelope: unknown): Opened<ApprovalStatement> {
  const attested = opened<ApprovalStatement>(envelope, {
    payloadType: ATTESTED_TYPE,
    kind: 'approval',
    statement: attestedSchema,
  });
  if (attested.opened) return attested;
  return opened(envelope, { payloadType: APPROVAL_TYPE, kind: 'approval', statement: signedSchema });
}
