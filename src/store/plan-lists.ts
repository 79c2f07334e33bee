import type { PlanId } from '../domain/ids.ts';
import type { PlanRecord, PlanState } from '../domain/plan.ts';
import { recordedPlan } from './plans.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';

/** Where a plan stands, without the plan itself: that never changes, and can be large. */
export interface PlanStanding {
  readonly id: PlanId;
  readonly state: PlanState;
  readonly note: string | null;
  readonly changedAt: string;
}

/** Plans that still wait for somebody, the oldest first. */
export async function openPlans(store: Store, limit: number): Promise<readonly PlanStanding[]> {
  const rows = await store.all(
    statements
      .selectFrom('plans')
      .select(['id', 'state', 'note', 'changed_at'])
      .where('state', 'in', ['held', 'approved', 'applying', 'indeterminate'])
      .orderBy('created_at')
      .limit(limit),
  );
  return rows.map(standing);
}

/** Plans that came to an end, the newest first. @param before only those that ended before this one. */
export async function endedPlans(
  store: Store,
  { limit, before }: { readonly limit: number; readonly before?: { readonly at: string; readonly id: string } },
): Promise<readonly PlanStanding[]> {
  let query = statements
    .selectFrom('plans')
    .select(['id', 'state', 'note', 'changed_at'])
    .where('state', 'in', ['applied', 'rejected', 'stale', 'expired', 'failed'])
    .orderBy('changed_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit);
  if (before !== undefined) {
    query = query.where(({ or, and, eb }) =>
      or([
        eb('changed_at', '<', before.at),
        and([eb('changed_at', '=', before.at), eb('id', '<', before.id as PlanId)]),
      ]),
    );
  }
  return (await store.all(query)).map(standing);
}

/** The plans of these ids, in any order. */
export async function plansByIds(store: Store, ids: readonly PlanId[]): Promise<readonly PlanRecord[]> {
  if (ids.length === 0) return [];
  const rows = await store.all(statements.selectFrom('plans').selectAll().where('id', 'in', ids));
  return rows.flatMap((row) => recordedPlan(row) ?? []);
}

function standing(row: { id: string; state: string; note: string | null; changed_at: string }): PlanStanding {
  return { id: row.id as PlanId, state: row.state as PlanState, note: row.note, changedAt: row.changed_at };
}
