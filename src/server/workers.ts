import { type ChildProcess, fork } from 'node:child_process';
import type { Log } from '../pipeline/proof.ts';

/**
 * Processes that take PostgreSQL clients on the same port, so that a gateway uses as many cores as it is given. Each is a
 * gateway of its own on the same state: they share no memory, and what one of them stops, all stop, as gateways on
 * several machines do. Only the first speaks HTTP and MCP.
 */
export interface Workers {
  /** Hands a cancel request to whoever has the session; a key says which process issued it. */
  cancel(request: CancelElsewhere): void;
  close(): Promise<void>;
}

export interface CancelElsewhere {
  /** Which of the processes issued the key; the first is 0. */
  readonly issuer: number;
  readonly processId: number;
  readonly secret: Buffer;
}

/** What the processes say to each other. */
interface CancelMessage {
  readonly cancel: { readonly issuer: number; readonly processId: number; readonly secret: string };
}

/** A worker that ended by itself is begun again after this long: one that can't run must not be begun all the time. */
const RESTART_AFTER_MS = 1000;

/**
 * Begins the processes 1 to `count - 1`.
 *
 * @param deps.argv the arguments of a worker, after its number.
 * @param deps.onCancel a cancel request for a session of this process came in at another.
 */
export function startWorkers(
  count: number,
  deps: {
    readonly main: string;
    readonly argv: (index: number) => readonly string[];
    readonly onCancel: (processId: number, secret: Buffer) => void;
    readonly log: Log;
  },
): Workers {
  const running = new Map<number, ChildProcess>();
  let closing = false;
  const timers = new Set<NodeJS.Timeout>();

  function begin(index: number): void {
    const child = fork(deps.main, [...deps.argv(index)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    running.set(index, child);
    child.on('message', (message) => {
      const asked = cancelOf(message);
      if (asked !== undefined) cancel(asked);
    });
    child.on('error', (error) => deps.log.error({ err: error, worker: index }, 'a worker process failed'));
    child.once('exit', (code, signal) => {
      running.delete(index);
      if (closing) return;
      deps.log.error({ worker: index, code, signal }, 'a worker process ended by itself; it is begun again');
      const timer = setTimeout(() => {
        timers.delete(timer);
        begin(index);
      }, RESTART_AFTER_MS);
      timers.add(timer);
    });
  }

  function cancel(request: CancelElsewhere): void {
    if (request.issuer === 0) deps.onCancel(request.processId, request.secret);
    else running.get(request.issuer)?.send(messageOf(request));
  }

  for (let index = 1; index < count; index++) begin(index);
  return {
    cancel,
    async close() {
      closing = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.all(
        [...running.values()].map(
          (child) =>
            new Promise<void>((resolve) => {
              child.once('exit', () => resolve());
              child.kill('SIGTERM');
            }),
        ),
      );
    },
  };
}

/** The same from within a worker: requests go by the first process. Ends the worker when that one is gone. */
export function asWorker(onCancel: (processId: number, secret: Buffer) => void): Workers {
  process.on('message', (message) => {
    const asked = cancelOf(message);
    if (asked !== undefined) onCancel(asked.processId, asked.secret);
  });
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  return {
    cancel: (request) => void process.send?.(messageOf(request)),
    async close() {
      // An open channel would keep the process alive.
      if (process.connected) process.disconnect();
    },
  };
}

function messageOf({ issuer, processId, secret }: CancelElsewhere): CancelMessage {
  return { cancel: { issuer, processId, secret: secret.toString('base64') } };
}

function cancelOf(message: unknown): CancelElsewhere | undefined {
  const asked = (message as Partial<CancelMessage> | null)?.cancel;
  if (asked === undefined) return undefined;
  return { issuer: asked.issuer, processId: asked.processId, secret: Buffer.from(asked.secret, 'base64') };
}
