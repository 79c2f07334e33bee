import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { RefusalError } from '../domain/refusal.ts';
import { BackupMissing, type BackupStore, checkedName } from './store.ts';

/** A repository behind a REST server, and what opens it. */
export interface ResticPlace {
  /** `https://…/` of restic's REST server, or of `rclone serve restic`. */
  readonly url: string;
  /** Of the repository. */
  readonly password: string;
  /** For the server; `undefined` where it asks for nobody. */
  readonly login: { readonly user: string; readonly password: string } | undefined;
}

interface Snapshot {
  readonly id: string;
  readonly paths: readonly string[];
}

const TAG = 'countersign';
const ANSWER_WITHIN_MS = 10_000;

/**
 * A repository of restic's behind a server that only appends (`rest-server --append-only`, `rclone serve restic
 * --append-only`). Each file is a snapshot that is named like it, so that restic alone brings all of it back too. What
 * was stored first under a name is what is read; snapshots that come later hide nothing.
 */
export function resticStore({ url, password, login }: ResticPlace): BackupStore {
  const base = url.endsWith('/') ? url : `${url}/`;
  const withLogin = new URL(base);
  if (login !== undefined) Object.assign(withLogin, { username: login.user, password: login.password });
  const run = (...args: readonly string[]) =>
    spawn('restic', ['--no-cache', ...args], {
      env: { ...process.env, RESTIC_REPOSITORY: `rest:${withLogin.href}`, RESTIC_PASSWORD: password },
    });
  const headers =
    login === undefined
      ? {}
      : { authorization: `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}` };
  // restic itself would try for a quarter of an hour before it says that nobody is there.
  const reach = async (): Promise<void> => {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    const answer = await fetch(`${base}config`, { method: 'HEAD', headers, signal }).catch((error: unknown) => {
      throw new Error(`the server of backups at ${base} does not answer`, { cause: error });
    });
    if (!answer.ok) throw new Error(`${base} answered ${answer.status} when asked for its repository`);
  };
  const snapshots = async (): Promise<readonly Snapshot[]> => {
    await reach();
    const child = run('snapshots', '--json', '--no-lock', '--tag', TAG);
    child.stdin.end();
    const [said] = await Promise.all([text(child.stdout), ended(child)]);
    // The oldest first.
    return (JSON.parse(said) as readonly (Snapshot & { readonly time: string })[]).toSorted(
      (a, b) => Date.parse(a.time) - Date.parse(b.time),
    );
  };
  const first = async (name: string): Promise<Snapshot | undefined> => {
    const path = `/${checkedName(name)}`;
    return (await snapshots()).find(({ paths }) => paths[0] === path);
  };
  return {
    place: `restic at ${base}`,
    async add(name, { path }) {
      if ((await first(name)) !== undefined) throw new Error(`${base} has a ${name} already`);
      const as = ['--stdin', '--stdin-filename', `/${name}`, '--tag', TAG, '--host', TAG];
      const child = run('backup', '--quiet', ...as);
      child.stdout.resume();
      await Promise.all([pipeline(createReadStream(path), child.stdin).catch(toldByTheEnd), ended(child)]);
    },
    async read(name) {
      const snapshot = await first(name);
      if (snapshot === undefined) throw new BackupMissing(name);
      const child = run('dump', '--quiet', '--no-lock', snapshot.id, `/${name}`);
      child.stdin.end();
      return untilItEndedWell(child.stdout, ended(child));
    },
    async list(within) {
      const below = `/${checkedName(within)}/`;
      const paths = (await snapshots()).flatMap(({ paths: [path = ''] }) => (path.startsWith(below) ? [path] : []));
      return [...new Set(paths.map((path) => path.slice(below.length).split('/')[0] ?? ''))].sort();
    },
    async tryToDestroy(name) {
      const snapshot = await first(name);
      if (snapshot === undefined) throw new BackupMissing(name);
      // What `restic forget` asks of the server; itself it would ask for a quarter of an hour, and lock others out.
      const ask = async (method: string, body?: string): Promise<boolean> => {
        const answer = await fetch(`${base}snapshots/${snapshot.id}`, {
          method,
          headers,
          ...(body === undefined ? {} : { body }),
        });
        if (answer.status >= 500) throw new Error(`${base} answered ${answer.status}`);
        return answer.ok;
      };
      const worked: string[] = [];
      if (await ask('POST', 'x')) worked.push('writing over it');
      if (await ask('DELETE')) worked.push('deleting it');
      return worked;
    },
  };
}

/** @throws with the end of what it said when it fails. */
async function ended(child: ChildProcess): Promise<void> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    said = (said + part).slice(-4000);
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'ENOENT' ? noRestic() : error));
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`restic ended with ${String(code)}: ${said.trim()}`);
}

/** Its input was cut because it ended, and why it did it has said itself. */
function toldByTheEnd(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
}

/** A program that failed after half of its output must not look like a file that is shorter. */
function untilItEndedWell(output: Readable, whenEnded: Promise<void>): Readable {
  async function* all(): AsyncGenerator<Buffer> {
    for await (const chunk of output) yield chunk as Buffer;
    await whenEnded;
  }
  whenEnded.catch(() => undefined /* thrown to whoever reads */);
  return Readable.from(all());
}

function noRestic(): RefusalError {
  return new RefusalError({
    refused: 'unavailable',
    message: 'There is no restic on this machine.',
    hint: 'Install it (Debian: restic), or choose another store.',
  });
}
