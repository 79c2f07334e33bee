import type { Effect } from '../domain/effect.ts';
import { rowsChanged } from '../domain/effect.ts';
import type { Measurement, UndoPath } from '../domain/plan.ts';

/** A row is compared, written and captured; measured with 100,000 of them (`npm run bench`). */
const MS_PER_ROW_PUT_BACK = 0.05;

/**
 * How one gets back from a plan's change, said before anybody countersigns (G8). Only what is captured in the change's
 * own transaction counts; whatever isn't captured is irreversible here, and says so.
 */
export function undoPath(effects: readonly Effect[], measurement: Measurement): UndoPath {
  if (!measurement.measured) return { undo: 'irreversible', why: `the effect was not measured: ${measurement.why}` };
  const { objects, tables, inverse, kept } = measurement.effect;
  if (effects.some((effect) => effect.verb === 'privilege' || effect.verb === 'server' || effect.verb === 'unknown')) {
    return { undo: 'irreversible', why: 'the change is not one of rows or definitions' };
  }
  if (objects.length === 0) {
    const rows = rowsChanged(tables);
    return { undo: 'row images', rows, takesMs: Math.round(rows * MS_PER_ROW_PUT_BACK) };
  }
  if (kept !== undefined && tables.length === 0) {
    const { keepMs, bytes, undoMs } = kept;
    return { undo: 'quarantine', keepMs, bytes, takesMs: undoMs };
  }
  if (inverse === undefined || 'why' in inverse) {
    return { undo: 'irreversible', why: inverse?.why ?? 'its definitions were not kept' };
  }
  const made = new Set(objects.flatMap(({ change, object }) => (change === 'created' ? [object] : [])));
  const other = tables.find(({ table }) => !made.has(`table ${table}`) && !made.has(`partitioned table ${table}`));
  if (other !== undefined) {
    return {
      undo: 'irreversible',
      why: `it changes definitions and rows of ${other.table} at once; make two plans of it`,
    };
  }
  return { undo: 'statements', statements: inverse.statements };
}
