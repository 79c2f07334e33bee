import { useEffect, useRef, useSyncExternalStore } from 'react';
import { type ApiError, get, Unreachable } from './api.ts';

/** What is known of an address of the API: the newest answer, and why there is no newer one. */
export interface Known<Data> {
  readonly data: Data | undefined;
  readonly error: ApiError | Unreachable | Error | undefined;
  readonly loading: boolean;
}

/** Whether what is shown follows what happens. */
export type Connection = 'live' | 'connecting' | 'offline';

interface Entry {
  known: Known<unknown>;
  listeners: Set<() => void>;
  asking: Promise<void> | null;
  again: boolean;
}

const NOTHING: Known<never> = { data: undefined, error: undefined, loading: true };
const KEPT = 60;
const entries = new Map<string, Entry>();

/** The answer to `GET path`, kept up to date as long as somebody looks. `null` asks for nothing. */
export function useLive<Data>(path: string | null): Known<Data> {
  const known = useSyncExternalStore(
    (listener) => (path === null ? () => undefined : watch(path, listener)),
    () => (path === null ? NOTHING : (entries.get(path)?.known ?? NOTHING)),
  );
  useEffect(() => {
    if (path !== null) void refetch(path);
  }, [path]);
  return known as Known<Data>;
}

/**
 * What is known, or else what was until now: a longer list or another filter takes its place when it is there, and nothing
 * jumps meanwhile. @param of lists of another kind never stand in for each other.
 */
export function useKept<Data>(known: Known<Data>, of: string): Known<Data> {
  const kept = useRef<{ readonly of: string; readonly known: Known<Data> } | null>(null);
  if (known.data !== undefined || known.error !== undefined) kept.current = { of, known };
  return kept.current?.of === of ? kept.current.known : known;
}

/** Asks anew for all that is looked at; after something was done, or may have happened. */
export function refetchAll(): void {
  for (const [path, entry] of entries) if (entry.listeners.size > 0) void refetch(path);
}

function watch(path: string, listener: () => void): () => void {
  const entry = entryOf(path);
  entry.listeners.add(listener);
  return () => {
    entry.listeners.delete(listener);
    if (entries.size > KEPT && entry.listeners.size === 0) entries.delete(path);
  };
}

function entryOf(path: string): Entry {
  const known = entries.get(path);
  if (known !== undefined) return known;
  const made: Entry = { known: NOTHING, listeners: new Set(), asking: null, again: false };
  entries.set(path, made);
  return made;
}

/** One question at a time for each address; what comes meanwhile asks once more. */
function refetch(path: string): Promise<void> {
  const entry = entryOf(path);
  if (entry.asking !== null) {
    entry.again = true;
    return entry.asking;
  }
  entry.asking = (async () => {
    do {
      entry.again = false;
      try {
        const data = await get(path);
        tell(entry, { data, error: undefined, loading: false });
      } catch (error) {
        const reason = error instanceof Error ? error : new Error(String(error));
        tell(entry, { data: entry.known.data, error: reason, loading: false });
      }
    } while (entry.again);
    settle();
  })().finally(() => {
    entry.asking = null;
  });
  return entry.asking;
}

function tell(entry: Entry, known: Known<unknown>): void {
  entry.known = known;
  for (const listener of entry.listeners) listener();
}

let connection: Connection = 'connecting';
let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;
let gathering = false;
let flowing = false;
const watchers = new Set<() => void>();
const GATHER_MS = 40;
const FLOW_MS = 1000;
const RETRY_MS = 1500;

export function useConnection(): Connection {
  return useSyncExternalStore(
    (listener) => {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    () => connection,
  );
}

/** Begins to listen to the gateway: whatever it tells of is asked for anew, several together. */
export function connect(): void {
  clearTimeout(retry);
  retry = undefined;
  if (source !== null || document.hidden) return;
  setConnection('connecting');
  source = new EventSource('/api/events');
  source.addEventListener('hello', () => {
    setConnection('live');
    refetchSoon();
  });
  source.addEventListener('refetch', () => {
    setConnection('live');
    refetchSoon();
  });
  source.addEventListener('entry', refetchSoon);
  source.addEventListener('flow', refetchFlow);
  source.addEventListener('error', () => {
    setConnection('offline');
    // The browser tries again by itself while it may; where it has given up, this does.
    if (source?.readyState !== EventSource.CLOSED) return;
    disconnect();
    retry = setTimeout(connect, RETRY_MS);
    // It may be the session that is over: whatever is asked next says so.
    refetchAll();
  });
}

let asksAgain = false;

/** Whatever is shown must be of now to be called live; what could not be had is asked for again until it is. */
function settle(): void {
  const cutOff = [...entries.values()].some(
    ({ listeners, known }) => listeners.size > 0 && known.error instanceof Unreachable,
  );
  if (!cutOff) {
    if (source?.readyState === EventSource.OPEN) setConnection('live');
    else if (source === null && retry === undefined) connect();
    return;
  }
  setConnection('offline');
  if (asksAgain) return;
  asksAgain = true;
  setTimeout(() => {
    asksAgain = false;
    if (!document.hidden) refetchAll();
  }, RETRY_MS);
}

export function disconnect(): void {
  clearTimeout(retry);
  retry = undefined;
  source?.close();
  source = null;
}

// Nobody looks: no session is kept awake by it, and no battery emptied.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) disconnect();
  else connect();
});

function refetchSoon(): void {
  if (gathering) return;
  gathering = true;
  setTimeout(() => {
    gathering = false;
    refetchAll();
  }, GATHER_MS);
}

/** What agents do within their limits changes only what is told of it, and is looked at now and then. */
function refetchFlow(): void {
  if (flowing) return;
  flowing = true;
  setTimeout(() => {
    flowing = false;
    for (const [path, { listeners }] of entries)
      if (listeners.size > 0 && /^\/api\/(activity|tasks)/.test(path)) void refetch(path);
  }, FLOW_MS);
}

function setConnection(next: Connection): void {
  if (next === connection) return;
  connection = next;
  for (const watcher of watchers) watcher();
}
