import type pg from 'pg';
import { digestOf } from '../../domain/digest.ts';
import type { MeasuredEffect } from '../../domain/effect.ts';
import type { Digest } from '../../domain/ids.ts';
import { RefusalError } from '../../domain/refusal.ts';
import type { StatementAnswer } from '../../domain/statement-answer.ts';
import type { TargetIdentity } from '../../domain/target.ts';
import type { Measured, MeasureRequest } from '../engine.ts';
import type { Capture } from './capture.ts';
import { TOO_MANY_ROWS } from './capture-function.ts';
import { type Fingerprint, readFingerprint } from './fingerprint.ts';
import { failedOn, failureFrom } from './run-statements.ts';
import { type Tried, tryEffect } from './try-effect.ts';
import { UndoConflict } from './undo/undo-conflict.ts';
import { watchBlocking } from './watchdog.ts';

const MAX_WIDENINGS = 4;

/**
 * The dry run (G2): the statements are run on the real data in a transaction that is bounded, watched and always rolled
 * back. It is run twice, in transactions of their own, so that values which differ from run to run are known, unless it
 * is known that none does; where some do, it is run once more with them left out.
 *
 * A rollback contains changes to tables and objects, and nothing else (sequences, files, other servers): what could do
 * more is `untriable` and never comes here.
 */
export async function measure(
  request: MeasureRequest,
  deps: {
    readonly connect: () => Promise<pg.Client>;
    readonly identity: TargetIdentity;
    /** Under which the gateway looks at the catalogue. */
    readonly ownLogin: string;
  },
): Promise<Measured> {
  const client = await deps.connect();
  try {
    const watcher = await deps.connect();
    try {
      return await measureWatched(request, deps, { client, watcher });
    } finally {
      await watcher.end();
    }
  } finally {
    await client.end();
  }
}

async function measureWatched(
  request: MeasureRequest,
  { identity, ownLogin }: { readonly identity: TargetIdentity; readonly ownLogin: string },
  { client, watcher }: { readonly client: pg.Client; readonly watcher: pg.Client },
): Promise<Measured> {
  const { processID } = client as unknown as { readonly processID: number };
  const watchdog = watchBlocking(watcher, processID, {
    toleranceMs: request.bounds.blockingToleranceMs,
    ownLogin,
    signal: request.signal,
  });
  try {
    const known = { baseState: await readBaseState(client, request), identity, answers: [] };
    if (request.untriable !== undefined) return { ...known, measurement: { measured: false, why: request.untriable } };
    try {
      const found = await measuredEffect(client, request);
      if (typeof found === 'string') return { ...known, measurement: { measured: false, why: found } };
      const { effect, answers, newer } = found;
      return { ...known, answers, newer, measurement: { measured: true, effect } };
    } catch (error) {
      if (error instanceof UndoConflict)
        return { ...known, conflicts: error.conflicts, measurement: { measured: false, why: error.message } };
      const failure = failureFrom(error);
      const why = watchdog.steppedIn ?? (failure === undefined ? undefined : bounded(failure.sqlstate));
      if (why !== undefined) return { ...known, measurement: { measured: false, why } };
      if (failure === undefined) throw error;
      return { ...known, failure, ...failedOn(error), measurement: { measured: false, why: failure.message } };
    }
  } finally {
    await watchdog.stop();
  }
}

/** Definitions are read under locks, and so under the same bounds. @throws RefusalError when they are not to be had. */
async function readBaseState(client: pg.Client, request: MeasureRequest): Promise<Digest> {
  try {
    await client.query('BEGIN');
    await setBounds(client, request.bounds);
    const baseState = baseStateOf(await readFingerprint(client), request.baseObjects);
    await client.query('ROLLBACK');
    return baseState;
  } catch (error) {
    const failure = failureFrom(error);
    if (failure === undefined || bounded(failure.sqlstate) === undefined) throw error;
    throw new RefusalError(
      {
        refused: 'unavailable',
        message: 'The definitions in the target can’t be read in time: somebody holds a lock on one of them.',
        detail: failure.message,
        hint: 'Nothing was executed. Try again when the change of schema that is under way is over.',
      },
      { cause: error },
    );
  }
}

/** Errors that come from the bounds of the dry run, not from the statement. */
function bounded(sqlstate: string): string | undefined {
  switch (sqlstate) {
    case TOO_MANY_ROWS:
      return 'it would change more rows than a dry run may keep';
    case '57014':
      return 'the dry run took longer than it may';
    case '55P03':
      return 'a lock that it needs was not to be had in time';
    default:
      return undefined;
  }
}

