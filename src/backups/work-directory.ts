import { lstat, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { RefusalError } from '../domain/refusal.ts';

/** A directory for what is under way, readable for this account alone, and held by this process until it lets go. */
export interface WorkDirectory {
  readonly path: string;
  /** Leaves it to whoever goes on with it. */
  letGo(): void;
  remove(): Promise<void>;
}

/** A lock of SQLite's: the system lets go of it when the process dies, however it dies, which no written id tells. */
const HELD = 'held';

/** @throws RefusalError when others could read what is put there. */
export async function makeWorkDirectory(parent: string | null, kind: string): Promise<WorkDirectory> {
  const within = await privateParent(parent);
  const made = await mkdtemp(join(within, '.new-'));
  const lock = hold(made);
  if (lock === undefined) throw new Error(`${made} is held by somebody else`);
  // It has its name only once it is held, so that nobody takes it for one that was left.
  const path = join(within, `${kind}-${basename(made).slice('.new-'.length)}`);
  await rename(made, path);
  return held(path, lock);
}

/** @returns those of the kind whose process is gone; this one holds them now. */
export async function takeLeftDirectories(parent: string | null, kind: string): Promise<readonly WorkDirectory[]> {
  const within = await privateParent(parent);
  const left: WorkDirectory[] = [];
  for (const name of (await readdir(within)).sort()) {
    if (!name.startsWith(`${kind}-`) || name.length !== kind.length + 7) continue;
    const path = join(within, name);
    const lock = hold(path);
    if (lock !== undefined) left.push(held(path, lock));
  }
  return left;
}

function held(path: string, lock: DatabaseSync): WorkDirectory {
  return {
    path,
    letGo: () => lock.close(),
    async remove() {
      await rm(path, { recursive: true, force: true });
      lock.close();
    },
  };
}

/** @returns `undefined` when another process holds it, or has just removed it. */
function hold(directory: string): DatabaseSync | undefined {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(directory, HELD), { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    const { errcode } = error as { readonly errcode?: number };
    if (errcode === SQLITE_BUSY || errcode === SQLITE_CANTOPEN) return undefined;
    throw error;
  }
}

/** "Result and Error Codes" */
const SQLITE_BUSY = 5;
const SQLITE_CANTOPEN = 14;

async function privateParent(configured: string | null): Promise<string> {
  const { uid } = userInfo();
  const parent = configured ?? join(tmpdir(), `countersign-${uid}`);
  await mkdir(dirname(parent), { recursive: true });
  await mkdir(parent, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(parent);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return parent;
  throw new RefusalError({
    refused: 'denied',
    message: `${parent} is no directory that only this account can read, and what is under way lies there in the clear.`,
    hint: `Make it one (chmod 700), or name another: targets.<name>.backup.workDirectory.`,
  });
}
