import type { Task } from '../domain/task.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import type { ChangeFacts } from './change-facts.ts';
import { commitment } from './commitment.ts';
import { dryRun } from './dry-run.ts';
import type { Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideMasked } from './hide-masked.ts';
import { changedSince, refusedByDatabase, unmeasured } from './undo-refusals.ts';
import type { Proposal, UndoRequest } from './undo-request.ts';
import { withSearchPath } from './waiting-plans.ts';

/** Tries the statements that make the definitions as they were, unless somebody has changed them since. */
export async function undoByStatements(
  target: GovernedTarget,
  change: ChangeFacts,
  { askedBy, task }: Pick<UndoRequest, 'askedBy'> & { readonly task: Task },
): Promise<Proposal | Refused> {
  const made = change.record?.plan.measurement;
  const effect = made?.measured === true ? made.effect : undefined;
  const { inverse, objects = [] } = effect ?? {};
  if (inverse === undefined || 'why' in inverse) return { refused: unmeasured('its definitions were not kept') };
  const changed = objects.map(({ object }) => object);
  if ((await target.engine.definitionsNow(changed)) !== inverse.leaves) {
    return {
      refused: changedSince(change, [`one of these is no longer as the change has left it: ${changed.join(', ')}`]),
    };
  }
  const settings = withSearchPath([], target);
  const writes: WrittenStatement[] = [];
  for (const text of inverse.statements) {
    const analysis = target.analyse(text, settings);
    if ('sqlstate' in analysis) return { refused: refusedByDatabase(analysis.message, text) };
    writes.push({ statement: { text, parameters: [] }, analysis });
  }
  const measured = await dryRun(target, { task, writes, settings });
  if (measured.failure !== undefined)
    return { refused: refusedByDatabase(measured.failure.message, measured.failure.detail) };
  if (!measured.measurement.measured) return { refused: unmeasured(measured.measurement.why) };
  const effects = writes.flatMap(({ analysis }) => analysis.effects);
  const { effect: found } = measured.measurement;
  const attributed = { ...found, tables: target.attribute(found.tables, effects) };
  return {
    ...measured,
    measurement: hideMasked({ measured: true, effect: attributed }, target.catalogue().masking, target.secrets),
    statements: writes.map(({ statement }) => statement),
    told: writes.map(({ statement, analysis }) => ({
      shape: analysis.shape,
      command: analysis.command,
      ...commitment(statement),
    })),
    settings,
    effects,
    undoes: { change: change.id, keepNewer: false, tables: [], askedBy, newer: [] },
  };
}
