import type { Breaker } from '../domain/breaker.ts';
import type { Halt, HaltScope } from '../domain/halt.ts';
import type { ActorId, HaltId, Instant } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

export function insertHalt(halt: Halt): Write {
  return write(
    statements.insertInto('halts').values({
      id: halt.id,
      scope: halt.scope.scope,
      scope_id: halt.scope.scope === 'global' ? null : halt.scope.id,
      reason: halt.reason,
      by: halt.by,
      at: halt.at,
      breaker: halt.breaker ?? null,
      lifted_at: null,
      lifted_by: null,
    }),
  );
}

export function liftHalt(id: HaltId, by: ActorId, at: Instant): Write {
  return write(
    statements
      .updateTable('halts')
      .set({ lifted_at: at, lifted_by: by })
      .where('id', '=', id)
      .where('lifted_at', 'is', null),
    1,
  );
}

export async function activeHalts(store: Store): Promise<readonly Halt[]> {
  const rows = await store.all(statements.selectFrom('halts').selectAll().where('lifted_at', 'is', null).orderBy('at'));
  return rows.map((row) => ({
    id: row.id as HaltId,
    scope: (row.scope === 'global' ? { scope: 'global' } : { scope: row.scope, id: row.scope_id }) as HaltScope,
    reason: row.reason,
    by: row.by as ActorId,
    at: row.at as Instant,
    ...(row.breaker === null ? {} : { breaker: row.breaker as Breaker }),
  }));
}
