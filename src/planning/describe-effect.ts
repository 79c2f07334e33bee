import type { TableEffect } from '../domain/effect.ts';
import type { Plan } from '../domain/plan.ts';
import { summariseObjects } from './summarise-objects.ts';

/** What a plan was measured to do, in one line: rows by table, then objects. */
export function describeEffect(plan: Plan): string {
  if (!plan.measurement.measured) return `Not measured: ${plan.measurement.why}.`;
  const { tables, objects } = plan.measurement.effect;
  return [...describeTables(tables), ...summariseObjects(objects)].join('; ') || 'It would change nothing.';
}

/** A table a line. */
export function describeTables(tables: readonly TableEffect[]): readonly string[] {
  return tables.map((table) => {
    const counts = [
      [table.inserted, 'inserted'],
      [table.updated, 'updated'],
      [table.deleted, 'deleted'],
      [table.truncated, 'truncated'],
    ] as const;
    const said = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
    return `${table.table}: ${said.join(', ')}${table.via === 'direct' ? '' : ` (${table.via})`}`;
  });
}
