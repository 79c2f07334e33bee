import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Json } from '../domain/digest.ts';
import type { DefinitionMove } from '../domain/drift.ts';
import type { PlanId } from '../domain/ids.ts';
import type { PlanRecord, PlanState } from '../domain/plan.ts';
import { shortId } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';
import type { ApplyOutcome } from '../engines/engine.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { rowsOf } from '../planning/rows-of.ts';
import { putMoves } from '../store/drift.ts';
import { getPlan, stillApplying, transition } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { releaseRows, taskById } from '../store/tasks.ts';
import type { Write } from '../store/write.ts';
import { type ApplyingActor, mayApply, notApproved } from './apply-permission.ts';
import type { ApprovalAgents } from './approval-agents.ts';
import type { Delegations } from './delegations.ts';
import type { ApplyReply } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { PlanViews } from './plan-view.ts';
import type { Proof } from './proof.ts';

/** Applies an approved plan exactly once (G3, G6). */
export type ApplyPlan = (id: PlanId, by: ApplyingActor) => Promise<ApplyReply>;

/**
 * The last stretch of the way: re-check everything that was true when people signed, then let the engine run the plan,
 * effect-locked. The ledger knows of the attempt before it begins, and of its end.
 */
export function createApplyPlan(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly views: PlanViews;
  readonly delegations: Pick<Delegations, 'standing'>;
  readonly approvalAgents: ApprovalAgents;
  /** @returns the refusal when the target can't be reached or is not the one it was. */
  readonly target: (record: PlanRecord) => Promise<GovernedTarget | Refusal>;
  readonly stopped: (record: PlanRecord) => Refusal | undefined;
  /** Tells when what is under way must stop (G11), until the returned function is called. */
  readonly onStop: (record: PlanRecord, stop: (reason: Refusal) => void) => () => void;
  readonly now: () => number;
}): ApplyPlan {
  const { store, proof } = deps;

  return async (id, by) => {
    const record = await getPlan(store, id);
    if (record === undefined || ('task' in by && by.task.id !== record.plan.task)) return refused(unknownPlan(id));
    if (record.state === 'applied') return applied(record, true);
    const target = await deps.target(record);
    if ('refused' in target) return refused(target, record);
    const notNow = deps.stopped(record) ?? notApplicable(record, deps.now());
    if (notNow !== undefined) return refused(notNow, record);

    const stored = await taskById(store, record.plan.task);
    if (stored === undefined) return refused(unknownPlan(id), record);
    const permission = await mayApply(record, { task: stored.task, by }, { ...deps, target });
    if ('refused' in permission) return refused(permission.refused, record);

    const request = target.applyRequest(permission.approved);
    const stopping = new AbortController();
    let stopped: Refusal | undefined;
    const unwatch = deps.onStop(record, (reason) => {
      stopped ??= reason;
      stopping.abort(new RefusalError(reason));
    });
    // What came since it was asked above has told nobody here.
    const since = deps.stopped(record);
    if (since !== undefined) {
      unwatch();
      return refused(since, record);
    }
    const attempt = `by ${proof.node}`;
    proof.underWay.add(id);
    try {
      await proof.record({
        kind: 'apply',
        subject: id,
        body: {
          plan: id,
          by: 'task' in by ? by.task.agent : by.person,
          approvedBy: [...permission.approvedBy],
          ...(permission.brokenGlass === undefined ? {} : { breakGlass: permission.brokenGlass }),
          node: proof.node,
        },
        writes: [transition(id, 'approved', 'applying', { note: attempt, at: proof.now() })],
      });
    } catch (error) {
      unwatch();
      proof.underWay.delete(id);
      if (!(error instanceof GuardFailed)) throw error;
      // Somebody else applies it or has done so: what they make of it is the answer.
      const now = await getPlan(store, id);
      return now?.state === 'applied' ? applied(now, true) : refused(beingApplied(record), now ?? record);
    }
    try {
      const outcome = await target.engine.apply({
        plan: id,
        ...request,
        signal: stopping.signal,
        beforeCommit: async ({ xid, effect, moves }) => {
          await proof.record({
            kind: 'intent',
            subject: id,
            body: { plan: id, target: record.plan.target, xid, effect: effect?.digest ?? null },
            writes: [stillApplying(id, attempt, proof.now()), ...moved(record, moves)],
          });
        },
      });
      return await finish(record, outcome, stopped);
    } finally {
      unwatch();
      proof.underWay.delete(id);
    }
  };

  async function finish(record: PlanRecord, outcome: ApplyOutcome, stopped: Refusal | undefined): Promise<ApplyReply> {
    const { state, note, refusal } = stoppedBy(stopped, conclusionOf(record, outcome));
    await conclude(record, outcome, state, note);
    const now = (await getPlan(store, record.id)) ?? record;
    if (refusal !== undefined) return refused(refusal, now);
    return outcome.outcome === 'applied' ? applied(now, false, outcome.answers) : applied(now, true);
  }

  async function conclude(
    { id, plan }: PlanRecord,
    outcome: ApplyOutcome,
    state: PlanState,
    note: string | null,
  ): Promise<void> {
    // What nobody signed took its rows from the task's when it was planned.
    const given = plan.held.missing.length === 0 && (state === 'failed' || state === 'stale');
    try {
      await proof.record({
        kind: 'outcome',
        subject: id,
        body: outcomeBody(id, outcome),
        writes: [
          transition(id, 'applying', state, { note, at: proof.now() }),
          ...(outcome.outcome === 'applied' ? moved({ id, plan }, outcome.moves ?? []) : []),
          ...(given ? [releaseRows(plan.task, rowsOf(plan))] : []),
        ],
      });
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      // Recovery elsewhere came first. If it looked before the effect was there, what it wrote is put right.
      const now = await getPlan(store, id);
      if (state !== 'applied' || now?.state !== 'approved') return;
      const at = proof.now();
      await proof.record({
        kind: 'outcome',
        subject: id,
        body: outcomeBody(id, outcome),
        writes: [
          transition(id, 'approved', 'applying', { note: null, at }),
          transition(id, 'applying', 'applied', { note: null, at }),
        ],
      });
    }
  }

  /** The baseline moves on by what a plan has made of definitions: that is no drift. */
  function moved({ id, plan }: Pick<PlanRecord, 'id' | 'plan'>, moves: readonly DefinitionMove[]): readonly Write[] {
    return moves.length === 0 ? [] : [putMoves(id, { target: plan.target, moves, at: proof.now() })];
  }

  async function applied(
    record: PlanRecord,
    already: boolean,
    answers: readonly StatementAnswer[] = [],
  ): Promise<ApplyReply> {
    return { reply: 'applied', plan: await deps.views.of(record), already, answers };
  }

  async function refused(refusal: Refusal, record?: PlanRecord): Promise<ApplyReply> {
    return record === undefined
      ? { reply: 'refused', refusal }
      : { reply: 'refused', refusal, plan: await deps.views.of(record) };
  }
}

