import type { Task } from '../domain/task.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';

/** A task as a list shows it. */
export interface ListedTask {
  readonly task: Task;
  readonly rowsUsed: number;
  readonly closedAt: string | null;
}

/** Tasks by when they end, the last first. @param before only those that end before this one. */
export async function tasksByExpiry(
  store: Store,
  { limit, before }: { readonly limit: number; readonly before?: { readonly at: string; readonly id: string } },
): Promise<readonly ListedTask[]> {
  let query = statements
    .selectFrom('tasks')
    .select(['task', 'rows_used', 'closed_at'])
    .orderBy('expires_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit);
  if (before !== undefined) {
    query = query.where(({ or, and, eb }) =>
      or([eb('expires_at', '<', before.at), and([eb('expires_at', '=', before.at), eb('id', '<', before.id)])]),
    );
  }
  return (await store.all(query)).map(({ task, rows_used, closed_at }) => ({
    task: JSON.parse(task) as Task,
    rowsUsed: Number(rows_used),
    closedAt: closed_at,
  }));
}
