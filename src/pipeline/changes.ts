import { digestOf } from '../domain/digest.ts';
import { type Digest, instantOf, type PlanId, type TargetId } from '../domain/ids.ts';
import { isLive, shortId } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import { describeTables } from '../planning/describe-effect.ts';
import { undosOf } from '../store/changes.ts';
import { livePlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { ChangeFacts, ChangeReader } from './change-facts.ts';
import type { ChangeView, PlanView, Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { PlanViews } from './plan-view.ts';
import type { Proof } from './proof.ts';
import { nothingInQuarantine, type PurgeRequest, proposePurge, purgeWish } from './purge.ts';
import { type Draft, recordPlan } from './record-plan.ts';
import { undoByRows } from './undo-by-rows.ts';
import { undoByStatements } from './undo-by-statements.ts';
import { undoFromQuarantine } from './undo-from-quarantine.ts';
import { EXPIRED, noChange, noWayBack } from './undo-refusals.ts';
import type { UndoRequest } from './undo-request.ts';

/** What has taken effect, and the way back from it (G8). */
export interface Changes {
  list(filter: { readonly task?: string; readonly limit: number }): Promise<readonly ChangeView[]>;
  of(id: string): Promise<ChangeView | undefined>;
  /**
   * Makes the plan that takes a change back: tried on the real data, decided by policy as the change itself was, and
   * applied like any other. Asked again while that plan waits, it is the same one.
   */
  undo(request: UndoRequest): Promise<{ readonly plan: PlanView } | Refused>;
  /** Makes the plan that lets go of what a change has dropped into quarantine. */
  purge(request: PurgeRequest): Promise<{ readonly plan: PlanView } | Refused>;
}

export function createChanges(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly views: PlanViews;
  readonly reader: ChangeReader;
  readonly target: (id: TargetId) => Promise<GovernedTarget | Refusal>;
  readonly stopped: (change: ChangeFacts) => Refusal | undefined;
  readonly now: () => number;
}): Changes {
  const { store, views, reader } = deps;

  async function viewOf({ record, ...facts }: ChangeFacts): Promise<ChangeView> {
    return {
      ...facts,
      effect: describeTables(facts.tables),
      plan: record === null ? null : await views.of(record),
      undoneBy: await undoneBy(store, facts),
      ...(await quarantineOf(facts)),
    };
  }

  /** By what is written down here: a list asks no target. */
  async function quarantineOf(change: Omit<ChangeFacts, 'record'>): Promise<Pick<ChangeView, 'kept' | 'undo'>> {
    const { id, task, undo, appliedAt } = change;
    if (undo.undo !== 'quarantine') return { kept: null, undo };
    const [purge] = await undosOf(store, task, [purgeWish(id)]);
    if (purge !== undefined)
      return { kept: null, undo: { undo: 'irreversible', why: `it was purged by plan ${shortId(purge.id)}` } };
    const until = Date.parse(appliedAt) + undo.keepMs;
    return { kept: { until: instantOf(until), due: until <= deps.now(), bytes: undo.bytes }, undo };
  }

  /** Whether the target keeps nothing of it any more; where it can't be asked, nobody says so. */
  async function hasExpired({ id, target, undo }: ChangeView): Promise<boolean> {
    const asked = undo.undo === 'row images' ? await deps.target(target) : undefined;
    if (asked === undefined || 'refused' in asked) return false;
    return (await asked.engine.keptRows(id)) === undefined;
  }

  async function planned(target: GovernedTarget, draft: Draft): Promise<{ readonly plan: PlanView } | Refused> {
    const decision = target.decidePlan(draft);
    if (decision.decision === 'deny') return { refused: target.denial(decision) };
    const made = await recordPlan({ target, proof: deps.proof, now: deps.now }, draft, decision);
    return { plan: await views.of(made) };
  }

  /** A drop that nobody could try says that it has no way back; where it could be kept all the same, it has one. */
  async function find(id: string): Promise<ChangeFacts | undefined> {
    const change = await reader.find(id);
    if (change?.undo.undo !== 'irreversible' || change.record?.plan.measurement.measured !== false) return change;
    const target = await deps.target(change.target);
    const kept = 'refused' in target ? [] : await target.engine.quarantined();
    const own = kept.find((one) => one.change === change.id);
    if (own === undefined) return change;
    const keepMs = Date.parse(own.until) - Date.parse(own.since);
    return { ...change, undo: { undo: 'quarantine', keepMs, bytes: own.bytes, takesMs: 0 } };
  }

  return {
    async list(filter) {
      return Promise.all((await reader.list(filter)).map(viewOf));
    },
    async of(id) {
      const found = await find(id);
      if (found === undefined) return undefined;
      const view = await viewOf(found);
      return (await hasExpired(view)) ? { ...view, undo: { undo: 'irreversible', why: EXPIRED } } : view;
    },
    async undo(request) {
      const change = await find(request.change);
      const stored = change === undefined ? undefined : await taskById(store, change.task);
      if (change === undefined || stored === undefined) return { refused: noChange(request.change) };
      const notNow = deps.stopped(change) ?? noWayBack(change, await undoneBy(store, change));
      if (notNow !== undefined) return { refused: notNow };
      const wish = undoWish(change.id, request.keepNewer);
      const known = await livePlan(store, stored.task.id, wish);
      if (known !== undefined && isLive(known, deps.now())) return { plan: await views.of(known) };
      const target = await deps.target(change.target);
      if ('refused' in target) return { refused: target };

      const proposed = await WAYS[change.undo.undo](target, change, { ...request, task: stored.task });
      if ('refused' in proposed) return proposed;
      return planned(target, { ...proposed, task: stored.task, channel: request.channel, wish });
    },
    async purge(request) {
      const change = await find(request.change);
      const stored = change === undefined ? undefined : await taskById(store, change.task);
      if (change === undefined || stored === undefined) return { refused: noChange(request.change) };
      const undone = await undoneBy(store, change);
      if (change.undo.undo !== 'quarantine' || undone !== null) return { refused: nothingInQuarantine(change, undone) };
      const stopped = deps.stopped(change);
      if (stopped !== undefined) return { refused: stopped };
      const wish = purgeWish(change.id);
      const known = await livePlan(store, stored.task.id, wish);
      if (known !== undefined && isLive(known, deps.now())) return { plan: await views.of(known) };
      const target = await deps.target(change.target);
      if ('refused' in target) return { refused: target };
      const proposed = await proposePurge(target, change, request);
      if ('refused' in proposed) return proposed;
      return planned(target, { ...proposed, task: stored.task, channel: 'cli', wish });
    },
  };
}

/** By how a change can be taken back. What has no way back was refused before; there rows are looked for in vain. */
const WAYS = {
  'row images': undoByRows,
  statements: undoByStatements,
  quarantine: undoFromQuarantine,
  irreversible: undoByRows,
} as const;

/** The plan that has taken a change back, unless that was taken back in turn. */
export async function undoneBy(store: Store, { id, task }: Pick<ChangeFacts, 'id' | 'task'>): Promise<PlanId | null> {
  for (const undo of await undosOf(store, task, wishesFor(id))) {
    if ((await undoneBy(store, { id: undo.id, task })) === null) return undo.id;
  }
  return null;
}

/** Asked again it is the same wish, whoever asks. */
function undoWish(change: string, keepNewer: boolean): Digest {
  return digestOf({ undo: change, keepNewer });
}

function wishesFor(change: string): readonly Digest[] {
  return [undoWish(change, false), undoWish(change, true)];
}

/** @throws RefusalError what the caller is to be told. */
export function undoMade(made: { readonly plan: PlanView } | Refused): PlanView {
  if ('refused' in made) throw new RefusalError(made.refused);
  return made.plan;
}
