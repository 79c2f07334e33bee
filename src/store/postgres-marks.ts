import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** A transaction of a store's, as it can be asked for from another connection. */
export interface MarkedTransaction {
  readonly connection: string;
  /** Counts the transactions of the connection. */
  readonly transaction: number;
  readonly xid: string;
}

/**
 * One row a connection, changed by each of its transactions: whether a transaction was committed is whether its mark is
 * there. Its number doesn't tell: after a crash, numbers of which nothing had reached the disk are given out again, and
 * `pg_xact_status` answers for whoever has got it since.
 */
const MARK = `
  INSERT INTO commits (connection, transaction, at) VALUES ($1, $2, pg_catalog.clock_timestamp())
  ON CONFLICT (connection) DO UPDATE SET transaction = excluded.transaction, at = excluded.at
  RETURNING pg_catalog.pg_current_xact_id()::text AS xid`;

/** The last one that each client has begun. */
const marked = new WeakMap<pg.ClientBase, Omit<MarkedTransaction, 'xid'>>();

function nextOf(client: pg.ClientBase): Omit<MarkedTransaction, 'xid'> {
  const last = marked.get(client) ?? { connection: randomUUID(), transaction: 0 };
  const next = { ...last, transaction: last.transaction + 1 };
  marked.set(client, next);
  return next;
}

/** Marks the transaction that the client has begun. */
export async function markTransaction(client: pg.ClientBase): Promise<MarkedTransaction> {
  const { connection, transaction } = nextOf(client);
  const { rows } = await client.query<{ xid: string }>(MARK, [connection, transaction]);
  const [row] = rows;
  if (row === undefined) throw new Error('the transaction could not be marked');
  return { connection, transaction, xid: row.xid };
}

/** What the answer to COMMIT would have said. Asked on another connection than the transaction's. */
export async function becameOf(
  client: pg.ClientBase,
  { connection, transaction, xid }: MarkedTransaction,
): Promise<'committed' | 'undone' | 'in progress'> {
  if (await isOpen(client, xid)) return 'in progress';
  // Asked after that: what has ended by now is to be seen by this one.
  const { rows } = await client.query<{ transaction: number }>(
    'SELECT transaction FROM commits WHERE connection = $1',
    [connection],
  );
  return rows[0]?.transaction === transaction ? 'committed' : 'undone';
}

async function isOpen(client: pg.ClientBase, xid: string): Promise<boolean> {
  try {
    const { rows } = await client.query<{ open: boolean | null }>(
      "SELECT pg_catalog.pg_xact_status($1::pg_catalog.xid8) = 'in progress' AS open",
      [xid],
    );
    return rows[0]?.open === true;
  } catch (error) {
    // Not given out again yet.
    if (error instanceof pg.DatabaseError && error.code === IN_THE_FUTURE) return false;
    throw error;
  }
}

const IN_THE_FUTURE = '22023';

/** Lets go of marks of connections that are long gone: nobody asks for them after seconds. */
export async function forgetCommits(client: pg.ClientBase): Promise<void> {
  await client.query("DELETE FROM commits WHERE at < pg_catalog.clock_timestamp() - interval '1 day'");
}
