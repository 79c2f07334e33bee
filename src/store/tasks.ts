import { sql } from 'kysely';
import { canonicalJson, type Json } from '../domain/digest.ts';
import type { Instant, TaskId } from '../domain/ids.ts';
import type { ScramVerifier } from '../domain/scram.ts';
import type { Task } from '../domain/task.ts';
import { statements, type TaskRow } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** A task with what the store keeps beside it. */
export interface StoredTask {
  readonly task: Task;
  readonly verifier: ScramVerifier;
  readonly rowsUsed: number;
  readonly closedAt: Instant | null;
}

export function insertTask(opened: {
  readonly task: Task;
  readonly tokenHash: string;
  readonly verifier: ScramVerifier;
}): Write {
  const { task, tokenHash, verifier } = opened;
  return write(
    statements.insertInto('tasks').values({
      id: task.id,
      task: canonicalJson(task as unknown as Json),
      token_hash: tokenHash,
      scram_salt: verifier.salt,
      scram_iterations: verifier.iterations,
      scram_stored_key: verifier.storedKey,
      scram_server_key: verifier.serverKey,
      rows_limit: task.limits.rowsPerTask,
      expires_at: task.expiresAt,
      closed_at: null,
    }),
  );
}

export async function taskById(store: Store, id: string): Promise<StoredTask | undefined> {
  return stored(await store.first(statements.selectFrom('tasks').selectAll().where('id', '=', id)));
}

export async function taskByTokenHash(store: Store, hash: string): Promise<StoredTask | undefined> {
  return stored(await store.first(statements.selectFrom('tasks').selectAll().where('token_hash', '=', hash)));
}

export async function listTasks(store: Store, limit: number): Promise<readonly StoredTask[]> {
  const rows = await store.all(statements.selectFrom('tasks').selectAll().orderBy('expires_at', 'desc').limit(limit));
  return rows.flatMap((row) => stored(row) ?? []);
}

/** Tasks of which sessions may be opened. */
export async function openTasks(store: Store, now: Instant): Promise<readonly Task[]> {
  const open = statements.selectFrom('tasks').selectAll().where('closed_at', 'is', null).where('expires_at', '>', now);
  return (await store.all(open)).flatMap((row) => stored(row)?.task ?? []);
}

export function closeTask(id: TaskId, at: Instant): Write {
  return write(
    statements.updateTable('tasks').set({ closed_at: at }).where('id', '=', id).where('closed_at', 'is', null),
    1,
  );
}

/** Takes rows from what the task may still change; fails when there aren't that many left (limits count per task). */
export function reserveRows(id: TaskId, rows: number): Write {
  return write(
    statements
      .updateTable('tasks')
      .set({ rows_used: sql`rows_used + ${rows}` })
      .where('id', '=', id)
      .where(sql<boolean>`rows_used + ${rows} <= rows_limit`),
    1,
  );
}

/** Gives rows back that were reserved for a write that did not take effect. */
export function releaseRows(id: TaskId, rows: number): Write {
  return write(
    statements
      .updateTable('tasks')
      .set({ rows_used: sql`CASE WHEN rows_used > ${rows} THEN rows_used - ${rows} ELSE 0 END` })
      .where('id', '=', id),
    1,
  );
}

type SelectedTask = { [Key in keyof TaskRow]: Key extends 'rows_used' ? number : TaskRow[Key] };

function stored(row: SelectedTask | undefined): StoredTask | undefined {
  if (row === undefined) return undefined;
  return {
    task: JSON.parse(row.task) as Task,
    verifier: {
      salt: row.scram_salt,
      iterations: row.scram_iterations,
      storedKey: row.scram_stored_key,
      serverKey: row.scram_server_key,
    },
    rowsUsed: row.rows_used,
    closedAt: row.closed_at as Instant | null,
  };
}
