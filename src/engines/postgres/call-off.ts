import type pg from 'pg';
import { requestCancel } from './cancel-request.ts';

/** Ends what runs on a connection of the gateway's own, once it is called off. */
export interface CallOff {
  /** From here on nothing is cancelled any more; what was asked for has reached the server. */
  stop(): Promise<void>;
}

const AGAIN_EVERY_MS = 25;
const TERMINATE_AFTER_MS = 250;

/**
 * Cancels, and again, because a cancellation between two statements is lost; then ends the server process, because it can
 * be caught.
 *
 * @param connect a connection of its own, as the same login.
 */
export function endWhenCalledOff(
  client: pg.Client,
  signal: AbortSignal | undefined,
  connect: () => Promise<pg.Client>,
): CallOff {
  const { processID, secretKey, host, port } = client as pg.Client & {
    readonly processID: number;
    readonly secretKey: number;
  };
  let stopped = false;
  let ending: Promise<void> = Promise.resolve();

  async function end(): Promise<void> {
    const sinceMs = performance.now();
    while (!stopped) {
      if (performance.now() - sinceMs > TERMINATE_AFTER_MS) return terminate();
      await requestCancel({ host, port, processId: processID, secretKey });
      await new Promise((resolve) => setTimeout(resolve, AGAIN_EVERY_MS));
    }
  }

  async function terminate(): Promise<void> {
    const own = await connect();
    try {
      if (!stopped) await own.query('SELECT pg_catalog.pg_terminate_backend($1)', [processID]);
    } finally {
      await own.end();
    }
  }

  const onAbort = (): void => {
    // A target that can't be asked to stop can't be asked to commit either: that is found out there.
    ending = end().catch(() => client.end());
  };
  if (signal?.aborted === true) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });

  return {
    async stop() {
      stopped = true;
      signal?.removeEventListener('abort', onAbort);
      await ending;
    },
  };
}
