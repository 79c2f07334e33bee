import { RefusalError } from '../domain/refusal.ts';
import { type KnownBackup, knownBackups } from '../ledger/known-backups.ts';
import type { Countersign } from '../server/open-countersign.ts';

/**
 * @param named an id, or the beginning of one, or `undefined` for the newest.
 * @throws RefusalError when there is none, or more than one.
 */
export async function backupNamed(
  { store }: Countersign,
  target: string | undefined,
  named?: string,
): Promise<KnownBackup> {
  const known = await knownBackups(store, { target });
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
