import { randomBytes } from 'node:crypto';
import type { Allowed, Held, Obligation } from '../domain/decision.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { rowsChanged } from '../domain/effect.ts';
import { type ActorId, instantOf } from '../domain/ids.ts';
import type { Measurement, Plan, PlanRecord } from '../domain/plan.ts';
import type { Measured } from '../engines/engine.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { rowsOf } from '../planning/rows-of.ts';
import { undoPath } from '../planning/undo-path.ts';
import { insertPlan, layAside, noneApproved } from '../store/plans.ts';
import { reserveRows } from '../store/tasks.ts';
import { commitment } from './commitment.ts';
import { dryRun } from './dry-run.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideMasked } from './hide-masked.ts';
import type { Outcome } from './outcome.ts';
import { plannedWrites } from './planned-writes.ts';
import type { Proof } from './proof.ts';
import { CALLED_OFF } from './session-refusals.ts';
import { heldRefusal, type WaitingPlans, type Wish, wishOf, withSearchPath } from './waiting-plans.ts';
import type { Watch } from './watch.ts';

/**
 * Turns what may not run now into a plan: measured on the real data, nothing changed (G2). A plan that policy asks nobody
 * to sign is applied at once.
 */
export type Hold = (request: HoldRequest) => Promise<Outcome>;

export interface HoldRequest extends Wish {
  readonly decision: Held | Allowed;
  readonly watch?: Watch | undefined;
}

export function createHold(deps: {
  readonly target: GovernedTarget;
  readonly proof: Proof;
  readonly waiting: WaitingPlans;
  readonly now: () => number;
}): Hold {
  const { target, proof, waiting } = deps;

  return async (asked) => {
    const writes = plannedWrites(asked.writes);
    if ('refused' in writes) return { outcome: 'refused', refusal: writes };
    const request = { ...asked, settings: withSearchPath(asked.settings, target), writes };
    const known = await waiting.find(request);
    const nowAllowed = known?.state === 'held' && request.decision.decision === 'allow';
    if (known !== undefined && !nowAllowed) return waiting.answer(known, request);

    const measured = await dryRun(target, request);
    if (request.watch?.signal.aborted) return { outcome: 'refused', refusal: CALLED_OFF };
    if (measured.failure !== undefined) return { outcome: 'failed', failure: measured.failure };
    const effects = request.writes.flatMap((write) => write.analysis.effects);
    const measurement = hideMasked(
      attributed(measured.measurement, request),
      target.catalogue().masking,
      target.secrets,
    );
    const decision = target.decidePlan({
      task: request.task,
      channel: request.channel,
      effects,
      measurement,
    });
    if (decision.decision === 'deny') return { outcome: 'refused', refusal: target.denial(decision) };
    // What a person is asked is the stronger of what held the statement and what its measured effect asks for.
    const stronger = decision.decision === 'hold' ? decision : request.decision;
    const made = await record(request, { ...measured, measurement, effects }, stronger);
    if (made.state === 'approved') return waiting.answer(made, request);
    return { outcome: 'refused', refusal: heldRefusal(made, made.plan.held.missing, deps.now(), request.writes) };
  };

  /** Nothing is missing of what policy allows; whether the task's rows suffice for it shows when it takes them. */
  async function record(request: HoldRequest, measured: Planned, decision: Held | Allowed): Promise<PlanRecord> {
    const { measurement, effects } = measured;
    const missing = decision.decision === 'hold' ? decision.missing : [];
    const state = decision.decision === 'hold' ? 'held' : 'approved';
    const nowMs = deps.now();
    const plan: Plan = {
      version: 1,
      task: request.task.id,
      actor: request.task.agent,
      onBehalfOf: request.task.onBehalfOf,
      purpose: request.task.purpose,
      channel: request.channel,
      target: target.id,
      environment: target.environment.id,
      tier: target.environment.tier,
      identity: measured.identity,
      statements: request.writes.map((write) => write.statement),
      settings: request.settings,
      effects,
      measurement,
      baseState: measured.baseState,
      undo: undoPath(effects, measurement),
      held: { policies: decision.policies, missing },
      policyDigest: decision.policyDigest,
      createdAt: instantOf(nowMs),
      expiresAt: instantOf(expiryOf(missing, nowMs, target.environment.planLifetimeMs)),
      nonce: randomBytes(16).toString('base64url'),
    };
    const id = digestOf(plan as unknown as Json);
    request.watch?.step('recording');
    const wish = wishOf(request);
    try {
      await proof.record({
        kind: 'plan',
        subject: id,
        body: planEntry(id, plan, decision, request.writes, target.engine.target.owner),
        writes: [
          insertPlan({ id, plan, wish, state, at: plan.createdAt }),
          ...(state === 'held'
            ? []
            : [
                reserveRows(request.task.id, rowsOf(plan)),
                noneApproved(request.task.id, wish, plan.createdAt, id),
                layAside(request.task.id, wish, { note: ALLOWED_NOW, at: plan.createdAt }),
              ]),
        ],
      });
    } catch (error) {
      if (!(error instanceof GuardFailed) || decision.decision === 'hold') throw error;
      return record(request, measured, target.overTaskLimit(request.task, decision));
    }
    return { id, plan, state, note: null };
  }

  function attributed(measurement: Measurement, request: HoldRequest): Measurement {
    if (!measurement.measured) return measurement;
    const effects = request.writes.flatMap((write) => write.analysis.effects);
    return {
      measured: true,
      effect: { ...measurement.effect, tables: target.attribute(measurement.effect.tables, effects) },
    };
  }
}

