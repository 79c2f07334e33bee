import { z } from 'zod';
import type { Agent, ApprovalAgent, Person, Service } from '../domain/actor.ts';
import type { AgentApprovalStatement, ApprovalEnvelope } from '../domain/approval.ts';
import type { Json } from '../domain/digest.ts';
import { rowsChanged } from '../domain/effect.ts';
import type { Tier } from '../domain/environment.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { decidesIn } from './delegation.ts';
import { digest, type Opened, opened, sealed } from './dsse.ts';
import type { PersonKey } from './person-key.ts';

export const AGENT_APPROVAL_TYPE = 'application/vnd.countersign.agent-approval+json';

/** Signs with an approval agent's own key that it approves a plan. */
export function signAgentApproval(statement: AgentApprovalStatement, key: PersonKey): ApprovalEnvelope {
  return sealed(AGENT_APPROVAL_TYPE, statement as unknown as Json, key);
}

const statementSchema = z.strictObject({
  type: z.literal('https://countersign.dev/agent-approval/v1'),
  plan: digest,
  environment: z.string().min(1),
  identity: digest,
  agent: z.string().min(1),
  verdict: z.literal('approve'),
  reason: z.string().max(4000),
  at: z.iso.datetime({ precision: 3 }),
});

/** Reads the envelope of an approval by an agent, strictly. Whose key signed it is then asked with `verifiedBy`. */
export function openAgentApproval(envelope: unknown): Opened<AgentApprovalStatement> {
  const expected = { payloadType: AGENT_APPROVAL_TYPE, kind: 'approval', statement: statementSchema };
  return opened<AgentApprovalStatement>(envelope, expected);
}

/** What an approval agent's word is worth on one plan, by configuration, policy and halts of now. */
export interface AgentRules {
  readonly known: ReadonlyMap<ActorId, ApprovalAgent>;
  /** Who proposed the plan; `undefined` for who is no longer configured. */
  readonly proposer: Pick<Agent | Service, 'id' | 'owner' | 'family'> | undefined;
  /** How many people must countersign it, by policy of then and of now. */
  readonly needed: number;
  readonly environment: { readonly tier: Tier; readonly approvalAgents: { readonly maxRows: number } | null };
  /** Why this agent may do nothing now; `undefined` where it may. */
  readonly stopped: (agent: ActorId) => string | undefined;
  /** What policy says against any agent's word on this plan; `undefined` where it says nothing. */
  readonly forbidden: () => string | undefined;
}

/**
 * Why an agent's word decides nothing on this plan, in words that complete "This does not count: …"; `undefined` where it
 * counts. It never does in production, for what is not measured or can't be taken back, or for its own kind's intents:
 * those of whatever has its family or its owner, or was asked for by its owner. What doesn't say its family has every one.
 * Its owner must be one who countersigns there.
 */
export function whyNoAgent(
  agent: ApprovalAgent,
  plan: Plan,
  rules: AgentRules,
  people: ReadonlyMap<ActorId, Person>,
): string | undefined {
  const { proposer, environment } = rules;
  if (plan.tier === 'production' || environment.tier === 'production')
    return 'in production people countersign, and no agent';
  const limit = environment.approvalAgents;
  if (limit === null) return `no approval agent counts in ${plan.environment}`;
  if (!agent.approves.includes(plan.environment)) return `${agent.id} may not approve in ${plan.environment}`;
  const stopped = rules.stopped(agent.id);
  if (stopped !== undefined) return `${agent.id} is stopped. ${stopped}`;
  // It has no more than its owner could give: a place among those who countersign there, and not by who configures it.
  const owner = people.get(agent.owner);
  if (owner === undefined || !decidesIn(owner, plan.environment))
    return `${agent.owner}, who answers for ${agent.id}, may not countersign in ${plan.environment}`;
  if (owner.roles.includes('administrator'))
    return `${agent.owner}, who answers for ${agent.id}, is an administrator: their word suffices alone by no agent either`;
  if (proposer === undefined) return `${plan.actor}, which proposed it, is no longer configured`;
  if (rules.needed > 1) return `${rules.needed} people are asked, and an agent is none of them`;
  return whyOwnKind(agent, plan, proposer) ?? whyTooMuch(plan, limit.maxRows) ?? rules.forbidden();
}

function whyOwnKind(
  { id, owner, family }: ApprovalAgent,
  { actor, onBehalfOf, undoes, merges, purges }: Plan,
  proposer: NonNullable<AgentRules['proposer']>,
): string | undefined {
  if (actor === id) return `${id} proposed it itself`;
  if (proposer.family === undefined)
    return `${actor} does not say what decides in it (family), so it may be of the kind of ${id}`;
  if (proposer.family === family) return `${actor} is of its own kind: ${family} decides in both`;
  if (proposer.owner === owner) return `${actor} is of its own kind: ${owner} answers for both`;
  const asked = [onBehalfOf, undoes?.askedBy, merges?.askedBy, purges?.askedBy].includes(owner);
  return asked ? `${owner}, who answers for ${id}, asked for it` : undefined;
}

function whyTooMuch({ measurement, undo, held }: Plan, maxRows: number): string | undefined {
  if (!measurement.measured) return 'its effect could not be measured, which takes a person';
  if (undo.undo === 'irreversible') return 'it can’t be undone, which takes a person';
  if (held.missing.some(({ obligation }) => obligation === 'after freeze')) return 'there is a freeze';
  const rows = rowsChanged(measurement.effect.tables);
  return rows > maxRows ? `it changes ${rows} rows, and agents approve up to ${maxRows} here` : undefined;
}
