import type { ObjectChange } from '../../domain/effect.ts';
import type { Fingerprint } from './fingerprint.ts';

/** What has become of objects between two looks at the catalogue, in a fixed order. */
export function changesBetween(
  before: Fingerprint,
  after: Fingerprint,
  tables: { readonly rowsBefore: ReadonlyMap<string, number>; readonly remade: ReadonlySet<string> } = UNCOUNTED,
): ObjectChange[] {
  const changes: ObjectChange[] = [];
  for (const [object, definition] of before) {
    const now = after.get(object);
    const table = TABLE.exec(object)?.[1] ?? '';
    const rows = tables.rowsBefore.get(table);
    const remade = now !== undefined && tables.remade.has(table);
    if (now === undefined || remade) {
      changes.push({ change: 'dropped', object, ...(rows === undefined ? {} : { rows }) });
      // The same name and perhaps the same definition, but another table: what was in the old one is gone.
      if (remade) changes.push({ change: 'created', object });
    } else if (now !== definition) changes.push({ change: 'altered', object });
  }
  for (const object of after.keys()) if (!before.has(object)) changes.push({ change: 'created', object });
  const place = ({ object, change }: ObjectChange) => `${object} ${change}`;
  return changes.sort((a, b) => (place(a) < place(b) ? -1 : 1));
}

const UNCOUNTED = { rowsBefore: new Map<string, number>(), remade: new Set<string>() };

/** A table as a fingerprint lists it. */
export const TABLE = /^(?:partitioned |foreign )?table (.+)$/;
