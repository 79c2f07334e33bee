import { existsSync } from 'node:fs';
import type { Config } from '../config/load.ts';
import type { DriftState } from '../domain/drift.ts';
import type { TargetId } from '../domain/ids.ts';
import { driftStates } from '../store/drift.ts';
import { openStore } from '../store/open-store.ts';

/** What the state tells of drift; nothing of any target where it can't be read. */
export async function readDrift(
  config: Config,
): Promise<
  readonly { readonly target: TargetId; readonly scheduled: boolean; readonly state: DriftState | undefined }[]
> {
  const states = await statesIn(config);
  return [...config.targets.values()].map(({ target: { id }, drift }) => ({
    target: id,
    scheduled: drift !== null,
    state: states.get(id),
  }));
}

async function statesIn(config: Config): Promise<ReadonlyMap<TargetId, DriftState>> {
  const exists = typeof config.state !== 'string' || existsSync(config.state.slice('sqlite:'.length));
  const store = exists ? await openStore(config.state, { readOnly: true }).catch(() => null) : null;
  if (store === null) return new Map();
  try {
    // A state that no newer version has opened knows nothing of drift yet.
    return await driftStates(store).catch(() => new Map());
  } finally {
    await store.close();
  }
}
