import { join } from 'node:path';
import type { BackupManifest, BackupMethod } from '../domain/backup.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { dumpDatabase } from './dump-database.ts';
import { copyServer } from './physical/copy-server.ts';
import { damagedIn, readStaged, STAGED, type StageRequest, storeStaged } from './staged-backup.ts';
import type { BackupStore } from './store.ts';
import { makeWorkDirectory, takeLeftDirectories, type WorkDirectory } from './work-directory.ts';

export interface BackupMade {
  readonly manifest: BackupManifest;
  readonly digest: Digest;
  readonly bytes: number;
  readonly rows: number;
  /** From its beginning; of one that was cut off, from its snapshot on, whatever lay in between. */
  readonly durationMs: number;
  /** Whether another process had begun it, and this one only stored what was left. */
  readonly resumed: boolean;
}

export interface BackupRequest extends StageRequest {
  readonly method: BackupMethod;
  readonly store: BackupStore;
  /** `null` for one of this account's own, below the system's temporary directory. */
  readonly workDirectory: string | null;
  /** Is told of each backup that the store has whole; then nothing is left of it here. */
  readonly onStored: (made: BackupMade) => Promise<void>;
}

/**
 * A consistent backup with the hashes of what it holds, so that a restore can be compared by content, whatever was written
 * meanwhile. Files are encrypted here; the manifest comes last.
 *
 * First it goes on with what a process that is gone has left: one that was whole is stored, the rest is removed.
 *
 * @throws RefusalError when the target isn't the pinned one (G9), the login can't read all of it, or the store refuses.
 */
export async function createBackup(request: BackupRequest): Promise<BackupMade> {
  // Of the same name there may be another's on this machine.
  const kind = `backup-${request.target.id}-${request.target.identity.slice('sha256:'.length).slice(0, 12)}`;
  try {
    for (const left of await takeLeftDirectories(request.workDirectory, kind)) await goOnWith(left, request);
    return await make(await makeWorkDirectory(request.workDirectory, kind), request);
  } catch (error) {
    if (error instanceof RefusalError) throw error;
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: `The backup of ${request.target.id} was not made: ${error instanceof Error ? error.message : String(error)}`,
        hint: 'Nothing new counts as backed up: what lies in the store without a manifest is no backup. Mend the cause and run it again; what was encrypted already is then stored first, from where it was cut off.',
      },
      { cause: error },
    );
  }
}

async function make(work: WorkDirectory, request: BackupRequest): Promise<BackupMade> {
  const startedMs = Date.now();
  let whole = false;
  try {
    const manifest = await (request.method === 'physical' ? copyServer : dumpDatabase)(work, request);
    whole = true;
    const made = await bringAway(work, manifest, { request, startedMs, resumed: false });
    whole = false;
    return made;
  } finally {
    // What is encrypted and whole waits for whoever goes on with it.
    if (whole) work.letGo();
    else await work.remove();
  }
}

async function goOnWith(left: WorkDirectory, request: BackupRequest): Promise<void> {
  const { onProgress } = request;
  let keep = false;
  try {
    const manifest = await readStaged(left);
    if (manifest === undefined) return onProgress('removing what a backup has left that was cut off half-way');
    const damaged = await damagedIn(join(left.path, STAGED), manifest);
    if (damaged.length > 0)
      return onProgress(`removing ${manifest.id}, which was cut off: ${damaged.join(', ')} came to harm here`);
    keep = true;
    onProgress(`going on with ${manifest.id}, which was cut off on its way to the store`);
    await bringAway(left, manifest, { request, startedMs: Date.parse(manifest.at), resumed: true });
    keep = false;
  } finally {
    if (keep) left.letGo();
    else await left.remove();
  }
}

async function bringAway(
  work: WorkDirectory,
  manifest: BackupManifest,
  told: { readonly request: BackupRequest; readonly startedMs: number; readonly resumed: boolean },
): Promise<BackupMade> {
  const { store, onProgress, onStored } = told.request;
  await storeStaged(store, manifest, join(work.path, STAGED), onProgress);
  const made = {
    manifest,
    digest: digestOf(manifest as unknown as Json),
    bytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
    rows: manifest.content.tables.reduce((sum, table) => sum + table.rows, 0),
    durationMs: Date.now() - told.startedMs,
    resumed: told.resumed,
  };
  await onStored(made);
  return made;
}
