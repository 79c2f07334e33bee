import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { BackupManifest, Content, PhysicalCopy } from '../../domain/backup.ts';
import { instantOf } from '../../domain/ids.ts';
import { RefusalError } from '../../domain/refusal.ts';
import { connectOwn, readIdentity } from '../../engines/postgres/connect.ts';
import { readContent } from '../../engines/postgres/content.ts';
import { connectionEnvironment } from '../connection-environment.ts';
import { findCopyPrograms, runProgram } from '../programs.ts';
import { checkRoom } from '../room.ts';
import { nameBackup, STAGED, type StageRequest, stageFiles, stageManifest } from '../staged-backup.ts';
import type { WorkDirectory } from '../work-directory.ts';
import { type Cut, findCut } from './find-cut.ts';
import { obstaclesToCopy } from './obstacles.ts';
import { unpackCopy, verifyCopy } from './unpack.ts';
import { beginTail, segmentsIn } from './write-ahead-log.ts';

/**
 * Stages a copy of the server's files (`pg_basebackup`, checked by `pg_verifybackup`) and the hashes of the target's
 * database. No snapshot matches the end of a base backup: so the log is received a little further, to a place that one does.
 *
 * @throws RefusalError with all that the login, the server or this machine lacks for it.
 */
export async function copyServer(work: WorkDirectory, request: StageRequest): Promise<BackupManifest> {
  const { target, credential, onProgress } = request;
  const server = await look(request);
  // The archives as they come, and unpacked to be verified.
  await checkRoom(work.path, server.bytes * 2, `A physical backup of ${target.id}`);
  const programs = findCopyPrograms(server.major);
  const env = await connectionEnvironment(target, credential, work.path);
  const [archives, data, tailDirectory] = ['copy', 'data', 'tail'].map((name) => join(work.path, name)) as [
    string,
    string,
    string,
  ];
  onProgress(`copying the files of the server (about ${Math.ceil(server.bytes / 1_000_000)} MB)`);
  await runProgram(
    programs.pg_basebackup,
    [
      ...['-D', archives, '--format=tar', '--gzip', '--wal-method=stream', '--checkpoint=fast'],
      ...['--manifest-checksums=SHA256', '--no-password', '--label', 'countersign'],
    ],
    { env },
  );
  onProgress('unpacking the copy, to verify it');
  await unpackCopy(archives, data);
  await checkIsOf(server.systemIdentifier, data);
  await mkdir(tailDirectory);
  const tail = await beginTail(tailDirectory, join(data, 'pg_wal'));

  const reader = await connectOwn(target, credential);
  try {
    await reader.query('SET idle_in_transaction_session_timeout = 0');
    onProgress('looking for a moment between two commits');
    const writer = await connectOwn(target, credential);
    const cut = await findCut(tail, {
      target,
      reader,
      writer,
      pgReceivewal: programs.pg_receivewal,
      pgWaldump: programs.pg_waldump,
      env,
    }).finally(() => writer.end());
    for (const name of await segmentsIn(tailDirectory))
      await rename(join(tailDirectory, name), join(data, 'pg_wal', name));
    const reading = readAt(cut, reader, onProgress);
    const verifying = verifyCopy(archives, data, programs.pg_verifybackup);
    // Whichever fails, the other has to be over before its files go.
    await Promise.allSettled([reading, verifying]);
    await verifying;
    const { content, unlogged } = await reading;
    await reader.query('COMMIT');

    await runProgram('tar', ['-czf', join(archives, 'pg_wal.tar.gz'), '-C', join(data, 'pg_wal'), '.'], {});
    await rm(data, { recursive: true });
    const staged = join(work.path, STAGED);
    const physical: PhysicalCopy = {
      systemIdentifier: server.systemIdentifier,
      databaseOid: server.databaseOid,
      database: target.endpoint.database,
      superuser: server.superuser,
      untilLsn: cut.lsn,
      snapshot: cut.snapshot,
      unlogged,
      settings: server.settings,
    };
    const manifest: BackupManifest = {
      v: 1,
      id: nameBackup(cut.at),
      target: target.id,
      environment: target.environment,
      identity: target.identity,
      serverMajor: server.major,
      databaseBytes: server.bytes,
      at: instantOf(cut.at.getTime()),
      // They are the server's, and come with its files.
      roles: [],
      content,
      physical,
      files: await stageFiles(archives, staged, request),
    };
    await stageManifest(staged, manifest);
    return manifest;
  } finally {
    await reader.end().catch(() => undefined /* lost: its snapshot is gone with it */);
  }
}

interface ServerFacts {
  readonly major: number;
  readonly bytes: number;
  readonly superuser: string;
  readonly systemIdentifier: string;
  readonly databaseOid: number;
  readonly settings: Readonly<Record<string, string>>;
}

async function look({ target, credential }: StageRequest): Promise<ServerFacts> {
  const client = await connectOwn(target, credential);
  try {
    const obstacles = await obstaclesToCopy(target, credential, client);
    if (obstacles.length > 0)
      throw new RefusalError({
        refused: 'denied',
        message: `The files of ${target.id}’s server can’t be copied: ${obstacles.map(({ found }) => found).join('; ')}.`,
        hint: obstacles.map(({ fix }) => fix).join('\n'),
      });
    const { systemIdentifier, databaseOid } = await readIdentity(
      target.endpoint,
      async (sql) => (await client.query({ text: sql, rowMode: 'array' })).rows as (string | null)[][],
    );
    const { rows } = await client.query<{ major: number; bytes: string; superuser: string }>(`
      SELECT pg_catalog.current_setting('server_version_num')::int / 10000 AS major,
             (SELECT sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)::text AS bytes,
             (SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = 10) AS superuser`);
    const { rows: settings } = await client.query<{ name: string; setting: string }>(`
      SELECT name, setting FROM pg_catalog.pg_settings
      WHERE name IN ('max_connections', 'max_prepared_transactions', 'max_locks_per_transaction', 'max_worker_processes')`);
    const [facts] = rows;
    if (facts === undefined) throw new Error('the server does not tell how large it is');
    return {
      ...facts,
      bytes: Number(facts.bytes),
      systemIdentifier,
      databaseOid,
      settings: Object.fromEntries(settings.map(({ name, setting }) => [name, setting])),
    };
  } finally {
    await client.end();
  }
}

/** Behind one address there may be several servers (G9). The identifier stands first in the control file. */
async function checkIsOf(systemIdentifier: string, data: string): Promise<void> {
  const file = await open(join(data, 'global/pg_control'));
  try {
    const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
    const copied = buffer.readBigUInt64LE().toString();
    if (copied === systemIdentifier) return;
    throw new Error(`the files are those of another server (${copied}) than the target’s (${systemIdentifier})`);
  } finally {
    await file.close();
  }
}

/** What is there at the cut, in the reader's snapshot, and what of it the log can't bring back. */
async function readAt(
  cut: Cut,
  reader: pg.Client,
  onProgress: (said: string) => void,
): Promise<{ readonly content: Content; readonly unlogged: readonly string[] }> {
  const content = await readContent(reader, (table, done, all) =>
    onProgress(`hashing ${table} (${done + 1} of ${all})`),
  );
  const { rows } = await reader.query<{ table: string }>(`
    SELECT n.nspname || '.' || c.relname AS table
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'u' ORDER BY 1`);
  const unlogged = new Set(rows.map(({ table }) => table));
  return {
    content: {
      ...content,
      tables: content.tables.map((table) => (unlogged.has(table.table) ? { ...table, rows: 0, hash: '0 0' } : table)),
      sequences: cut.sequences,
    },
    unlogged: [...unlogged],
  };
}
