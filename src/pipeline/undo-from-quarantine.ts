import type { Effect } from '../domain/effect.ts';
import type { QuarantinedObject } from '../domain/quarantine.ts';
import type { Task } from '../domain/task.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { hideFailingRow } from './hide-failing-row.ts';
import { changedSince, purged, refusedByDatabase, unmeasured } from './undo-refusals.ts';
import type { Proposal, UndoRequest } from './undo-request.ts';

/** Tries to bring back what a change has dropped into quarantine. */
export async function undoFromQuarantine(
  target: GovernedTarget,
  change: ChangeFacts,
  { askedBy, task }: Pick<UndoRequest, 'askedBy'> & { readonly task: Task },
): Promise<Proposal | Refused> {
  const kept = (await target.engine.quarantined()).find((one) => one.change === change.id);
  if (kept === undefined) return { refused: purged(change) };
  const tables = kept.objects.flatMap(({ object }) => TABLE.exec(object)?.[1] ?? []);
  const tried = await target.engine.measure({
    statements: [],
    undo: { change: change.id, keepNewer: false },
    settings: [],
    tables,
    baseObjects: tables,
    bounds: target.measureBounds,
    // No value is made: everything comes back as it was.
    repeatable: true,
  });
  const measured = hideFailingRow(tried, target.catalogue(), target.reach(task));
  if (measured.conflicts !== undefined) return { refused: changedSince(change, measured.conflicts, 'quarantine') };
  if (measured.failure !== undefined)
    return { refused: refusedByDatabase(measured.failure.message, measured.failure.detail) };
  if (!measured.measurement.measured) return { refused: unmeasured(measured.measurement.why) };
  const text = `CALL countersign.undo('${change.id}')`;
  return {
    ...measured,
    statements: [{ text, parameters: [] }],
    told: [{ shape: text, command: 'UNDO' }],
    settings: [],
    effects: effectsOn('create', kept.objects),
    undoes: { change: change.id, keepNewer: false, tables, fromQuarantine: true, askedBy, newer: [] },
  };
}

const TABLE = /^(?:partitioned )?table (.+)$/;

/** What becomes of things in quarantine, in the words of policies. */
export function effectsOn(verb: 'create' | 'drop', objects: readonly QuarantinedObject[]): readonly Effect[] {
  return objects.flatMap(({ object }): Effect[] => {
    const [, kind = '', schema = '', name = ''] = RELATION.exec(object) ?? [];
    if (kind === 'schema')
      return [{ verb, object: { kind, schema: '', name: object.slice(kind.length + 1) }, via: 'direct' }];
    const found = KINDS.find((known) => kind.endsWith(known)) ?? 'object';
    return [{ verb, object: { kind: found, schema, name }, via: 'direct' }];
  });
}

const KINDS = ['materialized view', 'foreign table', 'table', 'view', 'sequence', 'type', 'function'] as const;
const RELATION =
  /^(schema|partitioned table|foreign table|table|materialized view|view|sequence|composite type|type|function|procedure|aggregate) ([^.]*)(?:\.(.*))?$/s;
