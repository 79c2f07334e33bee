import { whyNoClick } from '../domain/clicks.ts';
import { describeObligation } from '../domain/describe-change-time.ts';
import { type PlanRecord, shortId } from '../domain/plan.ts';
import type { PlanCard } from '../domain/plan-card.ts';
import { describeTables } from '../planning/describe-effect.ts';
import { headlineOf, plannedChanges } from '../planning/headline.ts';
import { riskOf } from '../planning/risk.ts';
import { getPlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { undoneBy } from './changes.ts';
import { wayBackOf } from './notices.ts';
import type { PlanViews } from './plan-view.ts';
import type { TargetRules } from './target-rules.ts';

/** Tells of a plan as it stands at the moment of the question. */
export type PlanCards = (id: string) => Promise<PlanCard | undefined>;

export function createPlanCards(deps: {
  readonly store: Store;
  readonly views: PlanViews;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly url: (plan: string) => string;
  readonly owner: (target: string) => string | undefined;
  readonly now: () => number;
}): PlanCards {
  return async (id) => {
    const record = await getPlan(deps.store, id);
    return record === undefined ? undefined : cardOf(record);
  };

  async function cardOf(record: PlanRecord): Promise<PlanCard> {
    const { id, plan } = record;
    const view = await deps.views.of(record);
    const clicks = deps.rules(plan.target)?.clicks ?? null;
    const { measurement } = plan;
    return {
      id,
      short: shortId(id),
      headline: headlineOf(plan),
      state: view.state,
      note: view.note,
      undoneBy: view.state === 'applied' ? await undoneBy(deps.store, { id, task: plan.task }) : null,
      environment: plan.environment,
      tier: plan.tier,
      target: plan.target,
      owner: deps.owner(plan.target) ?? null,
      agent: plan.actor,
      onBehalfOf: plan.onBehalfOf,
      purpose: plan.purpose,
      effects: measurement.measured
        ? [...describeTables(measurement.effect.tables), ...plannedChanges(plan)]
        : [`Not measured: ${measurement.why}`, ...plannedChanges(plan)],
      risk: riskOf(plan).level,
      wayBack: wayBackOf(plan.undo),
      approvals: view.approvals,
      missing: view.approvalsMissing,
      waitsFor: view.waitsFor.map((one) => describeObligation(one, deps.now())),
      expiresAt: plan.expiresAt,
      url: deps.url(id),
      whyNoClick: clicks === null ? 'no Slack is configured' : (whyNoClick(clicks.count, plan) ?? null),
    };
  }
}