interface MeasuredOnTrial {
  readonly effect: MeasuredEffect;
  readonly answers: readonly StatementAnswer[];
  readonly newer: readonly string[];
}

async function measuredEffect(client: pg.Client, request: MeasureRequest): Promise<MeasuredOnTrial | string> {
  let tables = [...request.tables];
  let counted: readonly string[] = [];
  const run = (how: Pick<Capture, 'masked' | 'sums'>) =>
    trial(client, request, { counted, capture: { ...how, tables, maxRows: request.bounds.maxRows, change: null } });

  for (let widening = 0; widening < MAX_WIDENINGS; widening++) {
    request.onTrial?.('first');
    const first = await run({ masked: {}, sums: request.repeatable !== true });
    if (first.tried.uncapturable !== null) return first.tried.uncapturable;
    const uncounted = isCounted(first.tried)
      ? first.tried.droppedTables.filter((table) => !counted.includes(table))
      : [];
    if (first.tried.missed.length > 0 || uncounted.length > 0) {
      tables = [...new Set([...tables, ...first.tried.missed])];
      counted = [...counted, ...uncounted];
      continue;
    }
    // Where no row came or was changed there is no value that could differ from run to run.
    if (request.repeatable === true || first.sums.size === 0) return asMeasured(first.tried);
    request.onTrial?.('second');
    const second = await run({ masked: {}, sums: true });
    const masked = differing(first.sums, second.sums);
    if (Object.keys(masked).length === 0) return asMeasured(second.tried);
    return asMeasured((await run({ masked, sums: false })).tried);
  }
  return 'it keeps changing tables that were not expected';
}

/** To count very many rows takes longer than anything else; those that are moved are not lost, and the plan says their size. */
function isCounted({ effect: { kept } }: Tried): boolean {
  return kept === undefined || kept.bytes <= MAX_COUNTED_BYTES;
}

const MAX_COUNTED_BYTES = 2 ** 30;

interface Seen {
  readonly tried: Tried;
  readonly sums: ReadonlyMap<string, string>;
}

function asMeasured({ effect, answers, newer }: Tried): MeasuredOnTrial {
  return { effect, answers, newer };
}

/** One run of the statements, looked at while its transaction is open, and rolled back whatever happens. */
async function trial(
  client: pg.Client,
  request: MeasureRequest,
  how: { readonly capture: Capture; readonly counted: readonly string[] },
): Promise<Seen> {
  const { bounds, statements, settings, undo, purge, quarantine } = request;
  await client.query('SELECT pg_catalog.pg_stat_force_next_flush()');
  await client.query('BEGIN');
  try {
    await setBounds(client, bounds);
    const tried = await tryEffect(client, { statements, settings, undo, purge, quarantine, ...how });
    return { tried, sums: how.capture.sums ? await tried.sums() : new Map() };
  } finally {
    await client.query('ROLLBACK');
  }
}

export async function setBounds(
  client: pg.Client,
  bounds: { readonly statementTimeoutMs: number; readonly lockTimeoutMs: number },
): Promise<void> {
  await client.query(
    `SET LOCAL statement_timeout = ${Math.trunc(bounds.statementTimeoutMs)};
     SET LOCAL lock_timeout = ${Math.trunc(bounds.lockTimeoutMs)};
     SET LOCAL idle_in_transaction_session_timeout = 30000`,
  );
}

function differing(first: ReadonlyMap<string, string>, second: ReadonlyMap<string, string>): Record<string, string[]> {
  const columns: Record<string, string[]> = {};
  for (const [key, digest] of first) {
    if (second.get(key) === digest) continue;
    const [table, column] = JSON.parse(key) as [string, string];
    columns[table] = [...(columns[table] ?? []), column];
  }
  for (const names of Object.values(columns)) names.sort();
  return columns;
}

/** Digest over the definitions of the named objects and all that hangs on them; an object that isn't there is part of it too. */
export function baseStateOf(fingerprint: Fingerprint, objects: readonly string[]): Digest {
  const found: [string, string][] = [];
  for (const [object, definition] of fingerprint) {
    const name = object.slice(object.indexOf(' ') + 1).replace(/^(?:table|view|type|trigger) /, '');
    if (objects.some((wanted) => name === wanted || name.startsWith(`${wanted}.`) || name.startsWith(`${wanted}(`))) {
      found.push([object, definition]);
    }
  }
  found.sort(([a], [b]) => (a < b ? -1 : 1));
  return digestOf({ objects: [...objects].sort(), found });
}
