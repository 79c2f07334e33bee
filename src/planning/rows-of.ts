import { rowsChanged } from '../domain/effect.ts';
import type { Plan } from '../domain/plan.ts';

/** Rows that a plan changes, as it was measured; 0 for one that could not be. */
export function rowsOf({ measurement }: Plan): number {
  return measurement.measured ? rowsChanged(measurement.effect.tables) : 0;
}
