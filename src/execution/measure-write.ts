import assert from 'node:assert/strict';
import type { CountedTable } from '../analysis/attribute-effects.ts';
import type { IntentId } from '../domain/ids.ts';
import { WAITING_FOR_THE_DISK } from '../engines/postgres/durable.ts';
import type { EngineSession } from '../engines/session.ts';

/**
 * Opens a transaction whose row counts can be trusted: the server's counters of earlier transactions are flushed first,
 * for they would be counted in (PostgreSQL, "The Cumulative Statistics System").
 */
export async function beginMeasured(session: EngineSession): Promise<void> {
  await session.own('SELECT pg_catalog.pg_stat_force_next_flush()', 'BEGIN');
}

/** Clears the counters before a transaction that the actor begins itself. */
export async function flushCounters(session: EngineSession): Promise<void> {
  await session.own('SELECT pg_catalog.pg_stat_force_next_flush()');
}

/**
 * What the open transaction has changed so far, cascades, triggers and deferred work included: rows by table (G5).
 * Rolled-back savepoints are still counted: an upper bound.
 *
 * @throws EngineFailure when a deferred constraint fails: then the transaction can't commit anyway.
 * @throws Error when the server doesn't count rows, because then nothing is known.
 */
export async function measureTransaction(session: EngineSession): Promise<readonly CountedTable[]> {
  const [, counts] = await session.own('SET CONSTRAINTS ALL IMMEDIATE', CHANGED_ROWS);
  assert(counts !== undefined);
  const tables: CountedTable[] = [];
  for (const [counting, table, inserted, updated, deleted, kept] of counts.rows) {
    if (counting !== 'on') throw new Error('the server does not count rows (track_counts is off)');
    if (table === null || table === undefined) continue;
    tables.push({
      table,
      inserted: Number(inserted),
      updated: Number(updated),
      deleted: Number(deleted),
      kept: kept === 't',
    });
  }
  return tables;
}

/**
 * One row a changed table, and one without a table that tells whether the server counts at all. A trigger that is there now
 * was there when the rows were written: whoever would have laid it or taken it off since waits for this transaction.
 */
const CHANGED_ROWS = `
  SELECT pg_catalog.current_setting('track_counts'), NULL, NULL, NULL, NULL, NULL
  UNION ALL
  SELECT 'on', s.schemaname || '.' || s.relname, s.n_tup_ins::text, s.n_tup_upd::text, s.n_tup_del::text,
         EXISTS (SELECT FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
                 WHERE t.tgrelid = s.relid AND t.tgenabled = 'A' AND f.proname = 'keep_row' AND n.nspname = 'countersign')
  FROM pg_catalog.pg_stat_xact_user_tables AS s
  WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname <> 'countersign'`;

/**
 * Leaves the row in the target that tells, after a crash, that this intent's transaction was committed (G6), and sees to
 * it that the answer to COMMIT is true after one: where commits don't wait for the disk, this one does.
 */
export async function markWritten(session: EngineSession, intent: IntentId): Promise<void> {
  assert(/^[A-Za-z0-9_-]+$/.test(intent), 'an intent id is plain text');
  await session.own(
    `INSERT INTO countersign.written (intent, xid, at) VALUES ('${intent}', pg_catalog.pg_current_xact_id(), pg_catalog.clock_timestamp()) RETURNING ${WAITING_FOR_THE_DISK}`,
  );
}
