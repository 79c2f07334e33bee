import { digestOf } from '../domain/digest.ts';
import { type Effect, rowsChanged, type TableEffect } from '../domain/effect.ts';
import type { ActorId, Digest, PlanId, TargetId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { ObjectRef } from '../domain/object.ts';
import { isLive, type Measurement, shortId } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import { describeTables } from '../planning/describe-effect.ts';
import { undosOf } from '../store/changes.ts';
import { livePlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { ChangeFacts, ChangeReader } from './change-facts.ts';
import type { ChangeView, PlanView, Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideMasked } from './hide-masked.ts';
import type { PlanViews } from './plan-view.ts';
import type { Proof } from './proof.ts';
import { recordPlan } from './record-plan.ts';

/** What has taken effect, and the way back from it (G8). */
export interface Changes {
  list(filter: { readonly task?: string; readonly limit: number }): Promise<readonly ChangeView[]>;
  of(id: string): Promise<ChangeView | undefined>;
  /**
   * Makes the plan that takes a change back: tried on the real data, decided by policy as the change itself was, and
   * applied like any other. Asked again while that plan waits, it is the same one.
   */
  undo(request: UndoRequest): Promise<{ readonly plan: PlanView } | Refused>;
}

export interface UndoRequest {
  /** The plan that was applied, or the intent of a write. */
  readonly change: string;
  readonly askedBy: ActorId;
  readonly channel: Channel;
  /** Rows that were changed since stay as they are; else they stand in the way. */
  readonly keepNewer: boolean;
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
      undoneBy: await undoneBy(facts),
    };
  }

  /** Whether the target keeps nothing of it any more; where it can't be asked, nobody says so. */
  async function hasExpired({ id, target, undo }: ChangeView): Promise<boolean> {
    const asked = undo.undo === 'row images' ? await deps.target(target) : undefined;
    if (asked === undefined || 'refused' in asked) return false;
    return (await asked.engine.keptRows(id)) === undefined;
  }

  async function undoneBy({ id, task }: Pick<ChangeFacts, 'id' | 'task'>): Promise<PlanId | null> {
    for (const undo of await undosOf(store, task, wishesFor(id))) {
      if ((await undoneBy({ id: undo.id, task })) === null) return undo.id;
    }
    return null;
  }

  return {
    async list(filter) {
      return Promise.all((await reader.list(filter)).map(viewOf));
    },
    async of(id) {
      const found = await reader.find(id);
      if (found === undefined) return undefined;
      const view = await viewOf(found);
      return (await hasExpired(view)) ? { ...view, undo: { undo: 'irreversible', why: EXPIRED } } : view;
    },
    async undo(request) {
      const change = await reader.find(request.change);
      const stored = change === undefined ? undefined : await taskById(store, change.task);
      if (change === undefined || stored === undefined) return { refused: noChange(request.change) };
      const notNow = deps.stopped(change) ?? noWayBack(change, await undoneBy(change));
      if (notNow !== undefined) return { refused: notNow };
      const wish = undoWish(change.id, request.keepNewer);
      const known = await livePlan(store, stored.task.id, wish);
      if (known !== undefined && isLive(known, deps.now())) return { plan: await views.of(known) };
      const target = await deps.target(change.target);
      if ('refused' in target) return { refused: target };

      const kept = await target.engine.keptRows(change.id);
      if (kept === undefined) return { refused: expired(change) };
      const measured = await target.engine.measure({
        statements: [],
        undo: { change: change.id, keepNewer: request.keepNewer },
        settings: [],
        tables: kept.tables,
        baseObjects: kept.tables,
        bounds: target.measureBounds,
        // Values come from what was kept: none of them is made anew.
        repeatable: true,
      });
      if (measured.conflicts !== undefined) return { refused: changedSince(change, measured.conflicts) };
      if (measured.failure !== undefined)
        return { refused: refusedByDatabase(measured.failure.message, measured.failure.detail) };
      const measurement = hideMasked(
        reached(measured.measurement, change.tables),
        target.catalogue().masking,
        target.secrets,
      );
      if (!measurement.measured) return { refused: unmeasured(measurement.why) };
      const { tables } = measurement.effect;
      if (rowsChanged(tables) === 0) return { refused: nothingLeft(change) };
      const effects = effectsOf(tables);
      const decision = target.decidePlan({ task: stored.task, channel: request.channel, effects, measurement });
      if (decision.decision === 'deny') return { refused: target.denial(decision) };
      const text = `CALL countersign.undo('${change.id}'${request.keepNewer ? ', keep_newer => true' : ''})`;
      const made = await recordPlan(
        { target, proof: deps.proof, now: deps.now },
        {
          ...measured,
          measurement,
          task: stored.task,
          channel: request.channel,
          statements: [{ text, parameters: [] }],
          told: [{ shape: text, command: 'UNDO' }],
          settings: [],
          effects,
          wish,
          undoes: {
            change: change.id,
            keepNewer: request.keepNewer,
            tables: kept.tables,
            askedBy: request.askedBy,
            newer: measured.newer ?? [],
          },
        },
        decision,
      );
      return { plan: await views.of(made) };
    },
  };
}

