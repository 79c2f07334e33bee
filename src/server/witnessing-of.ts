import type { Config } from '../config/load.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { COSIGNATURE, parseVerifierKey } from '../ledger/signing-key.ts';
import { createWitnessing, type Witnessing } from '../ledger/witnessing.ts';
import type { Store } from '../store/store.ts';

/** The witnessing of a configuration; `null` where it names no witness. @throws Error for a key that is none. */
export function witnessingOf(
  config: Config,
  { store, ledger }: { readonly store: Store; readonly ledger: Ledger },
): Witnessing | null {
  if (config.witnesses === null) return null;
  const { known, quorum } = config.witnesses;
  const witnesses = known.map(({ url, key }) => ({ url, ...parseVerifierKey(key, COSIGNATURE) }));
  return createWitnessing({ store, ledger, witnesses, quorum });
}
