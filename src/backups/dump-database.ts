import { join } from 'node:path';
import type { BackupManifest } from '../domain/backup.ts';
import { instantOf } from '../domain/ids.ts';
import { connectOwn } from '../engines/postgres/connect.ts';
import { readContent } from '../engines/postgres/content.ts';
import { connectionEnvironment } from './connection-environment.ts';
import { findProgram, runProgram } from './programs.ts';
import { checkRoom } from './room.ts';
import { nameBackup, STAGED, type StageRequest, stageFiles, stageManifest } from './staged-backup.ts';
import type { WorkDirectory } from './work-directory.ts';

/**
 * Stages a dump: `pg_dump` and the hashes of what it holds are taken from one exported snapshot. Nothing of it lies in the
 * clear afterwards.
 */
export async function dumpDatabase(work: WorkDirectory, request: StageRequest): Promise<BackupManifest> {
  const { target, onProgress } = request;
  const client = await connectOwn(target, request.credential);
  try {
    await client.query('SET idle_in_transaction_session_timeout = 0');
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows } = await client.query<{ snapshot: string; version: string; at: Date; bytes: string }>(
      "SELECT pg_catalog.pg_export_snapshot() AS snapshot, pg_catalog.current_setting('server_version_num') AS version, pg_catalog.now() AS at, pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes",
    );
    const [told] = rows;
    if (told === undefined) throw new Error('the server exported no snapshot');
    const serverMajor = Math.trunc(Number(told.version) / 10_000);
    // Dump and encrypted copy are compressed, and seldom take as much.
    await checkRoom(work.path, Number(told.bytes), `A backup of ${target.id}`);
    const pgDump = findProgram('pg_dump', serverMajor);
    onProgress(`dumping ${target.endpoint.database} (snapshot of ${told.at.toISOString()})`);
    const dumpDirectory = join(work.path, 'dump');
    const together = new AbortController();
    const dumping = runProgram(
      pgDump,
      ['-Fd', '-j', String(request.jobs), '--snapshot', told.snapshot, '-f', dumpDirectory, '--no-password'],
      { env: await connectionEnvironment(target, request.credential, work.path), signal: together.signal },
    );
    const reading = readContent(client, (table, done, all) => onProgress(`hashing ${table} (${done + 1} of ${all})`));
    const [content] = await Promise.all([reading, dumping]).catch(async (error: unknown) => {
      together.abort();
      // Whichever failed, the other has to be over before its files go.
      await Promise.allSettled([reading, dumping]);
      throw error;
    });
    const { rows: roles } = await client.query<{ rolname: string }>(
      "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname",
    );
    await client.query('COMMIT');

    const staged = join(work.path, STAGED);
    const manifest: BackupManifest = {
      v: 1,
      id: nameBackup(told.at),
      target: target.id,
      environment: target.environment,
      identity: target.identity,
      serverMajor,
      databaseBytes: Number(told.bytes),
      at: instantOf(told.at.getTime()),
      roles: roles.map(({ rolname }) => rolname),
      content,
      files: await stageFiles(dumpDirectory, staged, request),
    };
    await stageManifest(staged, manifest);
    return manifest;
  } finally {
    await client.end().catch(() => undefined /* lost: its snapshot is gone with it */);
  }
}
