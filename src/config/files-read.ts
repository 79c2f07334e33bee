import { readFileSync } from 'node:fs';
import { digestOf, digestOfBytes } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';

/** Reads what configures, and tells of just these bytes: files that are read again for their digest may be others by then. */
export class FilesRead {
  readonly #read: { readonly path: string; readonly digest: Digest }[] = [];

  /** A file's text; where it can't be read, it is told of only by the error. @throws Error when it can't be read. */
  text(path: string): string {
    const bytes = readFileSync(path);
    this.#read.push({ path, digest: digestOfBytes(bytes) });
    return bytes.toString('utf8');
  }

  /** Every file that was read, in that order. */
  get paths(): string[] {
    return this.#read.map(({ path }) => path);
  }

  /** Of all that was read, in that order. */
  get digest(): Digest {
    return digestOf(this.#read.map(({ digest }) => digest));
  }
}
