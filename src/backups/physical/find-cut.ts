import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { SequenceContent } from '../../domain/backup.ts';
import { RefusalError } from '../../domain/refusal.ts';
import type { Target } from '../../domain/target.ts';
import { readSequences } from '../../engines/postgres/content.ts';
import { isUnseen, parseSnapshot } from './snapshot.ts';
import { committedBefore, receiveUntil, type Tail } from './write-ahead-log.ts';

/** A place in the log, and a snapshot that sees exactly what is committed before it. */
export interface Cut {
  readonly lsn: string;
  readonly snapshot: string;
  readonly at: Date;
  /** Where sequences were before it: no snapshot holds them, so they are there or further after a restore. */
  readonly sequences: readonly SequenceContent[];
}

const ATTEMPTS = 60;
const PAUSE_MS = 250;

/**
 * Finds a moment that can be hashed here and restored elsewhere. A snapshot and the end of the log are taken in one statement;
 * between the two stand only transactions whose commit is in the log already and not yet to be seen. The log is
 * received and looked through for them: where there is one, another moment is tried.
 *
 * @param reader its transaction stays open with the snapshot.
 * @param writer writes one empty message into the log, so that recovery finds a record to stop at.
 * @throws RefusalError where commits come so close together that no moment lies between them.
 */
export async function findCut(
  tail: Tail,
  how: {
    readonly target: Target;
    readonly reader: pg.Client;
    readonly writer: pg.Client;
    readonly pgReceivewal: string;
    readonly pgWaldump: string;
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<Cut> {
  const { reader, writer } = how;
  // Waiting for a standby would keep our own message from being seen.
  await writer.query('SET synchronous_commit = local; SET default_transaction_read_only = off');
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const sequences = await readSequences(reader);
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows } = await reader.query<{ snapshot: string; lsn: string; at: Date }>(`
      SELECT pg_catalog.pg_current_snapshot()::text AS snapshot, pg_catalog.pg_current_wal_insert_lsn()::text AS lsn, pg_catalog.clock_timestamp() AS at`);
    const [taken] = rows;
    if (taken === undefined) throw new Error('the server told no snapshot');
    // Only what is flushed is sent, and only a commit makes sure that it is.
    await writer.query("SELECT pg_catalog.pg_logical_emit_message(true, 'countersign', '')");
    const { rows: flushed } = await writer.query<{ lsn: string }>(
      'SELECT pg_catalog.pg_current_wal_flush_lsn()::text AS lsn',
    );
    const until = flushed[0]?.lsn ?? taken.lsn;
    await receiveUntil(tail, until, { program: how.pgReceivewal, env: how.env });
    const snapshot = parseSnapshot(taken.snapshot);
    const committed = await committedBefore(tail, { lsn: taken.lsn, until }, how.pgWaldump);
    if (!committed.some((xid) => isUnseen(snapshot, xid)))
      return { ...taken, sequences: await stillThere(reader, sequences) };
    await reader.query('ROLLBACK');
    await sleep(Math.random() * PAUSE_MS);
  }
  throw new RefusalError({
    refused: 'unavailable',
    message: `In ${ATTEMPTS} attempts there was no moment at ${how.target.id} between two commits: what would be restored could not be compared with what was there.`,
    hint: `Try at a quieter time, or make a logical backup: targets.${how.target.id}.backup.method: logical.`,
  });
}

async function stillThere(reader: pg.Client, before: readonly SequenceContent[]): Promise<readonly SequenceContent[]> {
  const { rows } = await reader.query<{ sequence: string; ascends: boolean }>(`
    SELECT n.nspname || '.' || c.relname AS sequence, s.seqincrement > 0 AND NOT s.seqcycle AND c.relpersistence = 'p' AS ascends
    FROM pg_catalog.pg_sequence AS s
    JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`);
  const there = new Map(rows.map(({ sequence, ascends }) => [sequence, ascends]));
  return before.flatMap(({ sequence, lastValue }) => {
    const ascends = there.get(sequence);
    return ascends === undefined ? [] : [{ sequence, lastValue: ascends ? lastValue : null }];
  });
}