interface Conclusion {
  readonly state: PlanState;
  readonly note: string | null;
  readonly refusal?: Refusal;
}

/** Where a plan stands after an attempt, and what the one who asked is told. */
function conclusionOf({ id, plan }: PlanRecord, outcome: ApplyOutcome): Conclusion {
  switch (outcome.outcome) {
    case 'applied':
    case 'already applied':
      return { state: 'applied', note: null };
    case 'stale': {
      const changed = outcome.changed.join('; ');
      return {
        state: 'stale',
        note: changed,
        refusal: {
          refused: 'stale',
          message: 'The target is no longer as it was when the plan was approved: nothing was changed.',
          detail: `${changed}\nApproved was: ${describeEffect(plan)}`,
          hint: 'Send the statement again: it is measured anew and becomes a new plan.',
          plan: id,
        },
      };
    }
    case 'failed':
      return {
        state: 'failed',
        note: `${outcome.failure.sqlstate} ${outcome.failure.message}${outcome.halfWay === true ? `. ${HALF_WAY}` : ''}`,
        refusal: {
          refused: 'stale',
          message: `The database refused the plan: ${outcome.failure.message}. ${outcome.halfWay === true ? HALF_WAY : 'Nothing was changed.'}`,
          detail: failureDetail(outcome.failure),
          hint: 'Mend the cause and send the statement again: it becomes a new plan.',
          plan: id,
        },
      };
    case 'not applied':
      return {
        state: 'approved',
        note: outcome.why,
        refusal: {
          refused: 'unavailable',
          message: `The plan was not applied: ${outcome.why}. Nothing was changed.`,
          hint: `The approval stands until ${plan.expiresAt}. Try again.`,
          plan: id,
        },
      };
    case 'indeterminate':
      return {
        state: 'indeterminate',
        note: outcome.why,
        refusal: {
          refused: 'unavailable',
          message: `Whether the plan was applied is not known: ${outcome.why}.`,
          hint: `It is never tried again by itself. Ask again with: countersign plan show ${shortId(id)}`,
          plan: id,
        },
      };
    default:
      return outcome satisfies never;
  }
}

