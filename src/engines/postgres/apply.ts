import type pg from 'pg';
import type { DefinitionMove, Definitions } from '../../domain/drift.ts';
import type { MeasuredEffect } from '../../domain/effect.ts';
import type { PlanId } from '../../domain/ids.ts';
import type { Statement } from '../../domain/intent.ts';
import type { StatementAnswer } from '../../domain/statement-answer.ts';
import type { AppliedState, ApplyOutcome, ApplyRequest } from '../engine.ts';
import { type CallOff, endWhenCalledOff } from './call-off.ts';
import { liftCapture } from './capture.ts';
import { TABLE } from './changes-between.ts';
import { movesBetween, readDefinitions } from './definitions.ts';
import { ALWAYS_WAITING_FOR_THE_DISK, WAITING_FOR_THE_DISK } from './durable.ts';
import { readFingerprint } from './fingerprint.ts';
import { keepRowsOfMade } from './kept-writes.ts';
import { baseStateOf, setBounds } from './measure.ts';
import { answered, failureFrom } from './run-statements.ts';
import type { Trial } from './trial.ts';
import { tryEffect } from './try-effect.ts';
import { UndoConflict } from './undo/undo-conflict.ts';

export interface ApplyDeps {
  readonly connect: () => Promise<pg.Client>;
  readonly appliedState: (plan: PlanId) => Promise<AppliedState>;
}

/** Errors after which nothing is wrong with the plan: it may be tried again. */
const PASSING = new Set(['55P03', '57014', '40001', '40P01', '57P01', '53300']);
const SETTLE_ATTEMPTS = 40;
const SETTLE_EVERY_MS = 250;

/**
 * Runs an approved plan exactly once (G6), and commits only if its effect is, row for row, the approved one (G3).
 *
 * The first thing in the transaction is the row that says it was applied: a second attempt waits for it and then stops.
 */
export async function apply(request: ApplyRequest, deps: ApplyDeps): Promise<ApplyOutcome> {
  const client = await deps.connect();
  try {
    if (request.outsideTransaction) return await applyOutside(client, request, deps);
    return await applyInside(client, request, deps);
  } finally {
    await client.end().catch(() => undefined /* it was lost: that has been dealt with */);
  }
}

async function applyInside(client: pg.Client, request: ApplyRequest, deps: ApplyDeps): Promise<ApplyOutcome> {
  const callOff = endWhenCalledOff(client, request.signal, deps.connect);
  let committing = false;
  try {
    request.signal?.throwIfAborted();
    await client.query('SELECT pg_catalog.pg_stat_force_next_flush()');
    await client.query('BEGIN');
    await setBounds(client, request.bounds);
    const { rows: marked } = await client.query<{ xid: string }>(MARK_APPLIED, [request.plan, 'done']);
    const xid = marked[0]?.xid;
    if (xid === undefined) {
      await client.query('ROLLBACK');
      return { outcome: 'already applied' };
    }
    const before = await readFingerprint(client);
    if (baseStateOf(before, request.baseObjects) !== request.baseState) {
      await client.query('ROLLBACK');
      return { outcome: 'stale', changed: ['the definition of an object that the plan names has changed'] };
    }
    const were = await definitionsOf(client, request);
    const { effect, changed, answers } = await runCompared(client, request);
    if (changed.length > 0) {
      await client.query('ROLLBACK');
      return { outcome: 'stale', changed };
    }
    await liftCapture(client);
    if (request.keepsWrites === true && effect !== null) await keepRowsOfMade(client, effect.objects);
    const moves = were === null ? [] : movesBetween(were, await readDefinitions(client));
    await request.beforeCommit({ xid, effect, moves });
    await client.query(`SELECT ${WAITING_FOR_THE_DISK}`);
    // The last moment at which it can be called off: a COMMIT is short, and is not disturbed.
    await callOff.stop();
    request.signal?.throwIfAborted();
    committing = true;
    await client.query('COMMIT');
    return { outcome: 'applied', xid, effect, answers };
  } catch (error) {
    await callOff.stop();
    if (error instanceof UndoConflict) {
      await client.query('ROLLBACK');
      return { outcome: 'stale', changed: error.conflicts };
    }
    return concludeFailure(error, request.plan, committing, client, deps);
  }
}

