import type { Entry } from '../../domain/entry.ts';
import {
  entriesBefore,
  entriesFrom,
  entriesThatMade,
  fileWords,
  indexedEntries,
  ledgerSize,
  type PlacedEntry,
  timeOf,
} from '../../store/activity.ts';
import type { Store } from '../../store/store.ts';
import { type EntryFacts, factsOf, goesOn, wordsOf } from './entry-facts.ts';

/** An entry of the ledger, with what it is about. */
export interface ActivityEntry extends EntryFacts {
  readonly index: number;
  readonly at: string;
  readonly kind: Entry['kind'];
  readonly subject: string;
  readonly body: Entry['body'];
}

export interface ActivityFilter {
  readonly actor?: string;
  readonly task?: string;
  readonly target?: string;
  readonly table?: string;
  readonly kind?: string;
  readonly decision?: string;
  /** Instants: from this one on, and up to that one. */
  readonly from?: string;
  readonly until?: string;
  /** Stands somewhere in the entry. */
  readonly text?: string;
  /** Only entries before this place. */
  readonly before?: number;
  readonly limit: number;
}

export interface ActivityPage {
  readonly entries: readonly ActivityEntry[];
  /** Ask on before this place; `null` at the beginning of the ledger, or of the time asked for. */
  readonly next: number | null;
  /** How many entries the ledger has. */
  readonly size: number;
  /** How many of them can be found by filters yet. */
  readonly filed: number;
  /** A search looked back only so far; going on looks further. */
  readonly searchedBackTo: string | null;
}

/** The ledger as people read it: the newest first, filtered, searched. */
export interface Activity {
  page(filter: ActivityFilter): Promise<ActivityPage>;
  /** What came after a place, in order, up to a bound. */
  since(index: number, limit: number): Promise<readonly ActivityEntry[]>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** In one transaction: a gateway that appends to the ledger waits no longer than for this. */
const FILED_AT_ONCE = 500;
const MAX_PAUSE_MS = 250;
/** A search holds the state store's thread no longer than this many entries take. */
const SEARCHED_AT_ONCE = 20_000;
/** How long a question waits for entries to be filed that came just now. */
const WAIT_FOR_FILING_MS = 250;

export function createActivity(deps: {
  readonly store: Store;
  readonly onFailure: (error: unknown) => void;
}): Activity {
  const { store } = deps;
  let filing: Promise<void> | null = null;
  let closed = false;

  /** Files what came since; only one at a time in this process, and another process may do it as well. */
  function file(): Promise<void> {
    filing ??= fileAll()
      .catch(deps.onFailure)
      .finally(() => {
        filing = null;
      });
    return filing;
  }

  async function fileAll(): Promise<void> {
    while (!closed) {
      const startedMs = performance.now();
      const from = await indexedEntries(store);
      const entries = await entriesFrom(store, from, FILED_AT_ONCE);
      const last = entries.at(-1);
      if (last === undefined) return;
      const began = await beginnings(entries);
      const words = entries.map(({ index, entry }) => ({ index, words: wordsOf(entry, began.get(entry.subject)) }));
      // Where another process came first there is nothing to do but to look again.
      await fileWords(store, { from, to: last.index + 1, words });
      // As long as it took the store is left to those who wait for it: a long ledger is filed beside the work, not before.
      if (entries.length === FILED_AT_ONCE) await pause(Math.min(MAX_PAUSE_MS, performance.now() - startedMs));
    }
  }

  /** The entries that began what others go on about, by subject. */
  async function beginnings(entries: readonly PlacedEntry[]): Promise<ReadonlyMap<string, Entry>> {
    const subjects = entries.filter(({ entry }) => goesOn(entry)).map(({ entry }) => entry.subject);
    const made = await entriesThatMade(store, subjects);
    return new Map(made.filter(({ entry }) => !goesOn(entry)).map(({ entry }) => [entry.subject, entry]));
  }

  async function described(entries: readonly PlacedEntry[]): Promise<readonly ActivityEntry[]> {
    const began = await beginnings(entries);
    return entries.map(({ index, entry }) => ({
      index,
      at: entry.at,
      kind: entry.kind,
      subject: entry.subject,
      body: entry.body,
      ...factsOf(entry, goesOn(entry) ? began.get(entry.subject) : undefined),
    }));
  }

  /** The place of the first entry that is not before an instant: their order is that of time. */
  async function placeOf(instant: string, size: number): Promise<number> {
    let [low, high] = [0, size];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const at = await timeOf(store, middle);
      if (at !== undefined && at < instant) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    async page(filter) {
      const words = filterWords(filter);
      if (words.length > 0) await Promise.race([file(), pause(WAIT_FOR_FILING_MS)]);
      const size = await ledgerSize(store);
      const filed = words.length === 0 ? size : await indexedEntries(store);
      const end = filter.until === undefined ? size : await placeOf(`${filter.until}\u{10ffff}`, size);
      const before = Math.min(filter.before ?? size, end);
      const start = filter.from === undefined ? 0 : await placeOf(filter.from, size);
      const notBefore = filter.text === undefined ? start : Math.max(start, before - SEARCHED_AT_ONCE);
      const found = await entriesBefore(store, {
        before,
        notBefore,
        words,
        limit: filter.limit + 1,
        ...(filter.text === undefined ? {} : { text: filter.text }),
      });
      const page = found.slice(0, filter.limit);
      const last = page.at(-1);
      const full = found.length > filter.limit && last !== undefined;
      const searchedOn = !full && notBefore > start;
      return {
        entries: await described(page),
        next: full ? last.index : searchedOn ? notBefore : null,
        size,
        filed,
        searchedBackTo: searchedOn ? ((await timeOf(store, notBefore)) ?? null) : null,
      };
    },
    async since(index, limit) {
      // Somebody watches, and may filter next.
      void file();
      return described(await entriesFrom(store, index, limit));
    },
    size: () => ledgerSize(store),
    async close() {
      closed = true;
      await filing;
    },
  };
}

/** The rarest kind of word first: it is what the others are looked up for. */
function filterWords(filter: ActivityFilter): readonly string[] {
  return (['task', 'table', 'decision', 'actor', 'target', 'kind'] as const).flatMap((name) => {
    const wanted = filter[name];
    return wanted === undefined ? [] : [`${name}:${wanted}`];
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
