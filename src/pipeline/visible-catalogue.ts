import { matchesPattern } from '../domain/scope.ts';
import type { Catalogue, ForeignKey, Relation } from '../engines/catalogue.ts';
import { type Reach, readableColumns } from './task-reach.ts';

/** What a task sees of a target: the relations that it declares, each with the columns that it declares. */
export function visibleCatalogue(catalogue: Catalogue, reach: Reach): Catalogue {
  const seen: [string, Relation][] = [];
  for (const [name, relation] of catalogue.relations) {
    if (relation.system) continue;
    const columns = readableColumns(relation, reach);
    if (columns === 'all') seen.push([name, relation]);
    else if (columns.size > 0) seen.push([name, inPart(relation, columns)]);
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
