import type pg from 'pg';
import type { Kept, ObjectChange } from '../../../domain/effect.ts';
import { QUARANTINE_PREFIX } from '../../../domain/quarantine.ts';
import type { StatementAnswer } from '../../../domain/statement-answer.ts';
import { changesBetween } from '../changes-between.ts';
import { type Fingerprint, readFingerprint } from '../fingerprint.ts';
import { failureFrom } from '../run-statements.ts';
import { inverseOf } from '../undo/inverse.ts';
import { canonicalDrops } from './canonical-drops.ts';
import { missingFrom, type Standing, takeInventory } from './inventory.ts';
import { type Immovable, keysAcross, planMoves, relationOids } from './moves.ts';
import { differing, restore } from './restore.ts';

/** A drop that was carried out as a move. */
export interface DroppedSoftly {
  readonly answers: readonly StatementAnswer[];
  readonly kept: Kept;
  /** How everything is defined now. */
  readonly after: Fingerprint;
}

/**
 * Carries out statements that only drop things, so that production is left exactly as they would leave it, and what they
 * would destroy lies in a quarantine instead, out of everybody's reach (G8).
 *
 * What they would do is not guessed: they are run, looked at and rolled back, by which RESTRICT and CASCADE mean what they
 * always do. In the end every definition must be as they had left it. In a dry run the way back is gone as well, and must
 * leave every definition as it was.
 *
 * Nothing is copied: rows stay in the files in which they are.
 *
 * @param run runs the statements themselves.
 * @param change the change as whose it is kept; `null` in a dry run.
 * @returns why it can't be done so; then nothing was changed.
 * @throws what the statements themselves fail by.
 */
export async function dropSoftly(
  client: pg.Client,
  {
    run,
    before,
    keepMs,
    change,
    rows,
  }: {
    readonly run: () => Promise<readonly StatementAnswer[]>;
    readonly before: Fingerprint;
    readonly keepMs: number;
    readonly change: string | null;
    /** Of tables that may be dropped, by `schema.name`. */
    readonly rows: ReadonlyMap<string, number>;
  },
): Promise<DroppedSoftly | Immovable> {
  const { rows: ready } = await client.query<{ ready: boolean }>(READY);
  if (ready[0]?.ready !== true) return { why: NOT_READY };
  const standing = await takeInventory(client);
  await client.query('SAVEPOINT countersign_real_drop');
  // What lies in quarantine already would hold on to the types and functions that it uses.
  await emptyQuarantine(client);
  const answers = await run();
  const gone = missingFrom(standing, await takeInventory(client));
  const wanted = await readFingerprint(client);
  await client.query('ROLLBACK TO SAVEPOINT countersign_real_drop');
  if (gone.length === 0) return { why: 'nothing would be dropped that could be kept' };

  await client.query('SAVEPOINT countersign_soft_drop');
  try {
    const { rows: numbered } = await client.query<{ place: string }>(
      "SELECT $1 || pg_catalog.nextval('countersign.quarantine_number') AS place",
      [QUARANTINE_PREFIX],
    );
    const moved = await moveOut(client, gone, numbered[0]?.place ?? '', { before, wanted });
    if ('why' in moved) {
      await client.query('ROLLBACK TO SAVEPOINT countersign_soft_drop');
      return moved;
    }
    const definitions = dropped(before, wanted);
    const startedAt = performance.now();
    const off = change === null ? await tryWayBack(client, moved.back, before) : undefined;
    const undoMs = Math.round(performance.now() - startedAt + moved.rowsToCheck * MS_PER_ROW_CHECKED);
    if (off !== undefined) {
      await client.query('ROLLBACK TO SAVEPOINT countersign_soft_drop');
      return { why: `its way back was tried, and does not bring back ${off}` };
    }
    if (change !== null)
      await client.query(REMEMBER, [
        change,
        String(keepMs),
        moved.schemas,
        JSON.stringify(tellObjects(definitions, rows)),
        JSON.stringify(Object.fromEntries(definitions)),
        canonicalDrops(gone),
        moved.back,
        String(moved.bytes),
      ]);
    await client.query('RELEASE SAVEPOINT countersign_soft_drop');
    return { answers, after: wanted, kept: { keepMs, bytes: moved.bytes, undoMs } };
  } catch (error) {
    const failure = failureFrom(error);
    if (failure === undefined || PASSING.has(failure.sqlstate) || failure.severity === 'FATAL') throw error;
    await client.query('ROLLBACK TO SAVEPOINT countersign_soft_drop');
    return { why: failure.message };
  }
}

