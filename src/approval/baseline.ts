import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import type { Json } from '../domain/digest.ts';
import type { BaselineEnvelope, BaselineStatement } from '../domain/drift.ts';
import type { ActorId, Digest, EnvironmentId, TargetId } from '../domain/ids.ts';
import { digest, opened, sealed } from './dsse.ts';
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
export interface BaselineQuestion extends Pick<BaselineStatement, 'was' | 'becomes'> {
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  readonly identity: Digest;
  readonly people: ReadonlyMap<ActorId, Person>;
}

export type VerifiedBaseline =
  | { readonly valid: true; readonly statement: BaselineStatement }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** Whether somebody who countersigns in this environment has signed exactly this step from one schema to the other. */
export function verifyBaseline(envelope: BaselineEnvelope, question: BaselineQuestion): VerifiedBaseline {
  const { target, environment, identity, people } = question;
  const read = opened<BaselineStatement>(envelope, {
    payloadType: PAYLOAD_TYPE,
    kind: 'baseline',
    statement: statementSchema,
  });
  if (!read.opened) return { valid: false, why: read.why };
  const { statement } = read;
  if (statement.target !== target || statement.environment !== environment || statement.identity !== identity)
    return { valid: false, why: 'it is about another target' };
  if (statement.was !== question.was || statement.becomes !== question.becomes)
    return { valid: false, why: 'it is about another schema than is there now' };
  const person = people.get(statement.person as ActorId);
  if (person === undefined) return { valid: false, why: `${statement.person} is no person of the configuration` };
  if (!person.approves.includes('*') && !person.approves.includes(environment))
    return { valid: false, why: `${person.id} may not countersign in ${environment}` };
  if (!read.verifiedByPerson(person)) return { valid: false, why: `no key of ${person.id} signed it` };
  return { valid: true, statement };
}
