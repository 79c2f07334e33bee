import type { Command } from 'commander';
import pc from 'picocolors';
import type { Branch, BranchDifference } from '../domain/branch.ts';
import { asId, type TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { visible } from '../domain/visible.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { taskById } from '../store/tasks.ts';
import { personNamed } from './as-person.ts';
import { tell } from './backup-texts.ts';
import { type Answer, answerWith, type CommonOptions, orRefused, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';
import { planText } from './plan.ts';

interface PersonOptions extends CommonOptions {
  readonly as: string;
}

interface CreateOptions extends PersonOptions {
  readonly task: string;
}

interface SubmitOptions extends PersonOptions {
  readonly keepNewer?: boolean;
}

/** Adds `countersign branch create|list|diff|submit|drop`. */
export function registerBranch(program: Command): void {
  const branch = program
    .command('branch')
    .description('a shadow copy of a target, in which a task works without asking; what differs becomes a plan');
  const who = (command: Command) =>
    withCommonOptions(command).requiredOption('--as <person>', 'who you are, as the configuration names you');

  who(branch.command('create <target>').description('copy a target for a task'))
    .requiredOption('--task <task>', 'whose it is: it reaches there what it declares of the target')
    .action((target: string, options: CreateOptions) =>
      answerWith(options, (countersign) => create(countersign, asId<TargetId>(target), options)),
    );
  withCommonOptions(branch.command('list').description('branches there are')).action((options: CommonOptions) =>
    answerWith(options, list),
  );
  withCommonOptions(
    branch.command('diff <branch>').description('what it has otherwise than its target had (0 nothing, 1 something)'),
  ).action((id: string, options: CommonOptions) =>
    answerWith(options, (countersign) => diff(countersign, asId<TargetId>(id))),
  );
  who(branch.command('submit <branch>').description('make the plan that brings what differs into the target'))
    .option('--keep-newer', 'leave rows as they are that were changed in the target since')
    .action((id: string, options: SubmitOptions) =>
      answerWith(options, (countersign) => submit(countersign, asId<TargetId>(id), options)),
    );
  who(branch.command('drop <branch>').description('throw a branch away, with what was done in it')).action(
    (id: string, options: PersonOptions) =>
      answerWith(options, (countersign) => drop(countersign, asId<TargetId>(id), options)),
  );
}

async function create(countersign: Countersign, target: TargetId, options: CreateOptions): Promise<Answer> {
  const person = personNamed(countersign, options.as, 'task.open');
  const stored = await taskById(countersign.store, options.task);
  if (stored === undefined || stored.closedAt !== null || Date.parse(stored.task.expiresAt) <= countersign.clock.now())
    throw new RefusalError({
      refused: 'denied',
      message: `There is no open task ${options.task}.`,
      hint: 'countersign task list shows those there are; countersign task open opens one.',
    });
  const { task } = stored;
  const { branch } = orRefused(
    await countersign.branches.create({ task, target, askedBy: person.id, onProgress: tell }),
  );
  return {
    json: spelled(branch),
    text: [
      `${pc.bold(branch.id)}  ${target} as of ${branch.copy.at}, for task ${task.id}, until ${branch.expiresAt}`,
      `→ ${task.agent} connects as to ${target}, with the database ${branch.id} in its place; over MCP it is a target of that name.`,
      `→ What it has done there: countersign branch diff ${branch.id}`,
    ].join('\n'),
  };
}

async function list({ branches }: Countersign): Promise<Answer> {
  const there = branches.list();
  const lines = there.map(
    ({ id, of, task, askedBy, state, copy, expiresAt }) =>
      `${id}  ${state === 'making' ? pc.yellow('being made') : `as of ${copy?.at}`}  of ${of}  task ${task}, asked by ${askedBy}  until ${expiresAt}`,
  );
  return {
    json: { branches: there.map(spelled) },
    text: lines.join('\n') || 'No branches. To make one: countersign branch create TARGET --task TASK --as PERSON',
  };
}

function spelled({ copy, ...branch }: Branch) {
  return { ...branch, copiedAt: copy?.at ?? null, identity: copy?.identity ?? null };
}

async function diff({ branches }: Countersign, id: TargetId): Promise<Answer> {
  const { difference } = orRefused(await branches.difference(id, tell));
  const { tables, definitions, largeObjects } = difference;
  const same = tables.length === 0 && definitions.length === 0 && !largeObjects;
  return {
    json: {
      branch: id,
      tables: tables.map(({ table, inserted, updated, deleted }) => ({ table, inserted, updated, deleted })),
      definitions,
      largeObjects,
    },
    text: same ? `${id} has nothing otherwise than its target had.` : differenceText(id, difference),
    exit: same ? EXIT.ok : EXIT.refused,
  };
}

function differenceText(id: TargetId, { tables, definitions, largeObjects }: BranchDifference): string {
  const rows = tables.map(({ table, inserted, updated, deleted }) => {
    const counts = [
      [inserted, 'inserted'],
      [updated, 'updated'],
      [deleted, 'deleted'],
    ] as const;
    const said = counts
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${count.toLocaleString('en-US')} ${what}`);
    return `${visible(table)}: ${said.join(', ')}`;
  });
  const others = [...definitions.map(visible), ...(largeObjects ? ['large objects'] : [])];
  return [
    ...rows,
    ...(others.length === 0
      ? [`→ To bring it into the target: countersign branch submit ${id} --as PERSON`]
      : [
          pc.yellow('definitions that differ, which no merge brings in:'),
          ...others.map((name) => `  ${name}`),
          '→ Send the statements that change them to the target: they become a plan. Then make another branch.',
        ]),
  ].join('\n');
}

async function submit(countersign: Countersign, branch: TargetId, options: SubmitOptions): Promise<Answer> {
  const person = personNamed(countersign, options.as, 'change.undo');
  const { plan } = orRefused(
    await countersign.branches.submit({
      branch,
      askedBy: person.id,
      channel: 'cli',
      keepNewer: options.keepNewer === true,
      onProgress: tell,
    }),
  );
  return {
    json: {
      plan: plan.id,
      state: plan.state,
      branch,
      effect: describeEffect(plan.plan),
      newer: plan.plan.merges?.newer ?? [],
      approvalsMissing: plan.approvalsMissing,
      waitsFor: plan.waitsFor,
      expiresAt: plan.plan.expiresAt,
    },
    text: planText(plan, countersign),
  };
}

async function drop(countersign: Countersign, id: TargetId, options: PersonOptions): Promise<Answer> {
  const person = personNamed(countersign, options.as, 'task.close');
  const refused = await countersign.branches.drop(id, person.id);
  if (refused !== undefined) throw new RefusalError(refused.refused);
  return { json: { branch: id, state: 'dropped' }, text: `${id} is gone.` };
}
