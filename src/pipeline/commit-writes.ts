import { attributeEffects } from '../analysis/attribute-effects.ts';
import type { Allowed, Decision, Held } from '../domain/decision.ts';
import { rowsChanged, type TableEffect } from '../domain/effect.ts';
import type { IntentId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { AppliedState } from '../engines/engine.ts';
import { EngineFailure, type EngineSession, type Relayed, SessionLost } from '../engines/session.ts';
import { markWritten, measureTransaction } from '../execution/measure-write.ts';
import type { WrittenStatement } from '../execution/transaction.ts';
import { GuardFailed, LedgerUnavailable } from '../ledger/ledger.ts';
import { rowsTaken } from '../planning/rows-of.ts';
import { closeIntent, openIntent } from '../store/intents.ts';
import { layAside, noneApproved } from '../store/plans.ts';
import { releaseRows, reserveRows } from '../store/tasks.ts';
import type { Write } from '../store/write.ts';
import { commitmentOf } from './commitment.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Hold } from './hold.ts';
import { keepSalts, withoutSalts } from './openings.ts';
import type { Outcome } from './outcome.ts';
import type { Proof } from './proof.ts';
import type { ReadLog } from './read-log.ts';
import { CALLED_OFF, SETTINGS_MIXED } from './session-refusals.ts';
import type { WaitingPlans } from './waiting-plans.ts';
import type { Watch } from './watch.ts';

/** Ends a transaction that wrote: measures it, decides on what was measured, and commits it or turns it into a plan (G5). */
export type CommitWrites = (request: CommitRequest) => Promise<Outcome>;

export interface CommitRequest {
  readonly connection: EngineSession;
  readonly writes: readonly WrittenStatement[];
  readonly intent: IntentId;
  readonly task: Task;
  readonly channel: Channel;
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  /** They don't all mean what they say under these: they can't become a plan. */
  readonly mixesSettings: boolean;
  readonly watch?: Watch | undefined;
  /** Sends the COMMIT; resolves to what it was answered where the actor's own COMMIT was sent. */
  commit(): Promise<Relayed | undefined>;
}

export function createCommitWrites(deps: {
  readonly target: GovernedTarget;
  readonly proof: Proof;
  readonly hold: Hold;
  readonly waiting: WaitingPlans;
  readonly readLog: ReadLog;
}): CommitWrites {
  const { target, proof } = deps;

  return async (request) => {
    const { connection, task, intent } = request;
    let tables: TableEffect[];
    let kept: boolean;
    request.watch?.step('measuring');
    try {
      ({ tables, kept } = await measured(request));
    } catch (error) {
      if (!connection.closed) await connection.own('ROLLBACK');
      if (error instanceof EngineFailure) return { outcome: 'failed', failure: error.failure };
      if (error instanceof SessionLost) throw error;
      return { outcome: 'refused', refusal: unmeasured(error) };
    }
    if (request.watch?.signal.aborted) {
      await connection.own('ROLLBACK');
      return { outcome: 'refused', refusal: CALLED_OFF };
    }
    const decision = decide(request, tables);
    if (decision.decision !== 'allow') {
      await connection.own('ROLLBACK');
      if (decision.decision === 'deny') return { outcome: 'refused', refusal: target.denial(decision) };
      return held(request, decision);
    }
    const rows = rowsChanged(tables);
    if (rows === 0) return withoutEffect(request);
    const taken = rowsTaken(target.id, tables);
    // G8: what leaves no way back here has one as a plan, whose rows are captured when it is applied.
    if (target.keepsWrites && !kept) {
      await connection.own('ROLLBACK');
      return held(request, decision);
    }
    proof.underWay.add(intent);
    const told = request.writes.map((write) => ({
      shape: write.analysis.shape,
      command: write.analysis.command,
      ...commitmentOf(write),
    }));
    try {
      // G7: the intent and its measured effect are durable before the effect is.
      await proof.record({
        kind: 'intent',
        subject: intent,
        body: { ...intentBody(request, tables, decision), statements: withoutSalts(told), kept },
        writes: [
          openIntent({ id: intent, task: task.id, target: target.id, rows: taken, at: proof.now(), node: proof.node }),
          reserveRows(task.id, taken),
          ...keepSalts(intent, told),
          ...instead(request),
        ],
      });
    } catch (error) {
      proof.underWay.delete(intent);
      await connection.own('ROLLBACK');
      if (error instanceof GuardFailed) return byItsPlan(request, decision);
      if (error instanceof LedgerUnavailable) return { outcome: 'refused', refusal: unrecorded(error) };
      throw error;
    }
    return commit(request, tables).finally(() => proof.underWay.delete(intent));
  };

  /** It was held before, at another time or under other policies: it must not take effect by itself and by its plan. */
  function instead({ task, writes, settings }: CommitRequest): readonly Write[] {
    const wish = deps.waiting.wish({ writes, settings });
    const at = proof.now();
    return wish === undefined ? [] : [noneApproved(task.id, wish, at), layAside(task.id, wish, { note: RAN, at })];
  }

  /** An approved plan stood in the way, or else the task has used up what it declared. Nothing has taken effect. */
  async function byItsPlan(request: CommitRequest, decision: Allowed): Promise<Outcome> {
    const approved = await deps.waiting.approved(request);
    if (approved !== undefined) return deps.waiting.answer(approved, request);
    return held(request, target.overTaskLimit(request.task, decision));
  }

  function held(request: CommitRequest, decision: Held | Allowed): Promise<Outcome> | Outcome {
    if (request.mixesSettings) return { outcome: 'refused', refusal: SETTINGS_MIXED };
    return deps.hold({ ...request, decision });
  }

  /** Nothing changed: there is nothing to be proven before it happens, and nothing to be found out after a crash. */
  async function withoutEffect(request: CommitRequest): Promise<Outcome> {
    for (const { analysis } of request.writes) {
      deps.readLog.note({ task: request.task.id, target: target.id, channel: request.channel, shape: analysis.shape });
    }
    try {
      const relayed = await request.commit();
      return relayed?.failure ? { outcome: 'failed', failure: relayed.failure } : { outcome: 'done', tables: [] };
    } catch (error) {
      if (!(error instanceof EngineFailure)) throw error;
      await request.connection.own('ROLLBACK');
      return { outcome: 'failed', failure: error.failure };
    }
  }

  async function measured(request: CommitRequest): Promise<{ readonly tables: TableEffect[]; readonly kept: boolean }> {
    const counted = await measureTransaction(request.connection);
    const catalogue = target.catalogue();
    const effects = request.writes.flatMap((write) => write.analysis.effects);
    return {
      tables: attributeEffects(counted, effects, catalogue),
      kept: counted.every((table) => table.kept === true),
    };
  }

  function decide(request: CommitRequest, tables: readonly TableEffect[]): Decision {
    return target.decideMeasured({
      task: request.task,
      channel: request.channel,
      analyses: request.writes.map((write) => write.analysis),
      tables,
    });
  }

  async function commit(request: CommitRequest, tables: readonly TableEffect[]): Promise<Outcome> {
    const { connection, intent } = request;
    const rows = rowsChanged(tables);
    let state: AppliedState | 'unknown';
    let reply: Outcome = { outcome: 'done', tables };
    try {
      const failed = await committed(request);
      // Only a server that can still answer has rolled back: one that fails in the middle of COMMIT may have written it.
      if (failed !== null) await connection.own('ROLLBACK');
      state = failed === null ? 'applied' : 'not applied';
      if (failed instanceof EngineFailure && givenUp(failed)) reply = { outcome: 'refused', refusal: GIVEN_UP };
      else if (failed instanceof EngineFailure) reply = { outcome: 'failed', failure: failed.failure };
    } catch (error) {
      if (!(error instanceof SessionLost)) throw error;
      state = await stateAfterLoss(intent);
      reply = { outcome: 'refused', refusal: lostAtCommit(intent, state) };
    }
    const outcome = state === 'applied' || state === 'not applied' ? state : 'indeterminate';
    try {
      await proof.record({
        kind: 'outcome',
        subject: intent,
        body: { intent, outcome, rows, tables: tables.map((table) => ({ ...table })) },
        writes: [
          ...(outcome === 'indeterminate' ? [] : [closeIntent(intent, outcome, proof.now())]),
          ...(outcome === 'not applied' ? [releaseRows(request.task.id, rowsTaken(target.id, tables))] : []),
        ],
      });
    } catch (error) {
      // The intent stands in the ledger and its mark in the target: recovery tells the outcome, or has told it already.
      if (!(error instanceof LedgerUnavailable) && !(error instanceof GuardFailed)) throw error;
      proof.log.warn({ err: error, intent, outcome }, 'the outcome of a write is left for recovery to tell');
    }
    return reply;
  }

  /** @returns `null` when it was committed; else why not, as far as the server says so. */
  async function committed({
    connection,
    intent,
    commit: ask,
  }: CommitRequest): Promise<EngineFailure | 'ROLLBACK' | null> {
    try {
      await markWritten(connection, intent);
      const relayed = await ask();
      if (relayed?.failure) return new EngineFailure(relayed.failure);
      return relayed?.commands.at(-1) === 'ROLLBACK' ? 'ROLLBACK' : null;
    } catch (error) {
      if (error instanceof EngineFailure) return error;
      throw error;
    }
  }

  /** G6: the row in the target is the truth; where even that can't be read the answer is that nobody knows. */
  async function stateAfterLoss(intent: IntentId): Promise<AppliedState | 'unknown'> {
    try {
      return await target.engine.writtenState(intent);
    } catch (error) {
      proof.log.error({ error, intent }, 'the outcome of a commit is unknown until the target can be asked');
      return 'unknown';
    }
  }

  function intentBody(request: CommitRequest, tables: readonly TableEffect[], decision: Decision) {
    return {
      intent: request.intent,
      task: request.task.id,
      actor: request.task.agent,
      onBehalfOf: request.task.onBehalfOf,
      target: target.id,
      owner: target.engine.target.owner,
      environment: target.environment.id,
      identity: target.engine.target.identity,
      channel: request.channel,
      decision: decision.decision,
      policies: decision.policies.map((reason) => reason.policy),
      policyDigest: decision.policyDigest,
      measured: tables.map((table) => ({ ...table })),
    };
  }
}

const RAN = 'its statement was sent again when it was allowed, and ran by itself';

/** The place of its mark is taken: another gateway took this one for dead, and has told that nothing took effect. */
function givenUp({ failure }: EngineFailure): boolean {
  return failure.sqlstate === '23505' && failure.message.includes('written_pkey');
}

const GIVEN_UP: Refusal = {
  refused: 'unavailable',
  message:
    'This gateway was taken for dead while it was about to commit: the write was given up, and nothing took effect.',
  hint: 'Send it again.',
};

function unmeasured(cause: unknown): Refusal {
  return {
    refused: 'unavailable',
    message: `The write could not be measured, so it was rolled back: ${cause instanceof Error ? cause.message : String(cause)}.`,
    hint: 'An operator must let the server count rows (track_counts = on).',
  };
}

function unrecorded(cause: Error): Refusal {
  return {
    refused: 'unavailable',
    message: 'The ledger can’t be written, so the write was rolled back.',
    detail: cause.message,
    hint: 'Nothing took effect. Try again when the state store is reachable.',
  };
}

function lostAtCommit(intent: IntentId, state: AppliedState | 'unknown'): Refusal {
  return {
    refused: 'unavailable',
    message:
      state === 'applied'
        ? 'The connection to the target was lost after the write was committed: it took effect.'
        : state === 'not applied'
          ? 'The connection to the target was lost before the write was committed: nothing took effect.'
          : 'The connection to the target was lost during COMMIT; whether the write took effect is not yet known.',
    hint: `Ask for the state of intent ${intent} before sending it again.`,
  };
}
