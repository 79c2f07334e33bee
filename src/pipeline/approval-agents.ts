import type { AgentRules } from '../approval/agent-approval.ts';
import type { Actor, Agent, ApprovalAgent, Service } from '../domain/actor.ts';
import type { Decision } from '../domain/decision.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { Halts } from './halts.ts';
import type { TargetRules } from './target-rules.ts';

/** What the word of approval agents is worth, asked anew whenever signatures are counted. */
export interface ApprovalAgents {
  /** `undefined` where none counts: there are none, or the target or the task is gone. */
  on(plan: Plan, task: Task | undefined): AgentRules | undefined;
}

export function createApprovalAgents(deps: {
  readonly actors: () => ReadonlyMap<ActorId, Actor>;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly halts: Pick<Halts, 'covering'>;
}): ApprovalAgents {
  return {
    on(plan, task) {
      const rules = deps.rules(plan.target);
      const actors = deps.actors();
      const known = new Map([...actors.values()].filter(isApprovalAgent).map((agent) => [agent.id, agent] as const));
      if (rules === undefined || task === undefined || known.size === 0) return undefined;
      const proposer = actors.get(plan.actor);
      return {
        known,
        proposer: proposer !== undefined && proposes(proposer) ? proposer : undefined,
        needed: rules.approvalsNeeded(task, plan),
        environment: rules.environment,
        stopped: (agent) => deps.halts.covering({ agent, task: '', target: plan.target })?.message,
        forbidden: () => whyForbidden(rules, task, plan),
      };
    },
  };
}

function isApprovalAgent(actor: Actor): actor is ApprovalAgent {
  return actor.kind === 'approval agent';
}

function proposes(actor: Actor): actor is Agent | Service {
  return actor.kind === 'agent' || actor.kind === 'service';
}

/** Whoever the agent is: policy is told that no person has approved it. */
function whyForbidden(rules: TargetRules, task: Task, plan: Plan): string | undefined {
  const decision = decided(rules, task, plan);
  if (decision === undefined) return 'the agent or its role is no longer configured';
  const people = decision.decision === 'hold' && decision.missing.some(({ obligation }) => obligation === 'approvals');
  if (decision.decision !== 'deny' && !people) return undefined;
  const reasons = decision.policies.map(({ policy, reason }) => `${policy}: ${reason}`).join(' ');
  return `policy lets no agent decide on it. ${reasons.replace(/\.$/, '')}`;
}

function decided(rules: TargetRules, task: Task, plan: Plan): Decision | undefined {
  try {
    return rules.decideApply(task, plan, [asId<ActorId>('an approval agent')], { byAgent: true });
  } catch (error) {
    if (error instanceof RefusalError) return undefined;
    throw error;
  }
}