/** `null` where it is known, and approved, that nothing but rows changes. */
function definitionsOf(client: pg.Client, { approved, statements }: ApplyRequest): Promise<Definitions> | null {
  const onlyRows = approved.measured && approved.effect.objects.length === 0 && approved.effect.tables.length > 0;
  return onlyRows && statements.length === 1 ? null : readDefinitions(client);
}

const MARK_APPLIED = `
  INSERT INTO countersign.applied (plan, state, xid, at)
  VALUES ($1, $2, pg_catalog.pg_current_xact_id(), pg_catalog.clock_timestamp())
  ON CONFLICT (plan) DO NOTHING RETURNING xid::text`;

async function runCompared(
  client: pg.Client,
  request: ApplyRequest,
): Promise<{
  readonly effect: MeasuredEffect | null;
  readonly changed: readonly string[];
  readonly answers: readonly StatementAnswer[];
}> {
  const { approved } = request;
  const tables = approved.measured
    ? [...new Set([...request.tables, ...approved.effect.tables.map((table) => table.table)])]
    : request.tables;
  const tried = await tryEffect(client, {
    statements: request.statements,
    settings: request.settings,
    undo: request.undo,
    purge: request.purge,
    // What was approved as a move must be one: it is never carried out as what it was not approved as.
    ...(approved.measured ? keptAsApproved(approved.effect) : { quarantine: request.quarantine }),
    counted: approved.measured ? droppedIn(approved.effect) : [],
    capture: {
      tables,
      maxRows: request.bounds.maxRows,
      masked: approved.measured ? approved.effect.volatileColumns : {},
      sums: false,
      change: request.plan,
    },
  });
  const { effect } = tried;
  const beyond = [
    ...tried.missed.map((table) => `${table}: not approved, and changed now`),
    ...(tried.uncapturable === null ? [] : [tried.uncapturable]),
  ];
  const { answers } = tried;
  if (!approved.measured) return { effect, changed: [], answers };
  if (beyond.length > 0) return { effect, changed: beyond, answers };
  if (effect.digest === approved.effect.digest) return { effect, changed: [], answers };
  return { effect, changed: differences(approved.effect, effect), answers };
}

function keptAsApproved({ kept }: MeasuredEffect): Pick<Trial, 'quarantine' | 'mustKeep'> {
  return kept === undefined ? {} : { quarantine: { keepMs: kept.keepMs }, mustKeep: true };
}

function droppedIn(effect: MeasuredEffect): readonly string[] {
  return effect.objects.flatMap(({ change, object, rows }) => {
    const table = TABLE.exec(object)?.[1];
    return change === 'dropped' && rows !== undefined && table !== undefined ? [table] : [];
  });
}

/** Table by table and object by object, what would happen now and was not approved. */
function differences(approved: MeasuredEffect, now: MeasuredEffect): readonly string[] {
  const counts = (effect: MeasuredEffect) =>
    new Map(
      effect.tables.map(({ table, inserted, updated, deleted, truncated }) => [
        table,
        `${inserted} inserted, ${updated} updated, ${deleted + truncated} deleted`,
      ]),
    );
  const objects = (effect: MeasuredEffect) =>
    new Map(
      effect.objects.map(({ object, change, rows }) => [
        object,
        `${change}${rows === undefined ? '' : ` with ${rows} rows`}`,
      ]),
    );
  const said = [...compare(counts(approved), counts(now)), ...compare(objects(approved), objects(now))];
  return said.length > 0 ? said : ['the same number of rows, but with other content'];
}

