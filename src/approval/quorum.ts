import type { ApprovalAgent, Person } from '../domain/actor.ts';
import type { AgentApprovalStatement, ApprovalEnvelope, ApprovalStatement, Approved } from '../domain/approval.ts';
import { whyNoClick } from '../domain/clicks.ts';
import type { StandingDelegation } from '../domain/delegation.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import type { Clicks } from '../domain/environment.ts';
import type { ActorId, PlanId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { mayDo } from '../domain/rights.ts';
import { AGENT_APPROVAL_TYPE, type AgentRules, openAgentApproval, whyNoAgent } from './agent-approval.ts';
import { openEnvelope } from './envelope.ts';

/** All that an approval must fit (G3, G4). */
export interface QuorumQuestion {
  readonly plan: Plan;
  readonly planId: PlanId;
  readonly envelopes: readonly ApprovalEnvelope[];
  /** As the configuration names them now: a key taken out of it no longer counts. */
  readonly people: ReadonlyMap<ActorId, Person>;
  /** Who decides there in whose place now; nobody where left out. */
  readonly delegations?: ReadonlyMap<string, StandingDelegation>;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly needed: number;
  /** What clicks are worth, by the configuration of now; `null` where there is nobody to attest them. */
  readonly clicks: ClickRules | null;
  /** What approval agents are worth; nothing where left out. */
  readonly agents?: AgentRules | undefined;
}

/** What the gateway is believed when it says that somebody clicked. */
export interface ClickRules {
  readonly count: Clicks;
  /** The workspace whose users the configuration knows. */
  readonly team: string;
  /** With which gateways attest now: what another key said before it counts no longer. */
  readonly gatewayKey: Uint8Array;
}

export type Quorum = (
  | {
      readonly approved: Approved;
      /** Nobody but an approval agent has approved it: `by` names no person. */
      readonly byAgent?: true;
    }
  | { readonly missing: number }
) & {
  readonly by: readonly ActorId[];
  /** Approval agents whose word counts, whether or not it decides; left out where there are none. */
  readonly agents?: readonly ActorId[];
};

/**
 * Counts the people whose signatures verify and who may countersign this plan. The only place where a plan becomes
 * `Approved`; called again right before it is applied.
 */
export function verifyQuorum(question: QuorumQuestion): Quorum {
  const { plan, planId, envelopes, needed } = question;
  // Whose word it is, and by whom it was given: who stands in for somebody and that person are one.
  const words = new Map<ActorId, ActorId>();
  const agents: ActorId[] = [];
  for (const envelope of envelopes) {
    const verdict = verifyVerdict(envelope, question);
    if (!verdict.valid || verdict.statement.verdict !== 'approve') continue;
    if ('agent' in verdict) {
      agents.push(verdict.agent.id);
      continue;
    }
    if (verdict.inPlaceOf === undefined || !words.has(verdict.inPlaceOf))
      words.set(verdict.inPlaceOf ?? verdict.statement.person, verdict.statement.person);
  }
  const by = [...words.values()];
  const intact = digestOf(plan as unknown as Json) === planId;
  // That policy asked for nobody stands on the plan itself, and nothing that is said later makes it so.
  const least = plan.held.missing.length === 0 ? 0 : 1;
  // Whoever configures could otherwise allow themselves something, and then approve it: one of the people must be another.
  const administers = (id: ActorId) => question.people.get(id)?.roles.includes('administrator') === true;
  const alone = by.length > 0 && [...words].every((word) => word.some(administers));
  const missing = Math.max(needed - by.length, alone ? 1 : 0);
  const others = agents.length === 0 ? {} : { agents };
  if (!intact || needed < least) return { missing: Math.max(1, missing), by, ...others };
  if (missing === 0) return { approved: plan as Approved, by, ...others };
  // An agent's word stands for the one person who is asked, never for one of several, and no two agents make up for more.
  const [agent] = agents;
  if (agent === undefined || needed > 1) return { missing: Math.max(1, missing), by, ...others };
  return { approved: plan as Approved, by: [agent], byAgent: true, agents };
}

export type Verdict =
  | {
      readonly valid: true;
      readonly statement: ApprovalStatement;
      /** Whose word it is, where somebody decides in another's place. */
      readonly inPlaceOf?: ActorId;
    }
  | { readonly valid: true; readonly statement: AgentApprovalStatement; readonly agent: ApprovalAgent }
  /** `why` completes "This does not count: …". */
  | { readonly valid: false; readonly why: string };

/** A signer's clock may be ahead of ours by this much. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** Whether one signed verdict counts for this plan, or why it doesn't. */
export function verifyVerdict(
  envelope: ApprovalEnvelope,
  question: Omit<QuorumQuestion, 'envelopes' | 'needed'>,
): Verdict {
  if (envelope.payloadType === AGENT_APPROVAL_TYPE) return verifyAgentVerdict(envelope, question);
  const { plan, people } = question;
  const opened = openEnvelope(envelope);
  if (!opened.opened) return no(opened.why);
  const { statement } = opened;
  const elsewhere = whyElsewhere(statement, question);
  if (elsewhere !== undefined) return no(elsewhere);
  const person = people.get(statement.person);
  if (person === undefined) return no(`${statement.person} is no person of the configuration`);
  if (person.id === plan.actor || person.id === plan.onBehalfOf) {
    return no(`${person.id} asked for it, and nobody countersigns their own intent`);
  }
  // Also for whoever comes past every surface that asks: a signature can be posted by anybody who has it.
  if (!mayDo(person, 'plan.decide')) return no(`${person.id} has not the right plan.decide`);
  const inPlaceOf = standsInFor(statement, question);
  if (inPlaceOf !== undefined && 'why' in inPlaceOf) return no(inPlaceOf.why);
  if (inPlaceOf === undefined && !person.approves.includes('*') && !person.approves.includes(plan.environment)) {
    return no(`${person.id} may not countersign in ${plan.environment}`);
  }
  const unsigned = statement.via === undefined ? whyUnsigned(opened, person) : whyUnattested(opened, person, question);
  if (unsigned !== undefined) return no(unsigned);
  const untimely = whyUntimely(statement, question);
  return untimely === undefined ? { valid: true, statement, ...inPlaceOf } : no(untimely);
}

function verifyAgentVerdict(
  envelope: ApprovalEnvelope,
  question: Omit<QuorumQuestion, 'envelopes' | 'needed'>,
): Verdict {
  const { plan, agents: rules } = question;
  const opened = openAgentApproval(envelope);
  if (!opened.opened) return no(opened.why);
  const { statement } = opened;
  const elsewhere = whyElsewhere(statement, question);
  if (elsewhere !== undefined) return no(elsewhere);
  const agent = rules?.known.get(statement.agent);
  if (rules === undefined || agent === undefined)
    return no(`${statement.agent} is no approval agent of the configuration`);
  if (!opened.verifiedBy(agent.publicKey)) return no(`the key of ${agent.id} has not signed it`);
  const why = whyUntimely(statement, question) ?? whyNoAgent(agent, plan, rules, question.people);
  return why === undefined ? { valid: true, statement, agent } : no(why);
}

type Said = Pick<ApprovalStatement, 'plan' | 'environment' | 'identity' | 'at'>;

function whyElsewhere(said: Said, { plan, planId }: Pick<QuorumQuestion, 'plan' | 'planId'>): string | undefined {
  if (said.plan !== planId) return 'it is about another plan';
  const identity = digestOf(plan.identity as unknown as Json);
  return said.environment === plan.environment && said.identity === identity ? undefined : 'it is about another target';
}

function whyUntimely(said: Said, { plan, now }: Pick<QuorumQuestion, 'plan' | 'now'>): string | undefined {
  const [at, end] = [Date.parse(said.at), Date.parse(plan.expiresAt)];
  if (at > now + CLOCK_SKEW_MS) return 'it is dated in the future';
  if (at < Date.parse(plan.createdAt) - CLOCK_SKEW_MS) return 'it is older than the plan';
  return at >= end || now >= end ? `the plan expired at ${plan.expiresAt}` : undefined;
}

/** In whose place somebody decides; a delegation gives neither of the two a say in what one of them asked for. */
function standsInFor(
  { delegation: named, person, at }: ApprovalStatement,
  { plan, delegations }: Pick<QuorumQuestion, 'plan' | 'delegations'>,
): { readonly inPlaceOf: ActorId } | { readonly why: string } | undefined {
  if (named === undefined) return undefined;
  const delegation = delegations?.get(named);
  if (delegation === undefined) return { why: `${named} does not stand, or no longer` };
  if (delegation.to !== person) return { why: `${named} was given to ${delegation.to}` };
  if (delegation.environment !== plan.environment) return { why: `${named} is for ${delegation.environment}` };
  if (delegation.person === plan.onBehalfOf || delegation.person === plan.actor)
    return { why: `${delegation.person}, in whose place it is, asked for it` };
  if (at < delegation.at) return { why: `it is older than ${named}` };
  return { inPlaceOf: delegation.person };
}

type OpenedApproval = Extract<ReturnType<typeof openEnvelope>, { opened: true }>;

function whyUnsigned(opened: OpenedApproval, person: Person): string | undefined {
  return opened.verifiedByPerson(person) ? undefined : `no key of ${person.id} signed it`;
}

/** A click is the gateway's word for a person: worth what the environment makes of it, and only as long as it is their user. */
function whyUnattested(
  { statement: { click }, verifiedBy }: OpenedApproval,
  person: Person,
  { clicks, plan }: Pick<QuorumQuestion, 'clicks' | 'plan'>,
): string | undefined {
  if (clicks === null) return 'clicks count for nothing, as no Slack is configured';
  if (click === undefined || !verifiedBy(clicks.gatewayKey)) return 'the gateway has not attested it';
  if (person.slack === undefined || click.user !== person.slack || click.team !== clicks.team)
    return `${click.user} of ${click.team} is not the Slack user of ${person.id}`;
  const why = whyNoClick(clicks.count, plan);
  return why === undefined ? undefined : `a click does not decide here: ${why}`;
}

function no(why: string): Verdict {
  return { valid: false, why };
}
