import { openAgentApproval } from '../approval/agent-approval.ts';
import { openBreakGlass } from '../approval/break-glass.ts';
import { decidesIn } from '../approval/delegation.ts';
import { openEnvelope } from '../approval/envelope.ts';
import { type Quorum, verifyQuorum } from '../approval/quorum.ts';
import type { ApprovalAgent, Person } from '../domain/actor.ts';
import type { ApprovalEnvelope } from '../domain/approval.ts';
import type { Decision, Obligation } from '../domain/decision.ts';
import type { StandingDelegation } from '../domain/delegation.ts';
import { type ActorId, asId, instantOf, type PlanId } from '../domain/ids.ts';
import { isLive, type Plan, type PlanRecord, shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { approvalsOf } from '../store/approvals.ts';
import { incidentsOf } from '../store/incidents.ts';
import { plansByPrefix } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { ApprovalAgents } from './approval-agents.ts';
import type { Delegations } from './delegations.ts';
import type { PlanView } from './gateway.ts';
import type { TargetRules } from './target-rules.ts';

/** Shows plans with their approvals, each verified anew. */
export interface PlanViews {
  of(record: PlanRecord): Promise<PlanView>;
}

export function createPlanViews(deps: {
  readonly store: Store;
  /** `undefined` for a target that is no longer configured. */
  readonly rules: (target: string) => TargetRules | undefined;
  readonly delegations: Pick<Delegations, 'standing'>;
  readonly approvalAgents: ApprovalAgents;
  readonly now: () => number;
}): PlanViews {
  return {
    async of(record) {
      const envelopes = await approvalsOf(deps.store, record.id);
      const rules = deps.rules(record.plan.target);
      const task = (await taskById(deps.store, record.plan.task))?.task;
      const needed = rules === undefined || task === undefined ? 1 : rules.approvalsNeeded(task, record.plan);
      const live = isLive(record, deps.now());
      const standing = await deps.delegations.standing(record.plan.environment, !live);
      const agents = deps.approvalAgents.on(record.plan, task);
      const quorum = verifyQuorum({
        agents,
        delegations: standing,
        plan: record.plan,
        planId: record.id,
        envelopes,
        people: rules?.people ?? new Map(),
        clicks: rules?.clicks ?? null,
        // What has been approved stays to be seen after its time.
        now: Math.min(deps.now(), Date.parse(record.plan.expiresAt) - 1),
        needed,
      });
      return {
        ...record,
        state: stateNow(record, deps.now()),
        approvals: envelopes.flatMap((envelope) => approvalOf(envelope, quorum, { standing, agents: agents?.known })),
        ...(await glassOf(deps.store, record.id)),
        canDecide: rules === undefined ? [] : decidersOf(record.plan, rules.people, standing),
        approvalsMissing: 'approved' in quorum ? 0 : quorum.missing,
        waitsFor: task !== undefined && live ? waitsFor(rules, task, record.plan, quorum) : [],
        seenAt: instantOf(deps.now()),
        decideWith: `countersign plan show ${shortId(record.id)}`,
      };
    },
  };
}

/** A person who countersigns last could lift a freeze; until then it is one of the things that are waited for. */
function waitsFor(rules: TargetRules | undefined, task: Task, plan: Plan, quorum: Quorum): readonly Obligation[] {
  const decision = decisionNow(rules, task, plan, quorum);
  return decision?.decision === 'hold' ? decision.missing.filter(({ obligation }) => obligation !== 'approvals') : [];
}

/** Of an agent that is no longer configured nothing can be decided; its plans can still be looked at. */
function decisionNow(rules: TargetRules | undefined, task: Task, plan: Plan, quorum: Quorum): Decision | undefined {
  try {
    return rules?.decideApply(task, plan, quorum.by, { byAgent: 'approved' in quorum && quorum.byAgent });
  } catch (error) {
    if (error instanceof RefusalError) return undefined;
    throw error;
  }
}

/** The same people whose signatures `approval/quorum.ts` counts. */
function decidersOf(
  plan: Plan,
  people: ReadonlyMap<ActorId, Person>,
  standing: ReadonlyMap<string, StandingDelegation>,
): readonly ActorId[] {
  const asked = (id: ActorId) => id === plan.actor || id === plan.onBehalfOf;
  const inPlaceOf = new Map([...standing.values()].map(({ to, person }) => [to, person]));
  return [...people.values()]
    .filter(
      (person) =>
        !asked(person.id) &&
        (decidesIn(person, plan.environment) ||
          (inPlaceOf.has(person.id) && !asked(inPlaceOf.get(person.id) ?? person.id))),
    )
    .map(({ id }) => id);
}

/** A plan whose time is over stands as expired, whether or not anybody has written that down yet. */
function stateNow(record: PlanRecord, nowMs: number): PlanRecord['state'] {
  const waiting = record.state === 'held' || record.state === 'approved';
  return waiting && nowMs >= Date.parse(record.plan.expiresAt) ? 'expired' : record.state;
}

function approvalOf(
  envelope: ApprovalEnvelope,
  quorum: Quorum,
  {
    standing,
    agents,
  }: {
    readonly standing: ReadonlyMap<string, StandingDelegation>;
    readonly agents: ReadonlyMap<ActorId, ApprovalAgent> | undefined;
  },
): PlanView['approvals'] {
  const byAgent = openAgentApproval(envelope);
  if (byAgent.opened) {
    const { agent, at, reason } = byAgent.statement;
    const agentOf = quorum.agents?.includes(agent) === true ? agents?.get(agent)?.owner : undefined;
    return agentOf === undefined ? [] : [{ person: agent, agentOf, at, reason }];
  }
  const opened = openEnvelope(envelope);
  if (!opened.opened || opened.statement.verdict !== 'approve') return [];
  const { person, at, reason, via, delegation } = opened.statement;
  const inPlaceOf = standing.get(delegation ?? '')?.person;
  return quorum.by.includes(person)
    ? [{ person, ...(inPlaceOf === undefined ? {} : { inPlaceOf }), at, reason, ...(via === undefined ? {} : { via }) }]
    : [];
}

/** The glass that was broken for it last. Whether that still counts is asked when it is applied. */
async function glassOf(store: Store, plan: PlanId): Promise<Pick<PlanView, 'glass'>> {
  const [newest] = await incidentsOf(store, plan);
  const opened = newest === undefined ? undefined : openBreakGlass(newest.envelope);
  if (newest === undefined || opened?.opened !== true) return {};
  const { person, standsInFor, reason, until } = opened.statement;
  const reviewedBy = newest.review?.by ?? null;
  return { glass: { incident: newest.id, person, standsInFor, reason, until, reviewedBy } };
}

/** A plan as people name it: by its whole id or a beginning that only one plan has. */
export async function planNamed(store: Store, named: string): Promise<PlanId | 'none' | 'several'> {
  const id = named.startsWith('sha256:') ? named : `sha256:${named.toLowerCase()}`;
  if (!/^sha256:[0-9a-f]{4,64}$/.test(id)) return 'none';
  const found = await plansByPrefix(store, id);
  if (found.length > 1) return 'several';
  return found[0] === undefined ? 'none' : asId<PlanId>(found[0].id);
}