const EXPIRED = 'undo expired: the target keeps none of its rows any more';

/** Asked again it is the same wish, whoever asks. */
function undoWish(change: string, keepNewer: boolean): Digest {
  return digestOf({ undo: change, keepNewer });
}

function wishesFor(change: string): readonly Digest[] {
  return [undoWish(change, false), undoWish(change, true)];
}

/** A table that the change reached by a key or a trigger is reached so by its undo: that is what its task declared. */
function reached(measurement: Measurement, changed: readonly TableEffect[]): Measurement {
  if (!measurement.measured) return measurement;
  const via = new Map(changed.map((table) => [table.table, table.via]));
  const tables = measurement.effect.tables.map((table) => ({ ...table, via: via.get(table.table) ?? table.via }));
  return { measured: true, effect: { ...measurement.effect, tables } };
}

function effectsOf(tables: readonly TableEffect[]): readonly Effect[] {
  return tables.flatMap(({ table, via, inserted, updated, deleted }) => {
    const dot = table.indexOf('.');
    const object: ObjectRef = { kind: 'table', schema: table.slice(0, dot), name: table.slice(dot + 1) };
    const counts = [
      ['insert', inserted],
      ['update', updated],
      ['delete', deleted],
    ] as const;
    return counts.flatMap(([verb, count]) => (count > 0 ? [{ verb, object, via }] : []));
  });
}

function noWayBack({ id, undo }: ChangeFacts, undone: PlanId | null): Refusal | undefined {
  if (undone !== null)
    return {
      refused: 'denied',
      message: `The change ${shortId(id)} has been undone already, by plan ${shortId(undone)}.`,
      hint: `To have it again, undo that: countersign change undo ${shortId(undone)}`,
      plan: undone,
    };
  if (undo.undo === 'row images') return undefined;
  return {
    refused: 'denied',
    message: `The change ${shortId(id)} can’t be undone by its rows.`,
    detail: undo.undo === 'irreversible' ? undo.why : 'It made objects; what is to be taken back is that they exist.',
    hint:
      undo.undo === 'irreversible'
        ? 'Restore what is missing from a backup.'
        : 'Propose to drop what it made: that becomes a plan of its own.',
  };
}

export function noChange(id: string): Refusal {
  return {
    refused: 'denied',
    message: `There is no change ${id}.`,
    hint: '`countersign change list` shows those there are; a plan is a change once it has been applied.',
  };
}

function expired({ id }: ChangeFacts): Refusal {
  return {
    refused: 'denied',
    message: `The undo of ${shortId(id)} has expired: the target keeps none of its rows any more.`,
    hint: 'Restore what is missing from a backup.',
  };
}

function changedSince({ id }: ChangeFacts, conflicts: readonly string[]): Refusal {
  return {
    refused: 'stale',
    message: 'Somebody has changed since what this would put back: nothing was changed.',
    detail: conflicts.join('\n'),
    hint: `Look at these rows. To leave them as they are and put the others back: countersign change undo ${shortId(id)} --keep-newer`,
  };
}

function refusedByDatabase(message: string, detail: string | undefined): Refusal {
  return {
    refused: 'stale',
    message: `The database does not let it be put back as it was: ${message}. Nothing was changed.`,
    ...(detail === undefined ? {} : { detail }),
    hint: 'Something that was made since stands in the way. Change that first, or restore what is missing from a backup.',
  };
}

function unmeasured(why: string): Refusal {
  return {
    refused: 'unavailable',
    message: `The undo could not be tried: ${why}. Nothing was changed.`,
    hint: 'Try again when the tables are less busy.',
  };
}

function nothingLeft({ id }: ChangeFacts): Refusal {
  return {
    refused: 'denied',
    message: `Nothing is left to undo of ${shortId(id)}: every row is as it was before, or newer.`,
    hint: 'Nothing needs to be done.',
  };
}

/** @throws RefusalError what the caller is to be told. */
export function undoMade(made: { readonly plan: PlanView } | Refused): PlanView {
  if ('refused' in made) throw new RefusalError(made.refused);
  return made.plan;
}
