import { existsSync } from 'node:fs';
import { backedUp } from '../config/backup.ts';
import type { Config } from '../config/load.ts';
import type { BackupFigures } from '../domain/backup.ts';
import { backupFigures } from '../ledger/backup-figures.ts';
import { openStore } from '../store/open-store.ts';

/** What the state tells of backups and drills; nothing where it can't be read, which others tell. */
export async function readBackupAge(config: Config): Promise<readonly BackupFigures[]> {
  const targets = backedUp(config);
  const exists = typeof config.state !== 'string' || existsSync(config.state.slice('sqlite:'.length));
  if (targets.length === 0 || !exists) return [];
  const store = await openStore(config.state, { readOnly: true }).catch(() => null);
  if (store === null) return [];
  try {
    return await backupFigures(store, targets);
  } finally {
    await store.close();
  }
}
