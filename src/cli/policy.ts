import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { howToVouch } from '../analysis/how-to-vouch.ts';
import type { Config } from '../config/load.ts';
import { loadTaskFile } from '../config/task-file.ts';
import type { Decision } from '../domain/decision.ts';
import { describeObligation } from '../domain/describe-change-time.ts';
import type { Effect } from '../domain/effect.ts';
import { type ActorId, asId, instantOf, type TargetId, type TaskId } from '../domain/ids.ts';
import { objectName } from '../domain/object.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { withPolicies } from '../server/load-governance.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { taskById } from '../store/tasks.ts';
import {
  answer,
  answerWith,
  type CommonOptions,
  configOf,
  operatingSystemUser,
  orRefused,
  UsageError,
  withCommonOptions,
} from './command.ts';
import { EXIT } from './exit.ts';
import { registerTrust } from './policy-trust.ts';

interface ExplainOptions extends CommonOptions {
  readonly sql: string;
  readonly file?: string;
  readonly task?: string;
  readonly agent?: string;
  readonly target?: string;
}

/** Adds `countersign policy check|explain|accept|trust`. */
export function registerPolicy(program: Command): void {
  const policy = program.command('policy').description('what decides');

  withCommonOptions(
    policy.command('check [tasks...]').description('check the configuration, the policies, and task files'),
  ).action((tasks: string[], options: CommonOptions) => answer(options, () => check(tasks, options)));

  withCommonOptions(
    policy.command('explain').description('which policy would decide on a statement, and what would be needed'),
  )
    .requiredOption('--sql <text>', 'the statement')
    .option('--file <file>', 'in a task as this file declares it')
    .option('--task <task>', 'in a task that was opened')
    .option('--agent <name>', 'the agent, where the file names none')
    .option('--target <name>', 'the target, where the task declares several')
    .action((options: ExplainOptions) => answerWith(options, (countersign) => explain(countersign, options)));

  withCommonOptions(
    policy
      .command('accept')
      .description('take these policies and this configuration into force, also where they were in force before'),
  ).action((options: CommonOptions) => answerWith(options, accept));

  registerTrust(policy);
}

async function accept({ agreement }: Countersign) {
  const { epoch, digest, at } = await agreement.accept(operatingSystemUser());
  return { json: { epoch, digest, at }, text: `In force since ${at} as epoch ${epoch}: ${digest}` };
}

async function check(tasks: readonly string[], options: CommonOptions) {
  const { config, policies: set } = await withPolicies(await configOf(options));
  const files = tasks.length > 0 ? tasks : await taskFilesBeside(config.directory);
  for (const file of files) await loadTaskFile(file);
  const policies = [...set.policies.values()];
  const text = [
    `${pc.green('Sound.')} ${config.targets.size} targets, ${config.actors.size} actors, ${policies.length} policies, ${files.length} task files.`,
    ...timesOf(config),
    ...policies.map(
      ({ id, effect, reason }) =>
        `  ${effect === 'permit' ? 'permits' : 'forbids'}  ${id.padEnd(24)} ${pc.dim(reason)}`,
    ),
  ].join('\n');
  return { json: { sound: true, policyDigest: set.digest, policies, tasks: files }, text };
}

/** When each environment may be changed, where that is not always. */
function timesOf({ environments, freezes }: Config): readonly string[] {
  return [
    ...[...environments.values()].flatMap(({ id, windows }) =>
      windows.map(({ name, schedule, timeZone, holidays }) => {
        const except = holidays.size === 0 ? '' : `, except ${holidays.size} holidays`;
        return `  window   ${id} ${name}: ${schedule}, ${timeZone}${except}`;
      }),
    ),
    ...freezes.map(({ environment, from, until, reason }) => `  freeze   ${environment} ${from} – ${until}: ${reason}`),
  ];
}

async function taskFilesBeside(directory: string): Promise<readonly string[]> {
  const folder = join(directory, 'tasks');
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => /\.ya?ml$/.test(name)).map((name) => join(folder, name));
}

