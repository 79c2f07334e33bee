import type { TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { GovernedTarget } from './governed-target.ts';

/** Looks now and then for logins that no open task needs any more, and drops those that it has found twice. */
export function createProfileRetirement(deps: {
  readonly targets: () => Promise<readonly GovernedTarget[]>;
  readonly openTasks: () => Promise<readonly Task[]>;
  readonly onRetired: (target: TargetId, logins: readonly string[]) => void;
}): () => Promise<void> {
  const suspects = new Map<TargetId, ReadonlySet<string>>();

  return async () => {
    const tasks = await deps.openTasks();
    for (const target of await deps.targets()) {
      await target.engine.refreshCatalogue();
      const found = await target.engine.retireProfiles({
        keep: tasks.flatMap((task) => profileOf(target, task)),
        suspects: suspects.get(target.id) ?? new Set(),
      });
      suspects.set(target.id, new Set(found.unused));
      if (found.retired.length > 0) deps.onRetired(target.id, found.retired);
    }
  };
}

function profileOf(target: GovernedTarget, task: Task) {
  if (!task.radius.some((radius) => radius.target === target.id)) return [];
  try {
    return [target.profile(task)];
  } catch (error) {
    // Its agent is gone from the configuration: it opens no session any more.
    if (error instanceof RefusalError) return [];
    throw error;
  }
}
