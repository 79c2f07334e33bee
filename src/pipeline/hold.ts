import { runsOwnCode } from '../analysis/runs-own-code.ts';
import type { Allowed, Held } from '../domain/decision.ts';
import type { Measurement, Plan, PlanRecord } from '../domain/plan.ts';
import type { Measured } from '../engines/engine.ts';
import { commitment } from './commitment.ts';
import { dryRun } from './dry-run.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideMasked } from './hide-masked.ts';
import type { Outcome } from './outcome.ts';
import { plannedWrites } from './planned-writes.ts';
import type { Proof } from './proof.ts';
import { recordPlan } from './record-plan.ts';
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
    const asks = decision.decision === 'hold' ? decision : request.decision;
    const ownCode = asks.decision === 'allow' ? runsOwnCode(request.writes, target.catalogue()) : undefined;
    const stronger = ownCode === undefined ? asks : target.unknownCode(asks, ownCode);
    const made = await record(request, { ...measured, measurement, effects }, stronger);
    if (made.state === 'approved') return waiting.answer(made, request);
    return { outcome: 'refused', refusal: heldRefusal(made, made.plan.held.missing, deps.now(), request.writes) };
  };

  function record(request: HoldRequest, measured: Planned, decision: Held | Allowed): Promise<PlanRecord> {
    request.watch?.step('recording');
    return recordPlan(
      { target, proof, now: deps.now },
      {
        ...measured,
        task: request.task,
        channel: request.channel,
        settings: request.settings,
        statements: request.writes.map((write) => write.statement),
        told: request.writes.map(({ statement, analysis }) => ({
          shape: analysis.shape,
          command: analysis.command,
          ...commitment(statement),
        })),
        wish: wishOf(request),
      },
      decision,
    );
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
