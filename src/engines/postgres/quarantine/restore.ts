import type pg from 'pg';
import type { QuarantinedObject } from '../../../domain/quarantine.ts';
import { type Fingerprint, readFingerprint } from '../fingerprint.ts';
import { UndoConflict } from '../undo/undo-conflict.ts';

/** What an undo has brought back, and how it is dropped again. */
export interface Restored {
  readonly objects: readonly QuarantinedObject[];
  readonly drops: readonly string[];
  /** How everything is defined now. */
  readonly after: Fingerprint;
}

/** Whether a change is one whose way back lies in quarantine. */
export async function isQuarantined(client: pg.Client, change: string): Promise<boolean> {
  const { rows } = await client.query<{ kept: boolean }>(
    "SELECT pg_catalog.to_regclass('countersign.quarantined') IS NOT NULL AS kept",
  );
  if (rows[0]?.kept !== true) return false;
  const found = await client.query('SELECT FROM countersign.quarantined WHERE change = $1', [change]);
  return found.rowCount === 1;
}

/**
 * Brings back what a drop has put into quarantine, inside the open transaction: under its names, with its rows, and with
 * every definition as it was.
 *
 * @throws UndoConflict where it wouldn't be, and the database's own error where a name is taken or a row is missing.
 */
export async function bringBack(client: pg.Client, change: string): Promise<Restored> {
  // Whoever else takes it, or lets go of it, comes after us or is waited for.
  const { rows } = await client.query<{
    back: string[];
    drops: string[];
    objects: QuarantinedObject[];
    definitions: Record<string, string>;
  }>('DELETE FROM countersign.quarantined WHERE change = $1 RETURNING back, drops, objects, definitions', [change]);
  const [kept] = rows;
  if (kept === undefined) throw new UndoConflict(['it is in quarantine no more']);
  await restore(client, kept.back, { checkKeys: true });
  const were = new Map(Object.entries(kept.definitions));
  const after = await readFingerprint(client);
  const off = differing(were, after, { checkKeys: true });
  if (off.length > 0) throw new UndoConflict(off.map((object) => `${object} would not be as it was`));
  return { ...kept, after };
}

/**
 * @param how.checkKeys whether each row is looked up when a foreign key is put back. In a dry run of the drop it isn't:
 * every row was there all the time, and nobody must wait for it.
 */
export async function restore(
  client: pg.Client,
  back: readonly string[],
  { checkKeys }: { readonly checkKeys: boolean },
): Promise<void> {
  for (const sql of back) {
    const key = !checkKeys && ADDS_KEY.test(sql) && !sql.endsWith(NOT_VALID);
    if (!key) await client.query(sql);
    else await client.query(`${sql}${(await takesUnchecked(client, sql)) ? NOT_VALID : ''}`);
  }
}

const ADDS_KEY = /^ALTER TABLE .* ADD CONSTRAINT .* FOREIGN KEY \(/;
const NOT_VALID = ' NOT VALID';

/** A partitioned table takes no key whose rows were not looked up (before PostgreSQL 18). */
async function takesUnchecked(client: pg.Client, sql: string): Promise<boolean> {
  const { rows } = await client.query<{ plain: boolean }>(
    "SELECT c.relkind <> 'p' AS plain FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass($1)",
    [/^ALTER TABLE (.*?) ADD CONSTRAINT /.exec(sql)?.[1] ?? ''],
  );
  return rows[0]?.plain === true;
}

/** Names of what isn't as it was. */
export function differing(
  were: Fingerprint,
  now: Fingerprint,
  { checkKeys }: { readonly checkKeys: boolean },
): readonly string[] {
  const plain = (definition: string | undefined): string | undefined => {
    if (definition === undefined) return undefined;
    const known = JSON.parse(definition) as Record<string, unknown>;
    if (!checkKeys && /^FOREIGN KEY /.test(String(known['definition']))) {
      known['definition'] = String(known['definition']).replace(NOT_VALID, '');
      known['valid'] = true;
    }
    return JSON.stringify(known);
  };
  return [...were].flatMap(([object, definition]) => (plain(definition) === plain(now.get(object)) ? [] : [object]));
}
