import type { Entry } from '../domain/entry.ts';
import type { PlanId } from '../domain/ids.ts';
import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/** The incidents that the ledger knows of a plan: a row of the state that nobody recorded counts for nothing. */
export async function recordedGlass(store: Store, plan: PlanId): Promise<ReadonlySet<string>> {
  const rows = await store.all(
    statements
      .selectFrom('ledger_entries')
      .select('entry')
      .where('subject', '=', plan)
      .where('kind', '=', 'break-glass'),
  );
  return new Set(rows.map(({ entry }) => (JSON.parse(entry) as Entry & { body: { incident: string } }).body.incident));
}
