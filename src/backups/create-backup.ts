import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackupFile, BackupManifest } from '../domain/backup.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { type Digest, instantOf } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Target } from '../domain/target.ts';
import type { Credential } from '../engines/engine.ts';
import { connectOwn } from '../engines/postgres/connect.ts';
import { readContent } from '../engines/postgres/content.ts';
import { connectionEnvironment } from './connection-environment.ts';
import { encryptFile } from './encryption.ts';
import { findProgram, runProgram } from './programs.ts';
import { checkRoom } from './room.ts';
import { damagedIn, readStaged, STAGED, stageManifest, storeStaged } from './staged-backup.ts';
import type { BackupStore } from './store.ts';
import { makeWorkDirectory, takeLeftDirectories, type WorkDirectory } from './work-directory.ts';

export interface BackupMade {
  readonly manifest: BackupManifest;
  readonly digest: Digest;
  readonly bytes: number;
  readonly rows: number;
  /** From its beginning; of one that was cut off, from its snapshot on, whatever lay in between. */
  readonly durationMs: number;
  /** Whether another process had begun it, and this one only stored what was left. */
  readonly resumed: boolean;
}

export interface BackupRequest {
  readonly target: Target;
  readonly credential: Credential;
  readonly store: BackupStore;
  readonly recipients: readonly string[];
  readonly jobs: number;
  /** `null` for one of this account's own, below the system's temporary directory. */
  readonly workDirectory: string | null;
  readonly onProgress: (said: string) => void;
  /** Is told of each backup that the store has whole; then nothing is left of it here. */
  readonly onStored: (made: BackupMade) => Promise<void>;
}

/**
 * A consistent backup: `pg_dump` and the hashes of what it holds are taken from one exported snapshot, so that a restore
 * can be compared by content, whatever was written meanwhile. Files are encrypted here; the manifest comes last.
 *
 * First it goes on with what a process that is gone has left: one that was whole is stored, the rest is removed.
 *
 * @throws RefusalError when the target isn't the pinned one (G9), the login can't read all of it, or the store refuses.
 */
export async function createBackup(request: BackupRequest): Promise<BackupMade> {
  // Of the same name there may be another's on this machine.
  const kind = `backup-${request.target.id}-${request.target.identity.slice('sha256:'.length).slice(0, 12)}`;
  try {
    for (const left of await takeLeftDirectories(request.workDirectory, kind)) await goOnWith(left, request);
    return await make(await makeWorkDirectory(request.workDirectory, kind), request);
  } catch (error) {
    if (error instanceof RefusalError) throw error;
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: `The backup of ${request.target.id} was not made: ${error instanceof Error ? error.message : String(error)}`,
        hint: 'Nothing new counts as backed up: what lies in the store without a manifest is no backup. Mend the cause and run it again; what was encrypted already is then stored first, from where it was cut off.',
      },
      { cause: error },
    );
  }
}

async function make(work: WorkDirectory, request: BackupRequest): Promise<BackupMade> {
  const startedMs = Date.now();
  let whole = false;
  try {
    const manifest = await stage(work, request);
    whole = true;
    const made = await bringAway(work, manifest, { request, startedMs, resumed: false });
    whole = false;
    return made;
  } finally {
    // What is encrypted and whole waits for whoever goes on with it.
    if (whole) work.letGo();
    else await work.remove();
  }
}

async function goOnWith(left: WorkDirectory, request: BackupRequest): Promise<void> {
  const { onProgress } = request;
  let keep = false;
  try {
    const manifest = await readStaged(left);
    if (manifest === undefined) return onProgress('removing what a backup has left that was cut off half-way');
    const damaged = await damagedIn(join(left.path, STAGED), manifest);
    if (damaged.length > 0)
      return onProgress(`removing ${manifest.id}, which was cut off: ${damaged.join(', ')} came to harm here`);
    keep = true;
    onProgress(`going on with ${manifest.id}, which was cut off on its way to the store`);
    await bringAway(left, manifest, { request, startedMs: Date.parse(manifest.at), resumed: true });
    keep = false;
  } finally {
    if (keep) left.letGo();
    else await left.remove();
  }
}

async function bringAway(
  work: WorkDirectory,
  manifest: BackupManifest,
  told: { readonly request: BackupRequest; readonly startedMs: number; readonly resumed: boolean },
): Promise<BackupMade> {
  const { store, onProgress, onStored } = told.request;
  await storeStaged(store, manifest, join(work.path, STAGED), onProgress);
  const made = {
    manifest,
    digest: digestOf(manifest as unknown as Json),
    bytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
    rows: manifest.content.tables.reduce((sum, table) => sum + table.rows, 0),
    durationMs: Date.now() - told.startedMs,
    resumed: told.resumed,
  };
  await onStored(made);
  return made;
}

/** Dumps, hashes and encrypts; nothing of it lies in the clear afterwards. */
async function stage(work: WorkDirectory, request: BackupRequest): Promise<BackupManifest> {
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

    const id = `backup-${told.at.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
    const staged = join(work.path, STAGED);
    await mkdir(staged);
    const files: BackupFile[] = [];
    for (const name of (await readdir(dumpDirectory)).sort()) {
      onProgress(`encrypting ${name}`);
      const plain = join(dumpDirectory, name);
      files.push({
        name: `${name}.age`,
        ...(await encryptFile(plain, join(staged, `${name}.age`), request.recipients)),
      });
      await rm(plain);
    }
    const manifest: BackupManifest = {
      v: 1,
      id,
      target: target.id,
      environment: target.environment,
      identity: target.identity,
      serverMajor,
      databaseBytes: Number(told.bytes),
      at: instantOf(told.at.getTime()),
      roles: roles.map(({ rolname }) => rolname),
      content,
      files,
    };
    await stageManifest(staged, manifest);
    return manifest;
  } finally {
    await client.end().catch(() => undefined /* lost: its snapshot is gone with it */);
  }
}
