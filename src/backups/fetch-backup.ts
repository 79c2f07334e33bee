import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { BackupManifest } from '../domain/backup.ts';
import { canonicalJson, digestOf, type Json } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';
import { decryptFile } from './encryption.ts';
import { copyHashing } from './keep-file.ts';
import type { BackupStore } from './store.ts';

/** What is wrong with a backup itself, as a sentence. */
export class BackupBroken extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BackupBroken';
  }
}

/**
 * @param digest what the ledger says of it, as it was made.
 * @throws BackupBroken when it is another; BackupMissing.
 */
export async function readManifest(
  store: BackupStore,
  backup: { readonly target: string; readonly id: string; readonly digest: Digest },
): Promise<BackupManifest> {
  const written = await text(await store.read(`${backup.target}/${backup.id}/manifest.json`));
  let manifest: BackupManifest;
  try {
    manifest = JSON.parse(written) as BackupManifest;
  } catch (error) {
    throw new BackupBroken('its manifest is cut off or no JSON', { cause: error });
  }
  // The digest is over the canonical form, and so is the file: neither a byte more nor one less.
  if (canonicalJson(manifest as unknown as Json) !== written || digestOf(manifest as unknown as Json) !== backup.digest)
    throw new BackupBroken('its manifest is not the one that the ledger knows');
  return manifest;
}

/**
 * Brings a backup into a directory, as `pg_restore` reads it.
 *
 * @throws BackupBroken naming the first file that is missing, cut off or changed, or can't be decrypted; BackupMissing.
 */
export async function fetchBackup(
  store: BackupStore,
  manifest: BackupManifest,
  request: { readonly directory: string; readonly identity: string; readonly onProgress: (said: string) => void },
): Promise<void> {
  for (const file of manifest.files) {
    request.onProgress(`fetching ${file.name}`);
    const encrypted = join(request.directory, file.name);
    const { bytes, sha256 } = await copyHashing(
      await store.read(`${manifest.target}/${manifest.id}/${file.name}`),
      encrypted,
    );
    if (bytes !== file.bytes) throw new BackupBroken(`${file.name} has ${bytes} bytes, it had ${file.bytes}`);
    if (sha256 !== file.sha256) throw new BackupBroken(`${file.name} has been changed`);
    try {
      await decryptFile(encrypted, encrypted.replace(/\.age$/, ''), request.identity);
    } catch (error) {
      throw new BackupBroken(
        `${file.name} can't be decrypted: ${error instanceof Error ? error.message : String(error)}`,
        {
          cause: error,
        },
      );
    }
    await rm(encrypted);
  }
}
