import { z } from 'zod';
import { visible } from '../../domain/visible.ts';
import { describeObject } from '../../pipeline/browse.ts';
import { TARGET, TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { CUT, describedWithin, linesOf, OBJECT_DESCRIPTION } from './object-description.ts';
import { NAMES_ARE_DATA } from './object-summary.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';
import { fenced } from './untrusted.ts';

const INPUT = z.strictObject({
  target: TARGET,
  name: z.string().min(1).max(200).describe('schema.name, or the name alone where it is in the search path.'),
  task: TASK,
});

const OUTPUT = z.object({
  outcome: z.enum(['described', 'not found', ...REFUSED_OUTCOMES]),
  untrusted: NAMES_ARE_DATA,
  object: OBJECT_DESCRIPTION.optional(),
  truncated: z.boolean().optional().describe('Lists were too long to be shown whole; `cut` says which.'),
  cut: z.array(CUT).optional(),
  howToGoOn: z.string().optional(),
  similar: z.array(z.string()).optional().describe('Names that look like what was meant.'),
  ...REFUSAL_FIELDS,
});

const HOW_TO_GO_ON =
  'Ask for the rest with execute_sql: information_schema.columns by ordinal_position, pg_catalog.pg_indexes, pg_catalog.pg_inherits, pg_catalog.pg_get_viewdef(…).';

/** Describes one relation. */
export const describeObjectTool: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'describe_object',
  title: 'Describe a table or view',
  description: [
    'Columns, keys, indexes, triggers, comments and estimated rows of one table, view or sequence.',
    'Look at referencedBy and triggers before you write: they say what a write takes along.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const catalogue = await call.gateway.visibleCatalogue(task, input.target);
    if ('refused' in catalogue) return refusalAnswer(catalogue.refused);
    const described = describeObject(catalogue, input.name);
    if (!described.found) {
      const message = `The task sees no ${JSON.stringify(input.name)} on ${input.target}.`;
      const hint = 'search_objects lists what it sees. What is outside the task’s scope needs another task.';
      return {
        structured: { outcome: 'not found', untrusted: true, message, hint, similar: [...described.similar] },
        text: [visible(message), hint, ...(described.similar.length === 0 ? [] : [fenced(described.similar)])].join(
          '\n',
        ),
        isError: true,
        untrusted: ['similar'],
      };
    }
    const { description, cut } = describedWithin(described.object);
    const more = cut.length === 0 ? {} : { cut: [...cut], howToGoOn: HOW_TO_GO_ON };
    return {
      structured: { outcome: 'described', untrusted: true, object: description, truncated: cut.length > 0, ...more },
      text: [
        ...cut.map(({ list, shown, of }) => `Only ${shown} of ${of} of its ${list} are shown.`),
        ...(cut.length === 0 ? [] : [HOW_TO_GO_ON]),
        fenced(linesOf(description)),
      ].join('\n'),
      untrusted: ['object'],
    };
  },
};
