import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import type { Logger } from 'pino';
import { MAX_ISSUERS } from '../channels/pgwire/cancel-keys.ts';
import { createLog } from '../observing/log.ts';
import { logSteps } from '../observing/log-steps.ts';
import { createMetrics, type Metrics } from '../observing/metrics.ts';
import { together } from '../observing/together.ts';
import { withPolicies } from '../server/load-governance.ts';
import { tracingFrom } from '../server/observers.ts';
import { openCountersign } from '../server/open-countersign.ts';
import { type ServeOptions as Serving, serve } from '../server/serve.ts';
import { asWorker, startWorkers } from '../server/workers.ts';
import { answer, type CommonOptions, configOf, UsageError, withCommonOptions } from './command.ts';
import { VERSION } from './exit.ts';

interface ServeOptions extends CommonOptions {
  readonly logLevel: string;
  readonly workers: string;
  /** Set by the first process for those that it begins: `<number>:<port>`. */
  readonly worker?: string;
}

const MAIN = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));

/** Adds `countersign serve`: the gateway itself, until it is told to end (SIGINT, SIGTERM). SIGHUP loads the files anew. */
export function registerServe(program: Command): void {
  withCommonOptions(program.command('serve').description('run the gateway'))
    .option('--log-level <level>', 'error, warn, info or debug', 'info')
    .option('--workers <count>', 'processes that take PostgreSQL clients on one port', '1')
    .addOption(new Option('--worker <which>').hideHelp())
    .action((options: ServeOptions) => answer(options, () => run(options)));
}

async function run(options: ServeOptions) {
  const config = await configOf(options);
  const log = createLog(options.logLevel);
  const metrics = createMetrics();
  const tracing = await tracingFrom(VERSION, process.env, log);
  const observer = together(metrics.observer, logSteps(log), ...(tracing === undefined ? [] : [tracing.observer]));
  const countersign = await openCountersign(await withPolicies(config), log, { observer });
  const share = shareOf(options, log, metrics);
  const running = await serve(countersign, VERSION, log, {
    metrics,
    tracing,
    own: { main: MAIN, config: options.config },
    ...(share === undefined ? {} : { share }),
  });
  const ready = { ready: true, pg: running.pg, http: running.http, mcp: running.mcp, pid: process.pid };
  const text = [
    'Countersign is ready.',
    `  PostgreSQL  ${running.pg}`,
    `  MCP         ${running.mcp}`,
    `  targets     ${[...config.targets.keys()].join(', ') || 'none configured'}`,
    'Open a task with `countersign task open --file task.yaml`. Ctrl-C ends the gateway.',
  ].join('\n');
  process.stdout.write(options.json === true ? `${JSON.stringify(ready)}\n` : `${text}\n`);
  process.on('SIGHUP', () => void running.reload());
  await new Promise<void>((resolve) => {
    // npm passes on a signal that the terminal has sent as well: the second one must not cut the ending short.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  log.info({}, 'the gateway ends: what runs may finish');
  await running.close();
  await tracing?.close();
  return { json: { ended: true }, text: 'Ended.' };
}

/** How this process shares the port with others; `undefined` when it has it for itself. */
function shareOf(options: ServeOptions, log: Logger, metrics: Metrics): Serving['share'] {
  if (options.worker !== undefined) {
    const [issuer = 0, port = 0] = options.worker.split(':').map(Number);
    return { issuer, port, join: (_port, onCancel) => asWorker(onCancel, () => metrics.counted()) };
  }
  const count = Number(options.workers);
  if (!Number.isInteger(count) || count < 1 || count > MAX_ISSUERS) {
    throw new UsageError(
      `--workers ${options.workers} is no number from 1 to ${MAX_ISSUERS}.`,
      'One a core is enough.',
    );
  }
  if (count === 1) return undefined;
  const argv = (index: number, port: number) => [
    'serve',
    ...(options.config === undefined ? [] : ['--config', options.config]),
    '--log-level',
    options.logLevel,
    '--worker',
    `${index}:${port}`,
  ];
  const join: NonNullable<Serving['share']>['join'] = (port, onCancel) =>
    startWorkers(count, { main: MAIN, argv: (index) => argv(index, port), onCancel, log });
  return { issuer: 0, join };
}
