import { Worker } from 'node:worker_threads';
import type { Compilable } from 'kysely';
import type { StoreReply, StoreRequest } from './sqlite-worker.ts';
import { type Store, StoreUnavailable } from './store.ts';
import { type Write, write } from './write.ts';

/** Beside the state file, so that a file that was rolled back as a whole is found out. */
export function checkpointFile(path: string): string {
  return `${path}.checkpoint`;
}

/**
 * Opens the state file, making and migrating it where needed.
 *
 * @throws StoreUnavailable when it can't be opened, or was written by a newer version.
 */
export async function openSqliteStore(path: string, options: { readonly readOnly?: boolean } = {}): Promise<Store> {
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
    // Whoever would be told of a change now would only ask what is closed already.
    listeners.length = 0;
    await ask({ kind: 'close' });
    // Nothing else may keep the process until it is over.
    worker.ref();
    await worker.terminate();
  }
  async function commit(writes: readonly Write[]): Promise<number | null> {
    const reply = await ask({ kind: 'commit', writes });
    if (reply.kind !== 'committed') throw new Error('the store answered something else');
    return reply.failedAt;
  }
  return {
    name: path,
    checkpointFile: checkpointFile(path),
    leaseMs: null,
    all,
    first: async (query) => (await all(query))[0],
    commit,
    append: async (prepare) => commit(await prepare(null)),
    nowMs: () => Promise.resolve(Date.now()),
    onChange: (listener) => listeners.push(listener),
    close() {
      closing ??= end();
      return closing;
    },
  };
}