function compare(approved: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string[] {
  const names = [...new Set([...approved.keys(), ...now.keys()])].sort();
  return names.flatMap((name) => {
    const was = approved.get(name) ?? 'untouched';
    const is = now.get(name) ?? 'untouched';
    return was === is ? [] : [`${name}: approved ${was}, now ${is}`];
  });
}

async function concludeFailure(
  error: unknown,
  plan: PlanId,
  committing: boolean,
  client: pg.Client,
  deps: ApplyDeps,
): Promise<ApplyOutcome> {
  const failure = failureFrom(error);
  if (failure !== undefined && !failure.sqlstate.startsWith('08') && failure.severity !== 'FATAL') {
    await client.query('ROLLBACK').catch(() => undefined /* lost as well: then the server rolls back by itself */);
    if (PASSING.has(failure.sqlstate)) return { outcome: 'not applied', why: failure.message };
    return { outcome: 'failed', failure };
  }
  if (!committing) {
    await client.query('ROLLBACK').catch(() => undefined /* lost: the server rolls back by itself */);
    return { outcome: 'not applied', why: error instanceof Error ? error.message : String(error) };
  }
  return settle(plan, deps);
}

/** The answer to COMMIT was lost: the row in the target is the truth, once the old server process is gone. */
async function settle(plan: PlanId, deps: ApplyDeps): Promise<ApplyOutcome> {
  let why = 'the target does not answer';
  for (let attempt = 0; attempt < SETTLE_ATTEMPTS; attempt++) {
    try {
      const state = await deps.appliedState(plan);
      if (state === 'applied') return { outcome: 'already applied' };
      if (state === 'not applied') return { outcome: 'not applied', why: 'the connection was lost before the commit' };
      why = 'its transaction is still open in the target';
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLE_EVERY_MS));
  }
  return { outcome: 'indeterminate', why };
}

/**
 * For what can't run inside a transaction (CREATE INDEX CONCURRENTLY, VACUUM). That it began is durable before it runs;
 * after a crash in between nobody can say how far it came, and it is never run again by itself.
 */
async function applyOutside(client: pg.Client, request: ApplyRequest, deps: ApplyDeps): Promise<ApplyOutcome> {
  const [statement] = request.statements;
  if (statement === undefined || request.statements.length > 1) {
    return { outcome: 'not applied', why: 'only a single statement can run outside a transaction' };
  }
  if (baseStateOf(await readFingerprint(client), request.baseObjects) !== request.baseState) {
    return { outcome: 'stale', changed: ['the definition of an object that the plan names has changed'] };
  }
  const were = await readDefinitions(client);
  await client.query(`SELECT ${ALWAYS_WAITING_FOR_THE_DISK}`);
  const { rows: marked } = await client.query<{ xid: string }>(MARK_APPLIED, [request.plan, 'started']);
  const xid = marked[0]?.xid;
  if (xid === undefined) return { outcome: 'already applied' };
  try {
    await request.beforeCommit({ xid, effect: null, moves: [] });
    request.signal?.throwIfAborted();
  } catch (error) {
    // Nothing has run yet: the mark must not stand for something that never was.
    await client.query('DELETE FROM countersign.applied WHERE plan = $1', [request.plan]);
    if (request.signal?.aborted === true) return { outcome: 'not applied', why: 'it was called off' };
    throw error;
  }
  return runOutside(client, request, {
    statement,
    xid,
    were,
    callOff: endWhenCalledOff(client, request.signal, deps.connect),
  });
}

async function runOutside(
  client: pg.Client,
  request: ApplyRequest,
  {
    statement,
    xid,
    were,
    callOff,
  }: {
    readonly statement: Statement;
    readonly xid: string;
    readonly were: Definitions;
    readonly callOff: CallOff;
  },
): Promise<ApplyOutcome> {
  try {
    await client.query('SET statement_timeout = 0; SET client_min_messages = notice');
    for (const { name, value } of [{ name: 'search_path', value: '"$user", public' }, ...request.settings]) {
      await client.query('SELECT pg_catalog.set_config($1, $2, false)', [name, value]);
    }
    const answer = await answered(client, () => client.query(statement.text));
    await callOff.stop();
    await client.query("UPDATE countersign.applied SET state = 'done' WHERE plan = $1", [request.plan]);
    return { outcome: 'applied', xid, effect: null, answers: [answer], moves: await movesSince(client, were) };
  } catch (error) {
    await callOff.stop();
    const failure = failureFrom(error);
    if (failure === undefined || failure.severity === 'FATAL') {
      return { outcome: 'indeterminate', why: error instanceof Error ? error.message : String(error) };
    }
    await client.query('DELETE FROM countersign.applied WHERE plan = $1', [request.plan]);
    return { outcome: 'failed', failure, halfWay: true };
  }
}

/** It has taken effect, whatever comes now: what can't be read shows as drift, which a person accepts. */
async function movesSince(client: pg.Client, were: Definitions): Promise<readonly DefinitionMove[]> {
  try {
    await client.query("SELECT pg_catalog.set_config('search_path', '', false)");
    return movesBetween(were, await readDefinitions(client));
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}
