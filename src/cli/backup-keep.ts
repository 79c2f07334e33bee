import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { createKeeper } from '../backups/keeper.ts';
import { duration } from '../config/schema/values.ts';
import { answer, UsageError } from './command.ts';

interface KeepOptions {
  readonly directory: string;
  readonly listen: string;
  readonly tokenFile: string;
  readonly keep?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly json?: boolean;
}

const EXPIRE_EVERY_MS = 3_600_000;

/** Adds `countersign backup keep`. */
export function registerKeep(backup: Command): void {
  backup
    .command('keep')
    .description(
      'be the store of backups, on another machine or under another account: adds and reads, never takes away',
    )
    .requiredOption('--directory <directory>', 'where they lie')
    .requiredOption('--token-file <file>', 'the token of whoever may add and read')
    .option('--listen <address>', 'where to listen; beyond the loopback only with TLS', '127.0.0.1:6490')
    .option('--keep <duration>', 'delete what is older, such as 30d, but never the newest of a target')
    .option('--tls-cert <file>', 'certificate chain')
    .option('--tls-key <file>', 'its private key')
    .option('--json', 'answer in JSON')
    .action((options: KeepOptions) => answer(options, () => keep(options)));
}

async function keep(options: KeepOptions) {
  const [, host = '', port = ''] = /^(.+):(\d+)$/.exec(options.listen) ?? [];
  if (host === '') throw new UsageError(`${options.listen} is no address.`, 'Write it as 127.0.0.1:6490.');
  const tls = tlsOf(options);
  if (tls === undefined && !['127.0.0.1', '::1', 'localhost'].includes(host))
    throw new UsageError(
      `Without TLS the token would cross the network.`,
      'Give --tls-cert and --tls-key, or listen on 127.0.0.1.',
    );
  if ((statSync(options.tokenFile).mode & 0o077) !== 0)
    throw new UsageError(`${options.tokenFile} can be read by others.`, `Run: chmod 600 ${options.tokenFile}`);
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const { app, expire } = createKeeper({
    directory: options.directory,
    token: readFileSync(options.tokenFile, 'utf8').trim(),
    keepMs: options.keep === undefined ? null : durationOf(options.keep),
    ...(tls === undefined ? {} : { tls }),
  });
  const url = await app.listen({ host, port: Number(port) });
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ ready: true, url })}\n`
      : `Keeping backups in ${options.directory}, at ${url}. Nothing is deleted${options.keep === undefined ? '' : ` within ${options.keep}`}.\n`,
  );
  const expiring = setInterval(() => {
    expire().then(
      (deleted) => {
        for (const name of deleted) process.stdout.write(`${JSON.stringify({ deleted: name })}\n`);
      },
      (error: unknown) => process.stderr.write(`what is too old could not be deleted: ${String(error)}\n`),
    );
  }, EXPIRE_EVERY_MS);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  clearInterval(expiring);
  await app.close();
  return { json: { ended: true }, text: 'Ended.' };
}

function durationOf(text: string): number {
  const read = duration.safeParse(text);
  if (!read.success) throw new InvalidArgumentError(`${text} is no duration such as 30d`);
  return read.data;
}

function tlsOf({ tlsCert, tlsKey }: KeepOptions): { cert: string; key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new UsageError('TLS needs both.', 'Give --tls-cert and --tls-key.');
  return { cert: readFileSync(tlsCert, 'utf8'), key: readFileSync(tlsKey, 'utf8') };
}
