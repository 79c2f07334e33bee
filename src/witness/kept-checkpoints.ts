import { DatabaseSync } from 'node:sqlite';

/** The newest checkpoint of each log that a witness has cosigned. */
export interface KeptCheckpoints {
  /**
   * Lets `next` look at what is kept of a log and say what is to be kept from now on (`null`: as it is). Durable when it
   * returns; nobody else looks or writes in between, so that two requests can't set each other back.
   */
  update<Result>(
    origin: string,
    next: (kept: string | undefined) => { readonly keep: string | null; readonly result: Result },
  ): Result;
  close(): void;
}

/** From the first statement on: who finds it being made waits for it. */
const BUSY_TIMEOUT_MS = 5000;

/** Opens the file, making it where there is none. */
export function openKeptCheckpoints(path: string): KeptCheckpoints {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS checkpoints (origin TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT;
  `);
  const find = database.prepare('SELECT note FROM checkpoints WHERE origin = ?');
  const put = database.prepare(
    'INSERT INTO checkpoints VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET note = excluded.note',
  );
  return {
    update(origin, next) {
      database.exec('BEGIN IMMEDIATE');
      try {
        const kept = find.get(origin)?.['note'];
        const { keep, result } = next(kept === undefined ? undefined : String(kept));
        if (keep !== null) put.run(origin, keep);
        database.exec('COMMIT');
        return result;
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    },
    close: () => database.close(),
  };
}
