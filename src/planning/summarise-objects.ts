import type { ObjectChange } from '../domain/effect.ts';

/** Changed objects as people take them in: a table that goes is one line, with the number of parts that go with it. */
export function summariseObjects(objects: readonly ObjectChange[]): readonly string[] {
  const whole = objects.filter(({ object }) => RELATION.test(object));
  const parts = new Map<string, Map<string, number>>();
  const lines: string[] = [];
  for (const change of objects) {
    if (RELATION.test(change.object)) continue;
    const parent = whole.find(
      (relation) => relation.change === change.change && isPartOf(change.object, relation.object),
    );
    if (parent === undefined) {
      lines.push(lineOf(change));
      continue;
    }
    const counts = parts.get(parent.object) ?? new Map<string, number>();
    const kind = change.object.slice(0, change.object.indexOf(' '));
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    parts.set(parent.object, counts);
  }
  const relations = whole.map((relation) => {
    const counts = [...(parts.get(relation.object) ?? [])].map(([kind, count]) => plural(count, kind));
    return `${lineOf(relation)}${counts.length === 0 ? '' : ` and its ${counts.join(', ')}`}`;
  });
  return [...relations, ...lines];
}

const RELATION = /^(?:table|partitioned table|view|materialized view|foreign table) /;

/** Parts are named after what they are part of: `column public.t.c`, `index public.t_pkey`, `sequence public.t_id_seq`. */
function isPartOf(part: string, relation: string): boolean {
  const name = relation.replace(RELATION, '');
  const partName = part.slice(part.indexOf(' ') + 1);
  return partName.startsWith(`${name}.`) || partName.startsWith(`${name}_`);
}

function lineOf({ change, object, rows }: ObjectChange): string {
  const lost = rows === undefined ? '' : ` with ${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`;
  return `${change} ${object}${lost}`;
}

function plural(count: number, kind: string): string {
  if (count === 1) return `1 ${kind}`;
  return `${count} ${kind.endsWith('x') ? `${kind}es` : `${kind}s`}`;
}
