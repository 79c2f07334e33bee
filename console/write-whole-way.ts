import { writeFileSync } from 'node:fs';
import type { Seen, WholeWay } from '../test/fixtures/whole-way.ts';

const STEPS: Readonly<Record<Seen, string>> = {
  proposed: 'The agent has proposed: the queue has it',
  opened: 'Opened from the message',
  signing: 'About to sign',
  approved: 'Signed by the passkey',
  applied: 'Applied',
  undone: 'Taken back, by a plan of its own that was signed too',
};

/** Writes down, and prints, what was measured on the whole way of a change, beside the pictures of it. */
export function writeWholeWay(
  file: string,
  { plan, undo, toldMs, slackSaidMs }: WholeWay,
  {
    said,
    server,
    chromium,
  }: { readonly said: readonly [Seen, string][]; readonly server: string; readonly chromium: string },
): void {
  const figures = [
    ['the plan was recorded → its message was in Slack', toldMs.slack],
    ['the plan was recorded → it stood in the open queue', toldMs.console],
    ['the plan was recorded → the agent had its answer', toldMs.agent],
    ['signed → Slack said so', slackSaidMs.Approved],
    ['asked to apply → Slack said that it was applied', slackSaidMs.Applied],
    ['asked to undo → Slack said that it was undone', slackSaidMs.Undone],
  ] as const;
  for (const [what, ms] of figures) console.log(`${String(ms).padStart(6)} ms  ${what}`);
  writeFileSync(
    file,
    [
      '# The whole way of a change, recorded',
      '',
      `On ${new Date().toISOString().slice(0, 10)}, before ${server}, in Chromium ${chromium}; \`node console/take-screenshots.ts\` records it anew. Plan \`${plan.slice(7, 19)}\`, taken back by \`${undo.slice(7, 19)}\`.`,
      '',
      '| | ms |',
      '|---|---|',
      ...figures.map(([what, ms]) => `| ${what} | ${ms} |`),
      '',
      ...said.flatMap(([step, text]) => [
        `## ${STEPS[step]}`,
        '',
        `Slack: *${text}*`,
        '',
        `![${STEPS[step]}](whole-way-${step}.png)`,
        '',
      ]),
    ].join('\n'),
  );
}
