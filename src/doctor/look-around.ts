import { lookup } from 'node:dns/promises';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';
import {
  credentialInVariables,
  credentialsInPasswordFile,
  credentialsInServiceFile,
  credentialsInText,
  type DirectCredential,
  variablesIn,
} from './direct-credentials.ts';
import type { OwnFile } from './files.ts';

/** Everything of this machine that the checks look at is read here, and nowhere else. */

const MOST_BYTES = 256 * 1024;

/** Credentials of PostgreSQL servers in the variables, the current folder and the home of whoever runs this. */
export function lookForCredentials(env: NodeJS.ProcessEnv, directory: string): DirectCredential[] {
  const home = env['HOME'] ?? homedir();
  const inVariables = Object.entries(env).flatMap(([name, value]) =>
    credentialsInText(value ?? '', () => `the variable ${name}`),
  );
  const inFiles = textFilesOf(directory).flatMap((path) => {
    const text = textOf(path) ?? '';
    const variables = variablesIn(text);
    return [
      ...credentialsInText(text, (line) => `${path} line ${line}`),
      ...credentialInVariables(variables, (name) => `${path} (${name})`),
    ];
  });
  const passwordFiles = [env['PGPASSFILE'], join(home, '.pgpass'), join(directory, '.pgpass')];
  const serviceFiles = [env['PGSERVICEFILE'], join(home, '.pg_service.conf'), join(directory, 'pg_service.conf')];
  return [
    ...inVariables,
    ...credentialInVariables(env, (name) => `the variable ${name}`),
    ...inFiles,
    ...each(passwordFiles, credentialsInPasswordFile),
    ...each(serviceFiles, credentialsInServiceFile),
  ];
}

function each(
  paths: readonly (string | undefined)[],
  read: (text: string, file: string) => DirectCredential[],
): DirectCredential[] {
  const named = new Set(paths.filter((path) => path !== undefined));
  return [...named].flatMap((path) => {
    const text = textOf(path);
    return text === undefined ? [] : read(text, path);
  });
}

/** Where people keep such things in a project. */
const TELLING_NAMES =
  /^(\.env(\..*)?|\.envrc|.*\.env|docker-compose.*\.ya?ml|compose.*\.ya?ml|database\.ya?ml|\.mcp\.json|mcp\.json|settings\.json)$/;

function textFilesOf(directory: string): string[] {
  const folders = [directory, ...['.cursor', '.vscode', '.claude', 'config'].map((name) => join(directory, name))];
  return folders.flatMap((folder) =>
    namesIn(folder)
      .filter((name) => TELLING_NAMES.test(name))
      .map((name) => join(folder, name)),
  );
}

function namesIn(folder: string): string[] {
  return existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder) : [];
}

/** The text of a file; `undefined` when it can't be read, or is too big to be what is looked for. */
function textOf(path: string): string | undefined {
  try {
    const { size } = statSync(path);
    return statSync(path).isFile() && size <= MOST_BYTES ? readFileSync(path, 'utf8') : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** A file or folder, and where it is a folder all that is in it. */
export function ownFiles(path: string, kind: OwnFile['kind']): OwnFile[] {
  if (!existsSync(path)) return [{ path, kind, mode: null, uid: 0 }];
  const { mode, uid } = lstatSync(path);
  const itself = { path, kind, mode: mode & 0o777, uid };
  if (!statSync(path).isDirectory()) return [itself];
  return [itself, ...readdirSync(path).flatMap((name) => ownFiles(join(path, name), kind))];
}

const BACKUP_NAMES =
  /^(pgbackrest.*\.conf|barman.*\.conf|wal-?g.*\.(json|ya?ml|env)|rclone\.conf|restic.*(password|env).*|\.s3cfg|\.boto)$/i;
const BACKUP_TEXT =
  /\bAKIA[0-9A-Z]{16}\b|aws_secret_access_key\s*[=:]|repo\d*-s3-key-secret\s*=|RESTIC_PASSWORD\s*=|WALG_[A-Z0-9_]+\s*[=:]|"private_key":\s*"-----BEGIN/i;
const BACKUP_VARIABLES =
  /^(AWS_SECRET_ACCESS_KEY|RESTIC_PASSWORD|B2_APPLICATION_KEY|WALG_\w+|PGBACKREST_\w*(KEY|CIPHER_PASS)\w*|GOOGLE_APPLICATION_CREDENTIALS|AZURE_STORAGE_KEY)$/;

/** Places beside the configuration, and variables, that look like credentials of a backup store. */
export function lookForBackupCredentials(env: NodeJS.ProcessEnv, directory: string): string[] {
  const variables = Object.keys(env).filter((name) => BACKUP_VARIABLES.test(name) && env[name] !== '');
  const files = filesBelow(directory, 3).filter((path) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    return BACKUP_NAMES.test(name) || BACKUP_TEXT.test(textOf(path) ?? '');
  });
  return [...variables.map((name) => `the variable ${name}`), ...files.map((path) => relative(directory, path))];
}

const PASSED_BY = new Set(['node_modules', '.git', 'state', 'policies']);

function filesBelow(folder: string, depth: number): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isFile()) return [path];
    return entry.isDirectory() && depth > 0 && !PASSED_BY.has(entry.name) ? filesBelow(path, depth - 1) : [];
  });
}

/** What a host's name stands for, itself included; itself alone where nobody knows. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  try {
    const found = await lookup(host, { all: true });
    return [host.toLowerCase(), ...found.map(({ address }) => address)];
  } catch {
    // A name that can't be resolved leads nowhere from here.
    return [host.toLowerCase()];
  }
}
