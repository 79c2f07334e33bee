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
  /** The figures of the other processes, of those that answer in time; a worker asks nobody. */
  figures(): Promise<readonly Figures[]>;
  close(): Promise<void>;
}

export interface CancelElsewhere {
  /** Which of the processes issued the key; the first is 0. */
  readonly issuer: number;
  readonly processId: number;
  readonly secret: Buffer;
}

/** What a process has counted, as it goes from one to the other. */
export type Figures = readonly unknown[];

/** What the processes say to each other. */
interface CancelMessage {
  readonly cancel: { readonly issuer: number; readonly processId: number; readonly secret: string };
}

interface FiguresMessage {
  /** Asks, and comes back with the answer. */
  readonly figures: { readonly request: number; readonly counted?: Figures };
}

/** A worker that doesn't answer in this time is left out of the figures. */
const FIGURES_WITHIN_MS = 1500;

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
  const requests = new Map<number, (counted: Figures) => void>();
  let nextRequest = 1;

  function begin(index: number): void {
    const child = fork(deps.main, [...deps.argv(index)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    running.set(index, child);
    child.on('message', (message) => {
      const asked = cancelOf(message);
      if (asked !== undefined) cancel(asked);
      const figures = figuresOf(message);
      if (figures?.counted !== undefined) requests.get(figures.request)?.(figures.counted);
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

  function ask(child: ChildProcess): Promise<Figures | null> {
    const request = nextRequest++;
    return new Promise<Figures | null>((resolve) => {
      const timer = setTimeout(() => resolve(null), FIGURES_WITHIN_MS);
      requests.set(request, (counted) => {
        clearTimeout(timer);
        resolve(counted);
      });
      child.send({ figures: { request } } satisfies FiguresMessage);
    }).finally(() => requests.delete(request));
  }

  for (let index = 1; index < count; index++) begin(index);
  return {
    cancel,
    async figures() {
      const answers = await Promise.all([...running.values()].filter((child) => child.connected).map(ask));
      return answers.filter((counted) => counted !== null);
    },
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
export function asWorker(
  onCancel: (processId: number, secret: Buffer) => void,
  counted: () => Promise<Figures>,
): Workers {
  process.on('message', (message) => {
    const asked = cancelOf(message);
    if (asked !== undefined) onCancel(asked.processId, asked.secret);
    const figures = figuresOf(message);
    if (figures !== undefined) void answer(figures.request);
  });
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

  async function answer(request: number): Promise<void> {
    const message: FiguresMessage = { figures: { request, counted: await counted() } };
    if (process.connected) process.send?.(message);
  }

  return {
    figures: () => Promise.resolve([]),
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

function figuresOf(message: unknown): FiguresMessage['figures'] | undefined {
  return (message as Partial<FiguresMessage> | null)?.figures;
}

function cancelOf(message: unknown): CancelElsewhere | undefined {
  const asked = (message as Partial<CancelMessage> | null)?.cancel;
  if (asked === undefined) return undefined;
  return { issuer: asked.issuer, processId: asked.processId, secret: Buffer.from(asked.secret, 'base64') };
}
