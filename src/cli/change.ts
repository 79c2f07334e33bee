import type { Command } from 'commander';
import pc from 'picocolors';
import { shortId } from '../domain/plan.ts';
import { RefusalError } from '../domain/refusal.ts';
import { visible } from '../domain/visible.ts';
import { undoMade } from '../pipeline/changes.ts';
import type { ChangeView } from '../pipeline/gateway.ts';
import { planNamed } from '../pipeline/plan-view.ts';
import { noChange } from '../pipeline/undo-refusals.ts';
import { describeEffect } from '../planning/describe-effect.ts';
import { renderPlan } from '../planning/render-plan.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { personNamed } from './as-person.ts';
import { answerWith, type CommonOptions, UsageError, withCommonOptions } from './command.ts';
import { planText } from './plan.ts';

interface ListOptions extends CommonOptions {
  readonly task?: string;
  readonly limit: string;
}

interface UndoOptions extends CommonOptions {
  readonly as: string;
  readonly keepNewer?: boolean;
}

interface PurgeOptions extends CommonOptions {
  readonly as: string;
  readonly early?: boolean;
}

/** Adds `countersign change list|show|undo|purge`. */
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

  withCommonOptions(
    change.command('purge <change>').description('make the plan that lets go for good of what a change has dropped'),
  )
    .requiredOption('--as <person>', 'who you are, as the configuration names you')
    .option('--early', 'before the time is over for which it is kept')
    .action((id: string, options: PurgeOptions) =>
      answerWith(options, (countersign) => purge(countersign, id, options)),
    );
}

async function list({ changes }: Countersign, options: ListOptions) {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw new UsageError(`--limit ${options.limit} is no number from 1 to 1000.`, 'Leave it out for 50.');
  const found = await changes.list({ limit, ...(options.task === undefined ? {} : { task: options.task }) });
  const lines = found.map(
    ({ id, target, actor, effect, statements, appliedAt, undoneBy, kept }) =>
      `${shortId(id)}  ${appliedAt}  ${target}  ${actor}  ${undoneBy === null ? keptText(kept) : pc.yellow(`undone by ${shortId(undoneBy)}  `)}${firstLine(statements)}\n              ${pc.dim(effect.join('; '))}`,
  );
  return {
    json: { changes: found.map(summary) },
    text: lines.join('\n') || 'No changes. What is applied appears here.',
  };
}

function keptText(kept: ChangeView['kept']): string {
  if (kept === null) return '';
  const bytes = `${kept.bytes.toLocaleString('en-US')} bytes`;
  return kept.due
    ? pc.red(`purge due: kept until ${kept.until}, ${bytes}  `)
    : pc.cyan(`in quarantine until ${kept.until}, ${bytes}  `);
}

function firstLine(statements: readonly string[]): string {
  const text = statements.map((statement) => statement.replaceAll(/\s+/g, ' ').trim()).join('; ');
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function summary({ plan, effect, ...change }: ChangeView) {
  return {
    ...change,
    within: plan === null ? 'limits' : 'plan',
    effect: effect.join('; '),
    undoes: plan?.plan.undoes?.change ?? null,
  };
}

async function show(countersign: Countersign, named: string) {
  const view = await find(countersign, named);
  const { id, plan, appliedAt, undoneBy, undo, kept } = view;
  const way =
    undo.undo === 'irreversible'
      ? `NONE: ${undo.why}`
      : undoneBy !== null
        ? `undone by plan ${shortId(undoneBy)}; to have it again: countersign change undo ${shortId(undoneBy)} --as PERSON`
        : `countersign change undo ${shortId(id)} --as PERSON`;
  const what =
    plan === null
      ? [
          `who       ${view.actor}, task ${view.task}, within its limits`,
          `where     ${view.target}`,
          ...view.statements.map((shape) => `what      ${shape}`),
          ...view.effect.map((table) => `effect    ${table}`),
        ]
      : renderPlan(plan.plan);
  return {
    json: { ...summary(view), plan },
    text: [
      `${pc.bold(`Change ${shortId(id)}`)}  applied ${appliedAt}`,
      pc.dim(`          ${id}`),
      ...what.map(visible),
      '',
      `${pc.dim('undo')}      ${way}`,
      ...(kept === null || undoneBy !== null
        ? []
        : [
            `${pc.dim('kept')}      ${keptText(kept)}`,
            `${pc.dim('purge')}     countersign change purge ${shortId(id)} --as PERSON`,
          ]),
    ].join('\n'),
  };
}

/** @throws RefusalError when nothing of this name has taken effect. */
async function find(countersign: Countersign, named: string): Promise<ChangeView> {
  const plan = await planNamed(countersign.store, named);
  const view = await countersign.changes.of(plan === 'none' || plan === 'several' ? named : plan);
  if (view === undefined) throw new RefusalError(noChange(named));
  return view;
}

async function undo(countersign: Countersign, named: string, options: UndoOptions) {
  const person = personNamed(countersign, options.as, 'change.undo');
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

async function purge(countersign: Countersign, named: string, options: PurgeOptions) {
  const person = personNamed(countersign, options.as, 'change.undo');
  const { id } = await find(countersign, named);
  const plan = undoMade(
    await countersign.changes.purge({ change: id, askedBy: person.id, early: options.early === true }),
  );
  return {
    json: {
      plan: plan.id,
      state: plan.state,
      purges: id,
      effect: describeEffect(plan.plan),
      approvalsMissing: plan.approvalsMissing,
      waitsFor: plan.waitsFor,
      expiresAt: plan.plan.expiresAt,
    },
    text: planText(plan, countersign),
  };
}
