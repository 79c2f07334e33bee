import { existsSync } from 'node:fs';
import type { Config } from '../config/load.ts';
import { newestCheckpointWith } from '../ledger/checkpoint-notes.ts';
import { witnessesOf } from '../ledger/cosignature.ts';
import { entriesIn, writtenAt } from '../ledger/newest-entry.ts';
import { COSIGNATURE, parseVerifierKey } from '../ledger/signing-key.ts';
import { openStore } from '../store/open-store.ts';
import type { Witnessing } from './witnesses.ts';

/** How far the witnesses have come, as the state tells it; `null` where none is configured or the state can't be read. */
export async function readWitnessing(config: Config, nowMs: number): Promise<Witnessing | null> {
  const asked = config.witnesses;
  const exists = typeof config.state !== 'string' || existsSync(config.state.slice('sqlite:'.length));
  if (asked === null || !exists) return null;
  const store = await openStore(config.state, { readOnly: true }).catch(() => null);
  // That it can't be opened is told by what looks at the state.
  if (store === null) return null;
  try {
    const keys = asked.known.map(({ url, key }) => ({ url, ...parseVerifierKey(key, COSIGNATURE) }));
    const cosigned = async (fits: (note: string) => boolean) =>
      Number((await newestCheckpointWith(store, fits))?.split('\n')[1] ?? 0);
    const witnesses = await Promise.all(
      keys.map(async (key) => ({ ...key, size: await cosigned((note) => witnessesOf(note, [key]).length === 1) })),
    );
    const enough = await cosigned((note) => witnessesOf(note, keys).length >= asked.quorum);
    const entries = await entriesIn(store);
    const at = enough < entries ? await writtenAt(store, enough) : null;
    return { quorum: asked.quorum, witnesses, entries, waitsMs: at === null ? null : nowMs - at };
  } finally {
    await store.close();
  }
}
