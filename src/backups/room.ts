import { statfs } from 'node:fs/promises';
import { RefusalError } from '../domain/refusal.ts';

/**
 * A disk that a backup or a drill fills up may be the one that the gateway's state lies on: where there isn't room, it
 * isn't begun.
 *
 * @throws RefusalError
 */
export async function checkRoom(directory: string, neededBytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= neededBytes) return;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1_000_000)} MB`;
  throw new RefusalError({
    refused: 'unavailable',
    message: `${what} may take ${megabytes(neededBytes)}, and ${directory} has ${megabytes(bavail * bsize)} left.`,
    hint: 'Make room, or name a directory on a larger disk: targets.<name>.backup.workDirectory (TMPDIR for the scratch servers of root).',
  });
}
