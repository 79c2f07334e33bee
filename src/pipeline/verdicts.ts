import { AGENT_APPROVAL_TYPE, openAgentApproval } from '../approval/agent-approval.ts';
import { openEnvelope } from '../approval/envelope.ts';
import { type Verdict, verifyQuorum, verifyVerdict } from '../approval/quorum.ts';
import type { ApprovalEnvelope } from '../domain/approval.ts';
import type { Json } from '../domain/digest.ts';
import { isLive, type PlanRecord, shortId } from '../domain/plan.ts';
import type { Refusal } from '../domain/refusal.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { approvalsOf, insertApproval } from '../store/approvals.ts';
import { getPlan, transition } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { Write } from '../store/write.ts';
import type { ApprovalAgents } from './approval-agents.ts';
import type { Delegations } from './delegations.ts';
import type { PlanView, Refused } from './gateway.ts';
import type { PlanViews } from './plan-view.ts';
import type { Proof } from './proof.ts';
import type { TargetRules } from './target-rules.ts';

/** Takes the signed verdict of a person or an approval agent on a plan, whichever way it came. The signature is the authentication. */
export type ReceiveVerdict = (
  envelope: ApprovalEnvelope,
) => Promise<{ readonly ok: true; readonly plan: PlanView } | Refused>;

export function createReceiveVerdict(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly views: PlanViews;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly delegations: Pick<Delegations, 'standing'>;
  readonly approvalAgents: ApprovalAgents;
  readonly now: () => number;
}): ReceiveVerdict {
  const { store, proof } = deps;

  return async (envelope) => {
    const byAgent = envelope.payloadType === AGENT_APPROVAL_TYPE;
    const opened = byAgent ? openAgentApproval(envelope) : openEnvelope(envelope);
    if (!opened.opened)
      return no(`This does not count: ${opened.why}.`, 'Sign the plan with `countersign plan approve`.');
    const record = await getPlan(store, opened.statement.plan);
    if (record === undefined) return no('There is no such plan.', 'List them with `countersign plan list`.');
    const rules = deps.rules(record.plan.target);
    const stored = await taskById(store, record.plan.task);
    if (rules === undefined || stored === undefined) {
      return no(
        `The target ${record.plan.target} is no longer configured.`,
        'Reject the plan or add the target again.',
      );
    }
    if (!isLive(record, deps.now())) return over(record);

    const question = {
      plan: record.plan,
      planId: record.id,
      people: rules.people,
      clicks: rules.clicks,
      agents: deps.approvalAgents.on(record.plan, stored.task),
      delegations: await deps.delegations.standing(record.plan.environment),
      now: deps.now(),
    };
    const verdict = verifyVerdict(envelope, question);
    if (!verdict.valid)
      return no(
        `This does not count: ${verdict.why}.`,
        byAgent
          ? `Leave it to a person: countersign plan approve ${shortId(record.id)} --as PERSON`
          : 'Nothing was recorded but this attempt.',
      );

    const { statement } = verdict;
    const who = 'agent' in verdict ? verdict.agent.id : verdict.statement.person;
    const needed = rules.approvalsNeeded(stored.task, record.plan);
    const quorum = (envelopes: readonly ApprovalEnvelope[]) => verifyQuorum({ ...question, envelopes, needed });
    const approve = statement.verdict === 'approve';
    const complete = approve && 'approved' in quorum([...(await approvalsOf(store, record.id)), envelope]);
    const writes: Write[] = [insertApproval({ ...statement, person: who }, envelope)];
    if (!approve)
      writes.push(
        transition(record.id, record.state, 'rejected', {
          note: `${who}: ${statement.reason}`,
          at: proof.now(),
        }),
      );
    else if (complete && record.state === 'held') writes.push(approved(record));
    try {
      await proof.record({
        kind: approve ? 'approval' : 'rejection',
        subject: record.id,
        body: {
          plan: record.id,
          ...saidBy(verdict),
          reason: statement.reason,
          environment: statement.environment,
          envelope: envelope as unknown as Json,
        },
        writes,
      });
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      return no(
        `${who} has decided on this plan before, or it has moved on just now.`,
        'Look at it again with `countersign plan show`.',
      );
    }
    if (approve && !complete) await completeIfEnough(record, 'approved' in quorum(await approvalsOf(store, record.id)));
    const now = (await getPlan(store, record.id)) ?? record;
    return { ok: true, plan: await deps.views.of(now) };
  };

  function approved(record: PlanRecord): Write {
    return transition(record.id, 'held', 'approved', { note: null, at: proof.now() });
  }

  /** Two people who countersign in the same instant each see only their own signature at first. */
  async function completeIfEnough(record: PlanRecord, enough: boolean): Promise<void> {
    if (!enough) return;
    try {
      await proof.record({
        kind: 'approval',
        subject: record.id,
        body: { plan: record.id, complete: true },
        writes: [approved(record)],
      });
    } catch (error) {
      // The other one's record has completed it.
      if (!(error instanceof GuardFailed)) throw error;
    }
  }
}

function saidBy(verdict: Extract<Verdict, { valid: true }>): { readonly [field: string]: Json } {
  if ('agent' in verdict) {
    const { id, owner, family, publicKey } = verdict.agent;
    return { agent: id, owner, family, key: `ed25519:${Buffer.from(publicKey).toString('base64')}` };
  }
  const { inPlaceOf, statement } = verdict;
  return {
    person: statement.person,
    ...(inPlaceOf === undefined ? {} : { delegation: statement.delegation ?? null, inPlaceOf }),
    ...(statement.via === undefined ? {} : { via: statement.via }),
  };
}

function over(record: PlanRecord): Refused {
  const waiting = record.state === 'held' || record.state === 'approved';
  const refusal: Refusal = {
    refused: 'stale',
    message: waiting ? `The plan expired at ${record.plan.expiresAt}.` : `The plan is ${record.state} already.`,
    hint: 'Nothing is left to decide. The agent can send its statement again: it becomes a new plan.',
    plan: record.id,
  };
  return { refused: refusal };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}
