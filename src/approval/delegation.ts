import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import {
  DELEGATION_END_TYPE,
  DELEGATION_TYPE,
  type DelegationEndEnvelope,
  type DelegationEndStatement,
  type DelegationEnvelope,
  type DelegationStatement,
  type StandingDelegation,
} from '../domain/delegation.ts';
import type { Json } from '../domain/digest.ts';
import type { ActorId, EnvironmentId } from '../domain/ids.ts';
import { mayDo } from '../domain/rights.ts';
import { type Opened, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

/** Signs with a person's own key that another decides in their place. */
export function signDelegation(statement: DelegationStatement, key: PersonKey): DelegationEnvelope {
  return sealed(DELEGATION_TYPE, statement as unknown as Json, key);
}

export function signDelegationEnd(statement: DelegationEndStatement, key: PersonKey): DelegationEndEnvelope {
  return sealed(DELEGATION_END_TYPE, statement as unknown as Json, key);
}

/** What people call it: it follows from what was signed. */
export function delegationId({ payload }: Pick<DelegationEnvelope, 'payload'>): string {
  const signed = createHash('sha256').update(Buffer.from(payload, 'base64')).digest('hex');
  return `delegation_${signed.slice(0, 16)}`;
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/delegation/v1'),
  person: z.string().min(1),
  to: z.string().min(1),
  environment: z.string().min(1),
  reason: z.string().min(1).max(4000),
  at: z.iso.datetime({ precision: 3 }),
  until: z.iso.datetime({ precision: 3 }),
});

const endSchema = z.strictObject({
  type: z.literal('https://countersign.dev/delegation-end/v1'),
  delegation: z.string().regex(/^delegation_[0-9a-f]{16}$/),
  person: z.string().min(1),
  reason: z.string().min(1).max(4000),
  at: z.iso.datetime({ precision: 3 }),
});

export function openDelegation(envelope: unknown): Opened<DelegationStatement> {
  return opened(envelope, { payloadType: DELEGATION_TYPE, kind: 'delegation', statement: statementSchema });
}

export function openDelegationEnd(envelope: unknown): Opened<DelegationEndStatement> {
  return opened(envelope, { payloadType: DELEGATION_END_TYPE, kind: 'end of a delegation', statement: endSchema });
}

/** As the configuration says now. */
export interface DelegationQuestion {
  readonly people: ReadonlyMap<ActorId, Person>;
  /** The longest that one may last; `null` where the configuration allows none. */
  readonly longestMs: number | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export type VerifiedDelegation =
  | { readonly valid: true; readonly standing: StandingDelegation }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** A signer's clock may be ahead of ours by this much. */
const CLOCK_SKEW_MS = 5 * 60_000;

/**
 * Whether somebody decides in another's place now. It gives only what its signer has by the configuration itself, so that
 * nothing can be handed on. Asked when it comes, and each time a quorum is counted.
 */
export function verifyDelegation(envelope: DelegationEnvelope, question: DelegationQuestion): VerifiedDelegation {
  const { people, longestMs, now } = question;
  const delegation = openDelegation(envelope);
  if (!delegation.opened) return no(delegation.why);
  const { statement } = delegation;
  if (longestMs === null) return no('the configuration allows no delegation (identity.delegation.longest)');
  const [person, to] = [people.get(statement.person), people.get(statement.to)];
  if (person === undefined) return no(`${statement.person} is no person of the configuration`);
  if (to === undefined) return no(`${statement.to} is no person of the configuration`);
  if (person.id === to.id) return no('nobody stands in for themselves');
  if (!decidesIn(person, statement.environment))
    return no(`${person.id} may not countersign in ${statement.environment} themselves`);
  if (!mayDo(to, 'plan.decide')) return no(`${to.id} has not the right plan.decide, which nobody can hand them`);
  if (decidesIn(to, statement.environment)) return no(`${to.id} may countersign in ${statement.environment} anyway`);
  if (!delegation.verifiedByPerson(person)) return no(`no key of ${person.id} signed it`);
  const [at, until] = [Date.parse(statement.at), Date.parse(statement.until)];
  if (at > now + CLOCK_SKEW_MS) return no('it is dated in the future');
  if (until - at > longestMs) return no(`it lasts longer than ${longestMs / 86_400_000} days`);
  if (now >= until) return no(`it was good until ${statement.until}`);
  return { valid: true, standing: { ...statement, id: delegationId(envelope) } as StandingDelegation };
}

export type VerifiedEnd =
  | { readonly valid: true; readonly statement: DelegationEndStatement }
  | { readonly valid: false; readonly why: string };

/** Whether somebody who may has ended a delegation. It takes away, so more people may than could give it. */
export function verifyDelegationEnd(
  envelope: DelegationEndEnvelope,
  delegation: Pick<DelegationStatement, 'person' | 'to'> & { readonly id: string },
  people: ReadonlyMap<ActorId, Person>,
): VerifiedEnd {
  const end = openDelegationEnd(envelope);
  if (!end.opened) return no(end.why);
  const { statement } = end;
  if (statement.delegation !== delegation.id) return no('it is about another delegation');
  const person = people.get(statement.person);
  if (person === undefined) return no(`${statement.person} is no person of the configuration`);
  if (person.id !== delegation.person && person.id !== delegation.to && !mayDo(person, 'session.revoke'))
    return no(`${person.id} is neither of the two, and has not the right session.revoke`);
  if (!end.verifiedByPerson(person)) return no(`no key of ${person.id} signed it`);
  return { valid: true, statement };
}

/** By which delegation somebody decides who may not as themselves: the first of a person who hasn't yet. */
export function standInOf(
  person: Person,
  plan: {
    readonly plan: { readonly environment: EnvironmentId };
    readonly approvals: readonly { readonly person: ActorId; readonly inPlaceOf?: ActorId }[];
  },
  standing: ReadonlyMap<string, StandingDelegation>,
): { readonly delegation?: string } {
  if (decidesIn(person, plan.plan.environment)) return {};
  const given = new Set(plan.approvals.flatMap(({ person: signer, inPlaceOf }) => [signer, inPlaceOf]));
  const theirs = [...standing.values()].filter(({ to }) => to === person.id);
  const first = theirs.find((one) => !given.has(one.person)) ?? theirs[0];
  return first === undefined ? {} : { delegation: first.id };
}

/** Whether the configuration itself lets somebody countersign there. */
export function decidesIn(person: Person, environment: EnvironmentId): boolean {
  return mayDo(person, 'plan.decide') && (person.approves.includes('*') || person.approves.includes(environment));
}

function no(why: string): { readonly valid: false; readonly why: string } {
  return { valid: false, why };
}
