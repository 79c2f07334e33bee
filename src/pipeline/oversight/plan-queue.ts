import type { ActorId, Instant, PlanId } from '../../domain/ids.ts';
import type { Plan, PlanRecord, PlanState } from '../../domain/plan.ts';
import { headlineOf } from '../../planning/headline.ts';
import { type Risk, riskOf } from '../../planning/risk.ts';
import { approversOf } from '../../store/approvals.ts';
import { endedPlans, openPlans, type PlanStanding, plansByIds } from '../../store/plan-lists.ts';
import type { Store } from '../../store/store.ts';

/** What of a plan never changes and is needed to put it in a list: kept while it waits. */
interface Digest {
  readonly plan: Pick<
    Plan,
    | 'actor'
    | 'onBehalfOf'
    | 'purpose'
    | 'target'
    | 'environment'
    | 'tier'
    | 'createdAt'
    | 'expiresAt'
    | 'channel'
    | 'task'
  >;
  readonly headline: string;
  readonly risk: Risk;
  readonly statement: string;
  readonly undo: Plan['undo']['undo'];
  /** Countersignatures that were asked when it was held. Policy may ask for more by now: the plan itself says so. */
  readonly needed: number;
  /** `target schema.table` of all that it changes. */
  readonly touches: readonly string[];
}

/** A plan as a line of the queue. */
export interface PlanLine extends Omit<Digest, 'plan' | 'needed' | 'touches'> {
  readonly id: PlanId;
  readonly state: PlanState;
  readonly note: string | null;
  readonly actor: ActorId;
  readonly onBehalfOf: ActorId;
  readonly purpose: string;
  readonly task: string;
  readonly target: string;
  readonly environment: string;
  readonly tier: Plan['tier'];
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
  readonly changedAt: string;
  /** Countersignatures that are still missing; 0 for one that has ended. */
  readonly approvalsMissing: number;
  readonly approvedBy: readonly ActorId[];
  /** Other plans that wait and change the same tables of the same target. */
  readonly conflicts: number;
}

export interface PlanPage {
  readonly plans: readonly PlanLine[];
  /** How many there are in all; `null` where they were not counted. */
  readonly total: number | null;
  readonly next: string | null;
}

export interface Conflicts {
  readonly count: number;
  readonly first: readonly PlanId[];
}

interface QueuePage {
  readonly limit: number;
  readonly cursor?: string;
  readonly text?: string;
}

/** The plans that wait for people, the riskiest and then the oldest first, and those that have ended. */
export interface PlanQueue {
  /** @param page.text stands somewhere in what a line says. */
  open(page: QueuePage): Promise<PlanPage>;
  ended(page: QueuePage): Promise<PlanPage>;
  /** Plans that wait and change the same tables: how many, and the first of them. */
  conflictsOf(record: PlanRecord): Promise<Conflicts>;
}

/** More than this are not put in order: who has as many waiting needs another policy, not a list. */
const MAX_OPEN = 5000;
/** In one question to the store. */
const LOAD_AT_ONCE = 200;
const STATEMENT_CHARACTERS = 240;
const NAMED_CONFLICTS = 5;

