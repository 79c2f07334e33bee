import type { Plan } from '../domain/plan.ts';
import { summariseObjects } from './summarise-objects.ts';

/** What a plan was measured to do, in one line: rows by table, then objects. */
export function describeEffect(plan: Plan): string {
  if (!plan.measurement.measured) return `Not measured: ${plan.measurement.why}.`;
  const { tables, objects } = plan.measurement.effect;
  const parts = tables.map((table) => {
    const counts = [
      [table.inserted, 'inserted'],
      [table.updated, 'updated'],
      [table.deleted, 'deleted'],
      [table.truncated, 'truncated'],
    ] as const;
    const said = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
    return `${table.table}: ${said.join(', ')}${table.via === 'direct' ? '' : ` (${table.via})`}`;
  });
  const changed = summariseObjects(objects);
  return [...parts, ...changed].join('; ') || 'It would change nothing.';
}
