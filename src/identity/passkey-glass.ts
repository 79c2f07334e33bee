import { mayNotBreak, openBreakGlass } from '../approval/break-glass.ts';
import { openReview } from '../approval/incident-review.ts';
import type { Person } from '../domain/actor.ts';
import {
  BREAK_GLASS_TYPE,
  type BreakGlassStatement,
  GLASS_STAYS_BROKEN_MS,
  type ObligationKind,
  REVIEW_TYPE,
  type ReviewStatement,
} from '../domain/break-glass.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, instantOf, type PlanId } from '../domain/ids.ts';
import { type PlanRecord, shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { ApplyPlan } from '../pipeline/apply-plan.ts';
import type { BreakGlass, Broken } from '../pipeline/break-glass.ts';
import type { Incidents } from '../pipeline/incidents.ts';
import type { PasskeySigning, SignedByDevice } from './passkey-signing.ts';
import type { AskedSignature } from './signed-by-passkey.ts';

type Refused = { readonly refused: Refusal };

/** What somebody does alone with the passkey of their device, and what another says of it afterwards. */
export interface PasskeyGlass {
  /** What is missing of a plan and would be stood in for by this person. */
  missing(plan: PlanRecord, person: ActorId): Promise<readonly ObligationKind[] | Refused>;
  /** @param standsInFor what the person has before them: where more is missing by now, they must look again. */
  ask(request: {
    readonly plan: PlanRecord;
    readonly person: ActorId;
    readonly origin: string;
    readonly reason: string;
    readonly standsInFor: readonly string[];
  }): Promise<AskedSignature | Refused>;
  /** Takes the signature, and applies the plan at once. */
  receive(plan: PlanId, signed: SignedByDevice): Promise<BrokenAndApplied | Refused>;
  askToReview(request: {
    readonly incident: string;
    readonly person: ActorId;
    readonly origin: string;
    readonly reason: string;
  }): Promise<AskedSignature | Refused>;
  review(incident: string, signed: SignedByDevice): ReturnType<Incidents['review']>;
  readonly incidents: Pick<Incidents, 'list'>;
}

export interface BrokenAndApplied extends Pick<Broken, 'incident' | 'told'> {
  readonly state: PlanRecord['state'];
}

export function createPasskeyGlass(deps: {
  readonly signing: PasskeySigning;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  /** Broken glass as it is configured now, with those who are told. */
  readonly glass: () => Promise<BreakGlass>;
  readonly incidents: Incidents;
  readonly applyPlan: ApplyPlan;
  readonly now: () => number;
}): PasskeyGlass {
  const { signing, incidents } = deps;

  async function missing(record: PlanRecord, id: ActorId): Promise<readonly ObligationKind[] | Refused> {
    const person = deps.people().get(id);
    const why = person === undefined ? `${id} is no person of the configuration` : mayNotBreak(person, record.plan);
    if (why !== undefined)
      return no(`${why}.`, 'Somebody whom the configuration names for it can, or it is countersigned.');
    const found = await (await deps.glass()).missing(record);
    if ('refused' in found || found.length > 0) return found;
    return no('Nothing is missing of this plan: there is no glass to break.', 'Apply it as any other.');
  }

  return {
    missing,
    async ask({ plan: record, person, origin, reason, standsInFor }) {
      const found = await missing(record, person);
      if ('refused' in found) return found;
      if (found.join() !== standsInFor.join())
        return no(`What is missing of it has changed: it is ${found.join(', ')}.`, 'Look at it again.');
      const atMs = deps.now();
      const statement: BreakGlassStatement = {
        type: 'https://countersign.dev/break-glass/v1',
        plan: record.id,
        environment: record.plan.environment,
        identity: digestOf(record.plan.identity as unknown as Json),
        person,
        standsInFor: found,
        reason,
        at: instantOf(atMs),
        until: instantOf(atMs + GLASS_STAYS_BROKEN_MS),
      };
      const command = `countersign plan break-glass ${shortId(record.id)} --as ${person} --reason TEXT`;
      return signing.ask(BREAK_GLASS_TYPE, statement, { origin, command });
    },

    async receive(plan, signed) {
      const taken = signing.take(BREAK_GLASS_TYPE, signed, openBreakGlass);
      if ('refused' in taken) return taken;
      if (taken.statement.plan !== plan)
        return no('This does not count: it is about another plan.', 'Look at the plan again.');
      const broken = await (await deps.glass()).receive(taken.envelope);
      if ('refused' in broken) return broken;
      const { incident, told } = broken;
      const reply = await deps.applyPlan(plan, { person: signed.person });
      if (reply.reply !== 'refused') return { incident, told, state: reply.plan.state };
      const opened = `Incident ${incident}, told by ${told.join(' and ')}.`;
      return { refused: { ...reply.refusal, detail: [opened, reply.refusal.detail].filter(Boolean).join('\n') } };
    },

    async askToReview({ incident, person, origin, reason }) {
      const found = await incidents.show(incident);
      if (found === undefined) return no(`There is no incident ${incident}.`, 'Incidents lists them.');
      const statement: ReviewStatement = {
        type: 'https://countersign.dev/incident-review/v1',
        incident: found.id,
        plan: found.plan,
        person,
        reason,
        at: instantOf(deps.now()),
      };
      const command = `countersign incident review ${found.id} --as ${person} --reason TEXT`;
      return signing.ask(REVIEW_TYPE, statement, { origin, command });
    },

    async review(incident, signed) {
      const taken = signing.take(REVIEW_TYPE, signed, openReview);
      if ('refused' in taken) return taken;
      return incidents.review(incident, taken.envelope);
    },

    incidents,
  };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}
