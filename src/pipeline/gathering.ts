import assert from 'node:assert/strict';
import type { Allowed, Held } from '../domain/decision.ts';
import type { EngineSession } from '../engines/session.ts';
import type { Transaction, WrittenStatement } from '../execution/transaction.ts';
import { canBeGathered, type Gathered } from './gathered.ts';
import { keepWrite } from './keep-write.ts';

/** What the open transaction of a session keeps for its COMMIT. */
export interface Gathering {
  /** `null` where nothing is kept. */
  readonly gathered: Gathered | null;
  /** Whether these are kept, in place of becoming a plan now. */
  gathers(writes: readonly Pick<WrittenStatement, 'analysis'>[]): boolean;
  /** Keeps what was tried. */
  gather(writes: readonly WrittenStatement[], decision: Held | Allowed): void;
}

export function createGathering(deps: {
  readonly transaction: () => Transaction | null;
  /** The connection on which it is. */
  readonly current: () => EngineSession | undefined;
}): Gathering {
  let kept: { readonly of: Transaction; readonly gathered: Gathered } | null = null;

  /** What was kept goes with its transaction, however that ends. */
  function gathered(): Gathered | null {
    return kept !== null && kept.of === deps.transaction() ? kept.gathered : null;
  }

  return {
    get gathered() {
      return gathered();
    },
    gathers(writes) {
      const transaction = deps.transaction();
      if (transaction === null || transaction.implicit || transaction.purpose === 'read') return false;
      if (transaction.hasSavepoints || deps.current()?.transaction !== 'open') return false;
      const definesAnything = gathered() !== null || writes.some(({ analysis }) => canBeGathered(analysis));
      return (
        definesAnything && writes.every(({ analysis }) => analysis.class.kind === 'write' || canBeGathered(analysis))
      );
    },
    gather(writes, decision) {
      const transaction = deps.transaction();
      assert(transaction !== null, 'G2: only a transaction of the actor’s own is gathered for');
      for (const write of writes) keepWrite(transaction, write);
      const before = gathered();
      const all = [...(before?.writes ?? []), ...writes];
      const strongest = before?.decision.decision === 'hold' ? before.decision : decision;
      kept = { of: transaction, gathered: { writes: all, decision: strongest } };
    },
  };
}
