import type { Effect } from '../domain/effect.ts';
import { rowsChanged } from '../domain/effect.ts';
import type { Measurement, UndoPath } from '../domain/plan.ts';

/**
 * How one gets back from a plan's change, said before anybody countersigns (G8). Only what is captured in the change's
 * own transaction counts; whatever isn't captured is irreversible here, and says so.
 */
export function undoPath(effects: readonly Effect[], measurement: Measurement): UndoPath {
  if (!measurement.measured) return { undo: 'irreversible', why: `the effect was not measured: ${measurement.why}` };
  const { objects, tables } = measurement.effect;
  const lost = objects.find((object) => object.change !== 'created');
  if (lost !== undefined) {
    return { undo: 'irreversible', why: `${lost.object} would be ${lost.change}; only a backup brings it back` };
  }
  if (effects.some((effect) => effect.verb === 'privilege' || effect.verb === 'server' || effect.verb === 'unknown')) {
    return { undo: 'irreversible', why: 'the change is not one of rows or new objects' };
  }
  if (objects.length > 0) return { undo: 'drop what was created' };
  return { undo: 'row images', rows: rowsChanged(tables) };
}
