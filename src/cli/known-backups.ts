import type { DrillResult } from '../domain/backup.ts';
import type { Digest, Instant } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Countersign } from '../server/open-countersign.ts';

/** A backup as the ledger knows it. */
export interface KnownBackup {
  readonly backup: string;
  readonly target: string;
  readonly manifest: Digest;
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

/** The newest first. The ledger is asked and not the store: what is gone from there is to be missed. */
export async function knownBackups({ ledger }: Countersign, target?: string): Promise<readonly KnownBackup[]> {
  const [made, drilled] = await Promise.all([
    ledger.entries({ kind: 'backup', limit: 10_000 }),
    ledger.entries({ kind: 'drill', limit: 10_000 }),
  ]);
  const drills = new Map(
    drilled.map(({ entry }) => [entry.subject, { ...(entry.body as unknown as DrillResult), at: entry.at }]),
  );
  return made
    .map(({ entry }) => ({
      ...(entry.body as unknown as Omit<KnownBackup, 'drill'>),
      drill: drills.get(entry.subject) ?? null,
    }))
    .filter((backup) => target === undefined || backup.target === target)
    .reverse();
}

/**
 * @param named an id, or the beginning of one, or `undefined` for the newest.
 * @throws RefusalError when there is none, or more than one.
 */
export async function backupNamed(
  countersign: Countersign,
  target: string | undefined,
  named?: string,
): Promise<KnownBackup> {
  const known = await knownBackups(countersign, target);
  const found = known.filter(({ backup }) => named === undefined || backup.startsWith(named));
  const [first] = found;
  if (first !== undefined && (named === undefined || found.length === 1)) return first;
  throw new RefusalError({
    refused: 'denied',
    message:
      first === undefined
        ? `There is no backup${named === undefined ? '' : ` ${named}`}${target === undefined ? '' : ` of ${target}`}.`
        : `${named} is the beginning of ${found.length} backups.`,
    hint:
      known.length === 0
        ? 'Make one with: countersign backup create --target NAME'
        : 'See which there are with: countersign backup list',
  });
}
