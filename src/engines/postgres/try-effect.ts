import type pg from 'pg';
import { digestOf } from '../../domain/digest.ts';
import type { MeasuredEffect, ObjectChange, TableEffect } from '../../domain/effect.ts';
import type { Statement } from '../../domain/intent.ts';
import type { StatementAnswer } from '../../domain/statement-answer.ts';
import type { UndoOf } from '../engine.ts';
import { type Capture, layCapture } from './capture.ts';
import { brokenSeal, type CaptureSeal, remadeTables, rewrittenTables, sealCapture } from './capture-seal.ts';
import { type CapturedRows, capturedDigest, capturedRows, capturedSamples, capturedSums } from './captured.ts';
import { captureCreatedRows } from './created-rows.ts';
import { FINGERPRINT, type Fingerprint } from './fingerprint.ts';
import { quoteQualified } from './quote.ts';
import { runStatements } from './run-statements.ts';
import { inverseOf } from './undo/inverse.ts';
import { describeNewer, undoChange } from './undo/undo-change.ts';

/** What is run, and what is looked at, in one transaction of a dry run or an apply. */
export interface Trial {
  readonly statements: readonly Statement[];
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** What is taken back in place of statements that are run. */
  readonly undo?: UndoOf | undefined;
  readonly capture: Capture;
  /** Tables whose rows are counted beforehand, because they may be dropped. */
  readonly counted: readonly string[];
}

export interface Tried {
  readonly effect: MeasuredEffect;
  /** A sum over each column's values, where that was asked for. */
  sums(): Promise<ReadonlyMap<string, string>>;
  /** Tables that changed without being captured: the trial says less than the truth. */
  readonly missed: readonly string[];
  readonly uncapturable: string | null;
  readonly droppedTables: readonly string[];
  /** What the database answered to each statement. */
  readonly answers: readonly StatementAnswer[];
  /** Rows that an undo has left as they are, because somebody has changed them since. */
  readonly newer: readonly string[];
}

const SAMPLES_PER_TABLE = 3;

/** Runs statements inside the open transaction and finds out exactly what they did. Whoever calls ends the transaction. */
export async function tryEffect(client: pg.Client, trial: Trial): Promise<Tried> {
  const { capture } = trial;
  const uncapturable = await layCapture(client, capture);
  const rowsBefore = await countRows(client, trial.counted);
  const before = await readFingerprint(client);
  const seal = await sealCapture(client);
  const walBefore = await walPosition(client);
  const startedAt = performance.now();
  const { answers, newer } = await run(client, trial);
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  const walBytes = (await walPosition(client)) - walBefore;

  const doubt = (await brokenSeal(client, seal, capture.change)) ?? (await captureCreatedRows(client, seal, capture));
  const captured = await capturedRows(client);
  const after = await readFingerprint(client);
  const objects = changesBetween(before, after, {
    rowsBefore,
    remade: await remadeTables(client, seal),
  });
  const locks = await heldLocks(client);
  const samples = await capturedSamples(client, SAMPLES_PER_TABLE);
  const digest = digestOf({
    rows: await capturedDigest(client),
    objects: objects.map((object) => ({ ...object })),
    definitions: changedDefinitions(after, objects),
  });
  const [refused] = uncapturable;
  return {
    effect: {
      tables: captured.map(asTableEffect),
      objects,
      locks,
      samples,
      durationMs,
      walBytes,
      volatileColumns: capture.masked,
      ...(objects.length === 0 ? {} : { inverse: inverseOf(objects, before, after) }),
      digest,
    },
    sums: () => capturedSums(client),
    answers,
    newer,
    missed: await changedUncaptured(client, seal),
    uncapturable: refused === undefined ? doubt : `${refused.table} can't be watched: ${refused.why}`,
    droppedTables: objects.flatMap(({ change, object }) => {
      const table = TABLE.exec(object)?.[1];
      return change === 'dropped' && table !== undefined ? [table] : [];
    }),
  };
}

