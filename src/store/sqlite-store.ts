import { Worker } from 'node:worker_threads';
import type { Compilable } from 'kysely';
import { createSqliteConnection, type StoreReply, type StoreRequest } from './sqlite-connection.ts';
import type { ThreadMessage } from './sqlite-worker.ts';
import { type Store, type StoreOptions, StoreUnavailable } from './store.ts';
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
export async function openSqliteStore(path: string, options: StoreOptions = {}): Promise<Store> {
  const listeners: (() => void)[] = [];
  const changed = () => {
    for (const listener of listeners) listener();
  };
  const file = { path, readOnly: options.readOnly === true };
  const { ask, end: endConnection } =
    options.mayWait === true ? connectHere(file, changed) : connectInThread(file, changed);

  async function all<Row>(query: Compilable<Row>): Promise<Row[]> {
    const { sql, parameters } = write(query);
    const reply = await ask({ kind: 'all', sql, parameters });
    if (reply.kind !== 'rows') throw new Error('the store answered something else');
    return reply.rows as Row[];
  }

  try {
    await ask({ kind: 'open' });
  } catch (error) {
    await endConnection();
    throw error;
  }
  let closing: Promise<void> | null = null;
  async function end(): Promise<void> {
    // Whoever would be told of a change now would only ask what is closed already.
    listeners.length = 0;
    await endConnection();
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

/** Where the connection is, and how it is asked. */
interface Link {
  /** @throws StoreUnavailable with what SQLite says, or when it is gone. */
  ask(request: StoreRequest): Promise<StoreReply>;
  end(): Promise<void>;
}

interface StateFile {
  readonly path: string;
  readonly readOnly: boolean;
}

/** In this thread, which starts a tenth of a second sooner than another and has nothing else to do. */
function connectHere(file: StateFile, onChange: () => void): Link {
  const answer = createSqliteConnection(file, onChange);
  let ended = false;
  async function ask(request: StoreRequest): Promise<StoreReply> {
    if (ended) throw new StoreUnavailable(`the state store ${file.path} is closed`);
    try {
      return answer(request);
    } catch (error) {
      throw new StoreUnavailable(`the state store ${file.path}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return {
    ask,
    async end() {
      if (!ended) await ask({ kind: 'close' });
      ended = true;
    },
  };
}

function connectInThread(file: StateFile, onChange: () => void): Link {
  const { path } = file;
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./sqlite-worker.${extension}`, import.meta.url), { workerData: file });
  const waiting = new Map<number, { resolve: (reply: StoreReply) => void; reject: (error: Error) => void }>();
  let nextId = 1;
  let gone: Error | null = null;

  worker.on('message', (message: ThreadMessage) => {
    if (message.kind === 'changed') return onChange();
    const caller = waiting.get(message.id);
    waiting.delete(message.id);
    if (waiting.size === 0) worker.unref();
    if (message.kind === 'error') caller?.reject(new StoreUnavailable(`the state store ${path}: ${message.message}`));
    else caller?.resolve(message.reply);
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

  return {
    ask,
    async end() {
      if (gone !== null) return;
      await ask({ kind: 'close' });
      // Nothing else may keep the process until it is over.
      worker.ref();
      await worker.terminate();
    },
  };
}
