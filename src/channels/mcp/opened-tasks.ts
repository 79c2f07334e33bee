import type { ActorId, TaskId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { Gateway, OpenedTask } from '../../pipeline/gateway.ts';

/**
 * The tasks that agents have opened over this channel with their own token. An agent names one by its id in later calls;
 * the task's token stays here, so it is in no model's context and no transcript. It is kept in memory only: after a
 * restart of the gateway an agent opens a new task.
 */
export interface OpenedTasks {
  keep(opened: OpenedTask): void;
  /** The ids of those that this agent has opened here and that may still be open. */
  idsOf(agent: ActorId): readonly TaskId[];
  /** The open task of this id that this agent has opened, its standing asked of the gateway anew. */
  find(agent: ActorId, id: string): Promise<Task | undefined>;
}

/** Far more than an agent works on; a flood of open_task forgets the oldest. */
const MAX_KEPT = 10_000;

export function createOpenedTasks(gateway: Gateway): OpenedTasks {
  const kept = new Map<string, OpenedTask>();
  return {
    keep(opened) {
      kept.set(opened.task.id, opened);
      const oldest = kept.keys().next();
      if (kept.size > MAX_KEPT && !oldest.done) kept.delete(oldest.value);
    },
    idsOf: (agent) => [...kept.values()].filter(({ task }) => task.agent === agent).map(({ task }) => task.id),
    async find(agent, id) {
      const opened = kept.get(id);
      if (opened?.task.agent !== agent) return undefined;
      const task = await gateway.taskByToken(opened.token);
      if (task === undefined) kept.delete(id);
      return task;
    },
  };
}
