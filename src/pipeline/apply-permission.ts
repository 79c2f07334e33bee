import { verifyBreakGlass } from '../approval/break-glass.ts';
import { verifyQuorum } from '../approval/quorum.ts';
import type { Approved } from '../domain/approval.ts';
import type { BreakGlassStatement } from '../domain/break-glass.ts';
import { describeObligation } from '../domain/describe-change-time.ts';
import type { ActorId } from '../domain/ids.ts';
import { type PlanRecord, shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { recordedGlass } from '../ledger/recorded-glass.ts';
import { approvalsOf } from '../store/approvals.ts';
import { incidentsOf } from '../store/incidents.ts';
import type { Store } from '../store/store.ts';
import type { ApprovalAgents } from './approval-agents.ts';
import type { Delegations } from './delegations.ts';
import type { Refused } from './gateway.ts';
import type { TargetRules } from './target-rules.ts';
import { toldOf, WAYS_TOLD } from './told-ways.ts';

export type ApplyingActor = { readonly task: Task } | { readonly person: ActorId };

/** That a plan may be applied now, and by whose word. */
export interface Permission {
  readonly approved: Approved;
  readonly approvedBy: readonly ActorId[];
  /** The incident by which it may be, where what is missing of it is not waited for. */
  readonly brokenGlass?: string;
}

/** Asked right before a plan is applied (G3, G4): with signatures, people, policy and time as they are now. */
export async function mayApply(
  record: PlanRecord,
  { task, by }: { readonly task: Task; readonly by: ApplyingActor },
  deps: {
    readonly store: Store;
    readonly target: TargetRules;
    readonly delegations: Pick<Delegations, 'standing'>;
    readonly approvalAgents: ApprovalAgents;
    readonly now: () => number;
  },
): Promise<Permission | Refused> {
  const { target, store } = deps;
  const { plan, id } = record;
  const asked = { plan, planId: id, people: target.people, clicks: target.clicks, now: deps.now() };
  const quorum = verifyQuorum({
    ...asked,
    envelopes: await approvalsOf(store, id),
    delegations: await deps.delegations.standing(plan.environment),
    agents: deps.approvalAgents.on(plan, task),
    needed: target.approvalsNeeded(task, plan),
  });
  const byAgent = 'approved' in quorum && quorum.byAgent;
  const decision = target.decideApply(task, plan, quorum.by, { byAgent });
  if ('approved' in quorum && decision.decision === 'allow')
    return { approved: quorum.approved, approvedBy: quorum.by };
  const waits = (): Refused =>
    'approved' in quorum ? { refused: target.denial(decision) } : { refused: notApproved(record, quorum.missing) };
  if (decision.decision === 'deny') return waits();

  const broken = await newestBroken(store, asked);
  if (broken === undefined) return waits();
  const { statement, approved, incident } = broken;
  if (!('person' in by) || by.person !== statement.person) return { refused: onlyTheirs(record, statement) };
  // Policy may say no to broken glass as such.
  const now = target.decideApply(task, plan, quorum.by, { glassBroken: true, byAgent });
  if (now.decision === 'deny') return { refused: target.denial(now) };
  const missing = now.decision === 'hold' ? now.missing : [];
  const more = missing.filter(({ obligation }) => !statement.standsInFor.includes(obligation));
  const people = 'approved' in quorum || statement.standsInFor.includes('approvals');
  if (more.length > 0 || !people) {
    const said = more.map((one) => describeObligation(one, deps.now()));
    return { refused: notStoodInFor(record, statement, people ? said : ['people who countersign it', ...said]) };
  }
  // Nobody may act alone and unheard: whoever is to hear of it must be sure to.
  const told = await toldOf(store, { plan: id, incident, person: statement.person });
  if (told.length < WAYS_TOLD) return { refused: notTold(record, told) };
  return { approved, approvedBy: quorum.by, brokenGlass: incident };
}

/** The newest that still counts, and that the ledger knows of. */
async function newestBroken(store: Store, asked: Parameters<typeof verifyBreakGlass>[1]) {
  const recorded = await recordedGlass(store, asked.planId);
  for (const { id: incident, envelope } of await incidentsOf(store, asked.planId)) {
    if (!recorded.has(incident)) continue;
    const verified = verifyBreakGlass(envelope, asked);
    if (verified.valid) return { ...verified, incident };
  }
  return undefined;
}

export function notApproved({ id }: PlanRecord, missing: number | undefined): Refusal {
  return {
    refused: 'held',
    message: `The plan is not approved${missing === undefined ? '' : `: ${missing} more ${missing === 1 ? 'person' : 'people'} must countersign`}. Nothing was changed.`,
    hint: `Stop and ask. A person decides with: countersign plan show ${shortId(id)}`,
    plan: id,
  };
}

function onlyTheirs({ id }: PlanRecord, { person, until }: BreakGlassStatement): Refusal {
  return {
    refused: 'held',
    message: `${person} broke the glass for this plan, and nobody but ${person} applies it so. Nothing was changed.`,
    hint: `Wait: ${person} can until ${until}. Countersigned by enough people, it can be applied as any other plan.`,
    plan: id,
  };
}

function notStoodInFor(
  { id }: PlanRecord,
  { person, standsInFor }: BreakGlassStatement,
  said: readonly string[],
): Refusal {
  return {
    refused: 'held',
    message: `Since ${person} broke the glass, more is missing than they saw: ${said.join('; ')}. Nothing was changed.`,
    detail: `It stands in for: ${standsInFor.join(', ')}`,
    hint: `Look at it, and break the glass anew: countersign plan break-glass ${shortId(id)} --as ${person} --reason TEXT`,
    plan: id,
  };
}

function notTold({ id }: PlanRecord, told: readonly string[]): Refusal {
  return {
    refused: 'unavailable',
    message: `Messages of the broken glass wait for ${told.length} of the ${WAYS_TOLD} ways by which people must hear of it. Nothing was changed.`,
    hint: `See that \`notifications\` names two ways, then break the glass anew: countersign plan break-glass ${shortId(id)} --as PERSON --reason TEXT`,
    plan: id,
  };
}
