import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { type BackupMade, createBackup } from '../backups/create-backup.ts';
import { openStore } from '../backups/open-store.ts';
import { tryStore } from '../backups/try-store.ts';
import { backedUp } from '../config/backup.ts';
import type { BackupManifest, BackupMethod } from '../domain/backup.ts';
import { RefusalError } from '../domain/refusal.ts';
import { backupFigures } from '../ledger/backup-figures.ts';
import { knownBackups } from '../ledger/known-backups.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { registerFetch } from './backup-fetch.ts';
import { registerKeep } from './backup-keep.ts';
import { backupNamed } from './backup-named.ts';
import { backupOf } from './backup-of.ts';
import { megabytes, outOfReach, proven, scheduleLines, seconds, tell } from './backup-texts.ts';
import { besideGateway } from './beside-gateway.ts';
import {
  type Answer,
  answer,
  answerWith,
  type CommonOptions,
  operatingSystemUser,
  UsageError,
  withCommonOptions,
} from './command.ts';

interface TargetOptions extends CommonOptions {
  readonly target?: string;
}

interface CreateOptions extends TargetOptions {
  readonly besideGateway?: boolean;
  readonly physical?: boolean;
}

/** Adds `countersign backup key|create|list|show|fetch|keep`. */
export function registerBackup(program: Command): void {
  const backup = program.command('backup').description('what brings a target back when nothing else does');

  backup
    .command('key <file>')
    .description('make a key pair (age): the file opens backups, what is printed encrypts them')
    .option('--json', 'answer in JSON')
    .action((file: string, options: CommonOptions) => answer(options, () => makeKey(file)));
  withCommonOptions(backup.command('create').description('make a consistent, encrypted backup of a target'))
    .option('--target <name>', 'which (default: the only one that has a store)')
    .option('--physical', 'copy the files of its server, whatever `method` says')
    .addOption(new Option('--beside-gateway').hideHelp())
    .action((options: CreateOptions) => {
      if (options.besideGateway === true) besideGateway();
      return answerWith(options, (countersign) => create(countersign, options), 'not needed');
    });
  withCommonOptions(
    backup.command('list').description('backups, the newest first, and whether a drill has proven them'),
  )
    .option('--target <name>', 'only those of one target')
    .action((options: TargetOptions) => answerWith(options, (countersign) => list(countersign, options), 'not needed'));
  withCommonOptions(
    backup.command('show <backup>').description('what a backup holds, where it lies, how its drill went'),
  ).action((id: string, options: CommonOptions) =>
    answerWith(options, (countersign) => show(countersign, id), 'not needed'),
  );
  registerFetch(backup);
  registerKeep(backup);
}

async function makeKey(file: string): Promise<Answer> {
  if (existsSync(file)) throw new UsageError(`${file} exists.`, 'Nothing was written over it. Name another file.');
  const identity = await generateIdentity();
  writeFileSync(file, `${identity}\n`, { mode: 0o600, flag: 'wx' });
  const recipient = await identityToRecipient(identity);
  return {
    json: { file: resolve(file), recipient },
    text: `${recipient}\n→ Put this into \`recipients\`, and keep ${file} where neither the gateway nor the database is: who has lost it has lost the backups.`,
  };
}

async function create(countersign: Countersign, options: CreateOptions): Promise<Answer> {
  const { configured, backup } = backupOf(countersign, options.target);
  const { target } = configured;
  if (backup.login === null)
    throw new RefusalError({
      refused: 'denied',
      message: `No login is configured that may read all of ${target.id}.`,
      hint: `Make one (CREATE ROLE countersign_backup LOGIN PASSWORD '…' IN ROLE pg_read_all_data; GRANT CONNECT ON DATABASE ${target.endpoint.database} TO countersign_backup) and name it: targets.${target.id}.credentials.backup.`,
    });
  const store = openStore(backup.store);
  const resumed: string[] = [];
  let destroyable: readonly string[] = [];
  const made = await createBackup({
    target,
    credential: { user: backup.login.user, password: backup.login.password.reveal() },
    store,
    recipients: backup.recipients,
    method: options.physical === true ? 'physical' : backup.method,
    jobs: backup.jobs,
    workDirectory: backup.workDirectory,
    onProgress: tell,
    async onStored(stored) {
      tell('trying to destroy what was stored');
      destroyable = await tryStore(store, target.id);
      await record(countersign, stored, { place: store.place, destroyable });
      if (stored.resumed) resumed.push(stored.manifest.id);
    },
  });
  const { manifest } = made;
  return {
    json: {
      backup: manifest.id,
      manifest: made.digest,
      method: methodOf(manifest),
      bytes: made.bytes,
      rows: made.rows,
      durationMs: made.durationMs,
      place: store.place,
      destroyable,
      resumed,
    },
    text: [
      ...resumed.map((id) => `${pc.green('Finished')} ${id}, which had been cut off on its way to the store`),
      `${pc.green('Backed up')} ${target.id} as of ${manifest.at}: ${manifest.id}`,
      `  ${manifest.physical === undefined ? '' : 'the files of its server, every database; here '}${made.rows} rows in ${manifest.content.tables.length} tables, ${megabytes(made.bytes)} in ${seconds(made.durationMs)}, at ${store.place}`,
      outOfReach(destroyable),
      `→ It counts once a drill has restored it: countersign drill run --target ${target.id}`,
    ].join('\n'),
  };
}

