import type { Readable } from 'node:stream';

/**
 * Where backups lie. Countersign only ever adds and reads; who may take away, and when, is the store's own business
 * (G10). A name is `target/backup/file`.
 */
export interface BackupStore {
  /** For people: where it is. */
  readonly place: string;
  /** Adds a file whole or not at all. @throws when there is one of the name, or it can't be written. */
  add(name: string, file: { readonly path: string; readonly bytes: number; readonly sha256: string }): Promise<void>;
  /** @throws BackupMissing when there is none. */
  read(name: string): Promise<Readable>;
  /** The names of what lies directly below `target` or `target/backup`. */
  list(within: string): Promise<readonly string[]>;
  /**
   * Tries what must not work: to write over a file that this account has added, and to delete it.
   *
   * @returns what did work; empty is what one wants.
   */
  tryToDestroy(name: string): Promise<readonly string[]>;
}

export class BackupMissing extends Error {
  constructor(name: string) {
    super(`${name} is not in the store`);
    this.name = 'BackupMissing';
  }
}

const PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export class BadName extends Error {
  constructor(name: string) {
    super(`${name} is no name of a backup's file`);
    this.name = 'BadName';
  }
}

/** @throws BadName when a name could lead elsewhere. */
export function checkedName(name: string): string {
  const parts = name.split('/');
  if (parts.length > 3 || !parts.every((part) => PART.test(part))) throw new BadName(name);
  return name;
}
