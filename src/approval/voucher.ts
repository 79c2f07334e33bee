import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import type { Json } from '../domain/digest.ts';
import type { ActorId, Digest, EnvironmentId, TargetId } from '../domain/ids.ts';
import type { VoucherEnvelope, VoucherStatement } from '../domain/voucher.ts';
import { digest, opened, sealed } from './dsse.ts';
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

/** Where a voucher is to count, and who may give one there, as the configuration says now. */
export interface VoucherQuestion {
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  readonly identity: Digest;
  readonly people: ReadonlyMap<ActorId, Person>;
}

export type VerifiedVoucher =
  | { readonly valid: true; readonly statement: VoucherStatement }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** Whether a signed voucher counts on this target. Asked when it comes, and each time it is read again. */
export function verifyVoucher(envelope: VoucherEnvelope, question: VoucherQuestion): VerifiedVoucher {
  const { target, environment, identity, people } = question;
  const voucher = opened<VoucherStatement>(envelope, {
    payloadType: PAYLOAD_TYPE,
    kind: 'voucher',
    statement: statementSchema,
  });
  if (!voucher.opened) return { valid: false, why: voucher.why };
  const { statement } = voucher;
  if (statement.target !== target || statement.environment !== environment || statement.identity !== identity)
    return { valid: false, why: 'it is about another target' };
  const person = people.get(statement.person);
  if (person === undefined) return { valid: false, why: `${statement.person} is no person of the configuration` };
  if (!person.approves.includes('*') && !person.approves.includes(environment))
    return { valid: false, why: `${person.id} may not countersign in ${environment}` };
  if (!voucher.verifiedByPerson(person)) return { valid: false, why: `no key of ${person.id} signed it` };
  return { valid: true, statement };
}
