import type { ProvenBackup } from '../domain/backup.ts';
import type { TargetId } from '../domain/ids.ts';
import { provenBackups } from '../store/proven-backups.ts';
import type { Store } from '../store/store.ts';

/** Which backups drills have proven: plans name them, and policy asks for a fresh one before what can't be undone. */
export interface Drills {
  /** Looks at memory only. */
  proven(target: TargetId): ProvenBackup | undefined;
  /** Reads them again: a drill is another process. */
  refresh(): Promise<void>;
}

export async function createDrills(store: Store): Promise<Drills> {
  let known = await provenBackups(store);
  return {
    proven: (target) => known.get(target),
    async refresh() {
      known = await provenBackups(store);
    },
  };
}
