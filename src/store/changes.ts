import type { Digest, Instant, TargetId, TaskId } from '../domain/ids.ts';
import type { PlanRecord } from '../domain/plan.ts';
import { recordedPlan } from './plans.ts';
import { type IntentRow, type PlanRow, statements } from './schema.ts';
import type { Store } from './store.ts';

/** A plan that has been applied, and when. */
export interface AppliedPlan {
  readonly record: PlanRecord;
  readonly appliedAt: Instant;
}

/** A write within limits that has been committed, and when. */
export interface AppliedWrite {
  readonly id: string;
  readonly task: TaskId;
  readonly target: TargetId;
  readonly appliedAt: Instant;
}

interface ChangeFilter {
  readonly task?: string;
  readonly limit: number;
}

/** The newest first. */
export async function appliedPlans(store: Store, { task, limit }: ChangeFilter): Promise<readonly AppliedPlan[]> {
  let query = statements
    .selectFrom('plans')
    .selectAll()
    .where('state', '=', 'applied')
    .orderBy('changed_at', 'desc')
    .limit(limit);
  if (task !== undefined) query = query.where('task', '=', task);
  return (await store.all(query)).flatMap((row) => plan(row) ?? []);
}

export async function appliedPlan(store: Store, id: string): Promise<AppliedPlan | undefined> {
  const query = statements.selectFrom('plans').selectAll().where('id', '=', id).where('state', '=', 'applied');
  return plan(await store.first(query));
}

/** The newest first. */
export async function appliedWrites(store: Store, { task, limit }: ChangeFilter): Promise<readonly AppliedWrite[]> {
  let query = statements
    .selectFrom('intents')
    .selectAll()
    .where('outcome', '=', 'applied')
    .orderBy('closed_at', 'desc')
    .limit(limit);
  if (task !== undefined) query = query.where('task', '=', task);
  return (await store.all(query)).map(written);
}

export async function appliedWrite(store: Store, id: string): Promise<AppliedWrite | undefined> {
  const query = statements.selectFrom('intents').selectAll().where('id', '=', id).where('outcome', '=', 'applied');
  const row = await store.first(query);
  return row === undefined ? undefined : written(row);
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

function plan(row: PlanRow | undefined): AppliedPlan | undefined {
  const record = recordedPlan(row);
  return row === undefined || record === undefined ? undefined : { record, appliedAt: row.changed_at as Instant };
}

function written({ id, task, target, at, closed_at }: IntentRow): AppliedWrite {
  return { id, task: task as TaskId, target: target as TargetId, appliedAt: (closed_at ?? at) as Instant };
}
