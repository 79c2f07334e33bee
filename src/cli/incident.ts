import type { Command } from 'commander';
import pc from 'picocolors';
import type { ConfiguredTarget } from '../config/targets.ts';
import { asId, type TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { type KnownBackup, knownBackups } from '../ledger/known-backups.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { type Answer, answerWith, type CommonOptions, withCommonOptions } from './command.ts';
import { registerIncidentReview } from './incident-review.ts';
import { fromCopy, fromDump, type PlaybookStep } from './playbook-steps.ts';

interface PlaybookOptions extends CommonOptions {
  readonly target: string;
  readonly table?: string;
  readonly change?: string;
}

/** Adds `countersign incident playbook|list|show|review`. */
export function registerIncident(program: Command): void {
  const incident = program.command('incident').description('when something went wrong');
  registerIncidentReview(incident);
  withCommonOptions(
    incident.command('playbook').description('the exact commands to recover, best printed before they are needed'),
  )
    .requiredOption('--target <name>', 'what is to be recovered')
    .option('--table <table>', 'one table of it, as schema.table')
    .option('--change <id>', 'one change that was applied')
    .action((options: PlaybookOptions) =>
      answerWith(options, (countersign) => playbook(countersign, options), 'not needed'),
    );
}

async function playbook(countersign: Countersign, options: PlaybookOptions): Promise<Answer> {
  const configured = countersign.config.targets.get(asId<TargetId>(options.target));
  if (configured === undefined)
    throw new RefusalError({
      refused: 'denied',
      message: `There is no target ${options.target}.`,
      hint: `There are ${[...countersign.config.targets.keys()].join(', ')}.`,
    });
  const known = await knownBackups(countersign.store, { target: options.target });
  const proven = known.find(({ drill }) => drill?.passed === true);
  const steps = stepsFor(configured, proven, options);
  return {
    json: { target: options.target, backup: proven?.backup ?? null, steps },
    text: [
      pc.bold(`Recovering ${options.target} (${configured.target.environment}, owned by ${configured.target.owner})`),
      proven === undefined
        ? pc.yellow(
            known.length === 0
              ? 'There is NO backup that Countersign knows of: only what was changed through it can be undone.'
              : `No backup is proven: the newest, ${known[0]?.backup}, has passed no drill.`,
          )
        : `Newest backup that a drill has proven: ${proven.backup}, as of ${proven.at}`,
      ...steps.flatMap((step, index) => [
        '',
        `${index + 1}. ${pc.bold(step.what)}  ${pc.dim(`(${step.owner})`)}`,
        ...step.commands.map((command) => `   $ ${command}`),
        ...(step.note === undefined ? [] : [`   ${step.note}`]),
      ]),
    ].join('\n'),
  };
}

function stepsFor(
  { target }: ConfiguredTarget,
  proven: KnownBackup | undefined,
  { table, change }: PlaybookOptions,
): readonly PlaybookStep[] {
  const { id, owner } = target;
  const stop: PlaybookStep = {
    what: 'Stop what is still running',
    owner,
    commands: [`countersign halt --target ${id} --reason 'incident: …'`],
  };
  const look: PlaybookStep = {
    what: change === undefined ? 'Find out what was done, and by whom' : 'Look at the change',
    owner,
    commands:
      change === undefined
        ? [`countersign change list --target ${id}`, 'countersign ledger show --limit 50']
        : [`countersign change show ${change}`],
  };
  const undo: PlaybookStep = {
    what: 'Take it back, if it came through Countersign',
    owner,
    commands: [`countersign change undo ${change ?? 'CHANGE'} --as PERSON`],
    note: 'This makes a plan, measured and shown: countersign it, then apply it. It refuses, row by row, what somebody changed since.',
  };
  const resume: PlaybookStep = {
    what: 'Let work go on',
    owner,
    commands: [`countersign resume --target ${id} --reason '…'`],
  };
  if (proven?.drill == null) return [stop, look, undo, resume];
  const bring = proven.server === undefined ? fromDump : fromCopy;
  return [stop, look, undo, ...bring(target, proven, table), resume];
}
