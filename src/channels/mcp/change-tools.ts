import { z } from 'zod';
import { visible } from '../../domain/visible.ts';
import type { ChangeView } from '../../pipeline/gateway.ts';
import { TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { describeUndo, PLAN } from './plan-answer.ts';
import { planShown } from './plan-tools.ts';
import { tellProgress } from './progress.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';

const DEFAULT_CHANGES = 20;
const MAX_CHANGES = 50;

const LIST_INPUT = z.strictObject({
  limit: z.int().min(1).max(MAX_CHANGES).default(DEFAULT_CHANGES),
  task: TASK,
});

const CHANGE = z.object({
  change: z
    .string()
    .describe('The change’s id: of the plan that was applied, or of a write within limits. Pass it to undo_change.'),
  target: z.string(),
  statements: z.array(z.string()).describe('Of a write within limits without their constants.'),
  effect: z.array(z.string()),
  undo: z.string().describe('How one gets back.'),
  appliedAt: z.string(),
  undoneBy: z.string().nullable().describe('The plan that has taken it back.'),
});

const LIST_OUTPUT = z.object({
  outcome: z.enum(['changes', ...REFUSED_OUTCOMES]),
  changes: z.array(CHANGE).optional().describe('The newest first.'),
  truncated: z.boolean().optional().describe('There are more than were asked for.'),
  ...REFUSAL_FIELDS,
});

/** What the plans of a task have done. */
export const listChanges: Tool<typeof LIST_INPUT, typeof LIST_OUTPUT> = {
  name: 'list_changes',
  title: 'List what the task has changed',
  description:
    'What your task has changed, newest first: plans that were applied and writes within its limits, how one gets back from each, and whether it was undone.',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: LIST_INPUT,
  output: LIST_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const found = await call.gateway.changes({ task: task.id, limit: input.limit + 1 });
    const changes = found.slice(0, input.limit).map(changeAnswer);
    return {
      structured: { outcome: 'changes', changes, truncated: found.length > changes.length },
      text: [
        `${changes.length} changes${found.length > changes.length ? ', and there are more' : ''}.`,
        ...changes.map(({ change, appliedAt, undoneBy, statements }) =>
          visible(
            `  ${change}: applied ${appliedAt}${undoneBy === null ? '' : `, undone by ${undoneBy}`}: ${JSON.stringify(statements[0] ?? '')}`,
          ),
        ),
      ].join('\n'),
    };
  },
};

function changeAnswer({
  id,
  target,
  statements,
  effect,
  undo,
  appliedAt,
  undoneBy,
}: ChangeView): z.input<typeof CHANGE> {
  return {
    change: id,
    target,
    statements: statements.slice(0, 100).map((text) => text.slice(0, 4000)),
    effect: effect.slice(0, 100),
    undo: describeUndo(undo),
    appliedAt,
    undoneBy,
  };
}

const UNDO_INPUT = z.strictObject({
  change: z.string().max(100).describe('The change’s whole id, as list_changes gives it.'),
  keep_newer: z
    .boolean()
    .default(false)
    .describe('Leave rows as they are that somebody has changed since; else they stand in the way of all of it.'),
  task: TASK,
});

const UNDO_OUTPUT = z.object({
  outcome: z.enum(['plan', ...REFUSED_OUTCOMES]),
  plan: PLAN.optional(),
  ...REFUSAL_FIELDS,
});

/** Proposes to take a change of the task back: a plan, which is applied like any other. */
export const undoChange: Tool<typeof UNDO_INPUT, typeof UNDO_OUTPUT> = {
  name: 'undo_change',
  title: 'Propose to undo a change',
  description: [
    'Makes a plan that puts the rows of one of your task’s changes back as they were, tried on the real data. Nothing is',
    'put back by this call: a person countersigns the plan where policy asks for it, then apply_plan applies it. Where rows',
    'were changed since, it is refused and names them.',
  ].join(' '),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: UNDO_INPUT,
  output: UNDO_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const { change, keep_newer: keepNewer } = input;
    const made = await tellProgress(call, 'Trying the undo.', () =>
      call.gateway.undoChange({ change, keepNewer, task }),
    );
    return 'refused' in made ? refusalAnswer(made.refused) : planShown(made.plan);
  },
};
