import type pg from 'pg';
import type { UndoOf } from '../../engine.ts';
import { setFormats } from './formats.ts';
import { keptAs } from './kept-rows.ts';
import { layNet } from './net-rows.ts';
import { leaveNewer, type NewerRow, newerRows } from './newer-rows.ts';
import { silenceOwnCode } from './own-code.ts';
import { putBack } from './put-back.ts';
import { passRestoredValues } from './sequences.ts';
import { UndoConflict } from './undo-conflict.ts';
import { referencesTo, undoTables } from './undo-tables.ts';

/**
 * Puts the rows of a change back as they were before it, inside the open transaction (G8): of all it did, the net.
 * Nobody else can write to its tables meanwhile.
 *
 * @returns rows that were left because they are newer.
 * @throws UndoConflict with the rows that stand in the way.
 */
export async function undoChange(
  client: pg.Client,
  { change: asked, keepNewer }: UndoOf,
): Promise<readonly NewerRow[]> {
  await setFormats(client);
  const change = await keptAs(client, asked);
  const tables = await undoTables(client, change);
  if (tables.length === 0) throw new UndoConflict(['nothing is kept of it: it changed no rows, or they have expired']);
  const inTheSameOrder = tables.toSorted((a, b) => Number(a.oid) - Number(b.oid));
  await client.query(`LOCK TABLE ${inTheSameOrder.map(({ name }) => name).join(', ')} IN SHARE ROW EXCLUSIVE MODE`);
  for (const table of tables) await layNet(client, change, table);
  const references = await referencesTo(client, tables);
  const newer = await newerRows(client, tables, references);
  if (newer.length > 0 && !keepNewer) throw new UndoConflict(describeNewer(newer));
  if (newer.length > 0) await leaveNewer(client, tables, newer);

  const giveBack = await silenceOwnCode(client, tables);
  await putBack(client, tables, references);
  await passRestoredValues(client, tables);
  await giveBack();
  await client.query(`DROP TABLE ${tables.map(({ net }) => net).join(', ')}`);
  return newer;
}

const SHOWN = 20;

/** Row by row, as far as a person reads. */
export function describeNewer(newer: readonly NewerRow[]): readonly string[] {
  const lines = newer.slice(0, SHOWN).map(({ relation, row, why }) => `${relation} ${row} ${why}`);
  return newer.length > SHOWN ? [...lines, `and ${newer.length - SHOWN} more rows`] : lines;
}
