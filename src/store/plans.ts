import assert from 'node:assert/strict';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Digest, Instant, PlanId, TaskId } from '../domain/ids.ts';
import { PLAN_TRANSITIONS, type Plan, type PlanRecord, type PlanState } from '../domain/plan.ts';
import { beginsWith } from './prefix.ts';
import { type PlanRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

export function insertPlan(made: {
  readonly id: PlanId;
  readonly plan: Plan;
  readonly wish: Digest;
  /** `approved` for what policy asks nobody to sign. */
  readonly state: 'held' | 'approved';
  readonly at: Instant;
}): Write {
  const { id, plan, wish, state, at } = made;
  return write(
    statements.insertInto('plans').values({
      id,
      task: plan.task,
      target: plan.target,
      wish,
      state,
      note: null,
      plan: canonicalJson(plan as unknown as Json),
      created_at: at,
      changed_at: at,
    }),
  );
}

/** Moves a plan on, if it still stands where the caller believes it does. */
export function transition(
  id: PlanId,
  from: PlanState,
  to: PlanState,
  change: { readonly note: string | null; readonly at: Instant },
): Write {
  assert(PLAN_TRANSITIONS[from].includes(to), `a plan can't go from ${from} to ${to}`);
  return write(
    statements
      .updateTable('plans')
      .set({ state: to, note: change.note, changed_at: change.at })
      .where('id', '=', id)
      .where('state', '=', from),
    1,
  );
}

/** Changes nothing, and fails when the attempt noted so is no longer the one that applies the plan: recovery took it over. */
export function stillApplying(id: PlanId, note: string, at: Instant): Write {
  return write(
    statements
      .updateTable('plans')
      .set({ changed_at: at })
      .where('id', '=', id)
      .where('state', '=', 'applying')
      .where('note', '=', note),
    1,
  );
}

/**
 * Changes nothing, and fails when a plan of this wish is approved or being applied: the wish takes effect by that plan.
 *
 * @param but the plan that is being made.
 */
export function noneApproved(task: TaskId, wish: Digest, at: Instant, but = ''): Write {
  return write(
    statements
      .updateTable('plans')
      .set({ changed_at: at })
      .where('task', '=', task)
      .where('wish', '=', wish)
      .where('id', '!=', but)
      .where('state', 'in', ['approved', 'applying']),
    0,
  );
}

/** A held plan of this wish, if there is one, comes to nothing: the wish takes effect without it. */
export function layAside(task: TaskId, wish: Digest, change: { readonly note: string; readonly at: Instant }): Write {
  return write(
    statements
      .updateTable('plans')
      .set({ state: 'stale', note: change.note, changed_at: change.at })
      .where('task', '=', task)
      .where('wish', '=', wish)
      .where('state', '=', 'held'),
  );
}

/**
 * Takes the values out of a plan that has come to its end: its statements and those that would take it back, examples of
 * rows, and the nonce without which nobody can try values against its id. Rows that the target keeps can still be put
 * back. Fails when it stands elsewhere by now.
 */
export function eraseValues({ id, plan, state }: PlanRecord): Write {
  const { measurement, undo, undoes, merges } = plan;
  const gone = { why: 'its values were erased' } as const;
  const emptied: Plan = {
    ...plan,
    statements: [],
    measurement: measurement.measured
      ? {
          measured: true,
          effect: {
            ...measurement.effect,
            samples: [],
            ...(measurement.effect.inverse === undefined ? {} : { inverse: gone }),
          },
        }
      : measurement,
    undo: undo.undo === 'statements' ? { undo: 'irreversible', ...gone } : undo,
    ...(undoes === undefined ? {} : { undoes: { ...undoes, newer: [] } }),
    ...(merges === undefined ? {} : { merges: { ...merges, newer: [] } }),
    nonce: '',
  };
  return write(
    statements
      .updateTable('plans')
      .set({ plan: canonicalJson(emptied as unknown as Json) })
      .where('id', '=', id)
      .where('state', '=', state),
    1,
  );
}

export async function getPlan(store: Store, id: string): Promise<PlanRecord | undefined> {
  return recordedPlan(await store.first(statements.selectFrom('plans').selectAll().where('id', '=', id)));
}

/** Plans whose id begins so; more than one means that the beginning is too short. */
export async function plansByPrefix(store: Store, prefix: string): Promise<readonly PlanRecord[]> {
  const rows = await store.all(statements.selectFrom('plans').selectAll().where(beginsWith('id', prefix)).limit(3));
  return rows.flatMap((row) => recordedPlan(row) ?? []);
}

/** The newest plan of the same wish in a task that may still come to something. */
export async function livePlan(
  store: Store,
  task: TaskId,
  wish: Digest,
  states: readonly PlanState[] = ['held', 'approved'],
): Promise<PlanRecord | undefined> {
  return recordedPlan(
    await store.first(
      statements
        .selectFrom('plans')
        .selectAll()
        .where('task', '=', task)
        .where('wish', '=', wish)
        .where('state', 'in', states)
        .orderBy('created_at', 'desc')
        .limit(1),
    ),
  );
}

export async function plansInState(store: Store, state: PlanState): Promise<readonly PlanRecord[]> {
  const rows = await store.all(statements.selectFrom('plans').selectAll().where('state', '=', state));
  return rows.flatMap((row) => recordedPlan(row) ?? []);
}

export async function listPlans(
  store: Store,
  filter: { readonly task?: TaskId; readonly state?: PlanState; readonly limit: number },
): Promise<readonly PlanRecord[]> {
  let query = statements.selectFrom('plans').selectAll().orderBy('created_at', 'desc').limit(filter.limit);
  if (filter.task !== undefined) query = query.where('task', '=', filter.task);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  const rows = await store.all(query);
  return rows.flatMap((row) => recordedPlan(row) ?? []);
}

/** How many plans stand where. */
export async function countPlans(store: Store): Promise<ReadonlyMap<PlanState, number>> {
  const rows = await store.all(
    statements
      .selectFrom('plans')
      .select((eb) => ['state', eb.fn.countAll<number>().as('count')])
      .groupBy('state'),
  );
  return new Map(rows.map(({ state, count }) => [state as PlanState, Number(count)]));
}

/** When the oldest plan was made that waits for people; `null` when none waits. */
export async function waitingSince(store: Store): Promise<number | null> {
  const row = await store.first(
    statements.selectFrom('plans').select('created_at').where('state', '=', 'held').orderBy('created_at').limit(1),
  );
  return row === undefined ? null : Date.parse(row.created_at);
}

/** A row as what it records. */
export function recordedPlan(row: PlanRow | undefined): PlanRecord | undefined {
  if (row === undefined) return undefined;
  return { id: row.id as PlanId, plan: JSON.parse(row.plan) as Plan, state: row.state as PlanState, note: row.note };
}
