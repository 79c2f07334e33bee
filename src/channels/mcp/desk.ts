import type { Logger } from 'pino';
import type { Refusal } from '../../domain/refusal.ts';
import type { Task } from '../../domain/task.ts';
import type { Gateway } from '../../pipeline/gateway.ts';
import type { Caller } from './caller.ts';
import type { Cursors } from './cursor.ts';
import type { OpenedTasks } from './opened-tasks.ts';
import type { Sessions } from './sessions.ts';

/** What the tools of one caller work with. */
export interface Desk {
  readonly gateway: Gateway;
  readonly caller: Caller;
  readonly openedTasks: OpenedTasks;
  readonly sessions: Sessions;
  readonly cursors: Cursors;
  readonly log: Logger;
}

/**
 * The task that a call is made in. A task's own token leaves no choice; an agent's token names one of the tasks that the
 * agent has opened here.
 */
export async function taskOf(desk: Desk, named: string | undefined): Promise<Task | { readonly refused: Refusal }> {
  const { caller } = desk;
  switch (caller.caller) {
    case 'task':
      if (named === undefined || named === caller.task.id) return caller.task;
      return {
        refused: {
          refused: 'denied',
          message: `This connection speaks for task ${caller.task.id} only, not for ${JSON.stringify(named)}.`,
          hint: 'Leave `task` out.',
        },
      };
    case 'agent': {
      const task = named === undefined ? undefined : await desk.openedTasks.find(caller.agent, named);
      if (task !== undefined) return task;
      return {
        refused: {
          refused: 'denied',
          message:
            named === undefined
              ? 'Nothing can be done outside a task, and this call names none.'
              : `${caller.agent} has no open task ${JSON.stringify(named)} here; it may have ended.`,
          hint: 'Call open_task with what you mean to read and write, then pass the id it returns as `task`.',
        },
      };
    }
    default:
      return caller satisfies never;
  }
}
