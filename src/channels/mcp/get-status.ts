import { z } from 'zod';
import type { TaskStatus } from '../../pipeline/gateway.ts';
import type { Answer } from './answer.ts';
import { TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { PLAN, planAnswer } from './plan-answer.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import { TASK_ANSWER, taskAnswer, taskText } from './task-answer.ts';
import type { Tool } from './tool.ts';
import { visible } from './untrusted.ts';

const INPUT = z.strictObject({ task: TASK });

const OUTPUT = z.object({
  outcome: z.enum(['status', ...REFUSED_OUTCOMES]),
  task: TASK_ANSWER.optional(),
  state: z.enum(['open', 'closed', 'expired']).optional(),
  rowsUsed: z.number().optional().describe('Rows changed so far, of limits.rowsPerTask.'),
  halts: z.array(z.object({ scope: z.string(), reason: z.string(), by: z.string(), at: z.string() })).optional(),
  freezes: z.array(z.object({ environment: z.string(), until: z.string(), reason: z.string() })).optional(),
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
    'How your task stands: its scope, limits and rows used, when it expires, halts and freezes that stop it, and its plans.',
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
  const halts = status.halted.map(({ scope, reason, by, at }) => ({ scope, reason, by, at }));
  const freezes = status.freezes.map(({ environment, until, reason }) => ({ environment, until, reason }));
  const plans = status.plans.map(planAnswer);
  const more = status.morePlans ? { howToGoOn: 'get_plan shows an older one by its id.' } : {};
  const lines = [
    `The task is ${status.state}; ${status.rowsUsed} of ${task.limits.rowsPerTask} rows used.`,
    ...halts.map(({ scope, reason, by, at }) => `HALTED (${scope}) by ${by} at ${at}: ${reason}`),
    ...freezes.map(({ environment, until, reason }) => `Freeze of ${environment} until ${until}: ${reason}`),
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
      plans,
      truncated: status.morePlans,
      ...more,
    },
    text: [taskText(task), ...lines.map(visible)].join('\n'),
  };
}
