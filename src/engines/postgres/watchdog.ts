import type pg from 'pg';

/** Watches that a transaction of the gateway's doesn't make anybody wait. */
export interface Watchdog {
  /** Set when it stepped in: whom and how long it kept waiting. */
  readonly steppedIn: string | null;
  stop(): Promise<void>;
}

const POLL_MS = 25;
const TERMINATE_AFTER_MS = 250;

/**
 * Ends the statement that runs on `processId` once it has kept another session waiting for longer than tolerated:
 * cancelled first, then terminated, because a cancellation can be caught.
 *
 * @param client a connection of its own, as the same login.
 */
export function watchBlocking(client: pg.Client, processId: number, toleranceMs: number): Watchdog {
  let steppedIn: string | null = null;
  let stopped = false;
  let blockingSince: number | null = null;

  const loop = async (): Promise<void> => {
    while (!stopped) {
      const { rows } = await client.query<{ waiting: string }>(
        'SELECT count(*)::text AS waiting FROM pg_catalog.pg_stat_activity WHERE $1 = ANY (pg_catalog.pg_blocking_pids(pid))',
        [processId],
      );
      const waiting = Number(rows[0]?.waiting ?? 0);
      const now = performance.now();
      if (waiting === 0) blockingSince = null;
      else blockingSince ??= now;
      const blockedMs = blockingSince === null ? 0 : now - blockingSince;
      if (blockedMs > toleranceMs) {
        steppedIn ??= `it kept ${waiting === 1 ? 'another session' : `${waiting} other sessions`} waiting for more than ${toleranceMs} ms`;
        const how = blockedMs > toleranceMs + TERMINATE_AFTER_MS ? 'pg_terminate_backend' : 'pg_cancel_backend';
        await client.query(`SELECT pg_catalog.${how}($1)`, [processId]);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };
  const running = loop();
  running.catch(() => undefined /* reported by stop() */);
  return {
    get steppedIn() {
      return steppedIn;
    },
    async stop() {
      stopped = true;
      await running;
    },
  };
}
