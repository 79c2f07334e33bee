import { z } from 'zod';
import { PLAN_STATES } from '../../domain/plan.ts';
import { visible } from '../../domain/visible.ts';
import type { PlanView } from '../../pipeline/gateway.ts';
import { TASK } from './arguments.ts';
import { CURSOR, foreignCursorAnswer } from './cursor.ts';
import { taskOf } from './desk.ts';
import { PLAN, planAnswer } from './plan-answer.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';

const DEFAULT_PLANS = 20;
const MAX_PLANS = 50;
/** More than a task lives to see: what is older is not looked at, and that is said. */
const LOOKED_AT = 1000;

const INPUT = z.strictObject({
  state: z.enum(PLAN_STATES).optional().describe('Only those that stand there now.'),
  limit: z.int().min(1).max(MAX_PLANS).default(DEFAULT_PLANS),
  cursor: CURSOR,
  task: TASK,
});

const OUTPUT = z.object({
  outcome: z.enum(['plans', 'foreign cursor', ...REFUSED_OUTCOMES]),
  plans: z.array(PLAN).optional().describe('The newest first.'),
  matching: z.number().optional().describe('How many there are in all.'),
  truncated: z.boolean().optional().describe(`The task has more than the ${LOOKED_AT} newest, which were looked at.`),
  nextCursor: z.string().optional().describe('Pass it as cursor for the next page; absent on the last one.'),
  ...REFUSAL_FIELDS,
});

/** The plans of a task, a page at a time. */
export const listPlans: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'list_plans',
  title: 'List the plans of the task',
  description: [
    'The plans that statements of your task became, newest first, in pages, by state if you want: held, approved, applied …',
    'To wait for a decision on one of them, call get_plan.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const list = ['list_plans', task.id, input.state];
    const after = input.cursor === undefined ? null : call.cursors.read(list, input.cursor);
    if (after === undefined) return foreignCursorAnswer();
    const newest = await call.gateway.plans({ task: task.id, limit: LOOKED_AT });
    const matching = newest.filter(({ state }) => input.state === undefined || state === input.state);
    const rest = following(matching, newest, after);
    const page = rest.slice(0, input.limit);
    const last = page.at(-1);
    const more = last !== undefined && rest.length > page.length;
    const nextCursor = more ? { nextCursor: call.cursors.write(list, last.id) } : {};
    const plans = page.map(planAnswer);
    return {
      structured: {
        outcome: 'plans',
        plans,
        matching: matching.length,
        truncated: newest.length === LOOKED_AT,
        ...nextCursor,
      },
      text: [
        `${plans.length} of ${matching.length} plans.`,
        ...(more ? [`For the next page pass cursor "${nextCursor.nextCursor}".`] : []),
        ...plans.map((plan) =>
          visible(`  ${plan.id}: ${plan.state}, on ${plan.target}: ${JSON.stringify(plan.statements[0] ?? '')}`),
        ),
      ].join('\n'),
    };
  },
};

/** Those after the last plan of the page before, which may have left the state asked for meanwhile. */
function following(
  matching: readonly PlanView[],
  newest: readonly PlanView[],
  after: string | null,
): readonly PlanView[] {
  if (after === null) return matching;
  const older = new Set(newest.slice(newest.findIndex(({ id }) => id === after) + 1).map(({ id }) => id));
  return matching.filter(({ id }) => older.has(id));
}
