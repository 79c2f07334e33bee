import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Connections } from './postgres-connections.ts';

/** Hears of changes that other processes commit (LISTEN), on a connection of its own that is made anew when it is lost. */
export interface Listener {
  close(): Promise<void>;
}

const PROBE_EVERY_MS = 1000;
const RETRY_AFTER_MS = 200;

/** @param onChange also called when the connection was made: what was told before it is unknown. */
export function listen(connections: Connections, onChange: () => void): Listener {
  const ended = new AbortController();
  const { signal } = ended;
  const running = run();

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await hearOnce();
      } catch {
        // Not to be reached now. Until it is, the lease tells who depends on it.
        await sleep(RETRY_AFTER_MS, undefined, { ref: false, signal }).catch(() => undefined /* closed meanwhile */);
      }
    }
  }

  /** Listens until the connection is lost or doesn't answer any more. */
  async function hearOnce(): Promise<void> {
    const client = await connections.open();
    try {
      client.on('notification', ({ processId }) => {
        if (!connections.isOwn(processId)) onChange();
      });
      await client.query('LISTEN countersign_state');
      onChange();
      while (!signal.aborted) {
        await client.query('SELECT 1');
        await pause(client);
      }
    } finally {
      await client.end();
    }
  }

  function pause(client: pg.Client): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        client.off('end', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, PROBE_EVERY_MS);
      client.once('end', done);
      signal.addEventListener('abort', done);
    });
  }

  return {
    async close() {
      ended.abort();
      await running;
    },
  };
}