async function emptyQuarantine(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT pg_catalog.quote_ident(nspname) AS name FROM pg_catalog.pg_namespace WHERE pg_catalog.starts_with(nspname, $1)',
    [QUARANTINE_PREFIX],
  );
  if (rows.length > 0) await client.query(`DROP SCHEMA ${rows.map(({ name }) => name).join(', ')} CASCADE`);
}

/** Somebody holds a lock, or it is to stop: nothing is wrong with the drop itself. */
const PASSING = new Set(['55P03', '57014', '40001', '40P01', '57P01']);

const READY = `
  SELECT pg_catalog.to_regclass('countersign.quarantined') IS NOT NULL AND pg_catalog.to_regclass('countersign.quarantine_number') IS NOT NULL
     AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS ready`;

const NOT_READY =
  'the target has no quarantine: run countersign init again with the same database and environment, and drops are kept';

/** Where foreign keys are put back, each row is looked up; measured with a million rows. */
const MS_PER_ROW_CHECKED = 0.001;

const REMEMBER = `
  INSERT INTO countersign.quarantined (change, at, until, schemas, objects, definitions, drops, back, bytes)
  VALUES ($1, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp() + $2::bigint * interval '1 millisecond', $3, $4, $5, $6, $7, $8::bigint)`;

interface MovedOut {
  readonly back: readonly string[];
  readonly schemas: readonly string[];
  readonly bytes: number;
  readonly rowsToCheck: number;
}

async function moveOut(
  client: pg.Client,
  gone: readonly Standing[],
  place: string,
  { before, wanted }: { readonly before: Fingerprint; readonly wanted: Fingerprint },
): Promise<MovedOut | Immovable> {
  const planned = await planMoves(client, gone, place);
  if ('why' in planned) return planned;
  for (const sql of planned.moves.flatMap(({ out }) => out)) await client.query(sql);
  // A partition that stands alone now has foreign keys of its own; its root gives it others when it comes back.
  for (const { drop } of await keysAcross(client, relationOids(gone))) await client.query(drop);

  // What is left on things that stay: a default, a check, a trigger that used what is gone.
  const now = await readFingerprint(client);
  const left = changesBetween(now, wanted);
  const out = inverseOf(changesBetween(wanted, now), wanted, now);
  const names = new Set(left.map(({ object }) => object));
  const were = new Map([...before].filter(([object]) => names.has(object)));
  const are = new Map([...wanted].filter(([object]) => names.has(object)));
  const back = inverseOf(changesBetween(were, are), were, are);
  if ('why' in out) return out;
  if ('why' in back) return back;
  for (const sql of out.statements) await client.query(sql);
  const [off] = left.length === 0 ? [] : changesBetween(wanted, await readFingerprint(client));
  if (off !== undefined) return { why: `${off.object} would not be left as a DROP leaves it` };
  return {
    ...planned,
    back: [...planned.moves.toReversed().flatMap((move) => move.back), ...back.statements],
  };
}

/** Goes the way back and returns. @returns the first thing that would not be as it was. */
async function tryWayBack(
  client: pg.Client,
  back: readonly string[],
  before: Fingerprint,
): Promise<string | undefined> {
  await client.query('SAVEPOINT countersign_way_back');
  await restore(client, back, { checkKeys: false });
  const [off] = differing(before, await readFingerprint(client), { checkKeys: false });
  await client.query('ROLLBACK TO SAVEPOINT countersign_way_back');
  return off;
}

/** What stood before and doesn't stand as it was after a real drop. */
function dropped(before: Fingerprint, wanted: Fingerprint): Fingerprint {
  return new Map([...before].filter(([object, definition]) => wanted.get(object) !== definition));
}

function tellObjects(
  definitions: Fingerprint,
  rows: ReadonlyMap<string, number>,
): readonly { readonly object: string; readonly rows?: number }[] {
  const objects: ObjectChange[] = [...definitions.keys()].map((object) => ({ change: 'dropped', object }));
  return objects
    .filter(({ object }) => WHOLE.test(object))
    .map(({ object }) => {
      const counted = rows.get(object.replace(WHOLE, ''));
      return counted === undefined ? { object } : { object, rows: counted };
    });
}

const WHOLE =
  /^(?:partitioned table|foreign table|materialized view|composite type|table|view|sequence|schema|type|function|procedure|aggregate) /;
