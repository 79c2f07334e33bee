import type { Branch, BranchCopy } from '../domain/branch.ts';
import { type ActorId, asId, type Digest, type Instant, type TargetId, type TaskId } from '../domain/ids.ts';
import { type BranchRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Before anything of it is made: what a crash leaves is found by this. */
export function insertBranch({
  id,
  of,
  task,
  askedBy,
  madeAt,
  expiresAt,
  base,
}: Omit<Branch, 'state' | 'copy'>): Write {
  return write(
    statements.insertInto('branches').values({
      id,
      target: of,
      task,
      asked_by: askedBy,
      state: 'making',
      made_at: madeAt,
      expires_at: expiresAt,
      base,
      copied_at: null,
      identity: null,
      base_identity: null,
    }),
    1,
  );
}

export function openBranch(id: TargetId, { at, identity, baseIdentity }: BranchCopy): Write {
  return write(
    statements
      .updateTable('branches')
      .set({ state: 'open', copied_at: at, identity, base_identity: baseIdentity })
      .where('id', '=', id)
      .where('state', '=', 'making'),
    1,
  );
}

export function dropBranch(id: TargetId): Write {
  return write(
    statements.updateTable('branches').set({ state: 'dropped' }).where('id', '=', id).where('state', '!=', 'dropped'),
    1,
  );
}

/** The newest first. */
export async function branches(store: Store): Promise<readonly Branch[]> {
  const query = statements.selectFrom('branches').selectAll().orderBy('made_at', 'desc').orderBy('id');
  return (await store.all(query)).map(branch);
}

function branch(row: BranchRow): Branch {
  const { copied_at: at, identity, base_identity: baseIdentity } = row;
  return {
    id: asId<TargetId>(row.id),
    of: asId<TargetId>(row.target),
    task: asId<TaskId>(row.task),
    askedBy: asId<ActorId>(row.asked_by),
    state: row.state as Branch['state'],
    madeAt: asId<Instant>(row.made_at),
    expiresAt: asId<Instant>(row.expires_at),
    base: row.base,
    copy:
      at === null || identity === null || baseIdentity === null
        ? null
        : {
            at: asId<Instant>(at),
            identity: asId<Digest>(identity),
            baseIdentity: asId<Digest>(baseIdentity),
          },
  };
}
