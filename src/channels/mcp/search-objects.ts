import { z } from 'zod';
import { BROWSABLE_KINDS, searchObjects } from '../../pipeline/browse.ts';
import { TARGET, TASK } from './arguments.ts';
import { CURSOR, foreignCursorAnswer } from './cursor.ts';
import { taskOf } from './desk.ts';
import { NAMES_ARE_DATA, OBJECT_SUMMARY } from './object-summary.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';
import { fenced } from './untrusted.ts';

const DEFAULT_OBJECTS = 50;
const MAX_OBJECTS = 200;

const INPUT = z.strictObject({
  target: TARGET,
  pattern: z
    .string()
    .max(200)
    .optional()
    .describe('Matched against schema.name: * is any text, ? one character; without either, any part of the name.'),
  kind: z.enum(BROWSABLE_KINDS).optional(),
  limit: z.int().min(1).max(MAX_OBJECTS).default(DEFAULT_OBJECTS),
  cursor: CURSOR,
  task: TASK,
});

const OUTPUT = z.object({
  outcome: z.enum(['found', 'foreign cursor', ...REFUSED_OUTCOMES]),
  untrusted: NAMES_ARE_DATA,
  objects: z.array(z.object({ ...OBJECT_SUMMARY, columns: z.number() })).optional(),
  matching: z.number().optional().describe('How many match in all.'),
  nextCursor: z.string().optional().describe('Pass it as cursor for the next page; absent on the last one.'),
  ...REFUSAL_FIELDS,
});

/** Finds relations by name and kind, a page at a time. */
export const searchObjectsTool: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'search_objects',
  title: 'Search tables, views and sequences',
  description: [
    'Lists the tables, views and sequences of a target that the task may read, by name pattern and kind, in pages.',
    'What is not listed is outside the task’s scope or doesn’t exist; a task that reaches further must be opened anew.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const { target, pattern, kind, cursor } = input;
    const list = ['search_objects', task.id, target, pattern, kind];
    const after = cursor === undefined ? undefined : call.cursors.read(list, cursor);
    if (cursor !== undefined && after === undefined) return foreignCursorAnswer();
    const catalogue = await call.gateway.visibleCatalogue(task, target);
    if ('refused' in catalogue) return refusalAnswer(catalogue.refused);
    const page = searchObjects(catalogue, {
      limit: input.limit,
      ...(pattern === undefined ? {} : { pattern }),
      ...(kind === undefined ? {} : { kind }),
      ...(after === undefined ? {} : { after }),
    });
    const nextCursor = page.next === undefined ? undefined : call.cursors.write(list, page.next);
    return {
      structured: {
        outcome: 'found',
        untrusted: true,
        objects: [...page.objects],
        matching: page.matching,
        ...(nextCursor === undefined ? {} : { nextCursor }),
      },
      text: [
        `${page.objects.length} of ${page.matching} objects.`,
        ...(nextCursor === undefined ? [] : [`For the next page pass cursor "${nextCursor}".`]),
        fenced(page.objects),
      ].join('\n'),
      untrusted: ['objects'],
    };
  },
};
