import { shapeOf } from '../analysis/parse.ts';
import type { PreparedText } from '../domain/effect.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { WrittenStatement } from '../execution/transaction.ts';

/**
 * Writes as a plan keeps them: it is tried and applied in sessions of the gateway's own, which know nothing of what the
 * actor has prepared, so the PREPARE goes before the first EXECUTE of it.
 */
export function plannedWrites(writes: readonly WrittenStatement[]): readonly WrittenStatement[] | Refusal {
  const planned: WrittenStatement[] = [];
  const named = new Set<string>();
  for (const write of writes) {
    const { executes } = write.analysis;
    if (executes?.by === 'protocol') return PREPARED_BY_PROTOCOL;
    if (write.analysis.takesRows === true) return ROWS_OF_THEIR_OWN;
    if (write.sealed !== undefined) return VALUES_TOO_LARGE;
    if (executes !== undefined && !named.has(executes.name)) {
      named.add(executes.name);
      planned.push(preparing(executes));
    }
    planned.push(write);
  }
  return planned;
}

/** By itself it changes nothing: the effects are those of the EXECUTE. */
function preparing({ name, text }: PreparedText): WrittenStatement {
  return {
    statement: { text, parameters: [] },
    analysis: {
      class: { kind: 'session', act: { act: 'prepare', name, text } },
      effects: [],
      unknown: [],
      vouchable: [],
      shape: shapeOf(text),
      command: 'PREPARE',
    },
  };
}

const ROWS_OF_THEIR_OWN: Refusal = {
  refused: 'overLimit',
  message:
    'These rows may not be copied without a person’s approval, and copied rows can’t wait as a plan: none was kept.',
  hint: 'Copy fewer rows at a time, open a task that declares more, or send INSERT, which can become a plan.',
};

/** The most that the values of one statement may take up where they may have to wait as a plan. */
export const MAX_PLANNED_BIND_MB = 16;

export const VALUES_TOO_LARGE: Refusal = {
  refused: 'overLimit',
  message: 'This would have to become a plan, and its values are too large for one. Nothing was changed.',
  hint: `A plan keeps values up to ${MAX_PLANNED_BIND_MB} MB a statement and 64 MB a transaction. Larger ones are carried where the task allows the statement by itself: change fewer rows at a time, or open a task that declares more.`,
};

const PREPARED_BY_PROTOCOL: Refusal = {
  refused: 'unsupported',
  message: 'EXECUTE of a statement that was prepared by the driver can’t become a plan.',
  hint: 'Send the statement itself with its values, or prepare it with PREPARE.',
};
