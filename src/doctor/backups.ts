import { openStore } from '../backups/open-store.ts';
import { obstaclesToCopy } from '../backups/physical/obstacles.ts';
import { tryStore } from '../backups/try-store.ts';
import type { ConfiguredTarget } from '../config/targets.ts';
import { connectOwn } from '../engines/postgres/connect.ts';
import { type Finding, findingsOf } from './finding.ts';

/** Whether backups are out of the reach of this account (G10): not believed, but tried, on a file that is added for it. */
export async function checkBackups(targets: readonly ConfiguredTarget[]): Promise<readonly Finding[]> {
  const found = await Promise.all([
    ...targets.map(checkPhysical),
    ...targets.map(async ({ target, backup }) => {
      if (backup === null) return [];
      const { ok, bad } = findingsOf(`backups of ${target.id}`);
      try {
        const destroyable = await tryStore(openStore(backup.store), target.id);
        if (destroyable.length === 0)
          return [ok('backups.immutable', 'what is stored can be neither changed nor deleted from here')];
        return [
          bad('fail', 'backups.immutable', {
            found: `${destroyable.join(' and ')} worked, on a file that was stored for the trial`,
            why: 'Whoever gets hold of this account can destroy the database and its backups together.',
            fix: `keep them where nothing can be taken away: countersign backup keep on another machine, and targets.${target.id}.backup.store: { keeper: … }`,
          }),
        ];
      } catch (error) {
        return [
          bad('unknown', 'backups.immutable', {
            found: error instanceof Error ? error.message : String(error),
            why: 'Nothing can be backed up, and whether backups are safe is not known.',
            fix: 'see that the store runs, that it is reached from here, and that the token is the one it was given',
          }),
        ];
      }
    }),
  ]);
  return found.flat();
}

/** Whether the files of its server can be copied, where that is how a target is backed up. */
async function checkPhysical({ target, backup }: ConfiguredTarget): Promise<readonly Finding[]> {
  if (backup?.method !== 'physical' || backup.login === null) return [];
  const { ok, bad } = findingsOf(`backups of ${target.id}`);
  const credential = { user: backup.login.user, password: backup.login.password.reveal() };
  try {
    const client = await connectOwn(target, credential);
    try {
      const obstacles = await obstaclesToCopy(target, credential, client);
      if (obstacles.length === 0)
        return [
          ok('backups.physical', `${credential.user} can copy the files of the server, and this machine verify them`),
        ];
      return obstacles.map(({ found, fix }) =>
        bad('fail', 'backups.physical', { found, why: 'No physical backup can be made until it can be.', fix }),
      );
    } finally {
      await client.end();
    }
  } catch (error) {
    return [
      bad('unknown', 'backups.physical', {
        found: error instanceof Error ? error.message : String(error),
        why: 'Whether the files of the server can be copied is not known.',
        fix: `see that the login of targets.${target.id}.credentials.backup can connect`,
      }),
    ];
  }
}