/** What was measured, with what the analysis knows of it. */
type Planned = Pick<Measured, 'measurement' | 'identity' | 'baseState'> & Pick<Plan, 'effects'>;

const ALLOWED_NOW = 'policy asks nobody for it any more: it was sent again and applied';

/** Never long after it was measured: what a person signed must not be what nobody remembers. */
const MAX_LIFETIME_MS = 14 * 86_400_000;

/** A plan that has to wait for its time is not over before that time has come, and been. */
function expiryOf(missing: readonly Obligation[], nowMs: number, lifetimeMs: number): number {
  const waits = missing.map((obligation) => {
    if (obligation.obligation === 'after freeze') return Date.parse(obligation.until) + lifetimeMs;
    if (obligation.obligation === 'in window' && obligation.next !== null) return Date.parse(obligation.next.closes);
    return 0;
  });
  return Math.max(nowMs + lifetimeMs, Math.min(Math.max(0, ...waits), nowMs + MAX_LIFETIME_MS));
}

function planEntry(
  id: string,
  plan: Plan,
  { decision }: Held | Allowed,
  writes: readonly WrittenStatement[],
  owner: ActorId,
): Json {
  return {
    plan: id,
    task: plan.task,
    actor: plan.actor,
    onBehalfOf: plan.onBehalfOf,
    target: plan.target,
    owner,
    environment: plan.environment,
    identity: digestOf(plan.identity as unknown as Json),
    channel: plan.channel,
    statements: writes.map(({ statement, analysis }) => ({
      shape: analysis.shape,
      command: analysis.command,
      ...commitment(statement),
    })),
    decision,
    policies: plan.held.policies.map((reason) => reason.policy),
    policyDigest: plan.policyDigest,
    missing: plan.held.missing as unknown as Json,
    measured: plan.measurement.measured
      ? {
          rows: rowsChanged(plan.measurement.effect.tables),
          tables: plan.measurement.effect.tables.map((table) => ({ ...table })),
          objects: plan.measurement.effect.objects.map((object) => ({ ...object })),
          digest: plan.measurement.effect.digest,
        }
      : null,
    undo: { ...plan.undo },
    expiresAt: plan.expiresAt,
  };
}
