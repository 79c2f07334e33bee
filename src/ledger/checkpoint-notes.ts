import { statements } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { write } from '../store/write.ts';

/**
 * Adds lines of witnesses to a kept checkpoint. They prove nothing of the ledger's own and change no state, so no entry
 * goes with them. Where another gateway has added to the same checkpoint meanwhile, theirs stay and these are asked again.
 */
export async function keepCosignatures(
  store: Store,
  size: number,
  note: string,
  lines: readonly string[],
): Promise<void> {
  const more = lines.map((line) => `${line}\n`).join('');
  const update = statements
    .updateTable('checkpoints')
    .set({ note: `${note}${more}` })
    .where('size', '=', size)
    .where('note', '=', note);
  await store.commit([write(update)]);
}

const PAGE = 50;

/** The newest checkpoint with signatures of others that fits; `undefined` where none does. */
export async function newestCheckpointWith(store: Store, fits: (note: string) => boolean): Promise<string | undefined> {
  let below = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const rows = await store.all(
      statements
        .selectFrom('checkpoints')
        .selectAll()
        .where('size', '<', below)
        .where('note', 'like', '%\n— %\n— %')
        .orderBy('size', 'desc')
        .limit(PAGE),
    );
    const found = rows.find(({ note }) => fits(note));
    if (found !== undefined || rows.length < PAGE) return found?.note;
    below = rows.at(-1)?.size ?? 0;
  }
}
