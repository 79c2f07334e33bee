import type { ProvenBackup } from '../domain/backup.ts';
import { asId, type Instant, type TargetId } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Keeps the newest backup that was proven: drilling an old one makes nothing fresher. The ledger has the others. */
export function putProvenBackup(target: TargetId, { backup, at, drilledAt, recoveryMs }: ProvenBackup): Write {
  const kept = { backup, at, drilled_at: drilledAt, recovery_ms: recoveryMs };
  return write(
    statements
      .insertInto('proven_backups')
      .values({ target, ...kept })
      .onConflict((conflict) => conflict.column('target').doUpdateSet(kept).where('proven_backups.at', '<=', at)),
  );
}

/** Takes back that a backup was proven, when a later drill of it failed. */
export function removeProvenBackup(target: TargetId, backup: string): Write {
  return write(statements.deleteFrom('proven_backups').where('target', '=', target).where('backup', '=', backup));
}

export async function provenBackups(store: Store): Promise<ReadonlyMap<TargetId, ProvenBackup>> {
  const rows = await store.all(statements.selectFrom('proven_backups').selectAll());
  return new Map(
    rows.map((row) => [
      asId<TargetId>(row.target),
      {
        backup: row.backup,
        at: asId<Instant>(row.at),
        drilledAt: asId<Instant>(row.drilled_at),
        recoveryMs: Number(row.recovery_ms),
      },
    ]),
  );
}
