import type { Role } from '../domain/actor.ts';
import type { MaskedRelation } from '../domain/masking.ts';
import type { ColumnGrants, Profile } from '../domain/profile.ts';
import { type Columns, columnsWithin, commonColumns, partsOfPattern } from '../domain/scope.ts';
import type { TargetRadius, Task } from '../domain/task.ts';
import type { Catalogue, Relation } from '../engines/catalogue.ts';
import { quoteLiteral } from '../engines/postgres/quote.ts';

/** What a task declares of one target, and the role that bounds it. */
export interface Reach {
  readonly radius: TargetRadius;
  readonly role: Pick<Role, 'read' | 'write'>;
}

/** The columns of a relation that a task may read: declared, and within its role. What it may write it may also read. */
export function readableColumns(relation: Relation, { radius, role }: Reach): Columns {
  return commonColumns(
    columnsWithin(relation, [...radius.read, ...radius.write]),
    columnsWithin(relation, [...role.read, ...role.write]),
  );
}

/** The functions that a task's patterns name, as a condition on "routine" and its schema "home" (analysis/told.ts). */
export function functionsWithin({ radius }: Reach): string {
  const either = [...radius.read, ...radius.write].map((pattern) => {
    const { schema, name } = partsOfPattern(pattern);
    const parts = [
      ...(schema === '*' ? [] : [`home.nspname OPERATOR(pg_catalog.=) ${quoteLiteral(schema)}`]),
      ...(name === '*' ? [] : [`routine.proname OPERATOR(pg_catalog.=) ${quoteLiteral(name)}`]),
    ];
    return parts.length === 0 ? 'true' : parts.join(' AND ');
  });
  return [...new Set(either)].sort().join(' OR ') || 'false';
}

function writableColumns(relation: Relation, { radius, role }: Reach): Columns {
  return commonColumns(columnsWithin(relation, radius.write), columnsWithin(relation, role.write));
}

const WRITABLE_KINDS: ReadonlySet<string> = new Set([
  'table',
  'partitioned table',
  'view',
  'foreign table',
  'sequence',
]);

/** What the database itself is to let a task do: patterns turned into the relations and columns that they match today. */
export function profileOf(task: Task, reach: Reach, catalogue: Catalogue): Profile {
  const read: string[] = [];
  const write: string[] = [];
  const columns: ColumnGrants[] = [];
  const masked: { relation: MaskedRelation; read: readonly string[] }[] = [];
  const { masking } = catalogue;
  for (const [name, relation] of catalogue.relations) {
    if (relation.system || relation.kind === 'index' || relation.kind === 'composite type') continue;
    if (relation.schema === 'countersign' || masking.closed.has(name)) continue;
    const declared = readableColumns(relation, reach);
    const view = masking.byRelation.get(name);
    const readable = view === undefined ? declared : unmaskedColumns(view, declared);
    if (view !== undefined) {
      const read = view.columns.map((column) => column.name).filter((column) => has(declared, column));
      if (read.length > 0) masked.push({ relation: view, read });
    }
    const writable = WRITABLE_KINDS.has(relation.kind) ? writableColumns(relation, reach) : new Set<string>();
    if (readable === 'all') read.push(name);
    if (writable === 'all') write.push(name);
    const some = { relation: name, read: existing(relation, readable), write: existing(relation, writable) };
    if (some.read.length > 0 || some.write.length > 0) columns.push(some);
  }
  return {
    target: reach.radius.target,
    read: read.sort(),
    write: write.sort(),
    columns: columns.sort((a, b) => (a.relation < b.relation ? -1 : 1)),
    ...(masked.length === 0 ? {} : { masked: masked.sort((a, b) => (a.relation.view < b.relation.view ? -1 : 1)) }),
    statementTimeoutMs: task.limits.statementTimeoutMs,
  };
}

/** Of a part of the columns, those that the relation has today: what is not there can't be granted. */
function existing(relation: Relation, columns: Columns): readonly string[] {
  if (columns === 'all') return [];
  return relation.columns.map(({ name }) => name).filter((name) => columns.has(name));
}

/** What may be read of the relation itself: everything else is read through its masking view. */
function unmaskedColumns(view: MaskedRelation, declared: Columns): Columns {
  const plain = view.columns.filter(({ name, mask }) => mask === null && has(declared, name));
  return new Set(plain.map(({ name }) => name));
}

function has(columns: Columns, name: string): boolean {
  return columns === 'all' || columns.has(name);
}
