import type { Analyse } from '../analysis/analysis-cache.ts';
import type { TargetId } from '../domain/ids.ts';
import type { TargetEngine } from '../engines/engine.ts';
import type { Appended } from '../ledger/ledger.ts';
import type { Decide } from '../policy/decide.ts';
import type { ActorSession } from './actor-session.ts';
import type { ApplyPlan } from './apply-plan.ts';
import type { Steps } from './carry-query.ts';
import type { CommitWrites } from './commit-writes.ts';
import type { Hold } from './hold.ts';
import type { Proof } from './proof.ts';
import type { ReceiveVerdict } from './verdicts.ts';

/**
 * Watches the pipeline at work. Each member takes a part when it is wired and hands back one that does the same and is
 * seen doing it; what is not watched costs nothing. An observer never changes an answer and never fails a statement.
 */
export interface Observer {
  /** Analysis of a text that was not known. */
  readonly analysing: (analyse: Analyse) => Analyse;
  /** Asking the policies, where the answer was not known. */
  readonly deciding: (decide: Decide) => Decide;
  /** Dry runs and applies. */
  readonly engine: (engine: TargetEngine) => TargetEngine;
  readonly holding: (hold: Hold, target: TargetId) => Hold;
  readonly committing: (commitWrites: CommitWrites, target: TargetId) => CommitWrites;
  /** A session that was opened, and what happens to statements of it that don't simply run. */
  readonly session: (opened: OpenedSession, target: TargetId) => OpenedSession;
  /** Bringing facts into the ledger. */
  readonly proving: (proof: Proof) => Proof;
  readonly approving: (receive: ReceiveVerdict) => ReceiveVerdict;
  readonly applying: (apply: ApplyPlan) => ApplyPlan;
  /** The ledger has made a batch durable. */
  readonly appended: (batch: Appended) => void;
}

export interface OpenedSession {
  readonly session: ActorSession;
  readonly steps: Steps;
}

export const UNOBSERVED: Observer = {
  analysing: (analyse) => analyse,
  deciding: (decide) => decide,
  engine: (engine) => engine,
  holding: (hold) => hold,
  committing: (commitWrites) => commitWrites,
  session: (opened) => opened,
  proving: (proof) => proof,
  approving: (receive) => receive,
  applying: (apply) => apply,
  appended: () => undefined,
};
