import type { Effect, OwnView, PreparedText, ServedView, Verb } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Catalogue, Relation } from '../engines/catalogue.ts';
import type { RelationUse } from './column-scope.ts';
import { routineOf } from './functions.ts';
import type { Tree } from './parse.ts';

/** What is found while a statement is walked over. */
export interface Findings {
  readonly text: string;
  readonly catalogue: Catalogue;
  readonly searchPath: readonly string[];
  readonly effects: Map<string, Effect>;
  readonly unknown: Set<string>;
  /** Signatures of functions that a person could vouch for, so that less is unknown. */
  readonly vouchable: Set<string>;
  /** False once anything is met that is more than the server's own side-effect free code. */
  pure: boolean;
  /** The statement changes rows or takes row locks. */
  writes: boolean;
  /** Something is computed or compared, so that code of the types may run. */
  computes: boolean;
  /** Users' types of which values may be met. */
  readonly met: Set<string>;
  /** Values of the types that are met are made of text, so that their checks run. */
  readsMetTypes: boolean;
  /** Types that casts are written to. */
  readonly castTargets: Set<string>;
  /** What is walked over reads with the rights of its owner, not of who asks: its reads are no effects. */
  readonly asOwner: boolean;
  /** Views, policies and rules that have been looked into, so that a circle ends. */
  readonly expanding: Set<string>;
  /** Looks at one query or row change of a definition that the statement brings along. */
  readonly walk: Walk;
  /** What the session has prepared under a name. */
  readonly prepared: PreparedLookup;
  /** What an EXECUTE in the statement runs. */
  executes: PreparedText | undefined;
  /** Rows follow the statement (COPY … FROM STDIN). */
  takesRows: boolean;
  holdsCursor: string | undefined;
  /** Code is made, changed, or brought where rows run it. */
  makesCode: boolean;
  /** Relations of the gateway's own that the statement's own text names; `null` where another text is walked over. */
  ownViews: OwnView[] | null;
  /** What is walked over is the statement's own text, so that places in it can be told. */
  ownText: boolean;
  /** Where relations are named, and the columns touched there. */
  readonly uses: RelationUse[];
  /** Views of `information_schema` that it names and for which others stand in; `null` as above, or where none may. */
  schemaViews: ServedView[] | null;
  /** Calls of functions that tell a text of the catalogue, and where they begin in bytes; `null` in another text. */
  textCalls: { readonly name: string; readonly start: number }[] | null;
}

export type Walk = (findings: Findings, kind: string, node: Tree) => void;

export type PreparedLookup = (name: string) => PreparedText | undefined;

export const NOTHING_PREPARED: PreparedLookup = () => undefined;

export function createFindings(
  catalogue: Catalogue,
  searchPath: readonly string[],
  walk: Walk,
  prepared: PreparedLookup = NOTHING_PREPARED,
  text = '',
): Findings {
  return {
    catalogue,
    searchPath,
    prepared,
    executes: undefined,
    takesRows: false,
    holdsCursor: undefined,
    makesCode: false,
    ownViews: [],
    schemaViews: [],
    textCalls: [],
    text,
    effects: new Map(),
    unknown: new Set(),
    vouchable: new Set(),
    pure: true,
    writes: false,
    computes: false,
    readsMetTypes: false,
    met: new Set(),
    castTargets: new Set(),
    asOwner: false,
    expanding: new Set(),
    ownText: true,
    uses: [],
    walk,
  };
}

export function addEffect(
  findings: Findings,
  verb: Verb,
  object: ObjectRef,
  more: Partial<Pick<Effect, 'via' | 'wholeTable' | 'mode'>> = {},
): void {
  const via = more.via ?? 'direct';
  const key = `${verb} ${via} ${object.kind} ${object.schema}.${object.name}`;
  const before = findings.effects.get(key);
  const wholeTable = more.wholeTable === true || before?.wholeTable === true;
  const mode = more.mode ?? before?.mode;
  findings.effects.set(key, {
    verb,
    object,
    via,
    ...(wholeTable ? { wholeTable } : {}),
    ...(mode === undefined ? {} : { mode }),
  });
}

/**
 * A construct whose effect can't be known: it is named for people, and makes the statement one to be held.
 *
 * @param functions signatures of what it would run: those that users have made can be vouched for.
 */
export function addUnknown(
  findings: Findings,
  what: string,
  object: ObjectRef,
  functions: readonly string[] = [],
): void {
  findings.unknown.add(what);
  for (const signature of functions) {
    if (routineOf(signature, findings.catalogue)?.definition != null) findings.vouchable.add(signature);
  }
  findings.pure = false;
  addEffect(findings, 'unknown', object);
}

/** Resolves a name as PostgreSQL does: along the search path, and in `pg_catalog` first unless the path says where. */
export function resolveRelation(
  findings: Findings,
  schema: string | null,
  name: string,
): { readonly object: ObjectRef; readonly relation: Relation | undefined } {
  const { relations } = findings.catalogue;
  const path = findings.searchPath.includes('pg_catalog')
    ? findings.searchPath
    : ['pg_catalog', ...findings.searchPath];
  const schemas = schema === null ? path : [schema];
  for (const candidate of schemas) {
    const relation = relations.get(`${candidate}.${name}`);
    if (relation !== undefined) return { object: objectOf(relation), relation };
  }
  return { object: { kind: 'table', schema: schema ?? findings.searchPath[0] ?? 'public', name }, relation: undefined };
}

export function objectOf(relation: Relation): ObjectRef {
  const { kind, schema, name } = relation;
  if (
    kind === 'view' ||
    kind === 'materialized view' ||
    kind === 'foreign table' ||
    kind === 'sequence' ||
    kind === 'index'
  ) {
    return { kind, schema, name };
  }
  return { kind: 'table', schema, name };
}
