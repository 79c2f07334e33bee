import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Writes a stream to a new file. @returns its size and SHA-256. */
export async function copyHashing(
  from: Readable,
  to: string,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  await pipeline(from, hashing, createWriteStream(to, { flags: 'wx', mode: 0o600 }));
  return { bytes, sha256: hash.digest('hex') };
}

/**
 * Gives a file that was written beside it its name, durably: a power cut afterwards takes neither its content nor its
 * name. The other name is gone in any case.
 *
 * @throws EEXIST when there is one of that name: unlike a rename it never takes the place of another.
 */
export async function keepFile(part: string, whole: string): Promise<void> {
  try {
    await sync(part);
    await link(part, whole);
    await sync(dirname(whole));
  } finally {
    await rm(part, { force: true });
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
