import { affectedTables } from '../../../src/analysis/affected-objects.ts';
import { analyse } from '../../../src/analysis/analyse.ts';
import { rootOf } from '../../../src/analysis/attribute-effects.ts';
import type { Analysis } from '../../../src/domain/effect.ts';
import type { Catalogue } from '../../../src/engines/catalogue.ts';
import type { OwnerSession } from './server-session.ts';
import type { Case } from './statements.ts';

/** What a statement broke. */
export interface Failure {
  readonly property:
    | 'reads change nothing'
    | 'reads are told'
    | 'writes are told'
    | 'always an answer'
    | 'harmless is not stopped'
    | 'one grammar';
  readonly why: string;
}

export interface Verdict {
  readonly failure: Failure | null;
  /** What the analyser took it for. */
  readonly found: string;
  readonly accepted: boolean;
}

export interface Trial extends Case {
  /** Built of harmless constructs only. */
  readonly harmless: boolean;
}

const MAX_ANALYSIS_MS = 1000;
const SEARCH_PATH = ['public'];

/** Holds one statement against every property, on a real server. */
export async function judge(
  trial: Trial,
  catalogue: Catalogue,
  session: OwnerSession,
  look: { readonly reader: boolean },
): Promise<Verdict> {
  const started = process.cpuUsage();
  let analysis: ReturnType<typeof analyse>;
  try {
    analysis = analysed(trial, catalogue);
  } catch (error) {
    return broken('always an answer', 'threw', String(error));
  }
  // Of the processor, not of the clock: others are at work on the same machine.
  const tookMs = process.cpuUsage(started).user / 1000;
  if (tookMs > MAX_ANALYSIS_MS) return broken('always an answer', 'slow', `took ${Math.round(tookMs)} ms`);
  if ('sqlstate' in analysis) return refused(trial, analysis.message, session);
  const found = nameOf(analysis);
  const texts = [...(trial.prepare === undefined ? [] : [trial.prepare.text]), trial.text];
  if (trial.cursor !== undefined) texts.push(`FETCH ALL FROM ${trial.cursor}`);
  const after = trial.prepare === undefined ? [] : ['DEALLOCATE ALL'];
  if (analysis.class.kind === 'read')
    return await asRead(analysis, found, [...texts, ...after], catalogue, session, look.reader);
  if (trial.harmless) {
    const { error } = await session.changed([...texts, ...after]);
    if (error === null) return broken('harmless is not stopped', found, analysis.unknown.join('; '));
    await session.changed(after);
    return { failure: null, found, accepted: false };
  }
  if (analysis.takesRows) return { failure: null, found, accepted: false };
  if (analysis.class.kind === 'write') return await asWrite(analysis, found, [...texts, ...after], catalogue, session);
  return { failure: null, found, accepted: true };
}

function analysed({ text, prepare }: Case, catalogue: Catalogue) {
  return analyse(text, catalogue, SEARCH_PATH, (name) =>
    prepare !== undefined && prepare.name === name ? { name, text: prepare.text, by: 'sql' } : undefined,
  );
}

function nameOf({ class: kind }: Analysis): string {
  return kind.kind === 'read' ? (kind.pure ? 'pure read' : 'pinned read') : kind.kind;
}

function broken(property: Failure['property'], found: string, why: string): Verdict {
  return { failure: { property, why }, found, accepted: true };
}

/** What the analyser can't parse, the server must not run either. A statement it parses it may still refuse. */
async function refused(trial: Trial, message: string, session: OwnerSession): Promise<Verdict> {
  const told = { failure: null, found: 'refused', accepted: false };
  if (
    trial.text.includes('\0') ||
    !trial.text.isWellFormed() ||
    /nested too deeply|Maximum call|longer than|stack/i.test(message)
  )
    return told;
  if (!/syntax|at or near/i.test(message)) return told;
  const { error } = await session.changed([trial.text]);
  return error === null ? broken('one grammar', 'refused', message) : told;
}

async function asRead(
  analysis: Analysis,
  found: string,
  texts: readonly string[],
  catalogue: Catalogue,
  session: OwnerSession,
  asReader: boolean,
): Promise<Verdict> {
  const { error, left } = await session.commit(texts);
  if (left.length > 0) return broken('reads change nothing', found, left.join('; '));
  if (error !== null || !asReader) return { failure: null, found, accepted: error === null };
  const grants = analysis.effects.flatMap(({ verb, object, columns }) => {
    const relation = catalogue.relations.get(`${object.schema}.${object.name}`);
    if (verb !== 'read' || relation === undefined) return [];
    // Who reads no column at all (count(*)) needs a right to any of them.
    const some = columns?.length === 0 ? relation.columns.slice(0, 1).map(({ name }) => name) : columns;
    const list = some === undefined ? '' : ` (${some.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')})`;
    return [`SELECT${list} ON "${object.schema}"."${object.name}"`];
  });
  const { error: denied, left: moved } = await session.asReader(grants, texts);
  if (moved.length > 0) return broken('reads change nothing', found, moved.join('; '));
  const missing =
    denied?.code === '42501'
      ? /permission denied for (?:table|view|materialized view|foreign table|relation) (.+)$/.exec(denied.message)?.[1]
      : undefined;
  if (missing !== undefined) return broken('reads are told', found, denied?.message ?? '');
  return { failure: null, found, accepted: true };
}

async function asWrite(
  analysis: Analysis,
  found: string,
  texts: readonly string[],
  catalogue: Catalogue,
  session: OwnerSession,
): Promise<Verdict> {
  const { error, tables } = await session.changed(texts);
  if (error !== null) {
    if (texts.length > 1) await session.changed(['DEALLOCATE ALL']);
    return { failure: null, found, accepted: false };
  }
  const told = new Set(affectedTables(analysis, catalogue));
  for (const { object } of analysis.effects) told.add(rootOf(`${object.schema}.${object.name}`, catalogue));
  // What a function does when a default, a trigger or an expression calls it is measured before the commit, not told.
  const more = tables.filter((table) => !told.has(rootOf(table, catalogue)) && table !== 'public.bites');
  return more.length > 0 ? broken('writes are told', found, more.join(', ')) : { failure: null, found, accepted: true };
}
