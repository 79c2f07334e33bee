import type { BreakGlassEnvelope, Incident, ReviewEnvelope, ReviewStatement } from '../domain/break-glass.ts';
import { canonicalJson, type Json } from '../domain/digest.ts';
import { type ActorId, asId, type Instant, type PlanId } from '../domain/ids.ts';
import { type IncidentRow, statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** Keeps a broken glass. Fails where it is there already: one signature is one incident. */
export function insertIncident({ id, plan, person, envelope, openedAt }: Omit<Incident, 'review'>): Write {
  return write(
    statements
      .insertInto('incidents')
      .values({
        id,
        plan,
        person,
        envelope: canonicalJson(envelope as unknown as Json),
        opened_at: openedAt,
        reviewed_by: null,
        review: null,
        reviewed_at: null,
      })
      .onConflict((conflict) => conflict.doNothing()),
    1,
  );
}

/** Keeps who has looked at it; the first one stands. */
export function reviewIncident(statement: ReviewStatement, envelope: ReviewEnvelope, at: Instant): Write {
  return write(
    statements
      .updateTable('incidents')
      .set({ reviewed_by: statement.person, review: canonicalJson(envelope as unknown as Json), reviewed_at: at })
      .where('id', '=', statement.incident)
      .where('reviewed_by', 'is', null),
    1,
  );
}

/** The newest first. */
export async function incidents(store: Store, filter: { readonly unreviewed?: boolean } = {}): Promise<Incident[]> {
  let query = statements.selectFrom('incidents').selectAll().orderBy('opened_at', 'desc').orderBy('id');
  if (filter.unreviewed === true) query = query.where('reviewed_by', 'is', null);
  return (await store.all(query)).map(incidentOf);
}

/** Those about a plan, the newest first. */
export async function incidentsOf(store: Store, plan: PlanId): Promise<Incident[]> {
  const rows = await store.all(
    statements.selectFrom('incidents').selectAll().where('plan', '=', plan).orderBy('opened_at', 'desc').orderBy('id'),
  );
  return rows.map(incidentOf);
}

export async function incidentById(store: Store, id: string): Promise<Incident | undefined> {
  const row = await store.first(statements.selectFrom('incidents').selectAll().where('id', '=', id));
  return row === undefined ? undefined : incidentOf(row);
}

function incidentOf(row: IncidentRow): Incident {
  const { id, plan, person, envelope, opened_at, reviewed_by, review, reviewed_at } = row;
  return {
    id,
    plan: asId<PlanId>(plan),
    person: asId<ActorId>(person),
    envelope: JSON.parse(envelope) as BreakGlassEnvelope,
    openedAt: asId<Instant>(opened_at),
    review:
      reviewed_by === null || review === null || reviewed_at === null
        ? null
        : {
            by: asId<ActorId>(reviewed_by),
            envelope: JSON.parse(review) as ReviewEnvelope,
            at: asId<Instant>(reviewed_at),
          },
  };
}
