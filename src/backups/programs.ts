import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { RefusalError } from '../domain/refusal.ts';

/** Debian keeps each major's programs apart, and a wrapper without version on the path. */
const DEBIAN = '/usr/lib/postgresql';

/** What a copy of a server's files is made and checked with: their formats change with each major version. */
const OF_ONE_MAJOR = ['pg_basebackup', 'pg_receivewal', 'pg_verifybackup', 'pg_waldump'] as const;

/**
 * Finds the programs that copy the files of a server, all of its very major.
 *
 * @throws RefusalError naming what is missing.
 */
export function findCopyPrograms(serverMajor: number): Readonly<Record<(typeof OF_ONE_MAJOR)[number], string>> {
  const found = new Map(
    OF_ONE_MAJOR.map((name) => [name, versionsOf(name).find(({ major }) => major === serverMajor)?.path]),
  );
  const missing = OF_ONE_MAJOR.filter((name) => found.get(name) === undefined);
  const path = (name: (typeof OF_ONE_MAJOR)[number]) => found.get(name) ?? '';
  if (missing.length === 0)
    return {
      pg_basebackup: path('pg_basebackup'),
      pg_receivewal: path('pg_receivewal'),
      pg_verifybackup: path('pg_verifybackup'),
      pg_waldump: path('pg_waldump'),
    };
  throw new RefusalError({
    refused: 'unavailable',
    message: `There is no ${missing.join(', no ')} here of version ${serverMajor}, which the server is of.`,
    hint: `Install postgresql-${serverMajor} and postgresql-client-${serverMajor} (from apt.postgresql.org where the system has another); an older or newer one reads other formats.`,
  });
}

/**
 * Finds `pg_dump` or `pg_restore` that can work with a server: one that is not older (PostgreSQL, "pg_dump").
 *
 * @returns the path of the oldest that will do.
 * @throws RefusalError when there is none, with what to install.
 */
export function findProgram(name: 'pg_dump' | 'pg_restore', serverMajor: number): string {
  const found = versionsOf(name).filter(({ major }) => major >= serverMajor);
  const [best] = found.sort((a, b) => a.major - b.major);
  if (best !== undefined) return best.path;
  throw new RefusalError({
    refused: 'unavailable',
    message: `There is no ${name} here of version ${serverMajor} or newer, as the server needs.`,
    hint: `Install it: postgresql-client-${serverMajor} (from apt.postgresql.org where the system has none so new).`,
  });
}

function versionsOf(name: string): { readonly path: string; readonly major: number }[] {
  return [name, ...majorsIn(DEBIAN).map((major) => `${DEBIAN}/${major}/bin/${name}`)].flatMap((path) => {
    const { stdout, status } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    const major = Number(/(\d+)(?:\.|\s|$)/.exec(stdout ?? '')?.[1]);
    return status === 0 ? [{ path, major }] : [];
  });
}

function majorsIn(directory: string): number[] {
  try {
    return readdirSync(directory).map(Number).filter(Number.isInteger);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** Runs a program to its end. @throws with the end of what it said when it fails. */
export function runProgram(
  path: string,
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    /** Whom it runs as, where that is somebody else. */
    readonly account?: { readonly uid: number; readonly gid: number } | undefined;
    /** A file that it reads from its standard input: it needs no right to open it. */
    readonly input?: string;
    /** Is told of each line that it answers. */
    readonly onLine?: (line: string) => void;
  },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const { env, signal, account, input, onLine } = options;
    const reading = input === undefined ? 'ignore' : openSync(input, 'r');
    const child = spawn(path, [...args], {
      env: { ...process.env, ...env, LC_ALL: 'C' },
      stdio: [reading, onLine === undefined ? 'ignore' : 'pipe', 'pipe'],
      ...(signal === undefined ? {} : { signal }),
      ...(account === undefined ? {} : { ...account, cwd: '/' }),
    });
    if (typeof reading === 'number') closeSync(reading);
    if (onLine !== undefined && child.stdout !== null) createInterface({ input: child.stdout }).on('line', onLine);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-8000);
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${path.split('/').at(-1)} ended with ${code}: ${said.trim()}`)),
    );
  });
}
