import type { Analysis, Rewrite } from '../domain/effect.ts';
import { isMasked, MASK_SCHEMA } from '../domain/masking.ts';
import type { RelationUse } from './column-scope.ts';
import { type Findings, resolveRelation } from './findings.ts';
import { isTree, names, type Tree } from './parse.ts';

/** What becomes of masked columns in a statement. */
export interface MaskedReads {
  /** Places of the text where the masking view is to be named instead of the relation. */
  readonly rewrites: readonly Rewrite[];
  /** Columns whose values it would see as they are: it is denied. */
  readonly unmasked: readonly string[];
}

/**
 * A query that reads a masked column is to read it through the view, whatever it does with it: what it filters, joins or
 * sorts by is then the mask. Where no view can stand (rows that are changed, locked or copied as a table; definitions), the
 * value itself would be seen, or could be found out by trying.
 */
export function maskedReads(findings: Findings, statementClass: Analysis['class'], node: Tree): MaskedReads {
  const { masking } = findings.catalogue;
  const rewrites: Rewrite[] = [];
  const unmasked = new Set<string>();
  if (masking.byRelation.size === 0) return { rewrites, unmasked: [] };
  for (const use of findings.uses) {
    const name = nameOf(use);
    const closed = masking.closed.get(name);
    if (closed !== undefined) unmasked.add(`${name} (${closed})`);
    const read = [...use.read].filter((column) => isMasked(masking, name, column));
    if (read.length === 0 || use.place === 'masked') continue;
    const view = masking.byRelation.get(name)?.view;
    const readable = view !== undefined && canRead(statementClass) && !isLocked(findings, use);
    const places = readable ? placesOf(findings.text, use, `${MASK_SCHEMA}.${quoted(view)}`) : undefined;
    if (places === undefined) for (const column of read) unmasked.add(`${name}.${column}`);
    else rewrites.push(...places);
  }
  if (statementClass.kind === 'change') {
    for (const column of definedOver(findings, node)) unmasked.add(column);
    for (const column of movedAway(findings, node)) unmasked.add(column);
  }
  return { rewrites: rewrites.sort((a, b) => a.start - b.start), unmasked: [...unmasked].sort() };
}

function nameOf({ relation }: RelationUse): string {
  return `${relation.schema}.${relation.name}`;
}

/** What is tried on the real data can tell of it what a definition asks: whether a check holds, how many rows there are. */
function canRead({ kind }: Analysis['class']): boolean {
  return kind === 'read' || kind === 'write' || kind === 'session';
}

function isLocked(findings: Findings, { relation }: RelationUse): boolean {
  return findings.effects.has(`lock direct table ${relation.schema}.${relation.name}`);
}

/**
 * The places to be rewritten, so that something else stands where a relation is named.
 *
 * @returns undefined where it can't: in a text that isn't the statement's own, or in a spelling that isn't plain.
 */
export function placesOf(text: string, use: RelationUse, instead: string): readonly Rewrite[] | undefined {
  if (use.place !== 'from' || use.named === null) return undefined;
  const bytes = Buffer.from(text, 'utf8');
  const { name, schema } = use.relation;
  const written = nameAt(bytes, use.named.start);
  if (written?.parts.at(-1) !== name || (written.parts.length > 1 && written.parts.at(-2) !== schema)) return undefined;
  const alias = use.named.aliased ? '' : ` AS ${quoted(name)}`;
  const places: Rewrite[] = [{ start: use.named.start, end: written.ends.at(-1) ?? 0, text: `${instead}${alias}` }];
  // `public.customers.email` names the table by its schema, where now stands an alias.
  for (const start of use.qualified) {
    const column = nameAt(bytes, start);
    const at = column?.parts.indexOf(name) ?? -1;
    if (column === undefined || at < 1) return undefined;
    places.push({ start, end: column.ends[at] ?? 0, text: quoted(name) });
  }
  return places;
}

