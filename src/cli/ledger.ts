import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { defaultConfigFile } from '../config/load.ts';
import { ENTRY_KINDS } from '../domain/entry.ts';
import { shortId } from '../domain/plan.ts';
import type { BrokenGlass } from '../ledger/broken-glass.ts';
import type { StoredEntry } from '../ledger/read-entries.ts';
import { loadSigningKey, verifierKey } from '../ledger/signing-key.ts';
import { verifyLedger } from '../ledger/verify.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { besideGateway } from './beside-gateway.ts';
import { answer, answerWith, type CommonOptions, configOf, UsageError, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';
import { registerLedgerExport } from './ledger-export.ts';
import { registerLedgerValues } from './ledger-values.ts';
import { rotateLedgerKey } from './rotate-key.ts';

interface ShowOptions extends CommonOptions {
  readonly limit: string;
  readonly subject?: string;
  readonly kind?: string;
}

interface VerifyOptions extends CommonOptions {
  readonly file?: string;
  readonly key?: string;
  readonly besideGateway?: boolean;
}

/** Adds `countersign ledger show|verify|export|tiles|checkpoint|trust|disclose|erase|rotate-key`. */
export function registerLedger(program: Command): void {
  const ledger = program.command('ledger').description('the proof chain: what was asked, decided, approved and done');

  withCommonOptions(ledger.command('show').description('show the newest entries'))
    .option('--limit <count>', 'how many', '30')
    .option('--subject <id>', 'only those about a plan, task, intent or halt')
    .option('--kind <kind>', `only of a kind: ${ENTRY_KINDS.join(', ')}`)
    .action((options: ShowOptions) => answerWith(options, (countersign) => show(countersign, options), 'not needed'));

  withCommonOptions(
    ledger
      .command('verify [file]')
      .description(
        'verify every entry, checkpoint and signature; a state file or an export, offline (0 sound, 1 tampered, 2 unreadable)',
      ),
  )
    .option('--key <verifier key>', 'the key to trust; without it, that of the configuration or of the copy itself')
    .addOption(new Option('--beside-gateway').hideHelp())
    .action((file: string | undefined, options: VerifyOptions) => {
      if (options.besideGateway === true) besideGateway();
      return answer(options, () => verify(file, options));
    });

  registerLedgerExport(ledger);
  registerLedgerValues(ledger);

  withCommonOptions(
    ledger
      .command('rotate-key')
      .description('hand the ledger to a new key, by an entry that both sign; no gateway may be running'),
  ).action((options: CommonOptions) => answer(options, () => rotateLedgerKey(options)));
}

async function show({ ledger }: Countersign, options: ShowOptions) {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
    throw new UsageError(`--limit ${options.limit} is no number from 1 to 10000.`, 'Leave it out for 30.');
  const kind = ENTRY_KINDS.find((known) => known === options.kind);
  if (options.kind !== undefined && kind === undefined)
    throw new UsageError(`There is no kind ${options.kind}.`, `There are ${ENTRY_KINDS.join(', ')}.`);
  const entries = await ledger.entries({
    limit,
    ...(options.subject === undefined ? {} : { subject: options.subject }),
    ...(kind === undefined ? {} : { kind }),
  });
  return {
    json: { entries: entries.map(({ index, entry }) => ({ index, ...entry })) },
    text: entries.map(line).join('\n') || 'No such entries.',
  };
}

function line({ index, entry }: StoredEntry): string {
  return `${String(index).padStart(7)}  ${entry.at}  ${entry.kind.padEnd(11)}  ${entry.subject}  ${pc.dim(gist(entry.body))}`;
}

/** What a reader of the ledger must not miss: somebody acted alone. */
function glassLine({ incident, plan, by, applied, reviewedBy }: BrokenGlass): string {
  const looked = reviewedBy === null ? pc.red('not reviewed') : `reviewed by ${reviewedBy}`;
  const done = applied ? 'applied without what was missing of it' : 'not applied so';
  return `plan ${shortId(plan)}: ${done}, by break-glass of ${by} (${incident}), ${looked}`;
}

const GIST = [
  'actor',
  'target',
  'decision',
  'person',
  'agent',
  'via',
  'outcome',
  'reason',
  'why',
  'shape',
  'statements',
] as const;

/** What of an entry's body tells people most, in a line. */
function gist(body: unknown): string {
  if (typeof body !== 'object' || body === null) return '';
  const fields = body as Readonly<Record<string, unknown>>;
  const said = GIST.flatMap((name) => {
    const value = fields[name];
    if (name === 'statements' && Array.isArray(value))
      return value.map((statement: { shape?: string }) => statement.shape ?? '').join('; ');
    return typeof value === 'string' ? [value] : [];
  });
  return said.join(' · ').replaceAll(/\s+/g, ' ').slice(0, 120);
}

async function verify(file: string | undefined, options: VerifyOptions) {
  const config =
    file === undefined || existsSync(options.config ?? defaultConfigFile()) ? await configOf(options) : undefined;
  const state = typeof config?.state === 'string' ? config.state.slice('sqlite:'.length) : config?.state;
  const own = file === undefined && config !== undefined ? loadSigningKey(config.ledgerKey, config.origin) : undefined;
  const trusted = options.key ?? (own === undefined ? undefined : verifierKey(own.name, own.publicKey));
  const verdict = await verifyLedger(file ?? state ?? '', trusted);
  switch (verdict.verdict) {
    case 'sound': {
      const warning =
        verdict.keyFrom === 'the copy itself'
          ? '\nThe key is the one that the copy names itself: compare it with one you were given, or pass --key.'
          : '';
      return {
        json: verdict,
        text: [
          `${pc.green('Sound.')} ${verdict.entries} entries, ${verdict.checkpoints} signed checkpoints, root ${verdict.root}`,
          `key ${verdict.verifierKey}${warning}`,
          ...(verdict.brokenGlass ?? []).map(glassLine),
          ...(verdict.delegated ?? []).map(
            ({ plan, by, inPlaceOf, delegation }) =>
              `plan ${shortId(plan)}: ${by} countersigned in the place of ${inPlaceOf} (${delegation})`,
          ),
          ...(verdict.byAgents ?? []).map(
            ({ plan, agent, owner }) =>
              `plan ${shortId(plan)}: approved by the approval agent ${agent}, for which ${owner} answers`,
          ),
        ].join('\n'),
      };
    }
    case 'tampered':
      return {
        json: verdict,
        text: `${pc.red('TAMPERED.')} ${verdict.problem}\n→ Keep this copy as evidence, and compare with the last export that was sound.`,
        exit: EXIT.refused,
      };
    case 'unreadable':
      return { json: verdict, text: `${pc.red('Unreadable.')} ${verdict.problem}`, exit: EXIT.usage };
    default:
      return verdict satisfies never;
  }
}
