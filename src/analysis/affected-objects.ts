import type { Analysis } from '../domain/effect.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import { rootOf } from './attribute-effects.ts';

/** Tables whose rows a statement is known to change, partitions by their root: where a dry run begins to look. */
export function affectedTables(analysis: Analysis, catalogue: Catalogue): readonly string[] {
  const tables = analysis.effects.flatMap(({ verb, object, mode }) => {
    if (verb === 'read' || verb === 'lock' || mode !== undefined) return [];
    const name = `${object.schema}.${object.name}`;
    const relation = catalogue.relations.get(name);
    // A view has no rows of its own, but triggers that take its place.
    if (relation?.kind === 'view') return namedByTriggers(name, catalogue);
    return object.kind !== 'table' || relation === undefined || relation.system ? [] : [rootOf(name, catalogue)];
  });
  return [...new Set(tables.flatMap((table) => [table, ...namedByTriggers(table, catalogue)]))];
}

/** Tables that a table's triggers speak of: what they change must be seen as well, and looking there first saves a second look. */
function namedByTriggers(table: string, catalogue: Catalogue): readonly string[] {
  const sources = (catalogue.relations.get(table)?.triggers ?? [])
    .filter((trigger) => trigger.enabled)
    .map((trigger) => trigger.source);
  if (sources.length === 0) return [];
  const words = new Set(sources.flatMap((source) => source.toLowerCase().match(/[a-z_][a-z0-9_$]*/g) ?? []));
  return [...catalogue.relations.values()].flatMap((relation) =>
    !relation.system && (relation.kind === 'table' || relation.kind === 'partitioned table') && words.has(relation.name)
      ? [rootOf(`${relation.schema}.${relation.name}`, catalogue)]
      : [],
  );
}

/** Objects whose definitions a plan rests on: when one of them changes, the plan is stale (G3). */
export function baseObjects(analysis: Analysis): readonly string[] {
  const objects = analysis.effects.map(({ object }) =>
    object.schema === '' ? object.name : `${object.schema}.${object.name}`,
  );
  return [...new Set(objects)];
}
