import { mayNotBreak } from '../../approval/break-glass.ts';
import { describeChangeTime, describeObligation } from '../../domain/describe-change-time.ts';
import type { ActorId, PlanId } from '../../domain/ids.ts';
import { isLive, type PlanRecord } from '../../domain/plan.ts';
import { headlineOf, plannedChanges } from '../../planning/headline.ts';
import { type Risk, riskOf } from '../../planning/risk.ts';
import { appliedPlan } from '../../store/changes.ts';
import type { Store } from '../../store/store.ts';
import type { Changes } from '../changes.ts';
import type { PlanView, TargetSummary } from '../gateway.ts';
import type { Halts } from '../halts.ts';
import type { PlanViews } from '../plan-view.ts';
import type { TargetRules } from '../target-rules.ts';
import type { Conflicts, PlanQueue } from './plan-queue.ts';

/** All that a person needs to decide on a plan, and what stands between it and being applied. */
export interface PlanDetail {
  readonly view: PlanView;
  readonly headline: string;
  readonly risk: Risk;
  /** What changes besides rows, as people take it in. */
  readonly changes: readonly string[];
  readonly owners: { readonly target: ActorId | null; readonly environment: ActorId | null };
  /** What it waits for besides people, in sentences. */
  readonly waitsFor: readonly string[];
  /** Whether now is a time to change the environment. */
  readonly time: readonly string[];
  readonly halted: string | null;
  /** Who could act on it alone, where something is missing of it. */
  readonly canBreakGlass: readonly ActorId[];
  /** Plans that wait and change the same tables. */
  readonly conflicts: Conflicts;
  /** Of an applied plan: when, and by which plan it was taken back. */
  readonly change: { readonly appliedAt: string; readonly undoneBy: PlanId | null; readonly canUndo: boolean } | null;
}

/** Puts a plan together with what is around it. */
export type DescribePlan = (record: PlanRecord) => Promise<PlanDetail>;

export function createDescribePlan(deps: {
  readonly store: Store;
  readonly views: PlanViews;
  readonly queue: PlanQueue;
  readonly changes: Pick<Changes, 'of'>;
  readonly halts: Halts;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly owners: (target: string) => Pick<TargetSummary, 'owner'> | undefined;
  readonly now: () => number;
}): DescribePlan {
  return async (record) => {
    const { plan } = record;
    const nowMs = deps.now();
    const rules = deps.rules(plan.target);
    const view = await deps.views.of(record);
    const live = isLive(record, nowMs);
    const applied = record.state === 'applied' ? await appliedPlan(deps.store, record.id) : undefined;
    const taken = applied === undefined ? undefined : await deps.changes.of(record.id);
    return {
      view,
      headline: headlineOf(plan),
      risk: riskOf(plan),
      changes: plannedChanges(plan),
      owners: {
        target: (deps.owners(plan.target)?.owner as ActorId | undefined) ?? null,
        environment: rules?.environment.owner ?? null,
      },
      waitsFor: view.waitsFor.map((one) => describeObligation(one, nowMs)),
      time: live && rules !== undefined ? describeChangeTime(rules.changeTime(), nowMs) : [],
      halted: deps.halts.covering({ agent: plan.actor, task: plan.task, target: plan.target })?.message ?? null,
      canBreakGlass:
        live && (view.approvalsMissing > 0 || view.waitsFor.length > 0)
          ? [...(rules?.people.values() ?? [])]
              .filter((one) => mayNotBreak(one, plan) === undefined)
              .map(({ id }) => id)
          : [],
      conflicts: live ? await deps.queue.conflictsOf(record) : { count: 0, first: [] },
      change:
        applied === undefined
          ? null
          : {
              appliedAt: applied.appliedAt,
              undoneBy: taken?.undoneBy ?? null,
              canUndo: taken?.undoneBy === null && taken.undo.undo !== 'irreversible',
            },
    };
  };
}
