import { existsSync } from 'node:fs';
import { backedUp } from '../config/backup.ts';
import type { Config } from '../config/load.ts';
import type { BackupFigures } from '../domain/backup.ts';
import type { DriftState } from '../domain/drift.ts';
import type { TargetId } from '../domain/ids.ts';
import { backupFigures } from '../ledger/backup-figures.ts';
import { newestCheckpointWith } from '../ledger/checkpoint-notes.ts';
import { witnessesOf } from '../ledger/cosignature.ts';
import { entriesIn, writtenAt } from '../ledger/newest-entry.ts';
import { COSIGNATURE, parseVerifierKey } from '../ledger/signing-key.ts';
import { unreviewedGlass } from '../ledger/unreviewed.ts';
import { branches } from '../store/branches.ts';
import { driftStates } from '../store/drift.ts';
import { openStore } from '../store/open-store.ts';
import { type Store, StoreUnavailable } from '../store/store.ts';
import type { Unreviewed } from './incidents.ts';
import type { Witnessing } from './witnesses.ts';

/** What the state tells of what has happened so far. */
export interface Told {
  /** How far the witnesses have come; `null` where none is configured. */
  readonly witnessing: Witnessing | null;
  readonly unreviewed: readonly Unreviewed[];
  readonly backups: readonly BackupFigures[];
  readonly drift: ReadonlyMap<TargetId, DriftState>;
  /** Databases of the branches there are. */
  readonly branches: ReadonlySet<string>;
}

/** `told` is `null` where there is no state yet, and where there is `trouble`: why it can't be read. */
export async function readState(
  config: Config,
  nowMs: number,
): Promise<{ readonly told: Told | null; readonly trouble: string | null }> {
  const none = { told: null, trouble: null };
  if (typeof config.state === 'string' && !existsSync(config.state.slice('sqlite:'.length))) return none;
  let store: Store | undefined;
  try {
    store = await openStore(config.state, { readOnly: true, mayWait: true });
    const told = {
      witnessing: await readWitnessing(store, config, nowMs),
      unreviewed: await unreviewedGlass(store),
      backups: await readBackups(store, config),
      // A state that no newer version has opened knows nothing of drift yet.
      drift: await driftStates(store).catch(() => new Map()),
      branches: await readBranches(store).catch(() => new Set<string>()),
    };
    return { told, trouble: null };
  } catch (error) {
    if (error instanceof StoreUnavailable) return { told: null, trouble: error.message };
    throw error;
  } finally {
    await store?.close();
  }
}

async function readBranches(store: Store): Promise<ReadonlySet<string>> {
  const there = (await branches(store)).filter(({ state }) => state !== 'dropped');
  return new Set(there.flatMap(({ id, base }) => [id, base]));
}

async function readBackups(store: Store, config: Config): Promise<readonly BackupFigures[]> {
  const targets = backedUp(config);
  return targets.length === 0 ? [] : await backupFigures(store, targets);
}

async function readWitnessing(store: Store, { witnesses: asked }: Config, nowMs: number): Promise<Witnessing | null> {
  if (asked === null) return null;
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
}
