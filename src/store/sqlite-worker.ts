import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { SQLITE_MIGRATIONS } from './sqlite-migrations.ts';
import type { Rows, SqlValue, Write } from './write.ts';

/** The thread that holds the SQLite connection, so that waiting for the disk never stops the event loop. */

export type StoreRequest =
  | { readonly kind: 'open' }
  | { readonly kind: 'all'; readonly sql: string; readonly parameters: readonly SqlValue[] }
  | { readonly kind: 'commit'; readonly writes: readonly Write[] }
  | { readonly kind: 'close' };

export type StoreReply =
  | { readonly kind: 'changed' }
  | { readonly kind: 'error'; readonly id: number; readonly message: string }
  | { readonly kind: 'opened'; readonly id: number }
  | { readonly kind: 'rows'; readonly id: number; readonly rows: readonly unknown[] }
  | { readonly kind: 'committed'; readonly id: number; readonly failedAt: number | null };

const { path, readOnly } = workerData as { readonly path: string; readonly readOnly: boolean };
const BUSY_TIMEOUT_MS = 5000;
/** How soon a change by another process is noticed; a halt is among them. */
const WATCH_EVERY_MS = 10;
const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread');

let database: DatabaseSync | undefined;
const prepared = new Map<string, StatementSync>();

port.on('message', (request: StoreRequest & { readonly id: number }) => {
  try {
    port.postMessage(answer(request));
  } catch (error) {
    port.postMessage({
      kind: 'error',
      id: request.id,
      message: error instanceof Error ? error.message : String(error),
    });
  }
});

function answer(request: StoreRequest & { readonly id: number }): StoreReply {
  const { id } = request;
  switch (request.kind) {
    case 'open':
      database = open();
      return { kind: 'opened', id };
    case 'all':
      return { kind: 'rows', id, rows: statement(request.sql).all(...request.parameters) };
    case 'commit':
      return { kind: 'committed', id, failedAt: commit(request.writes) };
    case 'close':
      database?.close();
      database = undefined;
      return { kind: 'opened', id };
    default:
      return request satisfies never;
  }
}

function open(): DatabaseSync {
  if (!readOnly && !existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, '', { mode: 0o600, flag: 'a' });
    chmodSync(path, 0o600);
  }
  const db = new DatabaseSync(path, { readOnly, timeout: BUSY_TIMEOUT_MS });
  if (readOnly) return db;
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
  // What is erased is gone from the file, too.
  db.exec('PRAGMA secure_delete = ON');
  migrate(db);
  watch(db);
  return db;
}

function migrate(db: DatabaseSync): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    const row = db.prepare('PRAGMA user_version').get();
    const version = Number(row?.['user_version'] ?? 0);
    if (version > SQLITE_MIGRATIONS.length) throw new Error('it was written by a newer version of Countersign');
    for (const migration of SQLITE_MIGRATIONS.slice(version)) db.exec(migration);
    db.exec(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length}`);
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

function watch(db: DatabaseSync): void {
  const ask = db.prepare('PRAGMA data_version');
  const version = () => Number(ask.get()?.['data_version'] ?? 0);
  let seen = version();
  const timer = setInterval(() => {
    if (database === undefined) return clearInterval(timer);
    const now = version();
    if (now === seen) return;
    seen = now;
    port?.postMessage({ kind: 'changed' });
  }, WATCH_EVERY_MS);
}

function commit(writes: readonly Write[]): number | null {
  const db = opened();
  db.exec('BEGIN IMMEDIATE');
  try {
    for (const [index, change] of writes.entries()) {
      if (execute(change)) continue;
      db.exec('ROLLBACK');
      return index;
    }
    db.exec('COMMIT');
    return null;
  } catch (error) {
    // SQLite has already rolled back after some errors (a full disk).
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

const SQLITE_CONSTRAINT = 19;

/** Whether the write did what it should: one that breaks a constraint did not, and says nothing of the others. */
function execute(change: Write): boolean {
  try {
    if ('into' in change) {
      const insert = statement(insertInto(change));
      for (const row of change.rows) insert.run(...row);
      return true;
    }
    const { changes } = statement(change.sql).run(...change.parameters);
    return change.expectChanges === undefined || Number(changes) === change.expectChanges;
  } catch (error) {
    const code = Number((error as { readonly errcode?: unknown }).errcode);
    if ((code & 0xff) === SQLITE_CONSTRAINT) return false;
    throw error;
  }
}

function insertInto({ into, columns }: Rows): string {
  return `INSERT INTO ${into} (${columns.map(([name]) => name).join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`;
}

function statement(sql: string): StatementSync {
  let found = prepared.get(sql);
  if (found === undefined) {
    found = opened().prepare(sql);
    if (prepared.size > 500) prepared.clear();
    prepared.set(sql, found);
  }
  return found;
}

function opened(): DatabaseSync {
  if (database === undefined) throw new Error('the state store is closed');
  return database;
}
