import { Worker } from 'node:worker_threads';
import type { Compilable } from 'kysely';
import type { StoreReply, StoreRequest } from './sqlite-worker.ts';
import { type Write, write } from './write.ts';

/** The state of Countersign: tasks, plans, approvals, halts, and the ledger's tree. Several processes may have it open. */
export interface Store {
  /** Where it lies: the path of the database file. */
  readonly path: string;
  all<Row>(query: Compilable<Row>): Promise<Row[]>;
  first<Row>(query: Compilable<Row>): Promise<Row | undefined>;
  /**
   * Executes all writes in one durable transaction, or none.
   *
   * @returns the index of the first write that changed another number of rows than it expects or broke a constraint, or
   * `null` when all did what they should.
   * @throws StoreUnavailable when the file can't be written (disk full, locked by another process for too long, gone).
   */
  commit(writes: readonly Write[]): Promise<number | null>;
  /** Called soon after another process has changed the state. */
  onChange(listener: () => void): void;
  close(): Promise<void>;
}

export class StoreUnavailable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreUnavailable';
  }
}

/**
 * Opens the store, making and migrating the file where needed.
 *
 * @param location `sqlite:` and a path.
 * @throws StoreUnavailable when it can't be opened, or was written by a newer version.
 */
export async function openStore(location: string, options: { readonly readOnly?: boolean } = {}): Promise<Store> {
  if (!location.startsWith('sqlite:'))
    throw new StoreUnavailable(`there is no state store for ${location}; use sqlite:<path>`);
  const path = location.slice('sqlite:'.length);
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./sqlite-worker.${extension}`, import.meta.url), {
    workerData: { path, readOnly: options.readOnly === true },
  });
  const waiting = new Map<number, { resolve: (reply: StoreReply) => void; reject: (error: Error) => void }>();
  const listeners: (() => void)[] = [];
  let nextId = 1;
  let gone: Error | null = null;

  worker.on('message', (reply: StoreReply) => {
    if (reply.kind === 'changed') {
      for (const listener of listeners) listener();
      return;
    }
    const caller = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (waiting.size === 0) worker.unref();
    if (reply.kind === 'error') caller?.reject(new StoreUnavailable(`the state store ${path}: ${reply.message}`));
    else caller?.resolve(reply);
  });
  const onGone = (error: Error): void => {
    gone ??= error;
    for (const caller of waiting.values()) caller.reject(error);
    waiting.clear();
  };
  worker.on('error', (error) => onGone(new StoreUnavailable(`the state store ${path} failed`, { cause: error })));
  worker.on('exit', () => onGone(new StoreUnavailable(`the state store ${path} is closed`)));

  function ask(request: StoreRequest): Promise<StoreReply> {
    if (gone !== null) return Promise.reject(gone);
    const id = nextId++;
    worker.ref();
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.postMessage({ ...request, id });
    });
  }

  async function all<Row>(query: Compilable<Row>): Promise<Row[]> {
    const { sql, parameters } = write(query);
    const reply = await ask({ kind: 'all', sql, parameters });
    if (reply.kind !== 'rows') throw new Error('the store answered something else');
    return reply.rows as Row[];
  }

  try {
    await ask({ kind: 'open' });
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  let closing: Promise<void> | null = null;
  async function end(): Promise<void> {
    if (gone !== null) return;
    await ask({ kind: 'close' });
    await worker.terminate();
  }
  return {
    path,
    all,
    first: async (query) => (await all(query))[0],
    async commit(writes) {
      const reply = await ask({ kind: 'commit', writes });
      if (reply.kind !== 'committed') throw new Error('the store answered something else');
      return reply.failedAt;
    },
    onChange: (listener) => listeners.push(listener),
    close() {
      closing ??= end();
      return closing;
    },
  };
}
