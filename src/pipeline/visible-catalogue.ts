import type { MaskedRelation } from '../domain/masking.ts';
import { matchesPattern } from '../domain/scope.ts';
import type { Catalogue, ForeignKey, Relation } from '../engines/catalogue.ts';
import { type Reach, readableColumns } from './task-reach.ts';

/** What a task sees of a target: the relations that it declares, each with the columns that it declares. */
export function visibleCatalogue(catalogue: Catalogue, reach: Reach): Catalogue {
  const seen: [string, Relation][] = [];
  for (const [name, relation] of catalogue.relations) {
    if (relation.system || relation.schema === 'countersign') continue;
    if (catalogue.masking.closed.has(name)) continue;
    const columns = readableColumns(relation, reach);
    const shown = withMasks(relation, catalogue.masking.byRelation.get(name));
    if (columns === 'all') seen.push([name, shown]);
    else if (columns.size > 0) seen.push([name, inPart(shown, columns)]);
  }
  const patterns = [...reach.radius.read, ...reach.radius.write];
  const functions = [...catalogue.functions].map(
    ([name, overloads]) =>
      [
        name,
        overloads.filter((routine) => !routine.builtIn && patterns.some((pattern) => matchesPattern(routine, pattern))),
      ] as const,
  );
  return { ...catalogue, relations: new Map(seen), functions: new Map(functions) };
}

/** A relation as far as it can be told without naming any other column: what speaks of several columns is left out whole. */
function inPart(relation: Relation, columns: ReadonlySet<string>): Relation {
  const all = (names: readonly string[]): boolean => names.every((name) => columns.has(name));
  const hidden = relation.columns.map(({ name }) => name).filter((name) => !columns.has(name));
  const names = (text: string): boolean => hidden.some((column) => text.includes(column));
  const points = (key: ForeignKey): boolean => all(key.columns);
  return {
    ...relation,
    columns: relation.columns.filter(({ name }) => columns.has(name)),
    primaryKey: all(relation.primaryKey) ? relation.primaryKey : [],
    definition: null,
    indexes: relation.indexes.filter(({ definition }) => !names(definition)),
    references: relation.references.filter(points),
    referencedBy: relation.referencedBy.filter((key) => all(key.referencedColumns)),
    securityExpressions: [],
  };
}

function withMasks(relation: Relation, masked: MaskedRelation | undefined): Relation {
  if (masked === undefined) return relation;
  const masks = new Map(masked.columns.map(({ name, mask }) => [name, mask]));
  const columns = relation.columns.map((column) => {
    const mask = masks.get(column.name) ?? null;
    return mask === null ? column : { ...column, mask };
  });
  return { ...relation, columns };
}
