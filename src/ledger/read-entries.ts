import type { Entry, EntryKind } from '../domain/entry.ts';
import { beginsWith } from '../store/prefix.ts';
import { statements } from '../store/schema.ts';
import type { Reader } from '../store/store.ts';

export interface EntryFilter {
  readonly subject?: string;
  readonly kind?: EntryKind;
  readonly from?: number;
  readonly limit: number;
}

export interface StoredEntry {
  readonly index: number;
  readonly entry: Entry;
}

/** The newest of them, or from an index on, in their order. */
export async function readEntries(store: Reader, filter: EntryFilter): Promise<readonly StoredEntry[]> {
  let query = statements
    .selectFrom('ledger_entries')
    .selectAll()
    .orderBy('idx', filter.from === undefined ? 'desc' : 'asc')
    .limit(filter.limit);
  if (filter.subject !== undefined) query = query.where(beginsWith('subject', filter.subject));
  if (filter.kind !== undefined) query = query.where('kind', '=', filter.kind);
  if (filter.from !== undefined) query = query.where('idx', '>=', filter.from);
  const rows = await store.all(query);
  const found = rows.map((row) => ({ index: row.idx, entry: JSON.parse(row.entry) as Entry }));
  return filter.from === undefined ? found.reverse() : found;
}

/** Those of some kinds between two indexes, in their order. */
export async function readEntriesOf(
  store: Reader,
  { kinds, from, before, limit }: { kinds: readonly EntryKind[]; from: number; before: number; limit: number },
): Promise<readonly StoredEntry[]> {
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .selectAll()
      .where('idx', '>=', from)
      .where('idx', '<', before)
      .where('kind', 'in', kinds)
      .orderBy('idx')
      .limit(limit),
  );
  return rows.map((row) => ({ index: Number(row.idx), entry: JSON.parse(row.entry) as Entry }));
}