export function createPlanQueue(deps: { readonly store: Store; readonly now: () => number }): PlanQueue {
  const { store } = deps;
  /** A plan is its id: what was derived of it once stays true. */
  let known = new Map<PlanId, Digest>();

  async function waiting(): Promise<readonly Listed[]> {
    const standings = await openPlans(store, MAX_OPEN);
    const digests = new Map(standings.flatMap(({ id }) => entryOf(id, known.get(id))));
    const unknown = standings.filter(({ id }) => !digests.has(id)).map(({ id }) => id);
    for (let start = 0; start < unknown.length; start += LOAD_AT_ONCE) {
      for (const record of await plansByIds(store, unknown.slice(start, start + LOAD_AT_ONCE)))
        digests.set(record.id, digestOf(record.plan));
    }
    known = digests;
    const nowMs = deps.now();
    return standings
      .flatMap((standing) => {
        const digest = digests.get(standing.id);
        return digest === undefined || isOver(standing, digest, nowMs) ? [] : [{ standing, digest }];
      })
      .sort(byRiskAndAge);
  }

  async function linesOf(listed: readonly Listed[], all: readonly Listed[]): Promise<readonly PlanLine[]> {
    const approvers = await approversOf(
      store,
      listed.map(({ standing }) => standing.id),
    );
    return listed.map(({ standing, digest }) => {
      const { plan, touches, needed, ...derived } = digest;
      const approvedBy = approvers.get(standing.id) ?? [];
      return {
        ...derived,
        ...plan,
        ...standing,
        approvalsMissing: standing.state === 'held' ? Math.max(0, needed - approvedBy.length) : 0,
        approvedBy,
        conflicts: all.filter((other) => other.standing.id !== standing.id && meets(other.digest.touches, touches))
          .length,
      };
    });
  }

  return {
    async open({ limit, cursor, text }) {
      const all = await waiting();
      const asked = text === undefined ? all : all.filter((listed) => says(listed, text));
      const after = cursor === undefined ? -1 : asked.findIndex(({ standing }) => standing.id === cursor);
      const page = asked.slice(after + 1, after + 1 + limit);
      const last = page.at(-1);
      return {
        plans: await linesOf(page, all),
        total: asked.length,
        next: last !== undefined && after + 1 + limit < asked.length ? last.standing.id : null,
      };
    },
    async ended({ limit, cursor }) {
      const [at, id] = cursor?.split(' ') ?? [];
      const before = at === undefined || id === undefined ? {} : { before: { at, id } };
      const standings = await endedPlans(store, { limit: limit + 1, ...before });
      const page = standings.slice(0, limit);
      const records = await plansByIds(
        store,
        page.map((standing) => standing.id),
      );
      const digests = new Map(records.map((record) => [record.id, digestOf(record.plan)]));
      const listed = page.flatMap((standing) => {
        const digest = digests.get(standing.id);
        return digest === undefined ? [] : [{ standing, digest }];
      });
      const last = page.at(-1);
      const more = standings.length > limit && last !== undefined;
      return {
        plans: await linesOf(listed, []),
        total: null,
        next: more ? `${last.changedAt} ${last.id}` : null,
      };
    },
    async conflictsOf({ id, plan }) {
      const touches = touchesOf(plan);
      const others = (await waiting()).flatMap(({ standing, digest }) =>
        standing.id !== id && meets(digest.touches, touches) ? [standing.id] : [],
      );
      return { count: others.length, first: others.slice(0, NAMED_CONFLICTS) };
    },
  };
}

interface Listed {
  readonly standing: PlanStanding;
  readonly digest: Digest;
}

/** Whether a person who looks for this text would take the plan for a find. */
function says({ standing, digest }: Listed, text: string): boolean {
  const { plan, headline, statement, touches } = digest;
  const said = [
    standing.id,
    headline,
    statement,
    plan.actor,
    plan.onBehalfOf,
    plan.purpose,
    plan.environment,
    ...touches,
  ];
  return said.join('\n').toLowerCase().includes(text.toLowerCase());
}

function entryOf(id: PlanId, digest: Digest | undefined): readonly (readonly [PlanId, Digest])[] {
  return digest === undefined ? [] : [[id, digest]];
}

/** Its time is over, though nobody has written that down yet. */
function isOver({ state }: PlanStanding, { plan }: Digest, nowMs: number): boolean {
  return (state === 'held' || state === 'approved') && nowMs >= Date.parse(plan.expiresAt);
}

/** What nobody knows the end of comes first, then what waits for people; among these the riskiest, then the oldest. */
function byRiskAndAge(a: Listed, b: Listed): number {
  return (
    urgency(b.standing) - urgency(a.standing) ||
    b.digest.risk.score - a.digest.risk.score ||
    (a.digest.plan.createdAt < b.digest.plan.createdAt ? -1 : 1)
  );
}

function urgency({ state }: PlanStanding): number {
  if (state === 'indeterminate') return 2;
  return state === 'held' ? 1 : 0;
}

function digestOf(plan: Plan): Digest {
  const { actor, onBehalfOf, purpose, target, environment, tier, createdAt, expiresAt, channel, task } = plan;
  const text = plan.statements.map((statement) => statement.text.replaceAll(/\s+/g, ' ').trim()).join('; ');
  return {
    plan: { actor, onBehalfOf, purpose, target, environment, tier, createdAt, expiresAt, channel, task },
    headline: headlineOf(plan),
    risk: riskOf(plan),
    statement: text.length > STATEMENT_CHARACTERS ? `${text.slice(0, STATEMENT_CHARACTERS - 1)}…` : text,
    undo: plan.undo.undo,
    needed: Math.max(
      0,
      ...plan.held.missing.map((missing) => (missing.obligation === 'approvals' ? missing.count : 1)),
    ),
    touches: touchesOf(plan),
  };
}

function touchesOf({ target, measurement, effects }: Plan): readonly string[] {
  const tables = measurement.measured
    ? measurement.effect.tables.map(({ table }) => table)
    : effects.filter(({ verb }) => verb !== 'read').map(({ object }) => `${object.schema}.${object.name}`);
  const objects = measurement.measured ? measurement.effect.objects.map(({ object }) => object) : [];
  return [...new Set([...tables, ...objects])].map((name) => `${target} ${name}`);
}

function meets(a: readonly string[], b: readonly string[]): boolean {
  return a.some((touched) => b.includes(touched));
}
