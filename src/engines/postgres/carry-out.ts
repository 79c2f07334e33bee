import type pg from 'pg';
import type { Kept, ObjectChange } from '../../domain/effect.ts';
import type { StatementAnswer } from '../../domain/statement-answer.ts';
import { TABLE } from './changes-between.ts';
import type { Fingerprint } from './fingerprint.ts';
import { sparingQuarantine } from './quarantine/contents.ts';
import { dropSoftly } from './quarantine/drop-softly.ts';
import { letGo } from './quarantine/let-go.ts';
import { pastDeadlocks } from './quarantine/past-deadlocks.ts';
import { bringBack, isQuarantined } from './quarantine/restore.ts';
import { runStatements } from './run-statements.ts';
import type { Trial } from './trial.ts';
import { describeNewer, undoChange } from './undo/undo-change.ts';
import { UndoConflict } from './undo/undo-conflict.ts';

/** What came of a plan's work besides what the catalogue and capture tell. */
export interface CarriedOut {
  readonly answers: readonly StatementAnswer[];
  /** Rows that an undo has left, because somebody has changed them since. */
  readonly newer: readonly string[];
  /** Where what was dropped lies in quarantine. */
  readonly kept?: Kept;
  /** Why it doesn't, though it was to. */
  readonly notKept?: string;
  /** What takes it back, where that doesn't follow from the definitions. */
  readonly inverse?: readonly string[];
  /** How everything is defined now, where it was looked at: others wait while it is looked at again. */
  readonly after?: Fingerprint;
  /** What was let go of in quarantine, where the catalogue's fingerprint doesn't look. */
  readonly letGo: readonly ObjectChange[];
  /** Says of a table that came back with its rows how many. */
  counted(change: ObjectChange): ObjectChange;
}

const NOTHING_MORE = { answers: [], newer: [], letGo: [], counted: (change: ObjectChange) => change };

/** Does the work of a plan inside the open transaction: runs its statements, takes a change back, or lets go of one. */
export async function carryOut(
  client: pg.Client,
  trial: Trial,
  known: { readonly before: Fingerprint; readonly rows: ReadonlyMap<string, number> },
): Promise<CarriedOut> {
  const { undo, purge, quarantine } = trial;
  if (purge !== undefined) return { ...NOTHING_MORE, letGo: await letGo(client, purge, known.before) };
  if (undo !== undefined) {
    if (!(await isQuarantined(client, undo.change)))
      return { ...NOTHING_MORE, newer: describeNewer(await undoChange(client, undo)) };
    const { objects, drops, after } = await pastDeadlocks(client, () => bringBack(client, undo.change));
    const rows = new Map(objects.map(({ object, rows: held }) => [object, held]));
    const counted = (change: ObjectChange): ObjectChange => {
      const held = change.change === 'created' && TABLE.test(change.object) ? rows.get(change.object) : undefined;
      return held === undefined ? change : { ...change, rows: held };
    };
    return { ...NOTHING_MORE, inverse: drops, counted, after };
  }
  const run = () => runStatements(client, trial.statements, trial.settings);
  const reallyRun = () => sparingQuarantine(client, run);
  if (quarantine === undefined) return { ...NOTHING_MORE, answers: await reallyRun() };
  const { change } = trial.capture;
  const dropped = await pastDeadlocks(client, () => dropSoftly(client, { run, ...known, ...quarantine, change }));
  if (!('why' in dropped)) return { ...NOTHING_MORE, ...dropped };
  if (trial.mustKeep === true)
    throw new UndoConflict([`it was approved to go into quarantine, and can't any more: ${dropped.why}`]);
  return { ...NOTHING_MORE, answers: await reallyRun(), notKept: dropped.why };
}
