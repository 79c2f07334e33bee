import { isBranchId } from '../domain/branch.ts';
import { rowsChanged, type TableEffect } from '../domain/effect.ts';
import type { TargetId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';

/** Rows that a change takes from what its task declares. What is done in a branch takes none: it isn't done to the target. */
export function rowsTaken(target: TargetId, tables: readonly TableEffect[]): number {
  return isBranchId(target) ? 0 : rowsChanged(tables);
}

/** Those that a plan takes, as it was measured; 0 for one that could not be. */
export function rowsOf({ target, measurement }: Plan): number {
  return measurement.measured ? rowsTaken(target, measurement.effect.tables) : 0;
}
