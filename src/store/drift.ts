import type { DefinitionMove, Definitions, DriftState } from '../domain/drift.ts';
import { asId, type Digest, type Instant, type PlanId, type TargetId } from '../domain/ids.ts';
import type { PlanState } from '../domain/plan.ts';
import { statements } from './schema.ts';
import type { Reader } from './store.ts';
import { type Write, write } from './write.ts';

/** What a target's schema is meant to be, as it is kept; the ledger says by its digest whether it is the one. */
export interface KeptBaseline {
  readonly definitions: Definitions;
  readonly digest: Digest;
  readonly at: Instant;
}

/** What a plan has made of definitions, if it took effect. */
export interface PlanMoves {
  readonly plan: PlanId;
  readonly state: PlanState;
  readonly moves: readonly DefinitionMove[];
}

export async function baselineOf(store: Reader, target: TargetId): Promise<KeptBaseline | undefined> {
  const row = await store.first(statements.selectFrom('baselines').selectAll().where('target', '=', target));
  if (row === undefined) return undefined;
  return {
    definitions: { objects: new Map(JSON.parse(row.definitions) as [string, string][]), major: Number(row.major) },
    digest: asId<Digest>(row.digest),
    at: asId<Instant>(row.at),
  };
}

/** Fails as a guard where there is another one by now. @param was its digest; `null` where there is to be none yet. */
export function putBaseline(target: TargetId, { definitions, digest, at }: KeptBaseline, was: Digest | null): Write {
  const kept = { digest, major: definitions.major, definitions: JSON.stringify([...definitions.objects]), at };
  if (was === null) return write(statements.insertInto('baselines').values({ target, ...kept }), 1);
  return write(statements.updateTable('baselines').set(kept).where('target', '=', target).where('digest', '=', was), 1);
}

/** Kept with the plan before it takes effect, so that a crash loses nothing of it: whether it did is the plan's to say. */
export function putMoves(
  plan: PlanId,
  { target, moves, at }: { readonly target: TargetId; readonly moves: readonly DefinitionMove[]; readonly at: Instant },
): Write {
  const kept = { target, moves: JSON.stringify(moves), at };
  return write(
    statements
      .insertInto('baseline_moves')
      .values({ plan, ...kept })
      .onConflict((conflict) => conflict.column('plan').doUpdateSet(kept)),
  );
}

/** In the order in which they were about to take effect. */
export async function movesOn(store: Reader, target: TargetId): Promise<readonly PlanMoves[]> {
  const rows = await store.all(
    statements
      .selectFrom('baseline_moves')
      .innerJoin('plans', 'plans.id', 'baseline_moves.plan')
      .select(['baseline_moves.plan', 'baseline_moves.moves', 'plans.state'])
      .where('baseline_moves.target', '=', target)
      .orderBy('baseline_moves.at')
      .orderBy('baseline_moves.plan'),
  );
  return rows.map(({ plan, moves, state }) => ({
    plan: asId<PlanId>(plan),
    state: state as PlanState,
    moves: JSON.parse(moves) as DefinitionMove[],
  }));
}

/** They are part of the baseline now, or came to nothing. */
export function dropMoves(plans: readonly PlanId[]): readonly Write[] {
  if (plans.length === 0) return [];
  return [write(statements.deleteFrom('baseline_moves').where('plan', 'in', plans), plans.length)];
}

export async function driftStates(store: Reader): Promise<ReadonlyMap<TargetId, DriftState>> {
  const rows = await store.all(statements.selectFrom('drifts').selectAll());
  return new Map(
    rows.map((row) => [
      asId<TargetId>(row.target),
      {
        target: asId<TargetId>(row.target),
        checkedAt: asId<Instant>(row.checked_at),
        since: row.since === null ? null : asId<Instant>(row.since),
        objects: Number(row.objects),
        digest: asId<Digest>(row.digest),
        listed: JSON.parse(row.listed) as DriftState['listed'],
      },
    ]),
  );
}

/** Fails as a guard where somebody has told of it by now. @param was its digest before; `null` where it was never looked at. */
export function putDriftState(state: DriftState, was: Digest | null): Write {
  const { target, checkedAt, since, objects, digest, listed } = state;
  const kept = { checked_at: checkedAt, since, objects, digest, listed: JSON.stringify(listed) };
  if (was === null) return write(statements.insertInto('drifts').values({ target, ...kept }), 1);
  return write(statements.updateTable('drifts').set(kept).where('target', '=', target).where('digest', '=', was), 1);
}

/** Looked at again, and the same was found. */
export function touchDriftState({ target, checkedAt, digest }: DriftState): Write {
  return write(
    statements
      .updateTable('drifts')
      .set({ checked_at: checkedAt })
      .where('target', '=', target)
      .where('digest', '=', digest),
  );
}
