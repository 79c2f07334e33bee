import { z } from 'zod';
import type { Task } from '../../domain/task.ts';
import { visible } from '../../domain/visible.ts';

/** A task as its agent sees it. */
export const TASK_ANSWER = z.object({
  id: z.string(),
  purpose: z.string(),
  agent: z.string(),
  onBehalfOf: z.string(),
  expiresAt: z.string(),
  targets: z.array(z.object({ target: z.string(), read: z.array(z.string()), write: z.array(z.string()) })),
  limits: z.object({
    rowsPerStatement: z.number(),
    rowsPerTask: z.number(),
    statementTimeoutMs: z.number(),
    rowsPerReply: z.number().optional(),
    bytesPerReply: z.number().optional(),
    sessions: z.number().optional(),
    idleInTransactionMs: z.number().optional(),
    othersWaitMs: z.number().optional(),
  }),
});

export function taskAnswer(task: Task): z.input<typeof TASK_ANSWER> {
  return {
    id: task.id,
    purpose: task.purpose,
    agent: task.agent,
    onBehalfOf: task.onBehalfOf,
    expiresAt: task.expiresAt,
    targets: task.radius.map(({ target, read, write }) => ({ target, read: [...read], write: [...write] })),
    limits: { ...task.limits },
  };
}

export function taskText(task: z.input<typeof TASK_ANSWER>): string {
  const { limits } = task;
  return [
    `Task ${task.id} of ${task.agent}, for ${task.onBehalfOf}, until ${task.expiresAt}: ${task.purpose}`,
    ...task.targets.map(({ target, read, write }) => `  ${target}: read ${list(read)}; write ${list(write)}`),
    `  limits: ${limits.rowsPerStatement} rows a statement, ${limits.rowsPerTask} rows in all, ${limits.statementTimeoutMs} ms a statement`,
  ]
    .map(visible)
    .join('\n');
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.join(', ');
}
