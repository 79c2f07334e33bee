import { z } from 'zod';
import type { ChangeTime } from '../../domain/change-time.ts';
import { describeChangeTime, describeWindow } from '../../domain/describe-change-time.ts';
import { visible } from '../../domain/visible.ts';
import type { TaskStatus } from '../../pipeline/gateway.ts';
import type { Answer } from './answer.ts';
import { TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { PLAN, planAnswer } from './plan-answer.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import { TASK_ANSWER, taskAnswer, taskText } from './task-answer.ts';
import type { Tool } from './tool.ts';

const INPUT = z.strictObject({ task: TASK });

const OUTPUT = z.object({
  outcome: z.enum(['status', ...REFUSED_OUTCOMES]),
  task: TASK_ANSWER.optional(),
  state: z.enum(['open', 'closed', 'expired']).optional(),
  rowsUsed: z.number().optional().describe('Rows changed so far, of limits.rowsPerTask.'),
  halts: z.array(z.object({ scope: z.string(), reason: z.string(), by: z.string(), at: z.string() })).optional(),
  freezes: z
    .array(z.object({ environment: z.string(), until: z.string(), reason: z.string(), override: z.array(z.string()) }))
    .optional()
    .describe('In force now. While one is, nothing is changed; `override` names people who may lift it for a plan.'),
  windows: z
    .array(
      z.object({
        environment: z.string(),
        open: z.boolean(),
        window: z.string().optional(),
        opens: z.string().optional(),
        closes: z.string().optional(),
        timeZone: z.string().optional(),
        said: z.string(),
      }),
    )
    .optional()
    .describe('Environments that are changed only in a change window: the one that is open, or the next.'),
  reload: z
    .object({ failed: z.boolean(), why: z.string(), since: z.string() })
    .optional()
    .describe('The newest configuration is wrong, so the one before is still in force. Tell a person.'),
  plans: z.array(PLAN).optional().describe('The plans that statements of this task became, the newest first.'),
  truncated: z.boolean().optional().describe('The task has more plans than are shown.'),
  howToGoOn: z.string().optional(),
  ...REFUSAL_FIELDS,
});

/** How the task stands. */
export const getStatus: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'get_status',
  title: 'See how the task stands',
  description: [
    'How your task stands: its scope, limits and rows used, when it expires, halts and freezes that stop it, change windows, and its plans.',
    'Call it when something was refused that you expected to work, and before you repeat anything that may have run.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    return 'refused' in task ? refusalAnswer(task.refused) : statusAnswer(await call.gateway.status(task));
  },
};

function statusAnswer(status: TaskStatus): Answer<z.input<typeof OUTPUT>> {
  const task = taskAnswer(status.task);
  const seenMs = Date.parse(status.seenAt);
  const halts = status.halted.map(({ scope, reason, by, at }) => ({ scope, reason, by, at }));
  const freezes = status.times.flatMap(({ environment, time }) =>
    time.freezes.map(({ until, reason, override }) => ({ environment, until, reason, override: [...override] })),
  );
  const windows = status.times.flatMap(({ environment, time }) =>
    time.window === 'always' ? [] : [windowAnswer(environment, time, seenMs)],
  );
  const plans = status.plans.map(planAnswer);
  const more = status.morePlans ? { howToGoOn: 'list_plans shows the older ones.' } : {};
  const lines = [
    `The task is ${status.state}; ${status.rowsUsed} of ${task.limits.rowsPerTask} rows used.`,
    ...halts.map(({ scope, reason, by, at }) => `HALTED (${scope}) by ${by} at ${at}: ${reason}`),
    ...status.times.flatMap(({ environment, time }) =>
      describeChangeTime(time, seenMs).map((said) => `${environment}: ${said}`),
    ),
    ...(status.reload === null
      ? []
      : [`The newest configuration is not in force since ${status.reload.since}: ${status.reload.why}`]),
    ...plans.map((plan) => `Plan ${plan.id}: ${plan.state}, on ${plan.target}`),
    ...(status.morePlans ? [`There are older plans than these. ${more.howToGoOn}`] : []),
  ];
  return {
    structured: {
      outcome: 'status',
      task,
      state: status.state,
      rowsUsed: status.rowsUsed,
      halts,
      freezes,
      windows,
      ...(status.reload === null ? {} : { reload: status.reload }),
      plans,
      truncated: status.morePlans,
      ...more,
    },
    text: [taskText(task), ...lines.map(visible)].join('\n'),
  };
}

function windowAnswer(environment: string, time: ChangeTime, seenMs: number) {
  const { opening } = time;
  const next =
    opening === null
      ? {}
      : { window: opening.window, opens: opening.opens, closes: opening.closes, timeZone: opening.timeZone };
  return { environment, open: time.window === 'open', ...next, said: describeWindow(time, seenMs) };
}
