import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isDigest } from '../../domain/digest.ts';
import type { PlanId } from '../../domain/ids.ts';
import type { PlanState } from '../../domain/plan.ts';
import type { Task } from '../../domain/task.ts';
import type { PlanView, Refused } from '../../pipeline/gateway.ts';
import type { Answer } from './answer.ts';
import { TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { PLAN, planAnswer, planText } from './plan-answer.ts';
import { tellProgress } from './progress.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Call, Tool } from './tool.ts';

/** Below the minute after which many clients give a call up. */
const MAX_WAIT_SECONDS = 55;
const POLL_MS = 250;

const PLAN_ID = z.string().max(100).describe('The plan’s whole id, as the answer that held the statement gave it.');

const GET_INPUT = z.strictObject({
  plan: PLAN_ID,
  wait_seconds: z
    .int()
    .min(0)
    .max(MAX_WAIT_SECONDS)
    .default(0)
    .describe('How long to wait for a decision, or for an apply to end, before answering.'),
  task: TASK,
});

const GET_OUTPUT = z.object({
  outcome: z.enum(['plan', ...REFUSED_OUTCOMES]),
  plan: PLAN.optional(),
  ...REFUSAL_FIELDS,
});

/** Shows a plan of the task, once something has changed or the wait is over. */
export const getPlan: Tool<typeof GET_INPUT, typeof GET_OUTPUT> = {
  name: 'get_plan',
  title: 'See where a plan stands',
  description: [
    'Where a plan stands that one of your statements became: held, approved, rejected, applied …, and what it still waits for.',
    'With wait_seconds the call returns as soon as a person has decided. Don’t call it in a tight loop; when nobody has',
    'decided, go on with other work or end your turn and say what you wait for.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: GET_INPUT,
  output: GET_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const found = await planOf(call, task, input.plan);
    if ('refused' in found) return refusalAnswer(found.refused);
    const waiting = `The plan is ${found.state}.`;
    return planShown(await tellProgress(call, waiting, () => decided(call, found, input.wait_seconds * 1000)));
  },
};

const APPLY_INPUT = z.strictObject({ plan: PLAN_ID, task: TASK });

const APPLY_OUTPUT = z.object({
  outcome: z.enum(['applied', ...REFUSED_OUTCOMES]),
  plan: PLAN.optional(),
  already: z.boolean().optional().describe('It had been applied before; it was not applied again.'),
  ...REFUSAL_FIELDS,
});

/** Applies an approved plan; asked twice, it is applied once. */
export const applyPlan: Tool<typeof APPLY_INPUT, typeof APPLY_OUTPUT> = {
  name: 'apply_plan',
  title: 'Apply an approved plan',
  description: [
    'Applies a plan of your task exactly once, after a person has approved it. Before that it is refused; asking again',
    'changes nothing. It commits only if the effect is still the approved one: a plan whose data has moved on is stale',
    'and must be made anew.',
  ].join(' '),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: APPLY_INPUT,
  output: APPLY_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const found = await planOf(call, task, input.plan);
    if ('refused' in found) return refusalAnswer(found.refused);
    const reply = await tellProgress(call, 'Applying the plan.', () => call.gateway.applyPlan(found.id, { task }));
    if (reply.reply === 'refused') return refusalAnswer(reply.refusal, reply.plan);
    const plan = planAnswer(reply.plan);
    return {
      structured: { outcome: 'applied', already: reply.already, plan },
      text: [reply.already ? 'It had been applied before; it was not applied again.' : 'Applied.', planText(plan)].join(
        '\n',
      ),
    };
  },
};

/** The plan, if it is one of this task: of another's an agent learns not even that it exists. */
async function planOf(call: Call, task: Task, id: string): Promise<PlanView | Refused> {
  const view = isDigest(id) ? await call.gateway.plan(id satisfies PlanId) : undefined;
  if (view?.plan.task === task.id) return view;
  return {
    refused: {
      refused: 'denied',
      message: `Task ${task.id} has no plan ${JSON.stringify(id)}.`,
      hint: 'get_status lists the plans of the task by their whole ids.',
    },
  };
}

/** States that somebody or something is still to move on. */
const WAITING: readonly PlanState[] = ['held', 'applying'];

/** The plan as soon as it has moved on, and as it stands when the time is over. */
async function decided(call: Call, found: PlanView, waitMs: number): Promise<PlanView> {
  const endsMs = performance.now() + waitMs;
  let view = found;
  while (WAITING.includes(view.state) && view.state === found.state) {
    const leftMs = endsMs - performance.now();
    if (leftMs <= 0) break;
    await sleep(Math.min(POLL_MS, leftMs), undefined, { signal: call.signal });
    view = (await call.gateway.plan(found.id)) ?? view;
  }
  return view;
}

/** A plan, and what its proposer does next. */
export function planShown(view: PlanView): Answer<z.input<typeof GET_OUTPUT>> {
  const plan = planAnswer(view);
  const next = NEXT[view.state];
  return {
    structured: { outcome: 'plan', plan, missing: plan.missing, next: [next] },
    text: [planText(plan), next].join('\n'),
  };
}

const NEXT: Readonly<Record<PlanState, string>> = {
  held: 'Nothing has been executed. Wait for a person, or say what you wait for and end your turn; don’t look for another way.',
  approved: 'Call apply_plan, or send the identical statement again in the same task.',
  rejected: 'A person said no. Stop, and tell the person you work for; don’t propose the same again.',
  applying: 'It is being applied. Ask again; don’t send the statement in the meantime.',
  applied: 'It is done. Don’t send the statement again.',
  failed: 'The database refused it and nothing was changed. The note says why.',
  stale: 'The data has moved on. If the change is still wanted, send the statement again: it becomes a new plan.',
  expired: 'Nobody decided in time. If the change is still wanted, send the statement again.',
  indeterminate: 'Whether it took effect is not known. Stop: a person must find out. Don’t send the statement again.',
};
