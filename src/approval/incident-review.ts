import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import { type Incident, REVIEW_TYPE, type ReviewEnvelope, type ReviewStatement } from '../domain/break-glass.ts';
import type { Json } from '../domain/digest.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { mayDo } from '../domain/rights.ts';
import { digest, type Opened, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

/** Signs with a person's own key that they have looked at what somebody did in an emergency. */
export function signReview(statement: ReviewStatement, key: PersonKey): ReviewEnvelope {
  return sealed(REVIEW_TYPE, statement as unknown as Json, key);
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/incident-review/v1'),
  incident: z.string().regex(/^incident_[0-9a-f]{16}$/),
  plan: digest,
  person: z.string().min(1),
  reason: z.string().min(1).max(4000),
  at: z.iso.datetime({ precision: 3 }),
});

/** Reads the envelope of a review, strictly; whose key signed it is then asked with `verifiedByPerson`. */
export function openReview(envelope: unknown): Opened<ReviewStatement> {
  return opened(envelope, { payloadType: REVIEW_TYPE, kind: 'review', statement: statementSchema });
}

export type VerifiedReview =
  | { readonly valid: true; readonly statement: ReviewStatement }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** A signer's clock may be ahead of ours by this much. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** Whether somebody else than those who acted has signed that they looked at an incident. */
export function verifyReview(
  envelope: unknown,
  question: {
    readonly incident: Pick<Incident, 'id' | 'plan' | 'person'>;
    readonly plan: Pick<Plan, 'actor' | 'onBehalfOf'>;
    readonly people: ReadonlyMap<ActorId, Person>;
    readonly now: number;
  },
): VerifiedReview {
  const { incident, plan, people, now } = question;
  const review = openReview(envelope);
  if (!review.opened) return no(review.why);
  const { statement } = review;
  if (statement.incident !== incident.id || statement.plan !== incident.plan) return no('it is about another incident');
  const person = people.get(statement.person);
  if (person === undefined) return no(`${statement.person} is no person of the configuration`);
  if (person.id === incident.person) return no(`${person.id} broke the glass, and somebody else must look at it`);
  if (person.id === plan.onBehalfOf || person.id === plan.actor)
    return no(`${person.id} asked for what was done, and somebody else must look at it`);
  if (!mayDo(person, 'incident.review')) return no(`${person.id} has not the right incident.review`);
  if (!review.verifiedByPerson(person)) return no(`no key of ${person.id} signed it`);
  if (Date.parse(statement.at) > now + CLOCK_SKEW_MS) return no('it is dated in the future');
  return { valid: true, statement };
}

function no(why: string): VerifiedReview {
  return { valid: false, why };
}
