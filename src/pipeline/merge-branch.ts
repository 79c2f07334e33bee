import { randomBytes } from 'node:crypto';
import type { BranchDifference, OpenBranch } from '../domain/branch.ts';
import { rowsChanged } from '../domain/effect.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Measurement } from '../domain/plan.ts';
import type { Profile } from '../domain/profile.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideFailingRow } from './hide-failing-row.ts';
import { hideMasked } from './hide-masked.ts';
import { effectsOf } from './undo-by-rows.ts';
import type { Proposal } from './undo-request.ts';

/**
 * Tries to bring what a branch has otherwise into its target: the branch's rows are laid there as those of a change, which
 * is then taken back. So a merge changes just the rows that differ, moves no trigger of the target's, and is refused
 * where somebody has changed one of them since the branch was made.
 */
export async function proposeMerge(
  target: GovernedTarget,
  branch: OpenBranch,
  difference: BranchDifference,
  { askedBy, keepNewer, task }: { readonly askedBy: ActorId; readonly keepNewer: boolean; readonly task: Task },
): Promise<MergeProposal | Refused> {
  const change = `merge_${randomBytes(10).toString('hex')}`;
  await target.engine.layRows(
    change,
    difference.tables.map(({ table, columns, lost, gained }) => ({ table, columns, comes: gained, goes: lost })),
  );
  const proposed = await tryMerge(target, branch, difference, { askedBy, keepNewer, task, change });
  if ('refused' in proposed) await target.engine.forgetRows(change);
  return proposed;
}

type MergeProposal = Proposal & Required<Pick<Proposal, 'merges'>>;

async function tryMerge(
  target: GovernedTarget,
  branch: OpenBranch,
  difference: BranchDifference,
  asked: { readonly askedBy: ActorId; readonly keepNewer: boolean; readonly task: Task; readonly change: string },
): Promise<MergeProposal | Refused> {
  const { askedBy, keepNewer, task, change } = asked;
  const tables = difference.tables.map(({ table }) => table);
  const tried = await target.engine.measure({
    statements: [],
    undo: { change, keepNewer },
    settings: [],
    tables,
    baseObjects: tables,
    bounds: target.measureBounds,
    // Values come from the branch: none of them is made anew.
    repeatable: true,
  });
  const measured = hideFailingRow(tried, target.catalogue(), target.reach(task));
  if (measured.conflicts !== undefined) return { refused: changedSince(branch, measured.conflicts) };
  if (measured.failure !== undefined) return { refused: notTaken(branch, measured.failure) };
  const measurement = hideMasked(
    reached(measured.measurement, target.profile(task)),
    target.catalogue().masking,
    target.secrets,
  );
  if (!measurement.measured) return { refused: unmeasured(measurement.why) };
  const { tables: changed } = measurement.effect;
  if (rowsChanged(changed) === 0) return { refused: nothingLeft(branch) };
  const text = `CALL countersign.merge('${branch.id}'${keepNewer ? ', keep_newer => true' : ''})`;
  return {
    ...measured,
    measurement,
    statements: [{ text, parameters: [] }],
    told: [{ shape: text, command: 'MERGE' }],
    settings: [],
    effects: effectsOf(changed),
    merges: {
      branch: branch.id,
      copiedAt: branch.copy.at,
      change,
      tables,
      keepNewer,
      askedBy,
      newer: measured.newer ?? [],
    },
  };
}

/** What the task may not write, a statement of its can only have reached in the branch by a key or a trigger. */
function reached(measurement: Measurement, { write, columns }: Profile): Measurement {
  if (!measurement.measured) return measurement;
  const declared = new Set([
    ...write,
    ...columns.flatMap((grants) => (grants.write.length > 0 ? [grants.relation] : [])),
  ]);
  const tables = measurement.effect.tables.map((table) =>
    declared.has(table.table) ? table : { ...table, via: 'trigger' as const },
  );
  return { measured: true, effect: { ...measurement.effect, tables } };
}

function changedSince({ id, of, copy }: OpenBranch, conflicts: readonly string[]): Refusal {
  return {
    refused: 'stale',
    message: `Somebody has changed in ${of}, since ${id} was made of it, what would be merged: nothing was changed.`,
    detail: conflicts.join('\n'),
    hint: `Look at these rows. To leave them as they are and merge the others: countersign branch submit ${id} --keep-newer. To begin with them as they are now, make another branch (this one is of ${copy.at}).`,
  };
}

function notTaken(
  { of }: OpenBranch,
  { message, detail }: { readonly message: string; readonly detail?: string },
): Refusal {
  return {
    refused: 'stale',
    message: `${of} does not let it in: ${message}. Nothing was changed.`,
    ...(detail === undefined ? {} : { detail }),
    hint: 'Something that is in the target since, or beside it, stands in the way. Change the branch so that it fits, and submit it again.',
  };
}

function unmeasured(why: string): Refusal {
  return {
    refused: 'unavailable',
    message: `The merge could not be tried: ${why}. Nothing was changed.`,
    hint: 'Try again when the tables are less busy.',
  };
}

function nothingLeft({ id, of }: OpenBranch): Refusal {
  return {
    refused: 'denied',
    message: `Nothing is left to merge of ${id}: every row of ${of} is as the branch has it, or newer.`,
    hint: 'Nothing needs to be done.',
  };
}