const HALF_WAY = 'It ran outside of a transaction: what it had done by then may still be there (an invalid index).';

/** It was stopped: that is the reason, whatever the database said when it was cancelled. */
function stoppedBy(stopped: Refusal | undefined, conclusion: Conclusion): Conclusion {
  const { state, note, refusal } = conclusion;
  if (stopped === undefined || refusal === undefined || (state !== 'approved' && state !== 'failed')) return conclusion;
  const came = state === 'approved' ? 'The plan was not applied, and nothing was changed.' : HALF_WAY;
  return {
    state,
    note: `${stopped.message}${state === 'approved' ? '' : ` ${note}`}`,
    refusal: {
      ...refusal,
      refused: stopped.refused,
      message: `${stopped.message} ${came}`,
      hint:
        state === 'approved'
          ? `${stopped.hint} The approval stands until the plan expires.`
          : `${stopped.hint} Then look what is left of it, and send the statement again.`,
    },
  };
}

function failureDetail(failure: DatabaseFailure): string {
  return [`SQLSTATE ${failure.sqlstate}`, failure.detail, failure.hint].filter((line) => line !== undefined).join('\n');
}

export function outcomeBody(id: PlanId, outcome: ApplyOutcome): Json {
  switch (outcome.outcome) {
    case 'applied':
      return {
        plan: id,
        outcome: outcome.outcome,
        xid: outcome.xid,
        effect: outcome.effect === null ? null : outcome.effect.digest,
        tables: outcome.effect === null ? [] : outcome.effect.tables.map((table) => ({ ...table })),
      };
    case 'already applied':
      return { plan: id, outcome: 'applied', already: true };
    case 'stale':
      return { plan: id, outcome: 'stale', changed: [...outcome.changed] };
    case 'failed':
      return { plan: id, outcome: 'failed', sqlstate: outcome.failure.sqlstate, message: outcome.failure.message };
    case 'not applied':
    case 'indeterminate':
      return { plan: id, outcome: outcome.outcome, why: outcome.why };
    default:
      return outcome satisfies never;
  }
}

function notApplicable({ id, plan, state, note }: PlanRecord, nowMs: number): Refusal | undefined {
  if (state === 'approved') return nowMs < Date.parse(plan.expiresAt) ? undefined : expired(id, plan.expiresAt);
  if (state === 'held') return notApproved({ id, plan, state, note }, undefined);
  if (state === 'applying') return beingApplied({ id, plan, state, note });
  if (state === 'expired') return expired(id, plan.expiresAt);
  return {
    refused: 'stale',
    message: `The plan is ${state}${note === null ? '' : `: ${note}`}.`,
    hint: 'Send the statement again: it becomes a new plan.',
    plan: id,
  };
}

function beingApplied({ id }: PlanRecord): Refusal {
  return {
    refused: 'unavailable',
    message: 'The plan is being applied right now; it is applied once only.',
    hint: `See how it ends with: countersign plan show ${shortId(id)}`,
    plan: id,
  };
}

function expired(id: PlanId, at: string): Refusal {
  return {
    refused: 'stale',
    message: `The plan expired at ${at}.`,
    hint: 'Send the statement again: it is measured anew and becomes a new plan.',
    plan: id,
  };
}

function unknownPlan(id: string): Refusal {
  return { refused: 'denied', message: `This task has no plan ${id}.`, hint: 'List its plans with get_status.' };
}