async function explain(countersign: Countersign, options: ExplainOptions) {
  const task = await taskOf(countersign, options);
  const target = asId<TargetId>(options.target ?? task.radius[0]?.target ?? '');
  if (!task.radius.some((radius) => radius.target === target)) {
    throw new UsageError(
      `The task declares no target ${target}.`,
      `It declares ${task.radius.map((radius) => radius.target).join(', ')}.`,
    );
  }
  const governed = await countersign.target(target);
  if ('refused' in governed) throw new RefusalError(governed);
  const judgement = governed.judging(task, 'cli')(options.sql, [], () => undefined);
  if (judgement.verdict === 'failed') {
    throw new UsageError(`${judgement.failure.message}`, 'The database would say so too: mend the statement.');
  }
  const { analysis } = judgement;
  const decision = 'decision' in judgement ? judgement.decision : undefined;
  const verdict = judgement.verdict === 'unsupported' ? 'unsupported' : (decision?.decision ?? 'allow');
  const json = {
    verdict,
    command: analysis.command,
    kind: analysis.class.kind,
    effects: analysis.effects,
    unknown: analysis.unknown,
    vouchable: analysis.vouchable,
    policies: decision?.policies ?? [],
    missing: decision?.decision === 'hold' ? decision.missing : [],
    ...(decision?.decision === 'deny' ? { instead: decision.instead } : {}),
    ...(judgement.verdict === 'unsupported' ? { refusal: judgement.refusal } : {}),
    policyDigest: countersign.policies.digest,
  };
  const lines = [
    `${analysis.command || 'This'} on ${target}: ${analysis.class.kind === 'read' && verdict === 'allow' ? 'would run' : FORECAST[verdict]}`,
    ...analysis.effects.map((effect) => `  ${effectText(effect)}`),
    ...analysis.unknown.map((what) => `  not known: ${what}`),
    ...howToVouch(analysis, target).map((said) => `→ ${said}`),
    ...(decision === undefined ? [] : decisionLines(decision, countersign.clock.now())),
    ...(judgement.verdict === 'unsupported' ? [`  ${judgement.refusal.message}`, `→ ${judgement.refusal.hint}`] : []),
  ];
  return { json, text: lines.join('\n'), exit: verdict === 'allow' ? EXIT.ok : EXIT.refused };
}

const FORECAST = {
  allow: 'would run; a write is measured before it is committed, and held if it turns out too large',
  hold: 'would be HELD: measured, and made a plan that people countersign',
  deny: 'would be DENIED, whoever countersigns',
  unsupported: 'is not carried through the gateway',
} as const;

function effectText(effect: Effect): string {
  return `${effect.verb} ${objectName(effect.object)}${effect.via === 'direct' ? '' : ` (${effect.via})`}${effect.wholeTable === true ? ', every row' : ''}`;
}

function decisionLines(decision: Decision, nowMs: number): readonly string[] {
  return [
    ...decision.policies.map(({ policy, reason }) => `  by ${policy}: ${reason}`),
    ...(decision.decision === 'hold'
      ? decision.missing.map((missing) => `→ needed: ${describeObligation(missing, nowMs)}`)
      : []),
    ...(decision.decision === 'deny' ? [`→ ${decision.instead}`] : []),
  ];
}

/** A task that was opened, or one as a file would open it; nothing is opened here. */
async function taskOf(countersign: Countersign, options: ExplainOptions): Promise<Task> {
  if (options.task !== undefined) {
    const stored = await taskById(countersign.store, options.task);
    if (stored === undefined)
      throw new RefusalError({
        refused: 'denied',
        message: `There is no task ${options.task}.`,
        hint: '`countersign task list` shows them.',
      });
    return stored.task;
  }
  if (options.file === undefined)
    throw new UsageError('In which task?', 'Name one with --task, or a task file with --file.');
  const file = await loadTaskFile(options.file);
  const agent = asId<ActorId>(options.agent ?? file.agent ?? '');
  const nowMs = countersign.clock.now();
  return orRefused(
    countersign.tasks.draft(
      {
        agent,
        openedBy: agent,
        channel: 'cli',
        purpose: file.purpose,
        radius: file.radius,
        limits: file.limits,
        lifetimeMs: file.lifetimeMs,
      },
      { id: asId<TaskId>('task_of-the-file'), openedAt: instantOf(nowMs) },
    ),
  );
}
