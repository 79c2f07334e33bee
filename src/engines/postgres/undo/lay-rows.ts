import type pg from 'pg';
import { RefusalError } from '../../../domain/refusal.ts';
import type { RowsToLay } from '../../engine.ts';
import { KEPT_AS } from '../kept-writes.ts';

/** As many rows lie in one row of `countersign.captured_rows`. */
const CHUNK = 500;
/** Of all that waits to be merged. What is proposed must not fill up a target that nobody has approved it for. */
const MOST_BYTES = 1_073_741_824;

/**
 * Lays rows beside those that are kept of changes, as if a change had taken out what is to come and brought in what is to
 * go: taking that change back is what brings them in, with all that undo looks at. They are let go as kept rows are.
 *
 * @param change under which they are found; nothing else may be kept under it.
 * @throws RefusalError where too much is laid already.
 */
export async function layRows(client: pg.Client, change: string, tables: readonly RowsToLay[]): Promise<void> {
  await client.query('BEGIN');
  try {
    const { rows: laid } = await client.query<{ bytes: string }>(WAITING);
    if (Number(laid[0]?.bytes) > MOST_BYTES) throw new RefusalError(TOO_MUCH);
    const { rows } = await client.query<{ keptAs: string }>(
      `INSERT INTO countersign.written AS w (intent, xid, at) VALUES ($1, pg_catalog.pg_current_xact_id(), pg_catalog.clock_timestamp())
       RETURNING ${KEPT_AS} AS "keptAs"`,
      [change],
    );
    for (const { table, columns, comes, goes } of tables) {
      for (let from = 0; from < Math.max(comes.length, goes.length); from += CHUNK) {
        const [before, after] = [comes.slice(from, from + CHUNK), goes.slice(from, from + CHUNK)];
        await client.query(
          `INSERT INTO countersign.captured_rows (change, relation, op, columns, rows, before, after) VALUES ($1, $2, 'merge', $3, $4, $5, $6)`,
          [rows[0]?.keptAs, table, columns, Math.max(before.length, after.length), before, after],
        );
      }
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined /* lost: the transaction went with it */);
    throw error;
  }
}

const WAITING = `
  SELECT coalesce(pg_catalog.sum(coalesce(pg_catalog.pg_column_size(before), 0) + coalesce(pg_catalog.pg_column_size(after), 0)), 0)::text AS bytes
  FROM countersign.captured_rows WHERE op = 'merge'`;

const TOO_MUCH = {
  refused: 'overLimit',
  message: 'Too much waits to be merged into this target already.',
  hint: 'Let people decide on the plans of other branches first, or reject them: countersign plan list.',
} as const;

/** Takes them away again, with the mark by which they are found. */
export async function forgetRows(client: pg.Client, change: string): Promise<void> {
  await client.query(
    `WITH mark AS (DELETE FROM countersign.written AS w WHERE intent = $1 RETURNING ${KEPT_AS} AS "keptAs")
     DELETE FROM countersign.captured_rows AS k USING mark WHERE k.change = mark."keptAs"`,
    [change],
  );
}
