import type { Instant, IntentId, TargetId, TaskId } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** A write that a gateway has begun to commit; without an outcome it is what recovery must look up. */
export interface OpenIntent {
  readonly id: IntentId;
  readonly task: TaskId;
  readonly target: TargetId;
  readonly node: string;
  readonly rows: number;
  readonly at: Instant;
}

export function openIntent(intent: OpenIntent): Write {
  return write(statements.insertInto('intents').values({ ...intent, outcome: null, closed_at: null }));
}

export function closeIntent(id: IntentId, outcome: 'applied' | 'not applied', at: Instant): Write {
  return write(
    statements.updateTable('intents').set({ outcome, closed_at: at }).where('id', '=', id).where('outcome', 'is', null),
    1,
  );
}

export async function openIntents(store: Store): Promise<readonly OpenIntent[]> {
  const rows = await store.all(statements.selectFrom('intents').selectAll().where('outcome', 'is', null).orderBy('at'));
  return rows.map((row) => ({
    id: row.id as IntentId,
    task: row.task as TaskId,
    target: row.target as TargetId,
    node: row.node,
    rows: row.rows,
    at: row.at as Instant,
  }));
}

/** When each task last began to write. */
export async function lastWrites(store: Pick<Store, 'all'>): Promise<ReadonlyMap<string, Instant>> {
  const rows = await store.all(
    statements
      .selectFrom('intents')
      .select(['task', ({ fn }) => fn.max('at').as('at')])
      .groupBy('task'),
  );
  return new Map(rows.map(({ task, at }) => [task, at as Instant]));
}
