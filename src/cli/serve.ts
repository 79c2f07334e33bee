import type { Command } from 'commander';
import { createLog } from '../observing/log.ts';
import { logSteps } from '../observing/log-steps.ts';
import { createMetrics } from '../observing/metrics.ts';
import { together } from '../observing/together.ts';
import { withPolicies } from '../server/load-governance.ts';
import { tracingFrom } from '../server/observers.ts';
import { openCountersign } from '../server/open-countersign.ts';
import { serve } from '../server/serve.ts';
import { answer, type CommonOptions, configOf, withCommonOptions } from './command.ts';
import { VERSION } from './exit.ts';

interface ServeOptions extends CommonOptions {
  readonly logLevel: string;
}

/** Adds `countersign serve`: the gateway itself, until it is told to end (SIGINT, SIGTERM). SIGHUP loads the files anew. */
export function registerServe(program: Command): void {
  withCommonOptions(program.command('serve').description('run the gateway'))
    .option('--log-level <level>', 'error, warn, info or debug', 'info')
    .action((options: ServeOptions) => answer(options, () => run(options)));
}

async function run(options: ServeOptions) {
  const config = await configOf(options);
  const log = createLog(options.logLevel);
  const metrics = createMetrics();
  const tracing = await tracingFrom(VERSION, process.env);
  const observer = together(metrics.observer, logSteps(log), ...(tracing === undefined ? [] : [tracing.observer]));
  const countersign = await openCountersign(await withPolicies(config), log, { observer });
  const running = await serve(countersign, VERSION, log, { metrics, tracing });
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
