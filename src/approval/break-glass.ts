import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Person } from '../domain/actor.ts';
import type { Approved } from '../domain/approval.ts';
import {
  BREAK_GLASS_TYPE,
  type BreakGlassEnvelope,
  type BreakGlassStatement,
  GLASS_STAYS_BROKEN_MS,
} from '../domain/break-glass.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import type { ActorId, PlanId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { mayDo } from '../domain/rights.ts';
import { digest, type Opened, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

/** Signs with a person's own key that they act on a plan without what is missing of it. */
export function signBreakGlass(statement: BreakGlassStatement, key: PersonKey): BreakGlassEnvelope {
  return sealed(BREAK_GLASS_TYPE, statement as unknown as Json, key);
}

/** What people call it: it follows from what was signed, so that one signature is one incident. */
export function incidentId({ payload }: Pick<BreakGlassEnvelope, 'payload'>): string {
  const signed = createHash('sha256').update(Buffer.from(payload, 'base64')).digest('hex');
  return `incident_${signed.slice(0, 16)}`;
}

const OBLIGATIONS = ['after freeze', 'approvals', 'fresh drill', 'in window', 'steady clock'] as const;

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/break-glass/v1'),
  plan: digest,
  environment: z.string().min(1),
  identity: digest,
  person: z.string().min(1),
  standsInFor: z
    .array(z.enum(OBLIGATIONS))
    .min(1)
    .refine((kinds) => kinds.every((kind, index) => index === 0 || (kinds[index - 1] ?? '') < kind)),
  reason: z.string().min(1).max(4000),
  at: z.iso.datetime({ precision: 3 }),
  until: z.iso.datetime({ precision: 3 }),
});

/** Reads the envelope of a broken glass, strictly; whose key signed it is then asked with `verifiedByPerson`. */
export function openBreakGlass(envelope: unknown): Opened<BreakGlassStatement> {
  return opened(envelope, { payloadType: BREAK_GLASS_TYPE, kind: 'break-glass', statement: statementSchema });
}

/** All that a broken glass must fit. */
export interface BreakGlassQuestion {
  readonly plan: Plan;
  readonly planId: PlanId;
  /** As the configuration names them now. */
  readonly people: ReadonlyMap<ActorId, Person>;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export type VerifiedBreakGlass =
  | { readonly valid: true; readonly statement: BreakGlassStatement; readonly approved: Approved }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** A signer's clock may be ahead of ours by this much. */
const CLOCK_SKEW_MS = 5 * 60_000;

/**
 * Whether a person's signature stands in for what is missing of this plan, and of no other (G3, G4). Asked when it comes,
 * and again right before the plan is applied. Beside `quorum.ts` the only place where a plan becomes `Approved`; what is
 * missing of it is held against `standsInFor` by whoever applies it.
 */
export function verifyBreakGlass(envelope: unknown, question: BreakGlassQuestion): VerifiedBreakGlass {
  const { plan, planId, people, now } = question;
  const glass = openBreakGlass(envelope);
  if (!glass.opened) return no(glass.why);
  const { statement } = glass;
  if (statement.plan !== planId || digestOf(plan as unknown as Json) !== planId) return no('it is about another plan');
  if (statement.environment !== plan.environment || statement.identity !== digestOf(plan.identity as unknown as Json))
    return no('it is about another target');
  const person = people.get(statement.person);
  if (person === undefined) return no(`${statement.person} is no person of the configuration`);
  const why = mayNotBreak(person, plan);
  if (why !== undefined) return no(why);
  if (!glass.verifiedByPerson(person)) return no(`no key of ${person.id} signed it`);
  const [at, until] = [Date.parse(statement.at), Date.parse(statement.until)];
  if (at > now + CLOCK_SKEW_MS) return no('it is dated in the future');
  if (at < Date.parse(plan.createdAt) - CLOCK_SKEW_MS) return no('it is older than the plan');
  if (until - at > GLASS_STAYS_BROKEN_MS) return no('it is to stay broken for more than an hour');
  if (now >= until) return no(`it was good until ${statement.until}`);
  if (now >= Date.parse(plan.expiresAt)) return no(`the plan expired at ${plan.expiresAt}`);
  return { valid: true, statement, approved: plan as Approved };
}

/** Why somebody can't break the glass for a plan; `undefined` where they can. Completes "This does not count: …". */
export function mayNotBreak(
  person: Person,
  plan: Pick<Plan, 'actor' | 'onBehalfOf' | 'environment'>,
): string | undefined {
  if (person.id === plan.actor || person.id === plan.onBehalfOf)
    return `${person.id} asked for it, and nobody breaks the glass for their own intent`;
  if (!mayDo(person, 'glass.break')) return `${person.id} has not the right glass.break`;
  // Who configures could otherwise name themselves, and then act alone.
  if (person.roles.includes('administrator')) return `${person.id} is an administrator, who decides nothing alone`;
  if (!person.breaksGlass.includes('*') && !person.breaksGlass.includes(plan.environment))
    return `${person.id} may not break the glass in ${plan.environment}`;
  return undefined;
}

function no(why: string): VerifiedBreakGlass {
  return { valid: false, why };
}
