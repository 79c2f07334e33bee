import type { BackupMethod, DrillResult } from '../domain/backup.ts';
import type { Digest, Instant } from '../domain/ids.ts';
import type { Reader } from '../store/store.ts';
import { readEntries } from './read-entries.ts';

/** A backup as the ledger knows it. */
export interface KnownBackup {
  readonly backup: string;
  readonly target: string;
  readonly manifest: Digest;
  readonly method: BackupMethod;
  /** What a physical one is started with. */
  readonly server?: { readonly major: number; readonly superuser: string };
  readonly at: Instant;
  readonly bytes: number;
  readonly rows: number;
  readonly tables: number;
  readonly durationMs: number;
  readonly place: string;
  /** What of it the account that made it could destroy; empty where nothing. */
  readonly destroyable: readonly string[];
  /** The newest drill of it. */
  readonly drill: (DrillResult & { readonly at: Instant }) | null;
}

/**
 * The newest first. The ledger is asked and not the store: what is gone from there is to be missed.
 *
 * @param limit of entries that are looked at, of backups and of drills.
 */
export async function knownBackups(
  store: Reader,
  { target, limit = 10_000 }: { readonly target?: string | undefined; readonly limit?: number } = {},
): Promise<readonly KnownBackup[]> {
  const [made, drilled] = await Promise.all([
    readEntries(store, { kind: 'backup', limit }),
    readEntries(store, { kind: 'drill', limit }),
  ]);
  const drills = new Map(
    drilled.map(({ entry }) => [entry.subject, { ...(entry.body as unknown as DrillResult), at: entry.at }]),
  );
  return made
    .map(({ entry }) => ({
      // Before there was another, none was named.
      method: 'logical' as const,
      ...(entry.body as unknown as Omit<KnownBackup, 'drill' | 'method'>),
      drill: drills.get(entry.subject) ?? null,
    }))
    .filter((backup) => target === undefined || backup.target === target)
    .reverse();
}
