import type { Analysis, Rewrite } from '../domain/effect.ts';
import type { RelationUse } from './column-scope.ts';
import type { Findings } from './findings.ts';
import { placesOf } from './masked-reads.ts';
import { tokensIn } from './parse.ts';
import { type CallCondition, callableWhen, toldWhen } from './told.ts';

/** What becomes of texts that the server's catalogues hold: bodies of functions, definitions, options, settings, comments. */
export interface CatalogueTexts {
  /** Places where they are asked for, with the condition under which they are told. */
  readonly rewrites: readonly Rewrite[];
  /** What is asked for where no condition can stand: it is denied. */
  readonly untold: readonly string[];
}

/**
 * PostgreSQL tells every login all of these texts. A query is rewritten so that it is told those of what the task reaches,
 * byte for byte, and finds NULL where the rest would stand; it may filter, join and sort by that.
 */
export function catalogueTexts(findings: Findings, statementClass: Analysis['class']): CatalogueTexts {
  const rewrites: Rewrite[] = [];
  const untold = new Set<string>();
  // What else is tried may be tried under other rights, and show in a plan what it finds; a prepared write, when it is executed.
  const prepares = statementClass.kind === 'session' && !findings.writes;
  const canRewrite = statementClass.kind === 'read' || prepares;
  for (const use of findings.uses) {
    const columns = hiddenColumns(use);
    if (columns.size === 0) continue;
    const places = canRewrite ? placesOf(findings.text, use, subselect(use, columns)) : undefined;
    if (places !== undefined) rewrites.push(...places);
    else for (const column of columns.keys()) untold.add(`${use.relation.name}.${column}`);
  }
  for (const { name, place } of callsIn(findings)) {
    const when = callableWhen(name);
    if (!canRewrite || place === undefined || when === 'never' || when === undefined) untold.add(name);
    else rewrites.push(...guarded(name, when, place));
  }
  return { rewrites, untold: [...untold].sort() };
}

function hiddenColumns({ relation, place, read }: RelationUse): ReadonlyMap<string, string> {
  const hidden = new Map<string, string>();
  if (!relation.system || place === 'definition') return hidden;
  for (const column of relation.columns) {
    const condition = read.has(column.name) ? toldWhen(relation, column) : undefined;
    if (condition !== undefined) hidden.set(column.name, condition);
  }
  return hidden;
}

/** The relation with all its columns; system columns, which `*` leaves out, only where they are read. */
function subselect({ relation, read }: RelationUse, hidden: ReadonlyMap<string, string>): string {
  const columns = relation.columns.map(({ name }) => name);
  const besides = [...read].filter((name) => !columns.includes(name));
  const list = [...columns, ...besides].map((name) => {
    const condition = hidden.get(name);
    return condition === undefined
      ? `whole.${quoted(name)}`
      : `CASE WHEN ${condition} THEN whole.${quoted(name)} END AS ${quoted(name)}`;
  });
  return `(SELECT ${list.join(', ')} FROM ${quoted(relation.schema)}.${quoted(relation.name)} AS whole)`;
}

/** Where a call stands, in bytes: its name, its first argument, its last sign. */
interface CallPlace {
  readonly start: number;
  readonly argument: { readonly start: number; readonly end: number };
  readonly end: number;
  readonly arguments: number;
}

function callsIn({
  text,
  textCalls,
}: Findings): readonly { readonly name: string; readonly place: CallPlace | undefined }[] {
  if (textCalls === null || textCalls.length === 0) return [];
  const tokens = tokensIn(text);
  const found = new Map(textCalls.map(({ name, start }) => [start, name]));
  return [...found].map(([start, name]) => ({ name, place: placeOf(tokens, start, name) }));
}

/** @returns undefined where it isn't written plainly. */
function placeOf(all: ReturnType<typeof tokensIn>, start: number, name: string): CallPlace | undefined {
  const tokens = all.slice(all.findIndex((token) => token.start === start));
  const open = tokens.findIndex(({ text }) => text === '(');
  const first = tokens[open];
  if (tokens[0]?.start !== start || first === undefined || (open !== 1 && open !== 3)) return undefined;
  if (plain(tokens[open - 1]?.text) !== name) return undefined;
  const commas: number[] = [];
  let depth = 0;
  for (const { text, start: at, end } of tokens.slice(open)) {
    if (text === '(' || text === '[') depth++;
    if (text === ')' || text === ']') depth--;
    if (depth === 1 && text === ',') commas.push(at);
    if (depth > 0) continue;
    const argument = { start: first.end, end: commas[0] ?? at };
    return { start, argument, end, arguments: commas.length + 1 };
  }
  return undefined;
}

function plain(name: string | undefined): string | undefined {
  return name?.startsWith('"') === true ? name.slice(1, -1) : name?.toLowerCase();
}

const MORE = ['second', 'third', 'fourth'];

/**
 * The arguments stay where they are and are worked out once (OFFSET 0): what is asked is what was looked at. They stand where none of
 * the condition's own names can be meant by them. The column of the result is called as it was.
 */
function guarded(name: string, { condition, cast }: CallCondition, place: CallPlace): readonly Rewrite[] {
  const more = MORE.slice(0, place.arguments - 1);
  const call = `pg_catalog.${name}(${['first', ...more].map((column) => `asked.${column}`).join(', ')})`;
  const { start, argument, end } = place;
  return [
    {
      start,
      end: argument.start,
      text: `(SELECT CASE WHEN ${condition} THEN ${call} END AS ${quoted(name)} FROM (SELECT (`,
    },
    { start: argument.end, end: argument.end, text: `)${cast}` },
    { start: end - 1, end, text: ` OFFSET 0) AS asked (${['first', ...more].join(', ')}))` },
  ];
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
