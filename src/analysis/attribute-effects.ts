import type { Effect, TableEffect } from '../domain/effect.ts';
import type { Catalogue, Relation } from '../engines/catalogue.ts';

/** Rows changed in one table, as the server counted them. */
export interface CountedTable {
  /** `schema.name` */
  readonly table: string;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly truncated?: number;
  /** Its rows before and after are kept. */
  readonly kept?: boolean;
}

/**
 * Says of each counted table in which way the statement reached it: directly, by a foreign key's cascade, or by a trigger
 * or rule. Partitions are added up under their root, because that is what people and policies name.
 */
export function attributeEffects(
  counted: readonly CountedTable[],
  effects: readonly Effect[],
  catalogue: Catalogue,
): TableEffect[] {
  const direct = new Set<string>();
  const cascade = new Set<string>();
  const rule = new Set<string>();
  for (const effect of effects) {
    if (effect.verb === 'read') continue;
    const root = rootOf(`${effect.object.schema}.${effect.object.name}`, catalogue);
    if (effect.via === 'direct') direct.add(root);
    if (effect.via === 'cascade') cascade.add(root);
    if (effect.via === 'rule') rule.add(root);
  }
  const byRoot = new Map<string, TableEffect>();
  for (const count of counted) {
    const table = rootOf(count.table, catalogue);
    const sum = byRoot.get(table);
    byRoot.set(table, {
      table,
      inserted: (sum?.inserted ?? 0) + count.inserted,
      updated: (sum?.updated ?? 0) + count.updated,
      deleted: (sum?.deleted ?? 0) + count.deleted,
      truncated: (sum?.truncated ?? 0) + (count.truncated ?? 0),
      via: direct.has(table) ? 'direct' : cascade.has(table) ? 'cascade' : rule.has(table) ? 'rule' : 'trigger',
    });
  }
  return [...byRoot.values()].sort((a, b) => (a.table < b.table ? -1 : 1));
}

/** The partitioned table that a partition is part of in the end; a table that is no partition is its own root. */
export function rootOf(name: string, catalogue: Catalogue): string {
  let relation: Relation | undefined = catalogue.relations.get(name);
  for (let depth = 0; depth < 32 && relation !== undefined && relation.parent !== null; depth++) {
    const parent = catalogue.relations.get(relation.parent);
    if (parent === undefined || parent.kind !== 'partitioned table') break;
    relation = parent;
  }
  return relation === undefined ? name : `${relation.schema}.${relation.name}`;
}
