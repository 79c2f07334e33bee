import type { Entry } from '../domain/entry.ts';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/** Broken glass that nobody has looked at, as the ledger tells it: who writes the state can't make it be forgotten. */
export async function unreviewedGlass(
  store: Store,
): Promise<readonly { readonly id: string; readonly person: string; readonly openedMs: number }[]> {
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select('entry')
      .where('kind', 'in', ['break-glass', 'incident review'])
      .orderBy('idx'),
  );
  const waiting = new Map<string, { readonly id: string; readonly person: string; readonly openedMs: number }>();
  for (const row of rows) {
    const { kind, at, body } = JSON.parse(row.entry) as Entry;
    const { incident: id, person } = body as { readonly incident: string; readonly person: string };
    if (kind === 'break-glass') waiting.set(id, { id, person, openedMs: Date.parse(at) });
    else waiting.delete(id);
  }
  return [...waiting.values()];
}