async function record(
  countersign: Countersign,
  made: BackupMade,
  { place, destroyable }: { readonly place: string; readonly destroyable: readonly string[] },
): Promise<void> {
  const { manifest } = made;
  // It may have been, by a process that died before it could tidy up.
  const known = await knownBackups(countersign.store, { target: manifest.target });
  if (known.some(({ backup }) => backup === manifest.id)) return;
  await countersign.proof.record({
    kind: 'backup',
    subject: manifest.id,
    body: {
      backup: manifest.id,
      target: manifest.target,
      environment: manifest.environment,
      identity: manifest.identity,
      manifest: made.digest,
      method: methodOf(manifest),
      ...(manifest.physical === undefined
        ? {}
        : { server: { major: manifest.serverMajor, superuser: manifest.physical.superuser } }),
      at: manifest.at,
      bytes: made.bytes,
      rows: made.rows,
      tables: manifest.content.tables.length,
      durationMs: made.durationMs,
      place,
      destroyable: [...destroyable],
      by: operatingSystemUser(),
    },
  });
}

async function list(countersign: Countersign, options: TargetOptions): Promise<Answer> {
  const { store, config, clock } = countersign;
  const known = await knownBackups(store, { target: options.target });
  const targets = backedUp(config).filter(({ target }) => options.target === undefined || target === options.target);
  const figures = await backupFigures(store, targets);
  const made = known.map(
    (backup) =>
      `${backup.at}  ${backup.target}  ${backup.backup}  ${backup.method.padEnd(8)}  ${megabytes(backup.bytes).padStart(9)}  ${proven(backup)}`,
  );
  return {
    json: { backups: known, targets: figures },
    text: [
      ...(made.length === 0 ? ['No backups.\n→ Make one with: countersign backup create --target NAME'] : made),
      ...figures.flatMap((of) => scheduleLines(of, clock.now())),
    ].join('\n'),
  };
}

async function show(countersign: Countersign, id: string): Promise<Answer> {
  const backup = await backupNamed(countersign, undefined, id);
  return {
    json: backup,
    text: [
      pc.bold(backup.backup),
      `of        ${backup.target} as of ${backup.at}`,
      `kind      ${backup.method === 'physical' ? 'physical: the files of its server (pg_basebackup), every database of it' : 'logical: a dump of the database (pg_dump)'}`,
      `holds     ${backup.rows} rows in ${backup.tables} tables, ${megabytes(backup.bytes)} encrypted; made in ${seconds(backup.durationMs)}`,
      `lies at   ${backup.place}`,
      `reach     ${outOfReach(backup.destroyable)}`,
      `drill     ${proven(backup)}`,
      ...(backup.drill?.problems ?? []).map((problem) => `          ${problem}`),
      ...(backup.drill?.passed === true
        ? [
            `recovery  ${seconds(backup.drill.fetchMs + backup.drill.restoreMs)} in that drill: ${seconds(backup.drill.fetchMs)} to fetch, ${seconds(backup.drill.restoreMs)} to restore`,
          ]
        : []),
      '',
      `${pc.dim('next')}      countersign incident playbook --target ${backup.target}`,
    ].join('\n'),
  };
}

function methodOf({ physical }: BackupManifest): BackupMethod {
  return physical === undefined ? 'logical' : 'physical';
}
