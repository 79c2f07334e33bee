import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { SQLITE_MIGRATIONS } from './sqlite-migrations.ts';
import type { Rows, SqlValue, Write } from './write.ts';

export type StoreRequest =
  | { readonly kind: 'open' }
  | { readonly kind: 'all'; readonly sql: string; readonly parameters: readonly SqlValue[] }
  | { readonly kind: 'commit'; readonly writes: readonly Write[] }
  | { readonly kind: 'close' };

export type StoreReply =
  | { readonly kind: 'done' }
  | { readonly kind: 'rows'; readonly rows: readonly unknown[] }
  | { readonly kind: 'committed'; readonly failedAt: number | null };

const BUSY_TIMEOUT_MS = 5000;
/** How soon a change by another process is noticed; a halt is among them. */
const WATCH_EVERY_MS = 10;
const SQLITE_CONSTRAINT = 19;

/**
 * The SQLite connection of a state file: whoever asks waits for the disk.
 *
 * @param onChange called soon after another connection has changed the file.
 * @returns answers a request, or throws what SQLite says.
 */
export function createSqliteConnection(
  { path, readOnly }: { readonly path: string; readonly readOnly: boolean },
  onChange: () => void,
): (request: StoreRequest) => StoreReply {
  let database: DatabaseSync | undefined;
  const prepared = new Map<string, StatementSync>();
  return answer;

  function answer(request: StoreRequest): StoreReply {
    switch (request.kind) {
      case 'open':
        database = open();
        return { kind: 'done' };
      case 'all':
        return { kind: 'rows', rows: statement(request.sql).all(...request.parameters) };
      case 'commit':
        return { kind: 'committed', failedAt: commit(request.writes) };
      case 'close':
        database?.close();
        database = undefined;
        return { kind: 'done' };
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

  function watch(db: DatabaseSync): void {
    const ask = db.prepare('PRAGMA data_version');
    const version = () => Number(ask.get()?.['data_version'] ?? 0);
    let seen = version();
    const timer = setInterval(() => {
      if (database === undefined) return clearInterval(timer);
      const now = version();
      if (now === seen) return;
      seen = now;
      onChange();
    }, WATCH_EVERY_MS);
    timer.unref();
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

function insertInto({ into, columns }: Rows): string {
  return `INSERT INTO ${into} (${columns.map(([name]) => name).join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`;
}
