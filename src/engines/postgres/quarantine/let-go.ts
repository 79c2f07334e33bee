import type pg from 'pg';
import type { ObjectChange } from '../../../domain/effect.ts';
import type { QuarantinedObject } from '../../../domain/quarantine.ts';
import { changesBetween } from '../changes-between.ts';
import { type Fingerprint, readFingerprint } from '../fingerprint.ts';
import { quoteIdentifier } from '../quote.ts';
import { UndoConflict } from '../undo/undo-conflict.ts';
import { sparingQuarantine } from './contents.ts';

/**
 * Lets go of what a drop has put into quarantine, inside the open transaction: from then on only a backup brings it back.
 *
 * @returns what is lost.
 * @throws UndoConflict where it is not in quarantine, or something outside has come to depend on it.
 */
export async function letGo(client: pg.Client, change: string, before: Fingerprint): Promise<readonly ObjectChange[]> {
  const { rows } = await client.query<{ schemas: string[]; objects: QuarantinedObject[] }>(
    'DELETE FROM countersign.quarantined WHERE change = $1 RETURNING schemas, objects',
    [change],
  );
  const [kept] = rows;
  if (kept === undefined) throw new UndoConflict(['it is in quarantine no more']);
  const drop = `DROP SCHEMA ${kept.schemas.map(quoteIdentifier).join(', ')} CASCADE`;
  await sparingQuarantine(client, () => client.query(drop), kept.schemas);
  const beyond = changesBetween(before, await readFingerprint(client));
  if (beyond.length > 0)
    throw new UndoConflict(beyond.map(({ object }) => `${object} depends on it by now, and would go with it`));
  return kept.objects.map(({ object, ...rows }) => ({ change: 'dropped', object: `quarantined ${object}`, ...rows }));
}