async function run(
  client: pg.Client,
  { undo, statements, settings }: Trial,
): Promise<Pick<Tried, 'answers' | 'newer'>> {
  if (undo === undefined) return { answers: await runStatements(client, statements, settings), newer: [] };
  return { answers: [], newer: describeNewer(await undoChange(client, undo)) };
}

export async function readFingerprint(client: pg.Client): Promise<Fingerprint> {
  const { rows } = await client.query<{ kind: string; name: string; definition: string }>(FINGERPRINT);
  return new Map(rows.map((row) => [`${row.kind} ${row.name}`, row.definition]));
}

function changesBetween(
  before: Fingerprint,
  after: Fingerprint,
  tables: { readonly rowsBefore: ReadonlyMap<string, number>; readonly remade: ReadonlySet<string> },
): ObjectChange[] {
  const changes: ObjectChange[] = [];
  for (const [object, definition] of before) {
    const now = after.get(object);
    const table = TABLE.exec(object)?.[1] ?? '';
    const rows = tables.rowsBefore.get(table);
    const remade = now !== undefined && tables.remade.has(table);
    if (now === undefined || remade) {
      changes.push({ change: 'dropped', object, ...(rows === undefined ? {} : { rows }) });
      // The same name and perhaps the same definition, but another table: what was in the old one is gone.
      if (remade) changes.push({ change: 'created', object });
    } else if (now !== definition) changes.push({ change: 'altered', object });
  }
  for (const object of after.keys()) if (!before.has(object)) changes.push({ change: 'created', object });
  const place = ({ object, change }: ObjectChange) => `${object} ${change}`;
  return changes.sort((a, b) => (place(a) < place(b) ? -1 : 1));
}

const TABLE = /^(?:partitioned |foreign )?table (.+)$/;

/** What became of created and altered objects is part of the effect: the same name with another definition is another one. */
function changedDefinitions(now: Fingerprint, objects: readonly ObjectChange[]): Record<string, string> {
  return Object.fromEntries(
    objects.flatMap(({ object }) => (now.has(object) ? [[object, now.get(object) ?? '']] : [])),
  );
}

async function countRows(client: pg.Client, tables: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const table of tables) {
    const { rows } = await client.query<{ n: string }>(`SELECT count(*)::text AS n FROM ${quoteQualified(table)}`);
    counts.set(table, Number(rows[0]?.n ?? 0));
  }
  return counts;
}

async function walPosition(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::text AS bytes",
  );
  return Number(rows[0]?.bytes ?? 0);
}

async function heldLocks(client: pg.Client): Promise<MeasuredEffect['locks']> {
  const { rows } = await client.query<{ table: string; mode: string }>(`
    SELECT DISTINCT n.nspname || '.' || c.relname AS table, l.mode
    FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.relation JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'm')
      AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
      AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ExclusiveLock', 'AccessExclusiveLock')
    ORDER BY 1, 2`);
  return rows;
}

/**
 * The server counts what our triggers may not have seen: writes by a trigger's function to a table nobody expected. What
 * TRUNCATE takes away it does not count, but gives the table another file.
 */
async function changedUncaptured(client: pg.Client, seal: CaptureSeal): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT DISTINCT n.nspname || '.' || c.relname AS name
     FROM (
       SELECT s.relid FROM pg_catalog.pg_stat_xact_user_tables AS s
       WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND s.schemaname <> 'countersign' AND s.schemaname !~ '^pg_'
       UNION SELECT pg_catalog.unnest($3::oid[])
     ) AS s
     JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(pg_catalog.pg_partition_root(s.relid)::oid, s.relid)
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE s.relid = ANY ($1::oid[]) AND NOT s.relid = ANY ($2::oid[])
       -- What a materialized view holds follows from other tables, and can be made again.
       AND c.relkind <> 'm'`,
    [[...seal.tables.keys()], [...seal.triggers.keys()], await rewrittenTables(client, seal)],
  );
  return rows.map((row) => row.name);
}

function asTableEffect(row: CapturedRows): TableEffect {
  return { ...row, via: 'direct' };
}
