import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BackupFile, BackupManifest } from '../domain/backup.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Target } from '../domain/target.ts';
import type { Credential } from '../engines/engine.ts';
import { encryptFile } from './encryption.ts';
import { keepFile } from './keep-file.ts';
import type { BackupStore } from './store.ts';
import type { WorkDirectory } from './work-directory.ts';

const MANIFEST = 'manifest.json';
/** Within a work directory: what is encrypted already, and goes to the store. */
export const STAGED = 'staged';

/** What is to be backed up, by whom, and for whom it is to be readable. */
export interface StageRequest {
  readonly target: Target;
  readonly credential: Credential;
  readonly recipients: readonly string[];
  readonly jobs: number;
  readonly onProgress: (said: string) => void;
}

/** @param at when its snapshot was taken. */
export function nameBackup(at: Date): string {
  return `backup-${at.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
}

/** Encrypts all files of a directory into what is staged, and leaves none of them in the clear. */
export async function stageFiles(
  from: string,
  staged: string,
  { recipients, onProgress }: Pick<StageRequest, 'recipients' | 'onProgress'>,
): Promise<readonly BackupFile[]> {
  await mkdir(staged);
  const files: BackupFile[] = [];
  for (const name of (await readdir(from)).sort()) {
    onProgress(`encrypting ${name}`);
    const plain = join(from, name);
    files.push({ name: `${name}.age`, ...(await encryptFile(plain, join(staged, `${name}.age`), recipients)) });
    await rm(plain);
  }
  return files;
}

/** Ends the staging of a backup: from here on it is whole, and what is left of the way is to be stored. */
export async function stageManifest(staged: string, manifest: BackupManifest): Promise<void> {
  const part = join(staged, '.part');
  await writeFile(part, canonicalJson(manifest as unknown as Json));
  await keepFile(part, join(staged, MANIFEST));
}

/** @returns `undefined` of one that was cut off before it was whole: it is no backup. */
export async function readStaged({ path }: WorkDirectory): Promise<BackupManifest | undefined> {
  const text = await readFile(join(path, STAGED, MANIFEST), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? undefined : (JSON.parse(text) as BackupManifest);
}

/**
 * Stores what was staged, its manifest last, and goes on where another process was cut off: a file that is in the store
 * is not sent again. Only the manifest remains staged.
 *
 * @throws Error when the store doesn't take it, or a file is no longer what it was when the manifest was written.
 */
export async function storeStaged(
  store: BackupStore,
  manifest: BackupManifest,
  staged: string,
  onProgress: (said: string) => void,
): Promise<void> {
  const within = `${manifest.target}/${manifest.id}`;
  const there = new Set(await store.list(within));
  const own = new Set(await readdir(staged));
  for (const file of manifest.files) {
    const path = join(staged, file.name);
    if (!there.has(file.name)) {
      if (!own.has(file.name)) throw new Error(`${file.name} is neither staged nor in the store`);
      onProgress(`storing ${file.name} (${file.bytes} bytes)`);
      await store.add(`${within}/${file.name}`, { path, bytes: file.bytes, sha256: file.sha256 });
    }
    await rm(path, { force: true });
  }
  if (there.has(MANIFEST)) return;
  const path = join(staged, MANIFEST);
  const { size: bytes } = await stat(path);
  await store.add(`${within}/${MANIFEST}`, { path, bytes, sha256: await hashOf(path) });
}

/** @returns the names of staged files that are not what the manifest says: a power cut may have left them so. */
export async function damagedIn(staged: string, manifest: BackupManifest): Promise<readonly string[]> {
  const own = new Set(await readdir(staged));
  const damaged: string[] = [];
  for (const { name, sha256 } of manifest.files)
    if (own.has(name) && (await hashOf(join(staged, name))) !== sha256) damaged.push(name);
  return damaged;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(
    createReadStream(path),
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done();
      },
    }),
  );
  return hash.digest('hex');
}
