import pg from 'pg';
import type { BackupManifest, PhysicalCopy } from '../../domain/backup.ts';
import { serverAccount, startEmbeddedServer } from '../../engines/postgres/embedded-server.ts';
import type { ServerBinaries } from '../../engines/postgres/server-binaries.ts';
import { BackupBroken } from '../fetch-backup.ts';
import { findCopyPrograms } from '../programs.ts';
import type { Restored } from '../restore-dump.ts';
import { parseSnapshot } from './snapshot.ts';
import { configureCopy, unpackCopy, verifyCopy } from './unpack.ts';

/** Recovery reads the log from the base backup on, however much that is. */
const RECOVERY_MS = 12 * 3_600_000;

/**
 * Starts a copy of a server's files, and lets it recover to the moment that its hashes were taken at.
 *
 * @throws BackupBroken when a file is not as the server had it, or recovery doesn't get there.
 */
export async function restoreCopy(
  manifest: BackupManifest,
  copy: PhysicalCopy,
  into: {
    readonly binaries: ServerBinaries;
    readonly data: string;
    readonly archives: string;
    readonly onProgress: (said: string) => void;
  },
): Promise<Restored> {
  const { binaries, data, archives, onProgress } = into;
  const { pg_verifybackup } = findCopyPrograms(manifest.serverMajor);
  const account = serverAccount();
  const broken = (error: unknown) => {
    throw new BackupBroken(error instanceof Error ? error.message : String(error), { cause: error });
  };
  const startedMs = Date.now();
  onProgress('unpacking the files of the server');
  await unpackCopy(archives, data, account).catch(broken);
  const unpackedMs = Date.now();
  onProgress('verifying every file');
  await verifyCopy(archives, data, pg_verifybackup).catch(broken);
  const verifyMs = Date.now() - unpackedMs;
  await configureCopy(data, copy, account);
  onProgress(`recovering to ${copy.untilLsn}`);
  const server = await startEmbeddedServer({
    dataDirectory: data,
    binaries,
    durable: false,
    startTimeoutMs: RECOVERY_MS,
    settings: { listen_addresses: '', unix_socket_directories: data },
  }).catch(broken);
  try {
    const client = new pg.Client({
      host: data,
      port: server.port,
      user: copy.superuser,
      database: copy.database,
      // Its environment is for others.
      password: '',
    });
    await client.connect();
    await checkIdentity(client, copy);
    return { client, restoreMs: Date.now() - startedMs - verifyMs, verifyMs, stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function checkIdentity(client: pg.Client, copy: PhysicalCopy): Promise<void> {
  const { rows } = await client.query<{ systemIdentifier: string; oid: number }>(`
    SELECT s.system_identifier::text AS "systemIdentifier", d.oid::int8::int AS oid
    FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()`);
  const [is] = rows;
  if (is?.systemIdentifier === copy.systemIdentifier && is.oid === copy.databaseOid) return;
  await client.end();
  throw new BackupBroken('it is of another server or database than it says');
}

/** @returns what to know when contents differ: which commits recovery brought that the hashes could not see. */
export async function unseenIn(client: pg.Client, copy: PhysicalCopy): Promise<readonly string[]> {
  const { xmax, inProgress } = parseSnapshot(copy.snapshot);
  const { rows } = await client.query<{ xid: string }>(
    `SELECT x.xid FROM (
       SELECT pg_catalog.unnest($1::text[]) AS xid
       UNION ALL
       SELECT pg_catalog.generate_series($2::numeric, pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric - 1)::text
     ) AS x WHERE pg_catalog.pg_xact_status(x.xid::pg_catalog.xid8) = 'committed'`,
    [inProgress.map(String), String(xmax)],
  );
  if (rows.length === 0) return [];
  return [
    `it can’t be compared: ${rows.length} transactions (${rows[0]?.xid}) were committed in the log and not yet to be seen when the hashes were taken, as where a commit waits for a standby; make another`,
  ];
}
