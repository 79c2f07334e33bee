import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { fetchBackup, readManifest } from '../backups/fetch-backup.ts';
import { openStore } from '../backups/open-store.ts';
import { COPY_PORT, configureCopy, unpackCopy, verifyCopy } from '../backups/physical/unpack.ts';
import { findCopyPrograms } from '../backups/programs.ts';
import type { BackupManifest, PhysicalCopy } from '../domain/backup.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { backupNamed } from './backup-named.ts';
import { backupOf, identityOf } from './backup-of.ts';
import { tell } from './backup-texts.ts';
import { type Answer, answerWith, type CommonOptions, UsageError, withCommonOptions } from './command.ts';

/** Adds `countersign backup fetch`. */
export function registerFetch(backup: Command): void {
  withCommonOptions(
    backup
      .command('fetch <backup>')
      .description(
        'bring a backup here, decrypted: as pg_restore reads it, or as a data directory that can be started',
      ),
  )
    .requiredOption('--to <directory>', 'an empty directory, or one that is to be made')
    .action((id: string, options: CommonOptions & { readonly to: string }) =>
      answerWith(options, (countersign) => fetch(countersign, id, options.to), 'not needed'),
    );
}

async function fetch(countersign: Countersign, id: string, to: string): Promise<Answer> {
  const known = await backupNamed(countersign, undefined, id);
  const { backup } = backupOf(countersign, known.target);
  const identity = identityOf(known.target, backup);
  await mkdir(to, { recursive: true, mode: 0o700 });
  if ((await readdir(to)).length > 0)
    throw new UsageError(`${to} is not empty.`, 'Nothing was written. Name another directory.');
  const store = openStore(backup.store);
  const manifest = await readManifest(store, { target: known.target, id: known.backup, digest: known.manifest });
  const answer = { backup: known.backup, directory: resolve(to), serverMajor: manifest.serverMajor };
  if (manifest.physical !== undefined) {
    const archives = join(to, 'archives');
    await mkdir(archives);
    await fetchBackup(store, manifest, { directory: archives, identity, onProgress: tell });
    return asDirectory(manifest, manifest.physical, resolve(to), answer);
  }
  await fetchBackup(store, manifest, { directory: to, identity, onProgress: tell });
  return {
    json: answer,
    text: `${known.backup} is in ${to}, as it was made.\n→ pg_restore --list ${to}      shows what is in it; countersign incident playbook says how it goes on.`,
  };
}

/** A data directory in `to/data`: whoever is tired has only to start it. */
async function asDirectory(
  { serverMajor, at }: BackupManifest,
  copy: PhysicalCopy,
  to: string,
  answer: { readonly backup: string },
): Promise<Answer> {
  const [archives, data] = [join(to, 'archives'), join(to, 'data')];
  tell('unpacking the files of the server');
  await unpackCopy(archives, data);
  tell('verifying every file');
  await verifyCopy(archives, data, findCopyPrograms(serverMajor).pg_verifybackup);
  await configureCopy(data, copy);
  await rm(archives, { recursive: true });
  return {
    json: { ...answer, data },
    text: [
      `${answer.backup} is in ${data}: every file verified, ready to be started by the account that it belongs to (PostgreSQL refuses root).`,
      `It recovers to ${at}, is reached only through a socket in that directory, and sends nothing anywhere. What the server had configured lies beside it (*.of-the-source).`,
      `→ pg_ctl -D ${data} -w -t 86400 -l ${to}/server.log start`,
      `→ until pg_isready -q -h ${data} -p ${COPY_PORT}; do sleep 1; done      it lets nobody in before it has recovered`,
      `→ psql -h ${data} -p ${COPY_PORT} -U ${copy.superuser} -d ${copy.database}      countersign incident playbook says how it goes on`,
    ].join('\n'),
  };
}
