import { incidentId, openBreakGlass, verifyBreakGlass } from '../approval/break-glass.ts';
import { verifyQuorum } from '../approval/quorum.ts';
import type { BreakGlassEnvelope, ObligationKind } from '../domain/break-glass.ts';
import type { Decision } from '../domain/decision.ts';
import type { Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';
import type { Instant } from '../domain/ids.ts';
import { isLive, type PlanRecord, shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { approvalsOf } from '../store/approvals.ts';
import { insertIncident } from '../store/incidents.ts';
import { getPlan, transition } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { ApprovalAgents } from './approval-agents.ts';
import type { Delegations } from './delegations.ts';
import type { Refused } from './gateway.ts';
import type { Proof } from './proof.ts';
import type { TargetRules } from './target-rules.ts';
import { toldOf, WAYS_TOLD, waysOf } from './told-ways.ts';

/** A person acts now on a plan, without what is missing of it; all of it is told, recorded, and reviewed afterwards. */
export interface BreakGlass {
  /** What is missing of a plan now, and would be stood in for: what a person is asked to sign. */
  missing(record: PlanRecord): Promise<readonly ObligationKind[] | Refused>;
  /** Takes the signature. Once it is answered, the person may apply the plan. */
  receive(envelope: BreakGlassEnvelope): Promise<Broken | Refused>;
}

export interface Broken {
  readonly incident: string;
  readonly plan: PlanRecord;
  readonly until: Instant;
  /** The ways by which people hear of it. */
  readonly told: readonly string[];
}

export function createBreakGlass(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly delegations: Pick<Delegations, 'standing'>;
  readonly approvalAgents: ApprovalAgents;
  /** Why nothing of a plan may run now (G11). */
  readonly stopped: (record: PlanRecord) => Refusal | undefined;
  /** Names of those who would be told of an entry. */
  readonly receivers: (entry: Entry) => Promise<readonly string[]>;
  /** Makes the messages of all that is in the ledger. */
  readonly follow: () => Promise<unknown>;
  readonly now: () => number;
}): BreakGlass {
  const { store, proof } = deps;

  async function missingOf(record: PlanRecord): Promise<readonly ObligationKind[] | Refused> {
    const rules = deps.rules(record.plan.target);
    const stored = await taskById(store, record.plan.task);
    if (rules === undefined || stored === undefined)
      return no(`The target ${record.plan.target} is no longer configured.`, 'Add it again, and ask anew.');
    if (!isLive(record, deps.now())) return over(record);
    const stopped = deps.stopped(record);
    if (stopped !== undefined) return { refused: stopped };
    const { decision, people } = await standing(record, rules, stored.task);
    if (decision.decision === 'deny') return { refused: rules.denial(decision) };
    const kinds = decision.decision === 'hold' ? decision.missing.map(({ obligation }) => obligation) : [];
    return [...new Set<ObligationKind>([...kinds, ...(people ? (['approvals'] as const) : [])])].sort();
  }

  /** What policy says of it once the glass is broken, and whether signatures are missing. */
  async function standing(
    { plan, id }: PlanRecord,
    rules: TargetRules,
    task: Task,
  ): Promise<{ readonly decision: Decision; readonly people: boolean }> {
    const quorum = verifyQuorum({
      plan,
      planId: id,
      envelopes: await approvalsOf(store, id),
      delegations: await deps.delegations.standing(plan.environment),
      people: rules.people,
      clicks: rules.clicks,
      now: deps.now(),
      agents: deps.approvalAgents.on(plan, task),
      needed: rules.approvalsNeeded(task, plan),
    });
    const how = { glassBroken: true, byAgent: 'approved' in quorum && quorum.byAgent };
    return { decision: rules.decideApply(task, plan, quorum.by, how), people: !('approved' in quorum) };
  }

  async function receive(envelope: BreakGlassEnvelope): Promise<Broken | Refused> {
    const opened = openBreakGlass(envelope);
    if (!opened.opened) return doesNotCount(opened.why);
    const record = await getPlan(store, opened.statement.plan);
    const rules = record === undefined ? undefined : deps.rules(record.plan.target);
    if (record === undefined || rules === undefined)
      return no('There is no such plan of a target that is configured.', 'List them with `countersign plan list`.');
    const asked = { plan: record.plan, planId: record.id, people: rules.people, now: deps.now() };
    const verified = verifyBreakGlass(envelope, asked);
    if (!verified.valid) return doesNotCount(verified.why);
    const { statement } = verified;
    const missing = await missingOf(record);
    if ('refused' in missing) return missing;
    if (missing.length === 0) return nothingMissing(record);
    if (missing.join() !== statement.standsInFor.join())
      return no(
        `What is missing of it is no longer what was signed: it is ${missing.join(', ')}.`,
        'Look at it with `countersign plan show`, and sign anew.',
      );

    const incident = incidentId(envelope);
    const { person, reason, environment, until } = statement;
    const body = {
      plan: record.id,
      incident,
      person,
      reason,
      environment,
      owner: rules.environment.owner,
      standsInFor: [...statement.standsInFor],
      until,
      envelope: envelope as unknown as Json,
    };
    const entry = { kind: 'break-glass', subject: record.id, body } as const;
    const ways = waysOf(await deps.receivers({ v: 1, at: proof.now(), ...entry }), person);
    if (ways.length < WAYS_TOLD) return tooFewWays(ways);
    // What follows the ledger begins here at the latest, so that what comes next is told.
    await deps.follow();
    const at = proof.now();
    try {
      await proof.record({
        ...entry,
        body: { ...body, told: [...ways] },
        writes: [
          insertIncident({ id: incident, plan: record.id, person, envelope, openedAt: at }),
          ...(record.state === 'held'
            ? [transition(record.id, 'held', 'approved', { note: `${person} broke the glass`, at })]
            : []),
        ],
      });
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      return no(
        'The plan has moved on just now, or this was recorded before.',
        'Look at it again with `countersign plan show`.',
      );
    }
    await deps.follow();
    const told = await toldOf(store, { plan: record.id, incident, person });
    if (told.length < WAYS_TOLD) return tooFewWays(told);
    return { incident, plan: (await getPlan(store, record.id)) ?? record, until, told };
  }

  return { missing: missingOf, receive };
}

function doesNotCount(why: string): Refused {
  return no(`This does not count: ${why}.`, 'Nothing was changed, and nothing was recorded.');
}

function nothingMissing({ id }: PlanRecord): Refused {
  return no(
    'Nothing is missing of this plan: there is no glass to break.',
    `Apply it with: countersign plan apply ${shortId(id)} --as PERSON`,
  );
}

function tooFewWays(ways: readonly string[]): Refused {
  const named = ways.length === 0 ? 'none' : `only ${ways.join(', ')}`;
  return {
    refused: {
      refused: 'denied',
      message: `Nobody acts alone and unheard: it takes ${WAYS_TOLD} ways by which others hear of it, and there is ${named}.`,
      hint: 'Name webhooks of another host, or mail to people who review, under `notifications` (docs/notifications.md). Nothing was changed.',
    },
  };
}

function over({ id, plan, state }: PlanRecord): Refused {
  const waiting = state === 'held' || state === 'approved';
  return {
    refused: {
      refused: 'stale',
      message: waiting ? `The plan expired at ${plan.expiresAt}.` : `The plan is ${state} already.`,
      hint: 'Have the statement sent again: it is measured anew and becomes a new plan.',
      plan: id,
    },
  };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}
