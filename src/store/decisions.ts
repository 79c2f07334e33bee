import type { ActorId, Instant } from '../domain/ids.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Where a plan was seen. */
export type SeenBy = 'console' | 'cli' | 'slack';

/** Keeps when a person first saw a plan; what comes later says nothing new. It proves nothing: it is for measuring only. */
export function putSight(sight: {
  readonly plan: string;
  readonly person: string;
  readonly at: Instant;
  readonly by: SeenBy;
}): Write {
  return write(
    statements
      .insertInto('sights')
      .values(sight)
      .onConflict((conflict) =>
        conflict
          .columns(['plan', 'person'])
          .doUpdateSet(({ ref }) => ({ at: ref('excluded.at'), by: ref('excluded.by') }))
          .whereRef('excluded.at', '<', 'sights.at'),
      ),
  );
}

export async function hasSeen(store: Store, plan: string, person: string): Promise<boolean> {
  const query = statements.selectFrom('sights').select('at').where('plan', '=', plan).where('person', '=', person);
  return (await store.first(query)) !== undefined;
}

/** A verdict of a person, with when it could first be given and when they first saw what it is about. */
export interface DecisionRow {
  readonly person: ActorId;
  readonly verdict: 'approve' | 'reject';
  readonly at: Instant;
  readonly madeAt: Instant;
  readonly seenAt: Instant | null;
  readonly envelope: string;
}

export async function decisionsSince(store: Store, since: Instant): Promise<readonly DecisionRow[]> {
  const rows = await store.all(
    statements
      .selectFrom('approvals')
      .innerJoin('plans', 'plans.id', 'approvals.plan')
      .leftJoin('sights', (join) =>
        join.onRef('sights.plan', '=', 'approvals.plan').onRef('sights.person', '=', 'approvals.person'),
      )
      .select([
        'approvals.person as person',
        'approvals.verdict as verdict',
        'approvals.at as at',
        'approvals.envelope as envelope',
        'plans.created_at as made_at',
        'sights.at as seen_at',
      ])
      .where('approvals.at', '>=', since)
      .orderBy('approvals.at'),
  );
  return rows.map(({ person, verdict, at, envelope, made_at: madeAt, seen_at: seenAt }) => ({
    person: person as ActorId,
    verdict: verdict as 'approve' | 'reject',
    at: at as Instant,
    madeAt: madeAt as Instant,
    seenAt: seenAt as Instant | null,
    envelope,
  }));
}
