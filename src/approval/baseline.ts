import { z } from 'zod';
import type { Json } from '../domain/digest.ts';
import type { BaselineEnvelope, BaselineStatement } from '../domain/drift.ts';
import { type TargetQuestion, type Verified, verifyAboutTarget } from './about-target.ts';
import { digest, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

const PAYLOAD_TYPE = 'application/vnd.countersign.baseline+json';

/** Signs with a person's own key that a schema, as it was seen, is how the target is meant to be. */
export function signBaseline(statement: BaselineStatement, key: PersonKey): BaselineEnvelope {
  return sealed(PAYLOAD_TYPE, statement as unknown as Json, key);
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/baseline/v1'),
  target: z.string().min(1),
  environment: z.string().min(1),
  identity: digest,
  was: digest,
  becomes: digest,
  person: z.string().min(1),
  reason: z.string().min(1).max(4000),
  at: z.iso.datetime({ precision: 3 }),
});

/** What is to be accepted, and by whom it may be. */
export interface BaselineQuestion extends TargetQuestion, Pick<BaselineStatement, 'was' | 'becomes'> {}

/** Whether somebody who countersigns in this environment has signed exactly this step from one schema to the other. */
export function verifyBaseline(envelope: BaselineEnvelope, question: BaselineQuestion): Verified<BaselineStatement> {
  const expected = { payloadType: PAYLOAD_TYPE, kind: 'baseline', statement: statementSchema };
  const verified = verifyAboutTarget<BaselineStatement>(envelope, expected, question);
  if (!verified.valid) return verified;
  const { was, becomes } = verified.statement;
  if (was !== question.was || becomes !== question.becomes)
    return { valid: false, why: 'it is about another schema than is there now' };
  return verified;
}
