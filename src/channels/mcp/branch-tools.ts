import { z } from 'zod';
import type { TableDifference } from '../../domain/branch.ts';
import { asId, type TargetId } from '../../domain/ids.ts';
import { visible } from '../../domain/visible.ts';
import { TARGET, TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { PLAN } from './plan-answer.ts';
import { planShown } from './plan-tools.ts';
import { tellProgress } from './progress.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';

const BRANCH = z.string().max(100).describe('The branch’s id, as create_branch gave it.');

const CREATE_INPUT = z.strictObject({ target: TARGET, task: TASK });

const CREATE_OUTPUT = z.object({
  outcome: z.enum(['branch', ...REFUSED_OUTCOMES]),
  branch: z.string().optional().describe('Pass it as `target` to work in it.'),
  of: z.string().optional(),
  copiedAt: z.string().optional().describe('It is a copy of the target as it was then.'),
  expiresAt: z.string().optional().describe('Then it is dropped, with what was done in it.'),
  ...REFUSAL_FIELDS,
});

/** Makes a shadow copy of a target for the task. */
export const createBranch: Tool<typeof CREATE_INPUT, typeof CREATE_OUTPUT> = {
  name: 'create_branch',
  title: 'Make a shadow copy to work in',
  description: [
    'Copies a target into a branch that only your task reaches, with all of its data that your task may see. Nothing that',
    'you do there is done to the target, and nothing of it is held: pass the branch as `target`. When the data is as it is',
    'meant to be, submit_branch makes a plan of what differs. Copying takes as long as a dump and a restore.',
  ].join(' '),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  input: CREATE_INPUT,
  output: CREATE_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const made = await tellProgress(call, 'Making the branch.', (step) =>
      call.gateway.createBranch({ task, target: asId<TargetId>(input.target), onProgress: step }),
    );
    if ('refused' in made) return refusalAnswer(made.refused);
    const { id, of, copy, expiresAt } = made.branch;
    return {
      structured: { outcome: 'branch', branch: id, of, copiedAt: copy.at, expiresAt },
      text: `${id} is a copy of ${of} as of ${copy.at}, until ${expiresAt}. Pass it as target; diff_branch tells what differs, submit_branch proposes it.`,
    };
  },
};

const DIFF_INPUT = z.strictObject({ branch: BRANCH, task: TASK });

const DIFF_OUTPUT = z.object({
  outcome: z.enum(['difference', ...REFUSED_OUTCOMES]),
  tables: z
    .array(z.object({ table: z.string(), inserted: z.number(), updated: z.number(), deleted: z.number() }))
    .optional()
    .describe('Tables whose rows differ from what the target had when the branch was made.'),
  definitions: z
    .array(z.string())
    .optional()
    .describe(
      'Objects that were made, altered or dropped in it. They are not merged: send those statements to the target.',
    ),
  truncated: z.boolean().optional().describe('More objects differ than are listed.'),
  ...REFUSAL_FIELDS,
});

const MOST_LISTED = 100;

/** What a branch has otherwise than its target had. */
export const diffBranch: Tool<typeof DIFF_INPUT, typeof DIFF_OUTPUT> = {
  name: 'diff_branch',
  title: 'See what differs in a branch',
  description:
    'Compares a branch of your task with the target as it was when the branch was made: rows by table, and definitions. Changes nothing.',
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: DIFF_INPUT,
  output: DIFF_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const found = await tellProgress(call, 'Comparing the branch.', (step) =>
      call.gateway.branchDifference({ task, branch: asId<TargetId>(input.branch), onProgress: step }),
    );
    if ('refused' in found) return refusalAnswer(found.refused);
    const { tables, definitions } = found.difference;
    const listed = definitions.slice(0, MOST_LISTED);
    return {
      structured: {
        outcome: 'difference',
        tables: tables.map(({ table, inserted, updated, deleted }) => ({ table, inserted, updated, deleted })),
        definitions: [...listed],
        truncated: definitions.length > listed.length,
      },
      text: [
        tables.length + definitions.length === 0 ? 'Nothing differs.' : 'What differs:',
        ...tables.map(tableLine),
        ...listed.map((name) => visible(`  ${name} (not merged)`)),
      ].join('\n'),
    };
  },
};

function tableLine({ table, inserted, updated, deleted }: TableDifference): string {
  return visible(`  ${table}: ${inserted} inserted, ${updated} updated, ${deleted} deleted`);
}

const SUBMIT_INPUT = z.strictObject({
  branch: BRANCH,
  keep_newer: z
    .boolean()
    .default(false)
    .describe('Leave rows as they are that were changed in the target since; else they stand in the way of all of it.'),
  task: TASK,
});

const SUBMIT_OUTPUT = z.object({
  outcome: z.enum(['plan', ...REFUSED_OUTCOMES]),
  plan: PLAN.optional(),
  ...REFUSAL_FIELDS,
});

/** Proposes to bring what differs into the target: a plan, which is applied like any other. */
export const submitBranch: Tool<typeof SUBMIT_INPUT, typeof SUBMIT_OUTPUT> = {
  name: 'submit_branch',
  title: 'Propose to merge a branch',
  description: [
    'Makes a plan that brings the rows which differ in a branch of your task into its target, tried on the real data.',
    'Nothing is changed by this call: a person countersigns the plan where policy asks for it, then apply_plan applies it.',
    'Where one of these rows was changed in the target since, it is refused and names them.',
  ].join(' '),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: SUBMIT_INPUT,
  output: SUBMIT_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const { branch, keep_newer: keepNewer } = input;
    const made = await tellProgress(call, 'Comparing the branch.', (step) =>
      call.gateway.submitBranch({ task, branch: asId<TargetId>(branch), keepNewer, onProgress: step }),
    );
    return 'refused' in made ? refusalAnswer(made.refused) : planShown(made.plan);
  },
};

const DROP_INPUT = z.strictObject({ branch: BRANCH, task: TASK });

const DROP_OUTPUT = z.object({ outcome: z.enum(['dropped', ...REFUSED_OUTCOMES]), ...REFUSAL_FIELDS });

/** Throws a branch of the task away. */
export const dropBranch: Tool<typeof DROP_INPUT, typeof DROP_OUTPUT> = {
  name: 'drop_branch',
  title: 'Throw a branch away',
  description:
    'Drops a branch of your task, with what was done in it. The target and plans that were made of the branch stay as they are.',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  input: DROP_INPUT,
  output: DROP_OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const refused = await call.gateway.dropBranch({ task, branch: asId<TargetId>(input.branch) });
    if (refused !== undefined) return refusalAnswer(refused.refused);
    return { structured: { outcome: 'dropped' }, text: `${input.branch} is gone.` };
  },
};
