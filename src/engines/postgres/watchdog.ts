import type pg from 'pg';

/** Watches that a transaction of the gateway's makes nobody wait, and that it ends when it is called off. */
export interface Watchdog {
  /** Set when it stepped in: whom and how long it kept waiting, or that it was called off. */
  readonly steppedIn: string | null;
  stop(): Promise<void>;
}

const POLL_MS = 25;
const TERMINATE_AFTER_MS = 250;

/** The gateway's own look at the catalogue, once a second, is nobody's work: it may wait so many times as long. */
const OWN_PATIENCE = 4;

/**
 * Ends what runs on `processId` once it has kept another session waiting for longer than tolerated, or was called off:
 * cancelled first, and again, because a cancellation between two statements is lost; then terminated, because it can be
 * caught.
 *
 * @param client a connection of its own, as the same login.
 */
export function watchBlocking(
  client: pg.Client,
  processId: number,
  {
    toleranceMs,
    ownLogin,
    signal,
  }: { readonly toleranceMs: number; readonly ownLogin: string; readonly signal: AbortSignal | undefined },
): Watchdog {
  let steppedIn: string | null = null;
  let stopped = false;
  const blockingSince: { others: number | null; own: number | null } = { others: null, own: null };
  let steppedInAt: number | null = null;

  const loop = async (): Promise<void> => {
    while (!stopped) {
      const why = signal?.aborted === true ? 'it was called off' : await keptWaiting();
      if (why !== undefined) {
        steppedIn ??= why;
        steppedInAt ??= performance.now();
        const how = performance.now() - steppedInAt > TERMINATE_AFTER_MS ? 'pg_terminate_backend' : 'pg_cancel_backend';
        await client.query(`SELECT pg_catalog.${how}($1)`, [processId]);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };

  async function keptWaiting(): Promise<string | undefined> {
    const { rows } = await client.query<{ others: string; own: string }>(
      `SELECT count(*) FILTER (WHERE usename IS DISTINCT FROM $2)::text AS others, count(*) FILTER (WHERE usename = $2)::text AS own
       FROM pg_catalog.pg_stat_activity WHERE $1 = ANY (pg_catalog.pg_blocking_pids(pid))`,
      [processId, ownLogin],
    );
    const others = Number(rows[0]?.others ?? 0);
    if (tooLong('others', others, toleranceMs))
      return `it kept ${others === 1 ? 'another session' : `${others} other sessions`} waiting for more than ${toleranceMs} ms`;
    const ownMs = toleranceMs * OWN_PATIENCE;
    return tooLong('own', Number(rows[0]?.own ?? 0), ownMs)
      ? `it kept the gateway itself waiting for more than ${ownMs} ms`
      : undefined;
  }

  function tooLong(who: 'others' | 'own', waiting: number, ms: number): boolean {
    const since = waiting === 0 ? null : (blockingSince[who] ?? performance.now());
    blockingSince[who] = since;
    return since !== null && performance.now() - since > ms;
  }

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
