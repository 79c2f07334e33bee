import { openBreakGlass } from '../approval/break-glass.ts';
import { verifyReview } from '../approval/incident-review.ts';
import type { BreakGlassStatement, Incident, ReviewEnvelope } from '../domain/break-glass.ts';
import type { Json } from '../domain/digest.ts';
import type { Entry } from '../domain/entry.ts';
import type { PlanRecord } from '../domain/plan.ts';
import { GuardFailed, type Ledger } from '../ledger/ledger.ts';
import { incidentById, incidents, reviewIncident } from '../store/incidents.ts';
import { getPlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import type { Refused } from './gateway.ts';
import type { Proof } from './proof.ts';
import type { TargetRules } from './target-rules.ts';

/** Broken glass, and who has looked at it since. */
export interface Incidents {
  list(filter: { readonly unreviewed?: boolean }): Promise<readonly IncidentView[]>;
  show(id: string): Promise<(IncidentView & { readonly timeline: readonly Happened[] }) | undefined>;
  /** Takes another person's signature that they have looked at it. */
  review(id: string, envelope: ReviewEnvelope): Promise<{ readonly incident: IncidentView } | Refused>;
}

export interface IncidentView extends Pick<Incident, 'id' | 'plan' | 'person' | 'openedAt'> {
  readonly statement: BreakGlassStatement;
  /** Who answers for the environment. */
  readonly owner: string | null;
  readonly target: string;
  /** Where the plan stands now. */
  readonly state: PlanRecord['state'];
  readonly review: { readonly by: string; readonly at: string } | null;
}

/** An entry of the ledger about it. */
export interface Happened {
  readonly index: number;
  readonly at: string;
  readonly kind: Entry['kind'];
  readonly by: string | null;
  readonly said: string | null;
}

export function createIncidents(deps: {
  readonly store: Store;
  readonly ledger: Pick<Ledger, 'entries'>;
  readonly proof: Proof;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly now: () => number;
}): Incidents {
  const { store, proof } = deps;

  async function viewOf(incident: Incident): Promise<readonly IncidentView[]> {
    const opened = openBreakGlass(incident.envelope);
    const record = await getPlan(store, incident.plan);
    if (!opened.opened || record === undefined) return [];
    const { id, plan, person, openedAt, review } = incident;
    return [
      {
        id,
        plan,
        person,
        openedAt,
        statement: opened.statement,
        owner: deps.rules(record.plan.target)?.environment.owner ?? null,
        target: record.plan.target,
        state: record.state,
        review: review === null ? null : { by: review.by, at: review.at },
      },
    ];
  }

  return {
    async list(filter) {
      const views = await Promise.all((await incidents(store, filter)).map(viewOf));
      return views.flat();
    },
    async show(id) {
      const incident = await incidentById(store, id);
      const [view] = incident === undefined ? [] : await viewOf(incident);
      if (view === undefined) return undefined;
      const entries = await deps.ledger.entries({ limit: 1000, subject: view.plan });
      return { ...view, timeline: [...entries].sort((a, b) => a.index - b.index).map(happened) };
    },
    async review(id, envelope) {
      const incident = await incidentById(store, id);
      const record = incident === undefined ? undefined : await getPlan(store, incident.plan);
      const rules = record === undefined ? undefined : deps.rules(record.plan.target);
      if (incident === undefined || record === undefined || rules === undefined)
        return no(
          `There is no incident ${id} of a target that is configured.`,
          '`countersign incident list` shows them.',
        );
      const asked = { incident, plan: record.plan, people: rules.people, now: deps.now() };
      const verified = verifyReview(envelope, asked);
      if (!verified.valid) return no(`This does not count: ${verified.why}.`, 'Somebody else reviews it.');
      const { statement } = verified;
      try {
        await proof.record({
          kind: 'incident review',
          subject: incident.plan,
          body: {
            plan: incident.plan,
            incident: id,
            person: statement.person,
            reason: statement.reason,
            envelope: envelope as unknown as Json,
          },
          writes: [reviewIncident(statement, envelope, proof.now())],
        });
      } catch (error) {
        if (!(error instanceof GuardFailed)) throw error;
        return no(`${id} has been reviewed before.`, `See by whom with: countersign incident show ${id}`);
      }
      const [view] = await viewOf((await incidentById(store, id)) ?? incident);
      return view === undefined ? no(`${id} can’t be read.`, 'Look into the ledger.') : { incident: view };
    },
  };
}

const WHO = ['person', 'by', 'actor'] as const;
const WHAT = ['reason', 'outcome', 'why', 'decision'] as const;

function happened({ index, entry }: { readonly index: number; readonly entry: Entry }): Happened {
  const body = entry.body as Readonly<Record<string, Json>>;
  const first = (names: readonly string[]) => {
    const found = names.map((name) => body[name]).find((value) => typeof value === 'string');
    return typeof found === 'string' ? found : null;
  };
  return { index, at: entry.at, kind: entry.kind, by: first(WHO), said: first(WHAT) };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}
