import type { TableEffect } from '../domain/effect.ts';
import { objectName } from '../domain/object.ts';
import type { Plan } from '../domain/plan.ts';
import { summariseObjects } from './summarise-objects.ts';

/** What a plan does, numbers first, in the one sentence that a person reads before all others. */
export function headlineOf(plan: Plan): string {
  if (!plan.measurement.measured) {
    const meant = [...new Set(plan.effects.filter(({ verb }) => verb !== 'read').map(verbOn))];
    return `Not measured: it would ${meant.slice(0, 3).join(', ') || 'run what nobody could try'}${meant.length > 3 ? ` and ${meant.length - 3} more` : ''}`;
  }
  const { tables } = plan.measurement.effect;
  const changes = plannedChanges(plan);
  const direct = tables.filter(({ via }) => via === 'direct');
  const follow = tables.filter(({ via }) => via !== 'direct');
  const parts = [
    ...direct.slice(0, 3).map((table) => `${countsOf(table)} in ${table.table}`),
    ...(direct.length > 3 ? [`rows of ${direct.length - 3} more tables`] : []),
    ...changes.slice(0, 3),
    ...(changes.length > 3 ? [`${changes.length - 3} more objects`] : []),
  ];
  const behind = follow.reduce((sum, table) => sum + totalOf(table), 0);
  const more = follow.length === 0 ? '' : `; ${grouped(behind)} more by ${waysOf(follow)} in ${tablesOf(follow)}`;
  const sentence = parts.length === 0 ? 'Nothing changes' : parts.join(', ');
  return `${sentence[0]?.toUpperCase() ?? ''}${sentence.slice(1)}${more}`;
}

function namesOf({ effects }: Plan, verb: Plan['effects'][number]['verb']): readonly string[] {
  const names = [...new Set(effects.flatMap((effect) => (effect.verb === verb ? [objectName(effect.object)] : [])))];
  // A command without an object of its own stands beside those that it is about.
  const proper = names.filter((name) => !/^[A-Z ]+$/.test(name));
  return proper.length === 0 ? names : proper;
}

/** What changes besides rows, as people take it in; it has not happened yet. */
export function plannedChanges(plan: Plan): readonly string[] {
  const { measurement } = plan;
  const rights = namesOf(plan, 'privilege');
  const objects = measurement.measured ? summariseObjects(measurement.effect.objects).map(inPresent) : [];
  return [
    ...(rights.length === 0 ? [] : [`changes who may do what with ${rights.slice(0, 5).join(', ')}`]),
    ...(namesOf(plan, 'unknown').length === 0 ? [] : ['runs code that nobody has looked at']),
    // The catalogue tells a change of rights as one of the table: said so, it would sound like nothing.
    ...objects.filter((change) => !rights.some((name) => change === `alters table ${name}`)),
  ];
}

function inPresent(change: string): string {
  return change.replace(/^(drop|creat|alter)(?:p?ed)\b/, (_, verb: string) => `${verb === 'creat' ? 'create' : verb}s`);
}

function countsOf(table: TableEffect): string {
  const counts = [
    [table.deleted, 'deleted'],
    [table.truncated, 'truncated'],
    [table.updated, 'updated'],
    [table.inserted, 'inserted'],
  ] as const;
  const said = counts.filter(([count]) => count > 0);
  return said
    .map(
      ([count, what], index) => `${grouped(count)} ${index === 0 ? `${count === 1 ? 'row' : 'rows'} ${what}` : what}`,
    )
    .join(', ');
}

function verbOn({ verb, object }: Plan['effects'][number]): string {
  return `${verb === 'unknown' ? 'run unknown code on' : verb} ${objectName(object)}`;
}

function waysOf(tables: readonly TableEffect[]): string {
  return [...new Set(tables.map(({ via }) => via))].join(' and ');
}

function tablesOf(tables: readonly TableEffect[]): string {
  return tables.length === 1 ? (tables[0]?.table ?? '') : `${tables.length} tables`;
}

function totalOf({ inserted, updated, deleted, truncated }: TableEffect): number {
  return inserted + updated + deleted + truncated;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
