import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupFile, BackupManifest } from '../domain/backup.ts';
import { canonicalJson, digestOf, type Json } from '../domain/digest.ts';
import { type Digest, instantOf } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import type { Target } from '../domain/target.ts';
import type { Credential } from '../engines/engine.ts';
import { connectOwn } from '../engines/postgres/connect.ts';
import { readContent } from '../engines/postgres/content.ts';
import { connectionEnvironment } from './connection-environment.ts';
import { encryptFile } from './encryption.ts';
import { findProgram, runProgram } from './programs.ts';
import type { BackupStore } from './store.ts';

export interface BackupMade {
  readonly manifest: BackupManifest;
  readonly digest: Digest;
  readonly bytes: number;
  readonly rows: number;
  readonly durationMs: number;
}

/**
 * A consistent backup: `pg_dump` and the hashes of what it holds are taken from one exported snapshot, so that a restore
 * can be compared by content, whatever was written meanwhile. Files are encrypted here; the manifest comes last.
 *
 * @throws RefusalError when the target isn't the pinned one (G9), the login can't read all of it, or the store refuses.
 */
export async function createBackup(request: {
  readonly target: Target;
  readonly credential: Credential;
  readonly store: BackupStore;
  readonly recipients: readonly string[];
  readonly jobs: number;
  readonly onProgress: (said: string) => void;
}): Promise<BackupMade> {
  const { target, store, onProgress } = request;
  const startedMs = Date.now();
  const client = await connectOwn(target, request.credential);
  const directory = await mkdtemp(join(tmpdir(), 'countersign-backup-'));
  try {
    await client.query('SET idle_in_transaction_session_timeout = 0');
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows } = await client.query<{ snapshot: string; version: string; at: Date }>(
      "SELECT pg_catalog.pg_export_snapshot() AS snapshot, pg_catalog.current_setting('server_version_num') AS version, pg_catalog.now() AS at",
    );
    const [told] = rows;
    if (told === undefined) throw new Error('the server exported no snapshot');
    const serverMajor = Math.trunc(Number(told.version) / 10_000);
    const pgDump = findProgram('pg_dump', serverMajor);
    onProgress(`dumping ${target.endpoint.database} (snapshot of ${told.at.toISOString()})`);
    const dumpDirectory = join(directory, 'dump');
    const together = new AbortController();
    const dumping = runProgram(
      pgDump,
      ['-Fd', '-j', String(request.jobs), '--snapshot', told.snapshot, '-f', dumpDirectory, '--no-password'],
      { env: await connectionEnvironment(target, request.credential, directory), signal: together.signal },
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
    const files: BackupFile[] = [];
    for (const name of (await readdir(dumpDirectory)).sort()) {
      onProgress(`encrypting and storing ${name}`);
      const path = join(directory, `${name}.age`);
      const encrypted = await encryptFile(join(dumpDirectory, name), path, request.recipients);
      await store.add(`${target.id}/${id}/${name}.age`, { path, ...encrypted });
      files.push({ name: `${name}.age`, ...encrypted });
      await rm(path);
    }
    const manifest: BackupManifest = {
      v: 1,
      id,
      target: target.id,
      environment: target.environment,
      identity: target.identity,
      serverMajor,
      at: instantOf(told.at.getTime()),
      roles: roles.map(({ rolname }) => rolname),
      content,
      files,
    };
    await addManifest(store, manifest, directory);
    return {
      manifest,
      digest: digestOf(manifest as unknown as Json),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      rows: content.tables.reduce((sum, table) => sum + table.rows, 0),
      durationMs: Date.now() - startedMs,
    };
  } catch (error) {
    if (error instanceof RefusalError) throw error;
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: `The backup of ${target.id} was not made: ${error instanceof Error ? error.message : String(error)}`,
        hint: 'Nothing counts as backed up: what lies in the store without a manifest is no backup. Mend the cause and run it again.',
      },
      { cause: error },
    );
  } finally {
    await client.end().catch(() => undefined /* lost: its snapshot is gone with it */);
    await rm(directory, { recursive: true, force: true });
  }
}

async function addManifest(store: BackupStore, manifest: BackupManifest, directory: string): Promise<void> {
  const path = join(directory, 'manifest.json');
  const text = canonicalJson(manifest as unknown as Json);
  await writeFile(path, text);
  await store.add(`${manifest.target}/${manifest.id}/manifest.json`, {
    path,
    bytes: Buffer.byteLength(text),
    sha256: createHash('sha256').update(text).digest('hex'),
  });
}
