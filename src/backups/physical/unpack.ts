import { chown, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PhysicalCopy } from '../../domain/backup.ts';
import type { Account } from '../../engines/postgres/embedded-server.ts';
import { runProgram } from '../programs.ts';

/** Of the socket's name: nothing listens on a network. */
export const COPY_PORT = 5433;

const PACKED = '.tar.gz';
const TABLESPACES = 'tablespaces';

/**
 * Unpacks a base backup into a data directory. Tablespaces come to lie within it, wherever they lay.
 *
 * @param account whom the directory is to belong to; `undefined`: us.
 */
export async function unpackCopy(archives: string, data: string, account?: Account | undefined): Promise<void> {
  const directory = async (path: string) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (account !== undefined) await chown(path, account.uid, account.gid);
  };
  const unpack = async (name: string, to: string) =>
    runProgram('tar', ['-xzf', '-', '-C', to], { account, input: join(archives, `${name}${PACKED}`) });
  await directory(data);
  await unpack('base', data);
  await directory(join(data, 'pg_wal'));
  await unpack('pg_wal', join(data, 'pg_wal'));
  for (const name of await readdir(archives)) {
    const oid = /^(\d+)\.tar\.gz$/.exec(name)?.[1];
    if (oid === undefined) continue;
    await directory(join(data, TABLESPACES));
    await directory(join(data, TABLESPACES, oid));
    await unpack(oid, join(data, TABLESPACES, oid));
    await symlink(join('..', TABLESPACES, oid), join(data, 'pg_tblspc', oid));
  }
}

/** Compares every file with the manifest that the server wrote, and reads the log that it needs. @throws with the first that is wrong. */
export async function verifyCopy(archives: string, data: string, pgVerifybackup: string): Promise<void> {
  const manifest = join(archives, 'backup_manifest');
  await runProgram(pgVerifybackup, ['--manifest-path', manifest, '--ignore', TABLESPACES, '--exit-on-error', data], {});
}

/** What a server had configured, kept beside what takes its place. */
const CONFIGURED = ['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'];

/**
 * Makes a copy one that harms nobody when it is started: it is reached through a socket in its own directory alone, sends
 * nothing anywhere, and is brought to the moment that it was hashed at.
 */
export async function configureCopy(data: string, copy: PhysicalCopy, account?: Account | undefined): Promise<void> {
  for (const name of CONFIGURED)
    await rename(join(data, name), join(data, `${name}.of-the-source`)).catch((error: NodeJS.ErrnoException) => {
      // Debian keeps them elsewhere.
      if (error.code !== 'ENOENT') throw error;
    });
  // Where tablespaces lay on the other machine.
  for (const name of ['tablespace_map', 'standby.signal']) await rm(join(data, name), { force: true });
  const own = {
    'postgresql.conf': settingsOf(data, copy),
    // Nobody else can enter the directory that the socket lies in.
    'pg_hba.conf': 'local all all trust\n',
    'pg_ident.conf': '',
    'recovery.signal': '',
  };
  for (const [name, text] of Object.entries(own)) {
    await writeFile(join(data, name), text, { mode: 0o600 });
    if (account !== undefined) await chown(join(data, name), account.uid, account.gid);
  }
}

function settingsOf(data: string, copy: PhysicalCopy): string {
  const settings = {
    ...copy.settings,
    listen_addresses: '',
    unix_socket_directories: data,
    port: String(COPY_PORT),
    lc_messages: 'C',
    // As a copy it has to keep to itself.
    archive_mode: 'off',
    max_logical_replication_workers: '0',
    max_wal_senders: '0',
    autovacuum: 'off',
    ssl: 'off',
    // To the moment that it was hashed at, and not a commit further.
    hot_standby: 'off',
    restore_command: 'exit 1',
    recovery_target_lsn: copy.untilLsn,
    recovery_target_inclusive: 'off',
    recovery_target_timeline: 'current',
    recovery_target_action: 'promote',
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('');
}
