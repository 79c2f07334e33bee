import type { BackupFigures } from '../domain/backup.ts';
import type { Instant, TargetId } from '../domain/ids.ts';
import type { Recurring } from '../domain/recurring.ts';
import type { Store } from '../store/store.ts';
import { noTurn, turns } from '../store/turns.ts';
import { knownBackups } from './known-backups.ts';

/** What of a target is to be backed up, and when by itself. */
export interface BackedUp {
  readonly target: TargetId;
  readonly create: Recurring | null;
  readonly drill: Recurring | null;
}

/** Under which name it is known whose turn it is. */
export function turnName(what: 'backup' | 'drill', target: TargetId): string {
  return `${what} of ${target}`;
}

/**
 * How old what would bring each target back is.
 *
 * @param limit of entries that are looked at, the newest.
 */
export async function backupFigures(
  store: Pick<Store, 'all' | 'first'>,
  targets: readonly BackedUp[],
  limit?: number,
): Promise<readonly BackupFigures[]> {
  if (targets.length === 0) return [];
  const [known, taken] = await Promise.all([knownBackups(store, limit === undefined ? {} : { limit }), turns(store)]);
  return targets.map(({ target, create, drill }) => {
    const own = known.filter((one) => one.target === target);
    const drills = own.flatMap(({ drill }) => (drill === null ? [] : [drill]));
    const madeMs = newest(own);
    const works = [
      { name: 'backup' as const, recurring: create, lastMs: madeMs },
      { name: 'drill' as const, recurring: drill, lastMs: newest(drills) },
    ];
    return {
      target,
      madeMs,
      drilledMs: newest(drills.filter(({ passed }) => passed)),
      works: works.flatMap(({ name, recurring, lastMs }) => {
        if (recurring === null) return [];
        const { failures, why, triedMs } = taken.get(turnName(name, target)) ?? noTurn(name);
        // Whatever failed before, a person has done it since.
        const mended = lastMs !== null && lastMs > triedMs;
        return [{ name, recurring, lastMs, triedMs, ...(mended ? { failures: 0, why: null } : { failures, why }) }];
      }),
    };
  });
}

function newest(of: readonly { readonly at: Instant }[]): number | null {
  return of.length === 0 ? null : Math.max(...of.map(({ at }) => Date.parse(at)));
}
