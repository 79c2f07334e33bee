import type { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import type { Envelope } from '../domain/envelope.ts';
import type { ActorId, Digest, EnvironmentId, TargetId } from '../domain/ids.ts';
import { opened } from './dsse.ts';

/** A target as it is now, and who may sign anything about it there, as the configuration says now. */
export interface TargetQuestion {
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  readonly identity: Digest;
  readonly people: ReadonlyMap<ActorId, Person>;
}

export type Verified<Statement> =
  | { readonly valid: true; readonly statement: Statement }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** What each statement about a target says of it, and of who signs it. */
interface AboutTarget {
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  readonly identity: Digest;
  readonly person: ActorId;
}

/** Whether somebody who countersigns in the environment of this target has signed it, and about this target. */
export function verifyAboutTarget<Statement extends AboutTarget>(
  envelope: Envelope<string>,
  expected: { readonly payloadType: string; readonly kind: string; readonly statement: z.ZodType },
  { target, environment, identity, people }: TargetQuestion,
): Verified<Statement> {
  const read = opened<Statement>(envelope, expected);
  if (!read.opened) return { valid: false, why: read.why };
  const { statement } = read;
  if (statement.target !== target || statement.environment !== environment || statement.identity !== identity)
    return { valid: false, why: 'it is about another target' };
  const person = people.get(statement.person);
  if (person === undefined) return { valid: false, why: `${statement.person} is no person of the configuration` };
  if (!person.approves.includes('*') && !person.approves.includes(environment))
    return { valid: false, why: `${person.id} may not countersign in ${environment}` };
  if (!read.verifiedByPerson(person)) return { valid: false, why: `no key of ${person.id} signed it` };
  return { valid: true, statement };
}
