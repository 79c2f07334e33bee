import type { Entry } from '../domain/entry.ts';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/** When the newest entry of a ledger was written, in milliseconds since the epoch; `null` when there is none. */
export async function newestEntryAt(store: Store): Promise<number | null> {
  const row = await store.first(statements.selectFrom('ledger_entries').select('at').orderBy('idx', 'desc').limit(1));
  return row === undefined ? null : Date.parse(row.at);
}

/** When an entry was written, likewise. */
export async function writtenAt(store: Store, index: number): Promise<number | null> {
  const row = await store.first(statements.selectFrom('ledger_entries').select('at').where('idx', '=', index));
  return row === undefined ? null : Date.parse(row.at);
}

/** The newest entry of a kind about a subject: a row of the state that somebody puts back can't make it unsaid. */
export async function lastEntryAbout(store: Store, kind: Entry['kind'], subject: string): Promise<Entry | undefined> {
  const row = await store.first(
    statements
      .selectFrom('ledger_entries')
      .select('entry')
      .where('subject', '=', subject)
      .where('kind', '=', kind)
      .orderBy('idx', 'desc')
      .limit(1),
  );
  return row === undefined ? undefined : (JSON.parse(row.entry) as Entry);
}

export async function entriesIn(store: Store): Promise<number> {
  return (await store.first(statements.selectFrom('ledger_head').select('size')))?.size ?? 0;
}
