import type { Catalogue } from '../engines/catalogue.ts';
import { addEffect, type Findings, objectOf } from './findings.ts';

/** Follows foreign keys from rows that go away or change their key to the rows that go or change with them. */
export function addCascades(findings: Findings, table: string, change: 'delete' | 'update' | 'truncate'): void {
  const { relations } = findings.catalogue;
  const seen = new Set<string>([`${change} ${table}`]);
  const queue: { readonly table: string; readonly change: typeof change }[] = [{ table, change }];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const name of family(next.table, findings.catalogue)) {
      for (const key of relations.get(name)?.referencedBy ?? []) {
        const follows = consequence(next.change, next.change === 'update' ? key.onUpdate : key.onDelete);
        const relation = relations.get(key.from);
        if (follows === undefined || relation === undefined || seen.has(`${follows} ${key.from}`)) continue;
        seen.add(`${follows} ${key.from}`);
        addEffect(findings, follows, objectOf(relation), { via: 'cascade' });
        queue.push({ table: key.from, change: follows });
      }
    }
  }
}

function consequence(
  change: 'delete' | 'update' | 'truncate',
  action: string,
): 'delete' | 'update' | 'truncate' | undefined {
  if (change === 'truncate') return 'truncate';
  if (action === 'cascade') return change;
  if (action === 'set null' || action === 'set default') return 'update';
  return undefined;
}

/** A table with its partitions: keys may point at any of them. */
function family(table: string, catalogue: Catalogue): readonly string[] {
  const found = new Set<string>([table]);
  for (const name of found) for (const child of catalogue.relations.get(name)?.children ?? []) found.add(child);
  return [...found];
}
