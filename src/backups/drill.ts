import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type pg from 'pg';
import type { BackupManifest, DrillResult } from '../domain/backup.ts';
import type { Digest } from '../domain/ids.ts';
import { RefusalError } from '../domain/refusal.ts';
import { readContent } from '../engines/postgres/content.ts';
import { findServerBinaries } from '../engines/postgres/server-binaries.ts';
import { differences } from './compare.ts';
import { BackupBroken, fetchBackup, readManifest } from './fetch-backup.ts';
import { restoreCopy, unseenIn } from './physical/restore-copy.ts';
import { restoreDump } from './restore-dump.ts';
import { checkRoom } from './room.ts';
import { BackupMissing, type BackupStore } from './store.ts';
import { makeWorkDirectory, takeLeftDirectories, type WorkDirectory } from './work-directory.ts';

const KIND = 'drill';
const MAX_PROBLEMS = 20;

/** A question whose answer must be `true` in what was restored: what only the user can know. */
export interface Probe {
  readonly name: string;
  readonly sql: string;
}

export interface DrillRequest {
  readonly store: BackupStore;
  readonly backup: { readonly target: string; readonly id: string; readonly digest: Digest };
  /** The pinned identity of the target that it should be of (G9). */
  readonly pinned: Digest;
  /** The age identity that opens it. */
  readonly identity: string;
  readonly jobs: number;
  /** `null` for one of this account's own, below the system's temporary directory. */
  readonly workDirectory: string | null;
  readonly probes: readonly Probe[];
  readonly onProgress: (said: string) => void;
}

/**
 * A real restore into a scratch server, compared by content with what the backup was made of: only a restore shows that
 * there is something to restore (`pg_restore --list` accepts a flipped byte). A broken backup is a result; what
 * keeps the drill itself from running is thrown.
 *
 * @throws RefusalError where this machine has no server or no pg_restore for it; Error when the store doesn't answer.
 */
export async function runDrill(request: DrillRequest): Promise<DrillResult> {
  for (const left of await takeLeftDirectories(request.workDirectory, KIND)) await removeWith(left);
  const work = await makeWorkDirectory(request.workDirectory, KIND);
  const result = {
    passed: false,
    problems: [] as string[],
    tables: 0,
    rows: 0,
    fetchMs: 0,
    restoreMs: 0,
    compareMs: 0,
  };
  try {
    const startedMs = Date.now();
    const manifest = await readManifest(request.store, request.backup);
    if (manifest.identity !== request.pinned)
      throw new BackupBroken('it is of another database than the pinned target');
    const needed = manifest.files.reduce((sum, { bytes }) => sum + bytes, manifest.databaseBytes ?? 0);
    for (const directory of new Set([work.path, dirname(serverData(work))]))
      await checkRoom(directory, needed, `A drill of ${manifest.id}`);
    const dump = join(work.path, 'dump');
    await mkdir(dump);
    await fetchBackup(request.store, manifest, {
      directory: dump,
      identity: request.identity,
      onProgress: request.onProgress,
    });
    result.fetchMs = Date.now() - startedMs;
    return await restoreAndCompare(request, manifest, { server: serverData(work), dump, result });
  } catch (error) {
    if (!(error instanceof BackupBroken) && !(error instanceof BackupMissing)) throw error;
    return { ...result, problems: [error.message] };
  } finally {
    await removeWith(work);
  }
}

/** The server's data as well. A server whose data is gone ends by itself. */
async function removeWith(work: WorkDirectory): Promise<void> {
  await rm(serverData(work), { recursive: true, force: true });
  await work.remove();
}

/** Elsewhere than the rest: a server that root starts runs as somebody else, who may not enter a directory of root's. */
function serverData({ path }: WorkDirectory): string {
  return process.getuid?.() === 0 ? join(tmpdir(), `countersign-${basename(path)}`) : join(path, 'server');
}

async function restoreAndCompare(
  { jobs, probes, onProgress }: DrillRequest,
  manifest: BackupManifest,
  { server: data, dump, result }: { readonly server: string; readonly dump: string; readonly result: DrillResult },
): Promise<DrillResult> {
  const { serverMajor, physical } = manifest;
  const binaries = findServerBinaries(serverMajor);
  if (binaries === undefined) throw new RefusalError(noServer(serverMajor));
  const restored =
    physical === undefined
      ? await restoreDump(manifest, { binaries, data, dump, jobs, onProgress })
      : await restoreCopy(manifest, physical, { binaries, data, archives: dump, onProgress });
  try {
    const beganMs = Date.now();
    onProgress('comparing what was restored with what was backed up');
    const { client } = restored;
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const content = await readContent(client);
    const differing = differences(manifest.content, content, physical === undefined ? 'same' : 'not behind');
    const problems = [
      ...(physical === undefined || differing.length === 0 ? [] : await unseenIn(client, physical)),
      ...differing,
      ...(await unanswered(client, probes)),
    ];
    return {
      ...result,
      passed: problems.length === 0,
      problems: problems.slice(0, MAX_PROBLEMS),
      tables: content.tables.length,
      rows: content.tables.reduce((sum, { rows }) => sum + rows, 0),
      restoreMs: restored.restoreMs,
      compareMs: restored.verifyMs + Date.now() - beganMs,
    };
  } finally {
    await restored.client.end();
    await restored.stop();
  }
}

async function unanswered(client: pg.Client, probes: readonly Probe[]): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { name, sql } of probes) {
    try {
      await client.query('SAVEPOINT probe');
      const { rows } = await client.query({ text: sql, rowMode: 'array' });
      const answer = (rows as unknown[][])[0]?.[0];
      if (answer !== true) problems.push(`probe ${name} answered ${JSON.stringify(answer ?? null)}, not true`);
    } catch (error) {
      problems.push(`probe ${name} failed: ${error instanceof Error ? error.message : String(error)}`);
      await client.query('ROLLBACK TO probe');
    }
  }
  return problems;
}

function noServer(major: number) {
  return {
    refused: 'unavailable' as const,
    message: `There is no PostgreSQL ${major} server on this machine to restore into.`,
    hint: `Install postgresql-${major}, or run the drill on a machine that has it.`,
  };
}
