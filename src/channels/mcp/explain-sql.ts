import { z } from 'zod';
import type { Decision } from '../../domain/decision.ts';
import { describeObligation } from '../../domain/describe-change-time.ts';
import type { Analysis, Effect } from '../../domain/effect.ts';
import { objectName } from '../../domain/object.ts';
import { visible } from '../../domain/visible.ts';
import type { Answer } from './answer.ts';
import { PARAMETERS, SQL, statementOf, TARGET, TASK } from './arguments.ts';
import { taskOf } from './desk.ts';
import { REFUSAL_FIELDS, REFUSED_OUTCOMES, refusalAnswer } from './refusal-answer.ts';
import type { Tool } from './tool.ts';

const INPUT = z.strictObject({ target: TARGET, sql: SQL, parameters: PARAMETERS, task: TASK });

const OUTPUT = z.object({
  outcome: z.enum(['explained', ...REFUSED_OUTCOMES]),
  decision: z.enum(['allow', 'hold', 'deny']).optional().describe('What would become of the statement now.'),
  command: z.string().optional(),
  kind: z.string().optional().describe('read, write, change, transaction, session or unsupported.'),
  effects: z
    .array(z.object({ verb: z.string(), object: z.string(), via: z.string(), wholeTable: z.boolean() }))
    .optional(),
  unknown: z.array(z.string()).optional().describe('Constructs whose effect can’t be known before they run.'),
  policies: z.array(z.object({ policy: z.string(), reason: z.string() })).optional(),
  instead: z.string().optional().describe('What would be allowed, where this is denied.'),
  ...REFUSAL_FIELDS,
});

/** What would happen to a statement, without running anything. */
export const explainSql: Tool<typeof INPUT, typeof OUTPUT> = {
  name: 'explain_sql',
  title: 'Explain what would become of a statement',
  description: [
    'Says what a SQL statement would touch and whether it would run, be held for a person, or be denied, and by which',
    'policy. Nothing is executed and no plan is made; the database’s own plan comes from execute_sql with EXPLAIN.',
    'Use it before a write that you are not sure of. A write that would be allowed is still measured when it runs, and',
    'held if it changes more than may be changed without approval.',
  ].join(' '),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: INPUT,
  output: OUTPUT,
  async answer(input, call) {
    const task = await taskOf(call, input.task);
    if ('refused' in task) return refusalAnswer(task.refused);
    const statement = statementOf(input.sql, input.parameters);
    const explained = await call.sessions.use(task, input.target, call.signal, async (session) => ({
      value: await session.explain(statement),
      reusable: true,
    }));
    return 'refused' in explained
      ? refusalAnswer(explained.refused)
      : explainedAnswer(explained.analysis, explained.decision);
  },
};

function explainedAnswer(analysis: Analysis, decision: Decision): Answer<z.input<typeof OUTPUT>> {
  const effects = analysis.effects.map(describeEffect);
  const policies = decision.policies.map(({ policy, reason }) => ({ policy, reason }));
  const missing =
    decision.decision === 'hold' ? decision.missing.map((one) => describeObligation(one, Date.now())) : undefined;
  const instead = decision.decision === 'deny' ? decision.instead : undefined;
  const lines = [
    `${analysis.command}: ${FORECASTS[decision.decision]}`,
    ...effects.map(
      ({ verb, object, via, wholeTable }) => `  ${verb} ${object} (${via}${wholeTable ? ', the whole table' : ''})`,
    ),
    ...analysis.unknown.map((unknown) => `  unknown: ${unknown}`),
    ...analysis.vouchable.map(
      (signature) => `  a person may vouch for: ${signature} (countersign policy trust function)`,
    ),
    ...policies.map(({ policy, reason }) => `  ${policy}: ${reason}`),
    ...(missing ?? []).map((obligation) => `  missing: ${obligation}`),
    ...(instead === undefined ? [] : [`  instead: ${instead}`]),
  ];
  return {
    structured: {
      outcome: 'explained',
      decision: decision.decision,
      command: analysis.command,
      kind: analysis.class.kind,
      effects,
      unknown: [...analysis.unknown],
      policies,
      ...(missing === undefined ? {} : { missing }),
      ...(instead === undefined ? {} : { instead }),
    },
    text: lines.map(visible).join('\n'),
  };
}

const FORECASTS: Readonly<Record<Decision['decision'], string>> = {
  allow: 'would be allowed.',
  hold: 'would be held: a plan would be made, and nothing executed until a person decides.',
  deny: 'would be denied, whoever asks.',
};

function describeEffect(effect: Effect) {
  return {
    verb: effect.verb,
    object: objectName(effect.object),
    via: effect.via,
    wholeTable: effect.wholeTable === true,
  };
}
