import type pg from 'pg';
import { digestOf } from '../../domain/digest.ts';
import type { Inverse, MeasuredEffect, ObjectChange, TableEffect } from '../../domain/effect.ts';
import type { StatementAnswer } from '../../domain/statement-answer.ts';
import { layCapture } from './capture.ts';
import { brokenSeal, type CaptureSeal, remadeTables, rewrittenTables, sealCapture } from './capture-seal.ts';
import { type CapturedRows, capturedDigest, capturedRows, capturedSamples, capturedSums } from './captured.ts';
import { type CarriedOut, carryOut } from './carry-out.ts';
import { changesBetween, TABLE } from './changes-between.ts';
import { captureCreatedRows } from './created-rows.ts';
import { type Fingerprint, readFingerprint } from './fingerprint.ts';
import { quoteQualified } from './quote.ts';
import type { Trial } from './trial.ts';
import { definitionsDigest, inverseOf } from './undo/inverse.ts';

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
  const done = await carryOut(client, trial, { before, rows: rowsBefore });
  const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
  const walBytes = (await walPosition(client)) - walBefore;

  const doubt = (await brokenSeal(client, seal, capture.change)) ?? (await captureCreatedRows(client, seal, capture));
  const captured = await capturedRows(client);
  const after = done.after ?? (await readFingerprint(client));
  const remade = await remadeTables(client, seal);
  const objects = [...changesBetween(before, after, { rowsBefore, remade }).map(done.counted), ...done.letGo];
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
      ...(done.kept === undefined ? {} : { kept: done.kept }),
      ...(objects.length === 0 || done.kept !== undefined
        ? {}
        : { inverse: wayBack(done, { objects, before, after }) }),
      digest,
    },
    sums: () => capturedSums(client),
    answers: done.answers,
    newer: done.newer,
    missed: await changedUncaptured(client, seal),
    uncapturable: refused === undefined ? doubt : `${refused.table} can't be watched: ${refused.why}`,
    droppedTables: objects.flatMap(({ change, object }) => {
      const table = TABLE.exec(object)?.[1];
      return change === 'dropped' && table !== undefined ? [table] : [];
    }),
  };
}

/** What was done says more of the way back than the definitions do. */
function wayBack(
  { inverse, notKept, letGo }: CarriedOut,
  { objects, before, after }: { objects: readonly ObjectChange[]; before: Fingerprint; after: Fingerprint },
): Inverse {
  const [gone] = letGo;
  if (gone !== undefined) return { why: `${gone.object} would be let go of; only a backup brings it back` };
  const names = objects.map(({ object }) => object);
  if (inverse !== undefined) return { statements: inverse, leaves: definitionsDigest(after, names) };
  const byDefinitions = inverseOf(objects, before, after);
  if (notKept !== undefined && 'why' in byDefinitions) return { why: `it can't be kept in quarantine: ${notKept}` };
  return byDefinitions;
}

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
      AND n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')
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
       WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND s.schemaname <> 'countersign' AND s.schemaname !~ '^(pg_|countersign_quarantine_)'
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