const IDENTIFIER = /^\s*(?:"((?:[^"]|"")+)"|([\p{L}_][\p{L}\p{N}_$]*))/u;
const DOT = /^\s*\./;

/** A name with dots, and where each part ends, in bytes. `U&"…"` and comments between the parts are not read. */
function nameAt(
  bytes: Buffer,
  start: number,
): { readonly parts: readonly string[]; readonly ends: readonly number[] } | undefined {
  const parts: string[] = [];
  const ends: number[] = [];
  let rest = bytes.subarray(start).toString('utf8');
  let at = start;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    const found = pattern.exec(rest);
    if (found === null) return null;
    rest = rest.slice(found[0].length);
    at += Buffer.byteLength(found[0]);
    return found;
  };
  do {
    const found = take(IDENTIFIER);
    if (found === null || (found[2]?.toLowerCase() === 'u' && rest.startsWith('&'))) return undefined;
    parts.push(found[1]?.replaceAll('""', '"') ?? (found[2] ?? '').toLowerCase());
    ends.push(at);
  } while (take(DOT) !== null);
  return { parts, ends };
}

/** Masked columns that a definition may look at: named, or possibly meant by an expression. */
function definedOver(findings: Findings, node: Tree): readonly string[] {
  const { masking } = findings.catalogue;
  const relations = relationsIn(findings, node).flatMap((name) => masking.byRelation.get(name) ?? []);
  return relations.flatMap(({ relation, columns }) => {
    const masked = new Set(columns.flatMap(({ name, mask }) => (mask === null ? [] : [name])));
    const plain = new Set(columns.flatMap(({ name, mask }) => (mask === null ? [name] : [])));
    return mentions(node, masked, plain) ? [...masked].map((column) => `${relation}.${column}`) : [];
  });
}

/** Masks are known by names: a table under another name would show its columns as they are. */
function movedAway({ catalogue, effects }: Findings, node: Tree): readonly string[] {
  const isRenamed = typeof node['newname'] === 'string' && node['renameType'] !== 'OBJECT_COLUMN';
  if (!isRenamed && typeof node['newschema'] !== 'string') return [];
  const named = new Set(
    [...effects.values()].map(({ object }) =>
      object.kind === 'schema' ? object.name : `${object.schema}.${object.name}`,
    ),
  );
  return [...catalogue.masking.byRelation.values()]
    .filter(({ relation }) => named.has(relation) || named.has(relation.slice(0, relation.indexOf('.'))))
    .flatMap(({ relation, columns }) =>
      columns.flatMap(({ name, mask }) => (mask === null ? [] : [`${relation}.${name}`])),
    );
}

function relationsIn(findings: Findings, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => relationsIn(findings, item));
  if (!isTree(value)) return [];
  const inside = Object.values(value).flatMap((inner) => relationsIn(findings, inner));
  if (typeof value['relname'] !== 'string') return inside;
  const schema = typeof value['schemaname'] === 'string' ? value['schemaname'] : null;
  const { object } = resolveRelation(findings, schema, value['relname']);
  return [...inside, `${object.schema}.${object.name}`];
}

function mentions(value: unknown, masked: ReadonlySet<string>, plain: ReadonlySet<string>): boolean {
  if (typeof value === 'string') return masked.has(value);
  if (Array.isArray(value)) return value.some((item) => mentions(item, masked, plain));
  if (!isTree(value)) return false;
  const fields = (value['ColumnRef'] as Tree | undefined)?.['fields'];
  // A star, a whole row, or something else that isn't known to be harmless.
  if (fields !== undefined && !plain.has(names(fields).at(-1) ?? '')) return true;
  return Object.values(value).some((inner) => mentions(inner, masked, plain));
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text with its rewrites made. */
export function rewritten(text: string, rewrites: readonly Rewrite[]): string {
  const bytes = Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end, text: instead } of [...rewrites].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    parts.push(bytes.subarray(at, start), Buffer.from(instead));
    at = end;
  }
  return Buffer.concat([...parts, bytes.subarray(at)]).toString('utf8');
}
