import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { RefusalError } from '../domain/refusal.ts';

/** Debian keeps each major's programs apart, and a wrapper without version on the path. */
const DEBIAN = '/usr/lib/postgresql';

/**
 * Finds `pg_dump` or `pg_restore` that can work with a server: one that is not older (PostgreSQL, "pg_dump").
 *
 * @returns the path of the oldest that will do.
 * @throws RefusalError when there is none, with what to install.
 */
export function findProgram(name: 'pg_dump' | 'pg_restore', serverMajor: number): string {
  const found = [name, ...majorsIn(DEBIAN).map((major) => `${DEBIAN}/${major}/bin/${name}`)].flatMap((path) => {
    const { stdout, status } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    const major = Number(/(\d+)(?:\.|\s|$)/.exec(stdout ?? '')?.[1]);
    return status === 0 && major >= serverMajor ? [{ path, major }] : [];
  });
  const [best] = found.sort((a, b) => a.major - b.major);
  if (best !== undefined) return best.path;
  throw new RefusalError({
    refused: 'unavailable',
    message: `There is no ${name} here of version ${serverMajor} or newer, as the server needs.`,
    hint: `Install it: postgresql-client-${serverMajor} (from apt.postgresql.org where the system has none so new).`,
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
  options: { readonly env: Readonly<Record<string, string>>; readonly signal?: AbortSignal },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [...args], {
      env: { ...process.env, ...options.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-8000);
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${path.split('/').at(-1)} ended with ${code}: ${said.trim()}`)),
    );
  });
}
