import type { Command } from 'commander';
import pc from 'picocolors';
import { shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import { noChange, undoMade } from '../pipeline/changes.ts';
import type { ChangeView } from '../pipeline/gateway.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { renderPlan } from '../planning/render-plan.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, UsageError, withCommonOptions } from './command.ts';
import { findPlan, planText } from './plan.ts';

interface ListOptions extends CommonOptions {
  readonly task?: string;
  readonly limit: string;
}

interface UndoOptions extends CommonOptions {
  readonly as: string;
  readonly keepNewer?: boolean;
}

/** Adds `countersign change list|show|undo`. */
export function registerChange(program: Command): void {
  const change = program.command('change').description('what has taken effect, and the way back from it');

  withCommonOptions(change.command('list').description('list changes, the newest first'))
    .option('--task <task>', 'only those of a task')
    .option('--limit <count>', 'how many at most', '50')
    .action((options: ListOptions) => answerWith(options, (countersign) => list(countersign, options)));

  withCommonOptions(change.command('show <change>').description('show a change, and whether it can be undone')).action(
    (id: string, options: CommonOptions) => answerWith(options, (countersign) => show(countersign, id)),
  );

  withCommonOptions(change.command('undo <change>').description('make the plan that takes a change back'))
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--keep-newer', 'leave rows as they are that somebody has changed since')
    .action((id: string, options: UndoOptions) => answerWith(options, (countersign) => undo(countersign, id, options)));
}

async function list({ changes }: Countersign, options: ListOptions) {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new UsageError(`--limit ${options.limit} is no number from 1 to 1000.`, 'Leave it out for 50.');
  const found = await changes.list({ limit, ...(options.task === undefined ? {} : { task: options.task }) });
  const lines = found.map(
    ({ id, plan, appliedAt, undoneBy }) =>
      `${shortId(id)}  ${appliedAt}  ${plan.plan.target}  ${plan.plan.actor}  ${undoneBy === null ? '' : pc.yellow(`undone by ${shortId(undoneBy)}  `)}${firstLine(plan.plan.statements)}\n              ${pc.dim(describeEffect(plan.plan))}`,
  );
  return {
    json: { changes: found.map(summary) },
    text: lines.join('\n') || 'No changes. What is applied appears here.',
  };
}

function firstLine(statements: readonly { readonly text: string }[]): string {
  const text = statements.map((statement) => statement.text.replaceAll(/\s+/g, ' ').trim()).join('; ');
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function summary({ id, plan: { plan }, appliedAt, undoneBy }: ChangeView) {
  return {
    id,
    task: plan.task,
    actor: plan.actor,
    target: plan.target,
    environment: plan.environment,
    statements: plan.statements.map((statement) => statement.text),
    effect: describeEffect(plan),
    appliedAt,
    undo: plan.undo,
    undoes: plan.undoes?.change ?? null,
    undoneBy,
  };
}

async function show(countersign: Countersign, named: string) {
  const view = await find(countersign, named);
  const { id, plan, appliedAt, undoneBy } = view;
  const way =
    undoneBy !== null
      ? `undone by plan ${shortId(undoneBy)}; to have it again: countersign change undo ${shortId(undoneBy)} --as PERSON`
      : `countersign change undo ${shortId(id)} --as PERSON`;
  return {
    json: { ...summary(view), plan },
    text: [
      `${pc.bold(`Change ${shortId(id)}`)}  applied ${appliedAt}`,
      pc.dim(`          ${id}`),
      ...renderPlan(plan.plan),
      ...(plan.plan.undo.undo === 'row images' ? ['', `${pc.dim('undo')}      ${way}`] : []),
    ].join('\n'),
  };
}

/** @throws RefusalError when there is no such plan, or it has not been applied. */
async function find(countersign: Countersign, named: string): Promise<ChangeView> {
  const { id } = await findPlan(countersign, named);
  const view = await countersign.changes.of(id);
  if (view === undefined) throw new RefusalError(noChange(named));
  return view;
}

async function undo(countersign: Countersign, named: string, options: UndoOptions) {
  const person = personNamed(countersign, options.as);
  const { id } = await find(countersign, named);
  const plan = undoMade(
    await countersign.changes.undo({
      change: id,
      askedBy: person.id,
      channel: 'cli',
      keepNewer: options.keepNewer === true,
    }),
  );
  return {
    json: {
      plan: plan.id,
      state: plan.state,
      undoes: id,
      effect: describeEffect(plan.plan),
      newer: plan.plan.undoes?.newer ?? [],
      approvalsMissing: plan.approvalsMissing,
      waitsFor: plan.waitsFor,
      expiresAt: plan.plan.expiresAt,
    },
    text: planText(plan, countersign),
  };
}
