import type { Catalogue, Column, Routine } from '../engines/catalogue.ts';
import { matcherOf, type Page, type PageQuery, pageOf } from './browse.ts';

/** What one looks for besides relations: parts of them, and what stands beside them in a schema. */
export const PART_KINDS = ['schema', 'column', 'index', 'function', 'procedure'] as const;
export type PartKind = (typeof PART_KINDS)[number];

export interface Part {
  /** `schema`, `schema.table.column` or `schema.name`. */
  readonly name: string;
  readonly kind: PartKind;
  /** The relation that it belongs to. */
  readonly of: string | null;
  /** A column's type, an index's definition, what a function returns. */
  readonly detail: string | null;
  readonly comment: string | null;
}

/**
 * The parts of one kind that match, by name, a page at a time. A function stands there once, whatever its overloads; those of
 * the server and of extensions don't.
 */
export function searchParts(catalogue: Catalogue, kind: PartKind, query: PageQuery): Page<Part> {
  const matches = matcherOf(query.pattern);
  return pageOf(
    partsOf(catalogue, kind).filter(({ name }) => matches(name)),
    query,
  );
}

function partsOf(catalogue: Catalogue, kind: PartKind): readonly Part[] {
  const relations = [...catalogue.relations].filter(([, relation]) => !relation.system);
  switch (kind) {
    case 'schema':
      return [...new Set(relations.map(([, { schema }]) => schema))].map((name) => part(kind, name, null, null));
    case 'column':
      return relations
        .filter(([, relation]) => relation.kind !== 'index' && relation.kind !== 'sequence')
        .flatMap(([of, { columns }]) =>
          columns.map((column) => part(kind, `${of}.${column.name}`, of, typeOf(column), column.comment)),
        );
    case 'index':
      return relations.flatMap(([of, { schema, indexes }]) =>
        indexes.map(({ name, definition }) => part(kind, `${schema}.${name}`, of, definition)),
      );
    case 'function':
    case 'procedure':
      return [...catalogue.functions.values()].flatMap((overloads) =>
        onePerSchema(overloads.filter((routine) => (routine.kind === 'procedure') === (kind === 'procedure'))).map(
          (routine) => part(kind, `${routine.schema}.${routine.name}`, null, signatureOf(routine)),
        ),
      );
    default:
      return kind satisfies never;
  }
}

function part(
  kind: PartKind,
  name: string,
  of: string | null,
  detail: string | null,
  comment: string | null = null,
): Part {
  return { name, kind, of, detail, comment };
}

function typeOf({ type, nullable, generated }: Column): string {
  return `${type}${nullable ? '' : ' not null'}${generated ? ', generated' : ''}`;
}

function onePerSchema(overloads: readonly Routine[]): readonly Routine[] {
  const own = overloads.filter(({ builtIn, extension }) => !builtIn && extension === null);
  return [...new Map(own.map((routine) => [routine.schema, routine])).values()];
}

function signatureOf({ returnType, language, volatility, securityDefiner }: Routine): string {
  return `returns ${returnType}, ${language}, ${volatility}${securityDefiner ? ', security definer' : ''}`;
}
