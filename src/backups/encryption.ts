import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { Decrypter, Encrypter } from 'age-encryption';
import { copyHashing } from './keep-file.ts';

/**
 * Encrypts a file to all recipients (age, https://age-encryption.org/v1), in memory that doesn't grow with it.
 *
 * @returns size and SHA-256 of what was written.
 */
export async function encryptFile(
  from: string,
  to: string,
  recipients: readonly string[],
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  const encrypted = await encrypter.encrypt(asWeb(createReadStream(from)));
  return copyHashing(Readable.fromWeb(encrypted as unknown as ReadableStream), to);
}

/** @throws when the file was not encrypted to this identity, was cut off, or one bit of it is another. */
export async function decryptFile(from: string, to: string, identity: string): Promise<void> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  const decrypted = await decrypter.decrypt(asWeb(createReadStream(from)));
  await pipeline(Readable.fromWeb(decrypted as unknown as ReadableStream), createWriteStream(to, { mode: 0o600 }));
}

function asWeb(stream: Readable): globalThis.ReadableStream<Uint8Array> {
  return Readable.toWeb(stream) as unknown as globalThis.ReadableStream<Uint8Array>;
}
