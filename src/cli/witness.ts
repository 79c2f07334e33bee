import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { COSIGNATURE, createSigningKey, loadSigningKey, parseVerifierKey, verifierKey } from '../ledger/signing-key.ts';
import { createLog } from '../observing/log.ts';
import { openKeptCheckpoints } from '../witness/kept-checkpoints.ts';
import { serveWitness } from '../witness/serve-witness.ts';
import { answer, UsageError } from './command.ts';

interface WitnessOptions {
  readonly name: string;
  readonly log: readonly string[];
  readonly directory: string;
  readonly listen: string;
  readonly json?: boolean;
}

/** Adds `countersign witness`: cosigns what logs show of themselves, as long as they only grow. It needs no configuration. */
export function registerWitness(program: Command): void {
  program
    .command('witness')
    .description(
      'run a witness of ledgers, on another machine and by other people than the gateway’s (C2SP tlog-witness)',
    )
    .requiredOption('--name <name>', 'what it is called in cosignatures, e.g. witness.example/one')
    .requiredOption(
      '--log <verifier key>',
      'a log to look after; may be given often, also for the keys of one log',
      (key, all: string[]) => [...all, key],
      [],
    )
    .option('--directory <path>', 'where its key and the newest checkpoints are kept', './witness')
    .option('--listen <host:port>', 'where it listens; put TLS before it', '127.0.0.1:6490')
    .option('--json', 'answer in JSON')
    .action((options: WitnessOptions) => answer(options, () => run(options)));
}

async function run(options: WitnessOptions) {
  const { directory, name } = options;
  const address = /^(.+):(\d{1,5})$/.exec(options.listen);
  if (address === null) throw new UsageError(`--listen ${options.listen} is no host:port.`, 'e.g. 127.0.0.1:6490');
  if (!/^[^\s+]{1,200}$/.test(name)) throw new UsageError(`--name ${name} has a space or a plus.`, 'Choose another.');
  const logs = Map.groupBy(
    options.log.map((text) => parsed(text)),
    ({ name: origin }) => origin,
  );
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const keyFile = join(directory, 'witness.key');
  if (!existsSync(keyFile)) createSigningKey(keyFile);
  const key = loadSigningKey(keyFile, name);
  const kept = openKeptCheckpoints(join(directory, 'checkpoints.db'));
  const log = createLog('info');
  const serving = await serveWitness({
    witness: { key, logs, kept, nowMs: Date.now },
    host: (address[1] ?? '').replace(/^\[|\]$/g, ''),
    port: Number(address[2]),
    onAnswer({ status, origin, error }) {
      if (status === 200) log.debug({ origin }, 'cosigned');
      else
        log.warn({ status, origin, ...(error === undefined ? {} : { err: error }) }, 'a checkpoint was not cosigned');
    },
  });
  const own = verifierKey(name, key.publicKey, COSIGNATURE);
  const ready = { ready: true, url: serving.url, verifierKey: own };
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(ready)}\n`
      : `The witness is ready at ${serving.url}.\n  key  ${own}\nName both under \`witnesses\` in the gateway’s configuration, and the key in every trust policy.\n`,
  );
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  await serving.close();
  kept.close();
  return { json: { ended: true }, text: 'Ended.' };
}

function parsed(text: string) {
  try {
    return parseVerifierKey(text);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--log ${text}: ${what}.`, 'countersign ledger trust shows that of a ledger.');
  }
}
