import { createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { shortId } from '../domain/plan.ts';
import { proveAction, subjectNamed } from '../ledger/action-proof.ts';
import { exportLedger } from '../ledger/archive.ts';
import { loadSigningKey } from '../ledger/signing-key.ts';
import { publishTiles } from '../ledger/tiles.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { answerWith, type CommonOptions, UsageError, withCommonOptions } from './command.ts';
import { trustPolicy } from './trust-policy.ts';

interface ExportOptions extends CommonOptions {
  readonly since?: string;
}

/** What is no file's name: a plan's digest or its beginning, a write, a task. */
const AN_ID = /^((sha256:)?[0-9a-f]{8,64}|(intent|task)_[0-9a-f]+)$/;

/** Adds to `countersign ledger` what a stranger is given: export, tiles, checkpoint, trust. */
export function registerLedgerExport(ledger: Command): void {
  withCommonOptions(
    ledger
      .command('export <what> [file]')
      .description(
        'for a stranger to verify: the whole ledger (export FILE), or all about one plan, write or task (export ID [FILE])',
      ),
  )
    .option('--since <checkpoint>', 'of one ID: prove too that the ledger grew out of this checkpoint, kept earlier')
    .action((what: string, file: string | undefined, options: ExportOptions) =>
      answerWith(
        options,
        (countersign) =>
          file === undefined && !AN_ID.test(what)
            ? exportTo(countersign, what)
            : exportAction(countersign, what, file, options),
        'not needed',
      ),
    );

  withCommonOptions(
    ledger
      .command('tiles <directory>')
      .description('write what came since into static files that any web server can hand out (C2SP tlog-tiles)'),
  ).action((directory: string, options: CommonOptions) =>
    answerWith(options, (countersign) => publish(countersign, directory), 'not needed'),
  );

  withCommonOptions(
    ledger.command('checkpoint').description('the newest signed checkpoint, to be kept where nobody can change both'),
  ).action((options: CommonOptions) =>
    answerWith(
      options,
      async (countersign) => {
        const note = await countersign.ledger.checkpoint();
        return { json: { checkpoint: note }, text: note.trimEnd() };
      },
      'not needed',
    ),
  );

  withCommonOptions(
    ledger
      .command('trust')
      .description(
        'whom a verifier should trust, by this configuration; hand it over by another way than what it judges',
      ),
  ).action((options: CommonOptions) =>
    answerWith(
      options,
      async ({ config, people, ledger: { verifierKey } }) => {
        const policy = trustPolicy(config, people, verifierKey);
        return { json: policy, text: JSON.stringify(policy, null, 2) };
      },
      'not needed',
    ),
  );
}

async function publish(countersign: Countersign, directory: string) {
  const { size, files, leftOut } = await publishTiles(countersign, directory);
  const missing = leftOut.map(
    ({ bundle, entry, bytes }) => `${bundle} is left out: entry ${entry} has ${bytes} bytes, more than a bundle takes.`,
  );
  return {
    json: { directory, size, files, leftOut },
    text: [`${directory} has ${size} entries; ${files} files were written.`, ...missing].join('\n'),
  };
}

async function exportAction(
  { store, ledger, config }: Countersign,
  named: string,
  into: string | undefined,
  options: ExportOptions,
) {
  const subject = await subjectNamed(store, named);
  if (subject === 'none' || subject === 'several')
    throw new UsageError(
      subject === 'none' ? `The ledger has nothing about ${named}.` : `More than one id begins with ${named}.`,
      'See them with: countersign ledger show, or countersign plan list.',
    );
  const file = into ?? `${shortId(subject)}.proof.jsonl`;
  refuseExisting(file);
  const kept = options.since === undefined ? undefined : readFileSync(options.since, 'utf8');
  const key = loadSigningKey(config.ledgerKey, config.origin);
  writeFileSync(file, await proveAction({ store, ledger, key }, subject, kept), { flag: 'wx', mode: 0o644 });
  return {
    json: { file, about: subject, verifierKey: ledger.verifierKey },
    text: `Written to ${file}: all about ${subject}.\nVerify it anywhere: python3 verifier/verify.py --trust TRUST ${file}`,
  };
}

function refuseExisting(file: string): void {
  if (existsSync(file))
    throw new UsageError(`${file} exists already.`, 'Name a new file: an export is never overwritten.');
}

async function exportTo({ store, ledger }: Countersign, file: string) {
  refuseExisting(file);
  await pipeline(exportLedger(store, ledger), createWriteStream(file, { flags: 'wx', mode: 0o644 }));
  return {
    json: { file, verifierKey: ledger.verifierKey },
    text: `Written to ${file}.\nVerify it anywhere: countersign ledger verify ${file} --key '${ledger.verifierKey}'`,
  };
}
