import { existsSync } from 'node:fs';
import type { Config } from '../config/load.ts';
import { unreviewedGlass } from '../ledger/unreviewed.ts';
import { openStore } from '../store/open-store.ts';
import type { Unreviewed } from './incidents.ts';

/** What nobody has looked at, as the state tells it; `null` where it can't be read, which what looks at the state tells. */
export async function readUnreviewed(config: Config): Promise<readonly Unreviewed[] | null> {
  if (typeof config.state === 'string' && !existsSync(config.state.slice('sqlite:'.length))) return null;
  const store = await openStore(config.state, { readOnly: true }).catch(() => null);
  if (store === null) return null;
  try {
    return await unreviewedGlass(store);
  } finally {
    await store.close();
  }
}
