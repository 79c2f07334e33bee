import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { type Config, defaultConfigFile, loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/parse-yaml.ts';
import type { Json } from '../domain/digest.ts';
import { type Refusal, RefusalError, SQLSTATES } from '../domain/refusal.ts';
import { LedgerCorrupt, LedgerUnavailable } from '../ledger/ledger.ts';
import { createLog } from '../observing/log.ts';
import { PolicyError } from '../policy/policy-set.ts';
import { withPolicies, withPoliciesOrNone } from '../server/load-governance.ts';
import { tracingFrom } from '../server/observers.ts';
import { type Countersign, openCountersign } from '../server/open-countersign.ts';
import { StoreUnavailable } from '../store/store.ts';
import { EXIT, VERSION } from './exit.ts';

export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Adds the options that every command on a configuration has. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--config <file>', 'the configuration (default: $COUNTERSIGN_CONFIG or ./countersign.yaml)')
    .option('--json', 'answer in JSON');
}

/** What a command answers: for scripts and for people. */
export interface Answer {
  readonly json: unknown;
  readonly text: string;
  /** 0 when absent. */
  readonly exit?: number;
}

/**
 * Opens what the configuration names, lets the command work with it, prints its answer, and sets the exit code.
 *
 * @param policies `not needed` by what must work also while they are wrong: nobody may have to mend a file to halt.
 */
export async function answerWith(
  options: CommonOptions,
  work: (countersign: Countersign) => Promise<Answer>,
  policies: 'needed' | 'not needed' = 'needed',
): Promise<void> {
  await answer(options, async () => {
    const config = await configOf(options);
    const governance = policies === 'needed' ? await withPolicies(config) : await withPoliciesOrNone(config);
    const log = createLog('error');
    const tracing = await tracingFrom(VERSION, process.env, log);
    const countersign = await openCountersign(governance, log, {
      mayWait: true,
      ...(tracing === undefined ? {} : { observer: tracing.observer }),
    });
    try {
      return await work(countersign);
    } finally {
      await countersign.close();
      await tracing?.close();
    }
  });
}

/** @throws UsageError when there is none; ConfigError with what is wrong in it. */
export async function configOf(options: CommonOptions): Promise<Config> {
  const file = options.config ?? defaultConfigFile();
  if (!existsSync(file)) {
    throw new UsageError(
      `There is no configuration at ${file}.`,
      'Name one with --config, or make one: countersign init --database URL --environment NAME',
    );
  }
  return loadConfig(file);
}

export async function answer(options: CommonOptions, work: () => Promise<Answer>): Promise<void> {
  try {
    const { json, text, exit } = await work();
    process.stdout.write(options.json === true ? `${JSON.stringify(json)}\n` : `${text}\n`);
    process.exitCode = exit ?? EXIT.ok;
  } catch (error) {
    const { exit, refusal } = failureOf(error);
    const json: Json = { refused: { code: SQLSTATES[refusal.refused], ...refusal } };
    if (options.json === true) process.stdout.write(`${JSON.stringify(json)}\n`);
    process.stderr.write(`${refusalText(refusal)}\n`);
    process.exitCode = exit;
  }
}

/** A refusal as a tired reader needs it: the fact, what stands behind it, what to do next. */
export function refusalText({ message, detail, hint }: Refusal): string {
  return [message, ...(detail === undefined ? [] : detail.split('\n').map((line) => `  ${line}`)), `→ ${hint}`].join(
    '\n',
  );
}

function failureOf(error: unknown): { readonly exit: number; readonly refusal: Refusal } {
  const known = error instanceof StoreUnavailable || error instanceof LedgerUnavailable;
  // What is said of these to an actor tells less than whoever runs a command may know.
  if (error instanceof RefusalError && !known && !(error instanceof LedgerCorrupt)) {
    const exit = error.refusal.refused === 'unavailable' ? EXIT.unavailable : EXIT.refused;
    return { exit, refusal: error.refusal };
  }
  if (error instanceof UsageError) {
    return { exit: EXIT.usage, refusal: { refused: 'denied', message: error.message, hint: error.hint } };
  }
  if (error instanceof ConfigError || error instanceof PolicyError) {
    const hint = 'Mend the file; `countersign policy check` checks all of them.';
    return { exit: EXIT.usage, refusal: { refused: 'denied', message: error.message, hint } };
  }
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    const hint = 'Another gateway, or something else, listens there: end it, or change `listen` in the configuration.';
    return {
      exit: EXIT.unavailable,
      refusal: { refused: 'unavailable', message: `The address is taken: ${error.message}`, hint },
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  const hint = known
    ? 'See that the state can be reached and written, and try again.'
    : 'If this is not clear, look at the cause above.';
  const detail =
    !known && error instanceof Error && process.env['COUNTERSIGN_DEBUG'] ? { detail: error.stack ?? '' } : {};
  return { exit: EXIT.unavailable, refusal: { refused: 'unavailable', message, ...detail, hint } };
}

/** The command was called in a way that means nothing. */
export class UsageError extends Error {
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** Who runs the command, as far as the machine knows. */
export function operatingSystemUser(): string {
  return `${userInfo().username}@localhost`;
}

/** A value with its refusal taken out. @throws RefusalError */
export function orRefused<Value extends object>(value: Value | { readonly refused: Refusal }): Value {
  if ('refused' in value) throw new RefusalError(value.refused as Refusal);
  return value;
}
