import type { Command } from 'commander';
import pc from 'picocolors';
import type { ConfiguredTarget } from '../config/load.ts';
import { asId, type TargetId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { type KnownBackup, knownBackups } from '../ledger/known-backups.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { seconds } from './backup-texts.ts';
import { type Answer, answerWith, type CommonOptions, withCommonOptions } from './command.ts';

interface PlaybookOptions extends CommonOptions {
  readonly target: string;
  readonly table?: string;
  readonly change?: string;
}

/** What is done in an incident, by whom, and with what exactly. */
interface PlaybookStep {
  readonly what: string;
  readonly owner: string;
  readonly commands: readonly string[];
  readonly note?: string;
}

/** Adds `countersign incident playbook`. */
export function registerIncident(program: Command): void {
  const incident = program.command('incident').description('when something went wrong');
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
  const { id, owner, endpoint } = target;
  const server = `-h ${endpoint.host} -p ${endpoint.port}`;
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
  const fetched = `./${proven.backup}`;
  const restored = 'recovered';
  const fetch: PlaybookStep = {
    what:
      table === undefined
        ? 'Else bring the backup beside the live database'
        : `Else bring ${table} beside the live one`,
    owner,
    commands: [
      `countersign backup fetch ${proven.backup} --to ${fetched}`,
      `createdb ${server} -T template0 ${restored}`,
      `pg_restore -j 2 --no-owner --no-privileges --exit-on-error ${server} -d ${restored} ${table === undefined ? '' : `${only(table)} `}${fetched}`,
    ],
    note: `The drill of ${proven.drill.at} took ${seconds(proven.drill.fetchMs)} to fetch and ${seconds(proven.drill.restoreMs)} to restore all of it. What was committed after ${proven.at} is not in it.`,
  };
  const copy: PlaybookStep = {
    what: 'Compare, and put back what is missing',
    owner,
    commands: [
      `pg_dump ${server} -d ${restored} --data-only ${table === undefined ? '-t SCHEMA.TABLE' : `-t ${table}`} > missing.sql`,
      `psql ${server} -d ${endpoint.database} -1 -f missing.sql`,
    ],
    note: 'Rows that are still there make it fail as a whole (-1): then copy only those that are missing. A database that was replaced as a whole is another one to Countersign: pin it with countersign init.',
  };
  return [stop, look, undo, fetch, copy, resume];
}

/** Only its rows and definition: what points to it is in the live database. */
function only(table: string): string {
  const dot = table.indexOf('.');
  return dot === -1 ? `-t ${table}` : `-n ${table.slice(0, dot)} -t ${table.slice(dot + 1)}`;
}
