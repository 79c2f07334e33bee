import type { Catalogue, ForeignKey, Relation } from '../engines/catalogue.ts';

/** The kinds of relation that one looks for; indexes and composite types are shown with what they belong to. */
export const BROWSABLE_KINDS = [
  'table',
  'partitioned table',
  'view',
  'materialized view',
  'foreign table',
  'sequence',
] as const;
export type BrowsableKind = (typeof BROWSABLE_KINDS)[number];

export interface PageQuery {
  /** Matched against `schema.name` and against the name alone, ignoring case: `*` any text, `?` one character. Without either: any part. */
  readonly pattern?: string;
  /** How many to return. */
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

export interface ObjectQuery extends PageQuery {
  readonly kind?: BrowsableKind;
}

export interface Page<Entry> {
  readonly objects: readonly Entry[];
  /** How many match in all, on every page. */
  readonly matching: number;
  /** Where the next page begins; absent on the last one. */
  readonly next?: string;
}

export interface ObjectSummary {
  /** `schema.name` */
  readonly name: string;
  readonly kind: BrowsableKind;
  readonly columns: number;
  readonly estimatedRows: number;
  readonly comment: string | null;
}

/**
 * The relations of a catalogue that match, by name, a page at a time. A page is a pure function of the catalogue and the
 * query: an object that comes or goes between two pages is seen or not, and shifts nothing else.
 */
export function searchObjects(catalogue: Catalogue, query: ObjectQuery): Page<ObjectSummary> {
  const matches = matcherOf(query.pattern);
  const found = [...catalogue.relations.values()]
    .flatMap((relation) => (isBrowsable(relation) ? [summaryOf(relation)] : []))
    .filter((object) => (query.kind === undefined || object.kind === query.kind) && matches(object.name));
  return pageOf(found, query);
}

/** One page of what was found, by name. */
export function pageOf<Entry extends { readonly name: string }>(
  entries: readonly Entry[],
  query: PageQuery,
): Page<Entry> {
  const found = entries.toSorted((a, b) => compare(a.name, b.name));
  const { after } = query;
  const rest = after === undefined ? found : found.filter((object) => compare(object.name, after) > 0);
  const objects = rest.slice(0, query.limit);
  const last = objects.at(-1);
  return {
    objects,
    matching: found.length,
    ...(last !== undefined && rest.length > objects.length ? { next: last.name } : {}),
  };
}

/** Everything that is worth knowing of one relation before one writes a statement about it. */
export interface ObjectDescription extends ObjectSummary {
  readonly definition: string | null;
  readonly primaryKey: readonly string[];
  readonly rowSecurity: boolean;
  readonly columnsInOrder: Relation['columns'];
  readonly indexes: Relation['indexes'];
  readonly triggers: Relation['triggers'];
  readonly rules: readonly string[];
  readonly references: readonly ForeignKey[];
  /** Keys of other tables that point here: what a delete may take along. */
  readonly referencedBy: readonly ForeignKey[];
  readonly partitionOf: string | null;
  readonly partitions: readonly string[];
}

export type Described =
  | { readonly found: true; readonly object: ObjectDescription }
  /** Names of visible objects that look like what was meant. */
  | { readonly found: false; readonly similar: readonly string[] };

/** Describes a relation by `schema.name`, or by its name alone where the search path leads to one. */
export function describeObject(catalogue: Catalogue, name: string): Described {
  const relation = lookUp(catalogue, name);
  if (relation === undefined || !isBrowsable(relation)) return { found: false, similar: similarNames(catalogue, name) };
  return {
    found: true,
    object: {
      ...summaryOf(relation),
      definition: relation.definition,
      primaryKey: relation.primaryKey,
      rowSecurity: relation.rowSecurity,
      columnsInOrder: relation.columns,
      indexes: relation.indexes,
      triggers: relation.triggers,
      rules: relation.rules.map((rule) => rule.name),
      references: relation.references,
      referencedBy: relation.referencedBy,
      partitionOf: relation.parent,
      partitions: relation.children,
    },
  };
}

function isBrowsable(relation: Relation): relation is Relation & { readonly kind: BrowsableKind } {
  return !relation.system && BROWSABLE_KINDS.some((kind) => kind === relation.kind);
}

function summaryOf(relation: Relation & { readonly kind: BrowsableKind }): ObjectSummary {
  return {
    name: `${relation.schema}.${relation.name}`,
    kind: relation.kind,
    columns: relation.columns.length,
    estimatedRows: Math.max(0, Math.round(relation.estimatedRows)),
    comment: relation.comment,
  };
}

/** By code unit, so that the order, and with it the pages, are the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether a name falls under a pattern. */
export function matcherOf(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined || pattern === '') return () => true;
  const wanted = pattern.toLowerCase();
  if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
  return (qualified) => {
    const name = qualified.toLowerCase();
    return matchesGlob(name, wanted) || matchesGlob(name.slice(name.indexOf('.') + 1), wanted);
  };
}

/** At worst the product of both lengths, however many stars there are: a pattern comes from an agent. */
function matchesGlob(text: string, pattern: string): boolean {
  let at = 0;
  let within = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    if (within < pattern.length && pattern[within] === '*') {
      star = within++;
      mark = at;
    } else if (within < pattern.length && (pattern[within] === '?' || pattern[within] === text[at])) {
      within++;
      at++;
    } else if (star !== -1) {
      within = star + 1;
      at = ++mark;
    } else {
      return false;
    }
  }
  while (pattern[within] === '*') within++;
  return within === pattern.length;
}

function lookUp(catalogue: Catalogue, name: string): Relation | undefined {
  const exact = catalogue.relations.get(name);
  if (exact !== undefined) return exact;
  for (const schema of catalogue.searchPath) {
    const relation = catalogue.relations.get(`${schema}.${name}`);
    if (relation !== undefined) return relation;
  }
  return undefined;
}

const SIMILAR_NAMES = 5;

function similarNames(catalogue: Catalogue, name: string): readonly string[] {
  const bare = name.slice(name.lastIndexOf('.') + 1).replace(/s$/, '');
  if (bare.length < 3) return [];
  return searchObjects(catalogue, { pattern: `*${bare.replaceAll(/[*?]/g, '')}*`, limit: SIMILAR_NAMES }).objects.map(
    (object) => object.name,
  );
}
