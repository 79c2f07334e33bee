import { affectedTables } from '../analysis/affected-objects.ts';
import type { Allowed, Held } from '../domain/decision.ts';
import type { Analysis } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import type { Judgement } from './judge.ts';

/**
 * Changes of definitions that an actor makes inside a transaction of its own. No session's login could make them (G4): each
 * is tried with those before it as it comes, and at COMMIT all of them, with what else the transaction wrote, are one plan.
 */
export interface Gathered {
  /** What was tried, and runs nowhere before the plan does, in order. */
  readonly writes: readonly WrittenStatement[];
  readonly decision: Held | Allowed;
}

/** Only what can be tried, taken back, and made again along with the rest. */
export function canBeGathered({ class: kind, unknown }: Analysis): boolean {
  return kind.kind === 'change' && kind.transactional && unknown.length === 0;
}

/** What becomes of a statement that follows: the session's connection doesn't see what was only gathered. */
export function judgeBeside(seen: Judgement, gathered: Gathered, catalogue: Catalogue): Judgement {
  // What is already so in the database may not be in the transaction.
  const judgement = seen.verdict === 'already so' ? seen.otherwise : seen;
  if (judgement.verdict !== 'run' || !isTouched(judgement.analysis, gathered, catalogue)) return judgement;
  const { analysis, decision } = judgement;
  if (judgement.how === 'write' && analysis.takesRows !== true) {
    const { instead } = judgement;
    return { verdict: 'plan', analysis, decision, ...(instead === undefined ? {} : { instead }) };
  }
  return { verdict: 'unsupported', analysis, refusal: SEEN_AT_COMMIT };
}

function isTouched({ effects }: Analysis, { writes }: Gathered, catalogue: Catalogue): boolean {
  const changed = new Set<string>();
  for (const { analysis } of writes) {
    for (const { verb, object } of analysis.effects) {
      if (verb === 'read') continue;
      // What hangs on a type, a function or a schema that changes can't be told by names.
      if (verb !== 'create' && !RELATIONS.has(object.kind)) return effects.length > 0;
      changed.add(nameOf(object));
    }
    for (const table of affectedTables(analysis, catalogue)) changed.add(table);
  }
  return effects.some(({ object }) => CATALOGUES.has(object.schema) || changed.has(nameOf(object)));
}

const RELATIONS: ReadonlySet<ObjectRef['kind']> = new Set(['table', 'view', 'materialized view', 'sequence', 'index']);

/** They tell of definitions, and not yet of those that were gathered. */
const CATALOGUES = new Set(['pg_catalog', 'information_schema']);

function nameOf({ schema, name }: ObjectRef): string {
  return `${schema}.${name}`;
}

export const SEEN_AT_COMMIT: Refusal = {
  refused: 'unsupported',
  message: 'It would return rows that depend on definitions this transaction changes, and those change at COMMIT.',
  hint: 'Send COMMIT first, or leave out RETURNING. Or change the definitions in a transaction of their own.',
};

export const NO_SAVEPOINT_NOW: Refusal = {
  refused: 'unsupported',
  message:
    'SAVEPOINT is not carried in a transaction that has changed definitions: they are made at COMMIT, all or none.',
  hint: 'Leave out savepoints around definitions (psql: \\set ON_ERROR_ROLLBACK off).',
};

/** Each is tried with all before it. */
export const MAX_GATHERED = 500;

export const TOO_MANY_GATHERED: Refusal = {
  refused: 'overLimit',
  message: `One transaction changes at most ${MAX_GATHERED} definitions, statement by statement.`,
  hint: 'Send them as one text: then they are tried, and planned, together.',
};

/** @param why it could not be tried. */
export function notTried(why: string): Refusal {
  return {
    refused: 'unavailable',
    message: `It could not be tried inside this transaction: ${why}.`,
    hint: 'End the transaction and send it by itself: then it becomes a plan.',
  };
}
