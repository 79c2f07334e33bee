import { z } from 'zod';
import { TASK } from './arguments.ts';
import { CURSOR, foreignCursorAnswer } from './cursor.ts';
import { taskOf } from './desk.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';

const DEFAULT_TARGETS = 50;
const MAX_TARGETS = 200;

const INPUT = z.strictObject({
  limit: z.int().min(1).max(MAX_TARGETS).default(DEFAULT_TARGETS),
  cursor: CURSOR,
  task: TASK,
});

const OUTPUT = z.object({
  outcome: z.enum(['targets', 'foreign cursor', ...REFUSED_OUTCOMES]),
  targets: z
    .array(
      z.object({
        target: z.string(),
        environment: z.string(),
        tier: z.string().describe('What is at stake: development, staging or production.'),
        owner: z.string().describe('The person who answers for it.'),
        engine: z.string(),
        halted: z.boolean().describe('A person has stopped all work there.'),
      }),
    )
    .optional(),
  nextCursor: z.string().optional().describe('Pass it as cursor for the next page; absent on the last one.'),
  ...REFUSAL_FIELDS,
});

/** The targets that the caller may work on. */
export const listTargets: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'list_targets',
  title: 'List the databases',
  description: [
    'The databases that you may work on, with the environment and tier of each. Call it first, and be sure that you are',
    'on the one that is meant: in tier production nothing is for trying out.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    const { caller } = call;
    const subject =
      caller.caller === 'agent' && input.task === undefined ? caller.agent : await taskOf(call, input.task);
    if (typeof subject === 'object' && 'refused' in subject) return refusalAnswer(subject.refused);
    const list = ['list_targets', typeof subject === 'string' ? subject : subject.id];
    const after = input.cursor === undefined ? '' : call.cursors.read(list, input.cursor);
    if (after === undefined) return foreignCursorAnswer();
    const rest = call.gateway
      .targets(subject)
      .filter(({ target }) => target > after)
      .sort((a, b) => (a.target < b.target ? -1 : 1));
    const page = rest.slice(0, input.limit);
    const last = page.at(-1);
    const nextCursor =
      last === undefined || rest.length === page.length ? undefined : call.cursors.write(list, last.target);
    const targets = page.map(({ target, environment, tier, owner, engine, halted }) => ({
      target,
      environment,
      tier,
      owner,
      engine,
      halted,
    }));
    return {
      structured: { outcome: 'targets', targets, ...(nextCursor === undefined ? {} : { nextCursor }) },
      text: [
        targets.length === 0 ? 'There is no target that you may work on.' : `${targets.length} targets:`,
        ...targets.map(
          ({ target, environment, tier, owner, engine, halted }) =>
            `  ${target}: ${engine}, environment ${environment}, tier ${tier}, owner ${owner}${halted ? ', HALTED' : ''}`,
        ),
        ...(nextCursor === undefined ? [] : [`For the next page pass cursor "${nextCursor}".`]),
      ].join('\n'),
    };
  },
};
