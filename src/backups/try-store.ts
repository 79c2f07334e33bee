import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupStore } from './store.ts';

/**
 * Whether backups are out of this account's reach (G10), found out by trying on a file made for it.
 *
 * @returns how it could be destroyed; empty when it could not.
 * @throws Error when the store doesn't take the file, or doesn't answer.
 */
export async function tryStore(store: BackupStore, target: string): Promise<readonly string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-probe-'));
  try {
    const path = join(directory, 'probe');
    const text = randomBytes(16).toString('hex');
    await writeFile(path, text);
    const name = `${target}/probe-${randomBytes(8).toString('hex')}/probe`;
    await store.add(name, { path, bytes: text.length, sha256: createHash('sha256').update(text).digest('hex') });
    return await store.tryToDestroy(name);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
