import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import type { Measured } from '../engines/engine.ts';
import { type Reach, readableColumns } from './task-reach.ts';

/**
 * What a trial failed by, as the task may hear it. An error shows the row or the key that it is about; to a session's login
 * PostgreSQL shows of it what that may read, and a trial is made under the tables' owner (G1).
 */
export function hideFailingRow(measured: Measured, catalogue: Catalogue, reach: Reach): Measured {
  const { failure, failedOn } = measured;
  if (failure?.detail === undefined || isAllReadable(failure, failedOn, catalogue, reach)) return measured;
  return { ...measured, failure: { ...failure, detail: HIDDEN } };
}

const HIDDEN = 'The row is not shown: it has columns that the task may not read as they are.';

function isAllReadable(
  { sqlstate }: DatabaseFailure,
  table: string | undefined,
  { relations, masking }: Catalogue,
  reach: Reach,
): boolean {
  if (table === undefined) return !ABOUT_ROWS.test(sqlstate);
  const relation = relations.get(table);
  // Made by these very statements, from what the task may read.
  if (relation === undefined) return true;
  return !masking.closed.has(table) && !masking.byRelation.has(table) && readableColumns(relation, reach) === 'all';
}

/** Broken constraints, and rows that a view's check turns away. */
const ABOUT_ROWS = /^(?:23|44)/;
