import pg from 'pg';
import type { BackupManifest } from '../domain/backup.ts';
import { startEmbeddedServer } from '../engines/postgres/embedded-server.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import { BackupBroken } from './fetch-backup.ts';
import { findProgram, runProgram } from './programs.ts';

const DATABASE = 'drill';

/** A backup as it came back: whoever has it ends the client, then the server. */
export interface Restored {
  readonly client: pg.Client;
  readonly restoreMs: number;
  /** What was checked besides, and recovery could do without. */
  readonly verifyMs: number;
  stop(): Promise<void>;
}

/** Restores a dump into a scratch server. @throws BackupBroken when `pg_restore` can't; RefusalError where there is none. */
export async function restoreDump(
  manifest: BackupManifest,
  into: {
    readonly binaries: ServerBinaries;
    readonly data: string;
    readonly dump: string;
    readonly jobs: number;
    readonly onProgress: (said: string) => void;
  },
): Promise<Restored> {
  const { binaries, dump, jobs, onProgress } = into;
  const pgRestore = findProgram('pg_restore', manifest.serverMajor);
  const startedMs = Date.now();
  onProgress(`starting a scratch server of PostgreSQL ${manifest.serverMajor}`);
  const server = await startEmbeddedServer({ dataDirectory: into.data, binaries, durable: false });
  try {
    await prepare(server.url('postgres'), manifest.roles, server.superuser);
    onProgress(`restoring ${manifest.files.length} files`);
    const url = new URL(server.url(DATABASE));
    await runProgram(pgRestore, ['-j', String(jobs), '--exit-on-error', '-d', DATABASE, dump], {
      env: {
        PGHOST: url.hostname,
        PGPORT: url.port,
        PGUSER: url.username,
        PGPASSWORD: url.password,
        PGSSLMODE: 'disable',
      },
    }).catch((error: unknown) => {
      throw new BackupBroken(error instanceof Error ? error.message : String(error), { cause: error });
    });
    const restoreMs = Date.now() - startedMs;
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    return { client, restoreMs, verifyMs: 0, stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function prepare(admin: string, roles: readonly string[], superuser: string): Promise<void> {
  const client = new pg.Client({ connectionString: admin });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${DATABASE} TEMPLATE template0`);
    // Nobody can log in as any of them: they are there to own things.
    for (const role of roles)
      if (role !== superuser) await client.query(`CREATE ROLE ${quoteIdentifier(role)} NOLOGIN`);
  } finally {
    await client.end();
  }
}
