import type { Digest, Instant, TaskId } from '../domain/ids.ts';
import type { PlanRecord } from '../domain/plan.ts';
import { recordedPlan } from './plans.ts';
import { type PlanRow, statements } from './schema.ts';
import type { Store } from './store.ts';

/** A plan that has been applied, and when. */
export interface AppliedPlan {
  readonly record: PlanRecord;
  readonly appliedAt: Instant;
}

/** The newest first. */
export async function appliedPlans(
  store: Store,
  filter: { readonly task?: string; readonly limit: number },
): Promise<readonly AppliedPlan[]> {
  let query = statements
    .selectFrom('plans')
    .selectAll()
    .where('state', '=', 'applied')
    .orderBy('changed_at', 'desc')
    .limit(filter.limit);
  if (filter.task !== undefined) query = query.where('task', '=', filter.task);
  return (await store.all(query)).flatMap((row) => applied(row) ?? []);
}

export async function appliedPlan(store: Store, id: string): Promise<AppliedPlan | undefined> {
  const query = statements.selectFrom('plans').selectAll().where('id', '=', id).where('state', '=', 'applied');
  return applied(await store.first(query));
}

/** Applied plans of some wishes of a task: those that have taken a change back. */
export async function undosOf(store: Store, task: TaskId, wishes: readonly Digest[]): Promise<readonly PlanRecord[]> {
  const query = statements
    .selectFrom('plans')
    .selectAll()
    .where('task', '=', task)
    .where('wish', 'in', wishes)
    .where('state', '=', 'applied');
  return (await store.all(query)).flatMap((row) => recordedPlan(row) ?? []);
}

function applied(row: PlanRow | undefined): AppliedPlan | undefined {
  const record = recordedPlan(row);
  return row === undefined || record === undefined ? undefined : { record, appliedAt: row.changed_at as Instant };
}
