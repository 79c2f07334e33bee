import { sql } from 'kysely';
import type { Entry } from '../domain/entry.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Rows, type Write, write } from './write.ts';

/** An entry of the ledger with its place in it. */
export interface PlacedEntry {
  readonly index: number;
  readonly entry: Entry;
}

/**
 * By which words entries are found, beside the ledger and made from it: `actor:…`, `task:…`, `table:…`. It proves
 * nothing, lags a little behind, and can be made anew at any time.
 */
export interface Words {
  readonly index: number;
  readonly words: readonly string[];
}

/** How many entries have been given their words. */
export async function indexedEntries(store: Store): Promise<number> {
  const row = await store.first(statements.selectFrom('activity_head').select('size'));
  return Number(row?.size ?? 0);
}

export async function ledgerSize(store: Store): Promise<number> {
  const row = await store.first(statements.selectFrom('ledger_head').select('size'));
  return Number(row?.size ?? 0);
}

/** Files entries under their words. Fails, and files nothing, when another process has come first. */
export async function fileWords(
  store: Store,
  { from, to, words }: { readonly from: number; readonly to: number; readonly words: readonly Words[] },
): Promise<boolean> {
  const head = write(statements.updateTable('activity_head').set({ size: to }).where('size', '=', from), 1);
  const rows: Rows = {
    into: 'activity_words',
    columns: [
      ['word', 'text'],
      ['idx', 'bigint'],
    ],
    rows: words.flatMap((each) => [...new Set(each.words)].map((word) => [word, each.index])),
  };
  const writes: readonly Write[] = rows.rows.length === 0 ? [head] : [head, rows];
  return (await store.commit(writes)) === null;
}

/** Entries from one place on, in their order. */
export async function entriesFrom(store: Store, from: number, limit: number): Promise<readonly PlacedEntry[]> {
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select(['idx', 'entry'])
      .where('idx', '>=', from)
      .orderBy('idx')
      .limit(limit),
  );
  return rows.map(placed);
}

/**
 * Entries before a place, the newest first.
 *
 * @param words all of which an entry is filed under; the first should be the rarest. @param text what stands somewhere in it.
 * @param notBefore where to stop looking.
 */
export async function entriesBefore(
  store: Store,
  asked: {
    readonly before: number;
    readonly notBefore: number;
    readonly words: readonly string[];
    readonly text?: string;
    readonly limit: number;
  },
): Promise<readonly PlacedEntry[]> {
  const [first, ...others] = asked.words;
  let query = statements
    .selectFrom('ledger_entries')
    .select(['ledger_entries.idx', 'ledger_entries.entry'])
    .where('ledger_entries.idx', '<', asked.before)
    .where('ledger_entries.idx', '>=', asked.notBefore)
    .limit(asked.limit);
  if (asked.text !== undefined)
    query = query.where(
      sql<boolean>`lower(ledger_entries.entry) LIKE ${`%${likely(asked.text.toLowerCase())}%`} ESCAPE '\\'`,
    );
  if (first === undefined) return (await store.all(query.orderBy('ledger_entries.idx', 'desc'))).map(placed);
  let filed = statements
    .selectFrom('activity_words')
    .innerJoin('ledger_entries', 'ledger_entries.idx', 'activity_words.idx')
    .select(['ledger_entries.idx', 'ledger_entries.entry'])
    .where('activity_words.word', '=', first)
    .where('activity_words.idx', '<', asked.before)
    .where('activity_words.idx', '>=', asked.notBefore)
    .orderBy('activity_words.idx', 'desc')
    .limit(asked.limit);
  for (const other of others) {
    filed = filed.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('activity_words as other')
          .select('other.idx')
          .where('other.word', '=', other)
          .whereRef('other.idx', '=', 'activity_words.idx'),
      ),
    );
  }
  if (asked.text !== undefined)
    filed = filed.where(
      sql<boolean>`lower(ledger_entries.entry) LIKE ${`%${likely(asked.text.toLowerCase())}%`} ESCAPE '\\'`,
    );
  return (await store.all(filed)).map(placed);
}

/** The entries by which these subjects came up: a plan, or a write within limits. */
export async function entriesThatMade(store: Store, subjects: readonly string[]): Promise<readonly PlacedEntry[]> {
  if (subjects.length === 0) return [];
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select(['idx', 'entry'])
      .where('subject', 'in', [...new Set(subjects)])
      .where('kind', 'in', ['plan', 'intent', 'task opened'])
      .orderBy('idx', 'desc'),
  );
  return rows.map(placed);
}

/** When the entry at a place was made. */
export async function timeOf(store: Store, index: number): Promise<string | undefined> {
  const row = await store.first(statements.selectFrom('ledger_entries').select('at').where('idx', '=', index));
  return row?.at;
}

function placed({ idx, entry }: { idx: number; entry: string }): PlacedEntry {
  return { index: Number(idx), entry: JSON.parse(entry) as Entry };
}

function likely(text: string): string {
  return text.replaceAll(/[\\%_]/g, (character) => `\\${character}`);
}
