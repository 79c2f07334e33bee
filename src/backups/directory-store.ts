import { createReadStream } from 'node:fs';
import { constants, copyFile, mkdir, open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { keepFile } from './keep-file.ts';
import { BackupMissing, type BackupStore, checkedName } from './store.ts';

/**
 * A directory of this machine. What this account adds this account can delete, so it is honest about it: it protects
 * from a lost database, not from whoever has the gateway's account.
 */
export function directoryStore(directory: string): BackupStore {
  const pathOf = (name: string) => join(directory, checkedName(name));
  return {
    place: directory,
    async add(name, { path }) {
      const whole = pathOf(name);
      await mkdir(dirname(whole), { recursive: true, mode: 0o700 });
      const part = `${whole}.part`;
      await copyFile(path, part, constants.COPYFILE_EXCL);
      await keepFile(part, whole);
    },
    async read(name) {
      const path = pathOf(name);
      await stat(path).catch(missing(name));
      return createReadStream(path);
    },
    async list(within) {
      return readdir(pathOf(within)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return [];
        throw error;
      });
    },
    async tryToDestroy(name) {
      const worked: string[] = [];
      await open(pathOf(name), 'r+').then(async (file) => {
        worked.push('writing over it');
        await file.close();
      }, refusedOnly);
      await unlink(pathOf(name)).then(() => worked.push('deleting it'), refusedOnly);
      return worked;
    },
  };
}

function missing(name: string) {
  return (error: NodeJS.ErrnoException): never => {
    throw error.code === 'ENOENT' ? new BackupMissing(name) : error;
  };
}

function refusedOnly(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EACCES' && error.code !== 'EPERM' && error.code !== 'EROFS') throw error;
}
