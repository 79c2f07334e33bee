import type pg from 'pg';
import type { AppliedState } from '../engine.ts';
import { KEPT_AS } from './kept-writes.ts';
import { failureFrom } from './run-statements.ts';

/**
 * The rows by which a target itself says what took effect (G6): a change and its mark are one transaction. Where there is
 * no mark, the transaction may still be open: then it holds a lock on the table.
 */
export async function appliedState(client: pg.Client, plan: string): Promise<AppliedState> {
  const state = async (): Promise<AppliedState | undefined> => {
    const { rows } = await client.query<{ state: string }>('SELECT state FROM countersign.applied WHERE plan = $1', [
      plan,
    ]);
    if (rows[0] === undefined) return undefined;
    return rows[0].state === 'done' ? 'applied' : 'in progress';
  };
  const marked = await state();
  if (marked !== undefined) return marked;
  if (await isBeingApplied(client)) return 'in progress';
  // Asked again: the transaction may have committed between the two questions.
  return (await state()) ?? 'not applied';
}

/**
 * What became of a write whose gateway can't say it. Where nothing has taken effect, nothing will: the place of its mark is
 * taken, so that a gateway that was only slow, and taken for dead, can no longer commit.
 */
export async function settledWrite(client: pg.Client, intent: string): Promise<AppliedState> {
  const state = async (): Promise<AppliedState | undefined> => {
    const { rows } = await client.query<{ void: boolean }>(
      "SELECT at = '-infinity' AS void FROM countersign.written WHERE intent = $1",
      [intent],
    );
    if (rows[0] === undefined) return undefined;
    return rows[0].void ? 'not applied' : 'applied';
  };
  const marked = await state();
  if (marked !== undefined) return marked;
  try {
    await client.query("BEGIN; SET LOCAL lock_timeout = '1s'");
    // Waits for a transaction that has this very mark, and isn't over.
    await client.query(
      `INSERT INTO countersign.written (intent, xid, at) VALUES ($1, pg_catalog.pg_current_xact_id(), '-infinity')
       ON CONFLICT (intent) DO NOTHING`,
      [intent],
    );
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    if (failureFrom(error)?.sqlstate === LOCK_NOT_AVAILABLE) return 'in progress';
    throw error;
  }
  // Whichever came first stands.
  return (await state()) ?? 'in progress';
}

const LOCK_NOT_AVAILABLE = '55P03';

async function isBeingApplied(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ open: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_catalog.pg_locks AS l
       WHERE l.relation = 'countersign.applied'::pg_catalog.regclass AND l.mode = 'RowExclusiveLock' AND l.granted
     ) AS open`,
  );
  return rows[0]?.open === true;
}

/**
 * Lets go of marks of writes that are long over, so that they don't pile up. Kept are those that an open intent may still
 * ask for, those by which kept rows are found, and those that keep a slow gateway from committing, as long as a transaction of their
 * time could still be open: they tell no time, but have one in the order of transactions.
 *
 * @param open intents of which nobody knows yet what became of them.
 * @returns how many went.
 */
export async function forgetMarks(
  client: pg.Client,
  { keepMs, open }: { readonly keepMs: number; readonly open: readonly string[] },
): Promise<number> {
  const { rowCount } = await client.query(FORGET, [String(keepMs), open]);
  return rowCount ?? 0;
}

const FORGET = `
  WITH old AS (
    SELECT xid FROM countersign.written
    WHERE at < pg_catalog.clock_timestamp() - $1::bigint * interval '1 millisecond' AND at <> '-infinity' ORDER BY xid DESC LIMIT 1
  )
  DELETE FROM countersign.written WHERE intent IN (
    SELECT w.intent FROM countersign.written AS w, old
    WHERE w.at < pg_catalog.clock_timestamp() - $1::bigint * interval '1 millisecond' AND w.xid <= old.xid
      AND NOT w.intent = ANY ($2::text[])
      AND NOT EXISTS (SELECT FROM countersign.captured_rows AS k WHERE k.change = ${KEPT_AS})
    LIMIT 100000)`;
