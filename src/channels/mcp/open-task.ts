import { z } from 'zod';
import { asId, type TargetId } from '../../domain/ids.ts';
import { HOW_SCOPE_IS_WRITTEN, isScopePattern } from '../../domain/scope.ts';
import type { TaskLimits } from '../../domain/task.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import { TASK_ANSWER, taskAnswer, taskText } from './task-answer.ts';
import type { Tool } from './tool.ts';

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const DURATION = z
  .string()
  .regex(/^[1-9][0-9]{0,5}[smhd]$/, 'a number and s, m, h or d, such as 30m')
  .transform((text) => Number(text.slice(0, -1)) * UNIT_MS[z.enum(['s', 'm', 'h', 'd']).parse(text.at(-1))]);

const PATTERNS = z.array(z.string().min(1).max(2000).refine(isScopePattern, HOW_SCOPE_IS_WRITTEN)).max(500).default([]);

/** The words of a task file, without the agent: that is who calls. */
const INPUT = z.strictObject({
  purpose: z.string().min(1).max(1000).describe('What the task is for, in a sentence that a person can judge.'),
  targets: z
    .record(
      z.string().min(1).max(200),
      z.strictObject({
        read: PATTERNS.describe(
          'schema.table to be read; * stands for a whole part. schema.table(column, column) for some columns of a table.',
        ),
        write: PATTERNS.describe(
          'schema.table whose rows are to be changed, or schema.table(column, column); they may also be read.',
        ),
      }),
    )
    .describe('By target: what is to be read and written. Ask for no more than the work needs.'),
  limits: z
    .strictObject({
      rowsPerStatement: z.int().min(0).optional(),
      rowsPerTask: z.int().min(0).optional(),
      statementTimeout: DURATION.optional().describe('Such as 10s.'),
      rowsPerReply: z.int().min(1).optional().describe('Rows of one answer at most.'),
      bytesPerReply: z.int().min(1).optional().describe('Bytes of one answer at most.'),
      sessions: z.int().min(1).optional().describe('Sessions at a time at most.'),
    })
    .default({}),
  expires: DURATION.default(UNIT_MS.h).describe('How long the task lasts, such as 30m or 2h. One hour when left out.'),
});

const OUTPUT = z.object({
  outcome: z.enum(['opened', ...REFUSED_OUTCOMES]),
  task: TASK_ANSWER.optional(),
  ...REFUSAL_FIELDS,
});

/** Opens a task within the agent's role. Its token stays in the gateway. */
export const openTask: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'open_task',
  title: 'Open a task',
  description: [
    'Opens a task: a short-lived permission for one purpose, with what you will read and write, within your role.',
    'Needed only when you connect with an agent’s own token; a task’s token brings its task along.',
    'Pass the id it returns as `task` in later calls. Declare as little as the work needs; it is recorded, and people read it.',
  ].join(' '),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    if (call.caller.caller === 'task') {
      return refusalAnswer({
        refused: 'denied',
        message: `This connection speaks for task ${call.caller.task.id}; a task can’t open another.`,
        hint: 'Work within this task. If its scope is too small, ask the person you work for to open a wider one.',
      });
    }
    const { agent } = call.caller;
    const opened = await call.gateway.openTask({
      agent,
      openedBy: agent,
      channel: 'mcp',
      purpose: input.purpose,
      radius: Object.entries(input.targets).map(([target, { read, write }]) => ({
        target: asId<TargetId>(target),
        read,
        write,
      })),
      limits: limitsOf(input.limits),
      lifetimeMs: input.expires,
    });
    if ('refused' in opened) return refusalAnswer(opened.refused);
    call.openedTasks.keep(opened);
    const task = taskAnswer(opened.task);
    return {
      structured: { outcome: 'opened', task, next: [`Pass task "${task.id}" in every later call.`] },
      text: ['Opened.', taskText(task), `Pass task "${task.id}" in every later call.`].join('\n'),
    };
  },
};

function limitsOf({ statementTimeout, ...limits }: z.output<typeof INPUT>['limits']): Partial<TaskLimits> {
  return {
    ...Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined)),
    ...(statementTimeout === undefined ? {} : { statementTimeoutMs: statementTimeout }),
  };
}
