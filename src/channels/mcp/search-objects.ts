import { z } from 'zod';
import { BROWSABLE_KINDS, type PageQuery, searchObjects } from '../../pipeline/browse.ts';
import { PART_KINDS, type PartKind, searchParts } from '../../pipeline/browse-parts.ts';
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
  kind: z
    .enum([...BROWSABLE_KINDS, ...PART_KINDS])
    .optional()
    .describe('What to look for; tables, views and sequences of every kind when left out.'),
  limit: z.int().min(1).max(MAX_OBJECTS).default(DEFAULT_OBJECTS),
  cursor: CURSOR,
  task: TASK,
});

const OUTPUT = z.object({
  outcome: z.enum(['found', 'foreign cursor', ...REFUSED_OUTCOMES]),
  untrusted: NAMES_ARE_DATA,
  objects: z
    .array(
      z.object({
        name: z.string(),
        kind: z.enum([...BROWSABLE_KINDS, ...PART_KINDS]),
        columns: z.number().optional(),
        estimatedRows: OBJECT_SUMMARY.estimatedRows.optional(),
        of: z.string().nullable().optional().describe('The table or view that it belongs to.'),
        detail: z
          .string()
          .nullable()
          .optional()
          .describe('A column’s type, an index’s definition, what a function returns.'),
        comment: z.string().nullable(),
      }),
    )
    .optional(),
  matching: z.number().optional().describe('How many match in all.'),
  nextCursor: z.string().optional().describe('Pass it as cursor for the next page; absent on the last one.'),
  ...REFUSAL_FIELDS,
});

/** Finds relations by name and kind, a page at a time. */
export const searchObjectsTool: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'search_objects',
  title: 'Search tables, columns, indexes, functions',
  description: [
    'Lists what a target holds that the task may read, by name pattern and kind, in pages: tables, views and sequences,',
    'or their columns and indexes, or schemas, functions and procedures (their source: execute_sql with pg_get_functiondef).',
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
    const query: PageQuery = {
      limit: input.limit,
      ...(pattern === undefined ? {} : { pattern }),
      ...(after === undefined ? {} : { after }),
    };
    const page = isPart(kind)
      ? searchParts(catalogue, kind, query)
      : searchObjects(catalogue, { ...query, ...(kind === undefined ? {} : { kind }) });
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

function isPart(kind: z.output<typeof INPUT>['kind']): kind is PartKind {
  return PART_KINDS.some((part) => part === kind);
}
