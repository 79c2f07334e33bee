import type pg from 'pg';

/** What one look shows is taken for true this long: sessions that ask at the same time are answered by one query. */
const SHARED_MS = 50;

/** Whoever waits for an advisory lock has agreed to wait. */
const WAITING = `
  SELECT blocker::int, pg_catalog.count(*)::int AS waiting
  FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted AND locktype <> 'advisory') AS w,
    pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS blocker
  GROUP BY blocker`;

/**
 * Tells how many sessions wait for locks that a server process holds (PostgreSQL, "System Information Functions":
 * `pg_blocking_pids`).
 *
 * @param ask runs one query on a connection of the gateway's own.
 */
export function createWaitingLook(
  ask: (sql: string) => Promise<pg.QueryResult<{ blocker: number; waiting: number }>>,
): (processId: number) => Promise<number> {
  let look: { readonly atMs: number; readonly answer: Promise<ReadonlyMap<number, number>> } | null = null;

  async function ofAll(): Promise<ReadonlyMap<number, number>> {
    const { rows } = await ask(WAITING);
    return new Map(rows.map(({ blocker, waiting }) => [blocker, waiting]));
  }

  return async (processId) => {
    const nowMs = performance.now();
    if (look === null || nowMs - look.atMs > SHARED_MS) look = { atMs: nowMs, answer: ofAll() };
    return (await look.answer).get(processId) ?? 0;
  };
}
