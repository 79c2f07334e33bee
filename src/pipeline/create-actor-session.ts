import assert from 'node:assert/strict';
import type { Analysis, PreparedText, SessionAct, TransactionAct } from '../domain/effect.ts';
import type { IntentId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';
import type { Task } from '../domain/task.ts';
import type { ProfileLogins, TargetEngine } from '../engines/engine.ts';
import { EngineFailure, type EngineSession, type Relayed, type ReplySink } from '../engines/session.ts';
import { createConnections } from '../execution/connections.ts';
import { type HeldBack, rowsAfterHeld } from '../execution/copy-rows.ts';
import { beginMeasured, flushCounters } from '../execution/measure-write.ts';
import { createHeldOutput, type HeldOutput } from '../execution/output.ts';
import type { Transaction } from '../execution/transaction.ts';
import type { ActorSession, CarryTransaction, Runnable } from './actor-session.ts';
import { NOTHING_AHEAD } from './ahead.ts';
import type { CommitWrites } from './commit-writes.ts';
import { createHoldings } from './holdings.ts';
import type { Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';
import type { ReadLog } from './read-log.ts';
import { createRunning } from './running.ts';
import {
  ANSWER_TOO_LARGE,
  CLOSED,
  expired,
  HELD_OUTPUT_MB,
  LOST,
  RESET_INSIDE,
  TOO_MANY_CURSORS,
  UNRECORDED,
} from './session-refusals.ts';

const DONE: Outcome = { outcome: 'done' };

export interface ActorSessionDeps {
  readonly task: Task;
  readonly channel: Channel;
  readonly engine: TargetEngine;
  readonly logins: ProfileLogins;
  readonly judge: (
    text: string,
    settings: readonly { readonly name: string; readonly value: string }[],
    prepared: (name: string) => PreparedText | undefined,
  ) => Judgement;
  readonly commitWrites: CommitWrites;
  readonly readLog: ReadLog;
  readonly now: () => number;
  readonly newIntentId: () => IntentId;
  readonly onClosed: (session: ActorSession) => void;
  readonly onLost: (reason: Error) => void;
}

const HELD_OUTPUT_BYTES = HELD_OUTPUT_MB * 1024 * 1024;

export function createActorSession(deps: ActorSessionDeps): ActorSession {
  const { task, engine } = deps;
  let notified: (message: Buffer) => void = () => undefined;
  const connections = createConnections(engine, deps.logins, {
    onLost: deps.onLost,
    onNotification: (message) => {
      if (standing() === undefined) notified(message);
    },
  });
  const expiresAtMs = Date.parse(task.expiresAt);
  let transaction: Transaction | null = null;
  let held: HeldOutput | null = null;
  let stopped: Refusal | undefined;
  let ended: Refusal | undefined;
  let closed = false;
  let failedInBatch = false;
  const running = createRunning({ ...deps, stopped: () => ended ?? stopped });
  const holdings = createHoldings({ connections, transaction: () => transaction, current });

  function standing(): Refusal | undefined {
    if (ended !== undefined) return ended;
    if (stopped !== undefined) return stopped;
    if (closed) return CLOSED;
    if (deps.now() >= expiresAtMs) return expired(task);
    if (deps.readLog.full) return UNRECORDED;
    return undefined;
  }

  async function begin(purpose: 'read' | 'write', pinned: boolean): Promise<EngineSession> {
    const connection = await connections.open(purpose);
    if (purpose === 'write') await beginMeasured(connection);
    else if (pinned) await connection.own('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY', PIN);
    transaction = { purpose, implicit: true, writes: [], settings: [], localSettings: [], intent: deps.newIntentId() };
    held = purpose === 'write' ? createHeldOutput(HELD_OUTPUT_BYTES) : null;
    return connection;
  }

  async function rollBack(): Promise<void> {
    if (transaction === null) return;
    const connection = connections.opened(transaction.purpose);
    noteUndone(transaction);
    transaction = null;
    held = null;
    if (connection !== undefined && connection.transaction !== 'idle') await connection.own('ROLLBACK');
  }

  /** Statements whose effect was taken back ran all the same: the ledger tells of them as of reads. */
  function noteUndone({ writes }: Transaction): void {
    for (const { analysis } of writes) noteShape(analysis);
  }

  function noteShape({ shape }: Analysis): void {
    deps.readLog.note({ task: task.id, target: engine.target.id, channel: deps.channel, shape });
  }

  function heldBack(): HeldBack | null {
    return transaction?.implicit === true && held !== null ? { output: held, writes: transaction.writes.length } : null;
  }

  function current(): EngineSession | undefined {
    return transaction === null ? undefined : connections.opened(transaction.purpose);
  }

  /** Ends the transaction for good or ill once its effect is measured; the commit itself is carried by `commit`. */
  async function commitMeasured(commit: (connection: EngineSession) => Promise<Relayed | undefined>): Promise<Outcome> {
    assert(transaction !== null && transaction.purpose === 'write', 'G5: only a write transaction is measured');
    const connection = connections.opened('write');
    assert(connection !== undefined);
    const { writes, intent } = transaction;
    const underSettings = holdings.settings();
    const outcome = await deps.commitWrites({
      connection,
      writes,
      intent,
      task,
      channel: deps.channel,
      settings: underSettings,
      watch: session.watch,
      commit: () => commit(connection),
    });
    if (outcome.outcome === 'done') await holdings.committed(transaction, connection);
    transaction = null;
    return outcome;
  }

  async function settle(sink: ReplySink): Promise<Outcome> {
    failedInBatch = false;
    if (transaction === null || !transaction.implicit) return DONE;
    const connection = current();
    if (connection === undefined || connection.closed) {
      transaction = null;
      held = null;
      return { outcome: 'refused', refusal: LOST };
    }
    if (transaction.purpose === 'read') {
      transaction = null;
      await connection.own('COMMIT');
      return DONE;
    }
    const output = held;
    const halted = ended ?? stopped;
    if (connection.transaction === 'failed' || halted !== undefined) {
      await rollBack();
      // The error is part of what was held back.
      await output?.release(sink);
      return halted === undefined ? DONE : { outcome: 'refused', refusal: halted };
    }
    if (output?.overflowed) {
      await rollBack();
      return { outcome: 'refused', refusal: ANSWER_TOO_LARGE };
    }
    const outcome = await commitMeasured(async (write) => {
      await write.own('COMMIT');
      return undefined;
    });
    held = null;
    if (outcome.outcome === 'done') await output?.release(sink);
    return outcome;
  }

  /** What was held back goes first: replies come in order. */
  async function releaseHeld(sink: ReplySink): Promise<Refusal | undefined> {
    const output = held;
    held = null;
    if (output?.overflowed) {
      await rollBack();
      return ANSWER_TOO_LARGE;
    }
    await output?.release(sink);
    return undefined;
  }

  async function transact(act: TransactionAct, carry: CarryTransaction, sink: ReplySink): Promise<Outcome> {
    const refusal = act.act === 'commit' ? undefined : await releaseHeld(sink);
    if (refusal !== undefined) return { outcome: 'refused', refusal };
    switch (act.act) {
      case 'begin': {
        if (transaction !== null) {
          const connection = current();
          assert(connection !== undefined);
          transaction.implicit = false;
          await carry(connection, sink);
          return DONE;
        }
        const purpose = connections.canWrite && !act.readOnly ? 'write' : 'read';
        const connection = await connections.open(purpose);
        if (purpose === 'write') await flushCounters(connection);
        const relayed = await carry(connection, sink);
        if (relayed.failure !== null) return DONE;
        transaction = {
          purpose,
          implicit: false,
          writes: [],
          settings: [],
          localSettings: [],
          intent: deps.newIntentId(),
        };
        if (purpose === 'read') await connection.own('SET TRANSACTION READ ONLY');
        return DONE;
      }
      case 'commit': {
        const connection = current() ?? (await connections.open('read'));
        const halted = standing();
        if (halted !== undefined && connection.transaction !== 'idle') {
          await rollBack();
          return { outcome: 'refused', refusal: halted };
        }
        const measured = transaction?.purpose === 'write' && connection.transaction === 'open';
        if (!measured || transaction?.writes.length === 0) {
          const ending = transaction;
          if (ending !== null) noteUndone(ending);
          transaction = null;
          const { failure, commands } = await carry(connection, sink);
          const committed = failure === null && commands.at(-1) === 'COMMIT';
          if (committed && ending !== null) await holdings.committed(ending, connection);
          return DONE;
        }
        const output = createHeldOutput(HELD_OUTPUT_BYTES);
        const earlier = held;
        const outcome = await commitMeasured(() => carry(connection, output));
        held = null;
        if (outcome.outcome === 'done') {
          await earlier?.release(sink);
          await output.release(sink);
        }
        // What the actor sent was COMMIT, and in its place the approved plan was applied.
        return outcome.outcome === 'applied' ? { ...outcome, answers: answeredAs('COMMIT', outcome.answers) } : outcome;
      }
      case 'rollback': {
        const connection = current() ?? (await connections.open('read'));
        if (transaction !== null) noteUndone(transaction);
        transaction = null;
        held = null;
        await carry(connection, sink);
        return DONE;
      }
      case 'savepoint':
      case 'release':
      case 'rollback to': {
        await carry(current() ?? (await connections.open('read')), sink);
        if (act.act === 'rollback to') await holdings.rolledBackTo();
        return DONE;
      }
      default:
        return act satisfies never;
    }
  }

  function purposeOf(judgement: Judgement | null): 'read' | 'write' {
    if (judgement === null || !connections.canWrite) return 'read';
    if (judgement.verdict === 'hold' || judgement.verdict === 'plan') return 'write';
    return judgement.verdict === 'run' && judgement.how === 'write' ? 'write' : 'read';
  }

  function leavesReading(judgement: Runnable): boolean {
    const writes = judgement.verdict === 'run' && judgement.how === 'write';
    return writes && transaction?.implicit === true && transaction.purpose === 'read';
  }

  async function adopt(act: SessionAct, made: EngineSession, carry: () => Promise<Relayed>): Promise<Outcome> {
    if (act.act === 'discard' && act.what === 'settings' && transaction !== null) {
      return { outcome: 'refused', refusal: RESET_INSIDE };
    }
    const { failure } = await holdings.adopt(act, made, carry);
    if (failure !== null) failedInBatch = true;
    return DONE;
  }

  function judge(text: string, ahead = NOTHING_AHEAD): Judgement {
    const judgement = deps.judge(text, holdings.settings(ahead.settings), (name) => {
      const coming = ahead.prepared.get(name);
      return coming === undefined ? holdings.prepared.get(name) : (coming ?? undefined);
    });
    if (judgement.verdict !== 'run') return judgement;
    const { analysis } = judgement;
    if (analysis.holdsCursor === undefined || holdings.hasRoomFor(analysis.holdsCursor)) return judgement;
    return { verdict: 'unsupported', analysis, refusal: TOO_MANY_CURSORS };
  }

  function noteCursor({ holdsCursor }: Analysis): void {
    const connection = current() ?? connections.opened('read');
    if (holdsCursor !== undefined && connection !== undefined) holdings.noteCursor(holdsCursor, connection);
  }

  const session: ActorSession = {
    task,
    channel: deps.channel,
    connections,
    watch: undefined,
    get transaction() {
      if (transaction === null || transaction.implicit) return 'idle';
      return current()?.transaction ?? 'failed';
    },
    standing,
    judge,
    prepared: holdings.prepared,
    async ready({ analysis }, connection, sink) {
      const ready = await holdings.ready(analysis, connection, sink);
      if (!ready) failedInBatch = true;
      return ready;
    },
    mayWrite: (judgement) =>
      judgement.verdict === 'run' &&
      (judgement.how === 'write' || (judgement.how === 'pinned read' && transaction?.purpose === 'write')),
    settings: () => holdings.settings(),
    get pendingWrites() {
      return transaction?.writes ?? [];
    },
    enter(judgement) {
      const place = judgement.verdict === 'session' ? holdings.place(judgement.act) : undefined;
      if (place !== undefined) return place;
      const inside = current();
      if (transaction !== null) {
        if (inside === undefined) throw new RefusalError(LOST);
        if (!leavesReading(judgement)) return inside;
        // A batch that read in a pinned transaction now writes: the read is over and its transaction too.
        return settle(NOWHERE).then(() => begin('write', false));
      }
      if (judgement.verdict === 'run' && judgement.how !== 'read') {
        return begin(judgement.how === 'write' ? 'write' : 'read', judgement.how === 'pinned read');
      }
      return connections.opened('read') ?? connections.open('read');
    },
    mustBegin: (judgement) =>
      transaction === null ? judgement.verdict === 'run' && judgement.how !== 'read' : leavesReading(judgement),
    connectionFor(judgement) {
      const inside = current();
      if (inside !== undefined) return inside;
      const purpose = purposeOf(judgement);
      return connections.opened(purpose) ?? connections.open(purpose);
    },
    adopt,
    preset: holdings.preset,
    onNotification(listener) {
      notified = listener;
    },
    noteFailure() {
      failedInBatch = true;
    },
    get failedInBatch() {
      return failedInBatch;
    },
    output: (sink) => (transaction?.implicit && held !== null ? held : sink),
    note(write) {
      assert(transaction !== null, 'G5: a write runs only in a transaction that will be measured');
      transaction.writes.push(write);
      noteCursor(write.analysis);
    },
    relay: (connection, frames, replies, sink, rows) =>
      running.relay(
        connection,
        frames,
        replies,
        sink,
        rows === undefined ? undefined : rowsAfterHeld(rows, () => heldBack()),
      ),
    transact,
    settle,
    noteRead(analysis) {
      noteCursor(analysis);
      noteShape(analysis);
    },
    async fail() {
      const connection = current();
      if (transaction === null || connection === undefined || connection.transaction !== 'open') return;
      try {
        await connection.own(FAIL_TRANSACTION);
      } catch (error) {
        if (!(error instanceof EngineFailure)) throw error;
      }
    },
    async renew(logins) {
      if (!holdings.onConnections) await connections.renew(logins);
    },
    cancel: running.cancel,
    async stop(reason) {
      stopped = reason;
      await running.interrupt();
    },
    resume() {
      stopped = undefined;
    },
    async end(reason) {
      ended = reason;
      await running.interrupt();
    },
    async close() {
      if (closed) return;
      closed = true;
      running.close();
      await connections.close();
      deps.onClosed(session);
    },
  };
  return session;
}

/** One answer in place of several, with all that they told. */
function answeredAs(command: string, answers: readonly StatementAnswer[]): readonly StatementAnswer[] {
  return [{ command, notices: answers.flatMap(({ notices }) => notices) }];
}

/** After this the transaction can no longer be made read-write (MECHANISMS: a snapshot has been taken). */
const PIN = 'SELECT 1 FROM pg_catalog.pg_class LIMIT 1';

/** No SQL, so that the server aborts the transaction; the words stand in its log for whoever reads it. */
const FAIL_TRANSACTION = 'countersign refused a statement of this transaction';

const NOWHERE: ReplySink = { write: () => true, drained: () => Promise.resolve() };
