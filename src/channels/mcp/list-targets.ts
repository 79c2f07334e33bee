import { z } from 'zod';
import { TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';

const INPUT = z.strictObject({ task: TASK });

const OUTPUT = z.object({
  outcome: z.enum(['targets', ...REFUSED_OUTCOMES]),
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
    const targets = call.gateway.targets(subject).map(({ target, environment, tier, owner, engine, halted }) => ({
      target,
      environment,
      tier,
      owner,
      engine,
      halted,
    }));
    return {
      structured: { outcome: 'targets', targets },
      text: [
        targets.length === 0 ? 'There is no target that you may work on.' : `${targets.length} targets:`,
        ...targets.map(
          ({ target, environment, tier, owner, engine, halted }) =>
            `  ${target}: ${engine}, environment ${environment}, tier ${tier}, owner ${owner}${halted ? ', HALTED' : ''}`,
        ),
      ].join('\n'),
    };
  },
};
