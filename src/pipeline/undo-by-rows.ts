import { type Effect, rowsChanged, type TableEffect } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Measurement } from '../domain/plan.ts';
import type { Task } from '../domain/task.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideFailingRow } from './hide-failing-row.ts';
import { hideMasked } from './hide-masked.ts';
import { changedSince, expired, nothingLeft, refusedByDatabase, unmeasured } from './undo-refusals.ts';
import type { Proposal, UndoRequest } from './undo-request.ts';

/** Tries to put back the rows that were kept of a change. */
export async function undoByRows(
  target: GovernedTarget,
  change: ChangeFacts,
  { keepNewer, askedBy, task }: Pick<UndoRequest, 'keepNewer' | 'askedBy'> & { readonly task: Task },
): Promise<Proposal | Refused> {
  const kept = await target.engine.keptRows(change.id);
  if (kept === undefined) return { refused: expired(change) };
  const tried = await target.engine.measure({
    statements: [],
    undo: { change: change.id, keepNewer },
    settings: [],
    tables: kept.tables,
    baseObjects: kept.tables,
    bounds: target.measureBounds,
    // Values come from what was kept: none of them is made anew.
    repeatable: true,
  });
  const measured = hideFailingRow(tried, target.catalogue(), target.reach(task));
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
  const text = `CALL countersign.undo('${change.id}'${keepNewer ? ', keep_newer => true' : ''})`;
  return {
    ...measured,
    measurement,
    statements: [{ text, parameters: [] }],
    told: [{ shape: text, command: 'UNDO' }],
    settings: [],
    effects: effectsOf(tables),
    undoes: { change: change.id, keepNewer, tables: kept.tables, askedBy, newer: measured.newer ?? [] },
  };
}

/** A table that the change reached by a key or a trigger is reached so by its undo: that is what its task declared. */
function reached(measurement: Measurement, changed: readonly TableEffect[]): Measurement {
  if (!measurement.measured) return measurement;
  const via = new Map(changed.map((table) => [table.table, table.via]));
  const tables = measurement.effect.tables.map((table) => ({ ...table, via: via.get(table.table) ?? table.via }));
  return { measured: true, effect: { ...measurement.effect, tables } };
}

export function effectsOf(tables: readonly TableEffect[]): readonly Effect[] {
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
