import assert from 'node:assert/strict';
import { changesMeaning } from '../analysis/settings.ts';
import type { Analysis, PreparedText, SessionAct, TransactionAct } from '../domain/effect.ts';
import type { IntentId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { failureOf, type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { ProfileLogins, TargetEngine } from '../engines/engine.ts';
import { quoteIdentifier, quoteLiteral } from '../engines/postgres/quote.ts';
import { copyFail, errorResponse } from '../engines/postgres/wire-messages.ts';
import {
  type CopySource,
  EngineFailure,
  type EngineSession,
  type ExpectedReply,
  type Relayed,
  type ReplySink,
  SessionLost,
  type TransactionStatus,
} from '../engines/session.ts';
import { type Connections, createConnections, type Setting } from '../execution/connections.ts';
import { beginMeasured, flushCounters } from '../execution/measure-write.ts';
import { createHeldOutput, type HeldOutput } from '../execution/output.ts';
import { type PreparedStatement, prepareOn } from '../execution/prepared-statements.ts';
import type { Transaction, WrittenStatement } from '../execution/transaction.ts';
import { type Ahead, NOTHING_AHEAD, type SettingAhead } from './ahead.ts';
import type { CommitWrites } from './commit-writes.ts';
import type { Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';
import type { ReadLog } from './read-log.ts';
import {
  ANSWER_TOO_LARGE,
  CANCELLED,
  CLOSED,
  expired,
  HELD_OUTPUT_MB,
  LOST,
  overdue,
  RESET_INSIDE,
  TERMINATED,
  UNRECORDED,
} from './session-refusals.ts';
import type { Watch } from './watch.ts';

/**
 * One actor's session on one target: where the way of a statement meets the connections it travels on. A channel asks
 * it, in this order, for every statement: `judge`, `enter`, `relay`; and `settle` at the end of each batch (a Query
 * message, or all up to a Sync).
 */
export interface ActorSession {
  readonly task: Task;
  readonly channel: Channel;
  readonly transaction: TransactionStatus;
  readonly connections: Connections;
  /** Who waits for what runs now, where a channel can say so. */
  watch: Watch | undefined;

  /** Why nothing may run now (halted, expired, closed), or `undefined`. */
  standing(): Refusal | undefined;
  /** What is to become of a statement. Cached; no I/O. */
  judge(text: string, ahead?: Ahead): Judgement;
  /** Whether a statement, where it runs now, could change anything: then it is noted, and measured. */
  mayWrite(judgement: Judgement): boolean;
  /** The connection on which a judged statement runs, in the transaction it needs. */
  enter(judgement: Runnable): EngineSession | Promise<EngineSession>;
  /** Whether entering begins or ends a transaction: then no message of the actor's may be half-way. */
  mustBegin(judgement: Runnable): boolean;
  /** What the actor has prepared, by name. */
  readonly prepared: Map<string, PreparedStatement>;
  /**
   * Makes sure that the connection knows what an EXECUTE names. False when the database refused it: the sink was told, and
   * the batch has failed.
   */
  ready(judgement: Runnable, connection: EngineSession, sink: ReplySink): Promise<boolean>;
  /** The connection on which a statement is prepared or described, outside of what running it would need. */
  connectionFor(judgement: Judgement | null): EngineSession | Promise<EngineSession>;
  /** Where its replies go: held back while they depend on a commit that is still to be measured. */
  output(sink: ReplySink): ReplySink;
  /** Notes a write that is about to run, so that it can be measured and, if need be, planned. */
  note(write: WrittenStatement): void;
  /** Writes of the open transaction that are not committed yet. */
  readonly pendingWrites: readonly WrittenStatement[];
  /** The settings under which a statement sent now would be understood. */
  settings(): readonly { readonly name: string; readonly value: string }[];
  /** Sends frames and hands the replies to the sink; stops it in time (G11). */
  relay(
    connection: EngineSession,
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink,
    rows?: CopySource,
  ): Promise<Relayed>;
  /** Carries SET and its kin, and keeps the session's connections alike. */
  adopt(act: SessionAct, connection: EngineSession, carry: () => Promise<Relayed>): Promise<Outcome>;
  /** Carries BEGIN, COMMIT and their kin. COMMIT measures first. */
  transact(act: TransactionAct, carry: CarryTransaction, sink: ReplySink): Promise<Outcome>;
  /** Ends the batch: an implicit transaction is measured and committed, or undone. */
  settle(sink: ReplySink): Promise<Outcome>;
  /** The database refused a statement: nothing more of this batch may run. */
  noteFailure(): void;
  readonly failedInBatch: boolean;
  /** Takes note of a read that ran. */
  noteRead(analysis: Analysis): void;
  /** Brings an open explicit transaction into the failed state after a refusal, as PostgreSQL does after an error. */
  fail(): Promise<void>;

  /** Makes a setting that came with the start-up. @throws EngineFailure when the database doesn't take it. */
  preset(name: string, value: string): Promise<void>;
  cancel(): Promise<void>;
  /** Stops what runs and refuses what comes, until `resume`. */
  stop(reason: Refusal): Promise<void>;
  resume(): void;
  /** Stops for good. */
  end(reason: Refusal): Promise<void>;
  close(): Promise<void>;
}

/** Judgements that end in frames being sent. */
export type Runnable = Extract<Judgement, { verdict: 'run' | 'session' | 'transaction' }>;

/** How to send the actor's own frames on a connection. */
export type CarryTransaction = (connection: EngineSession, sink: ReplySink) => Promise<Relayed>;

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
/** How long a cancelled statement may take to end before its server process is ended (G11). */
const CANCEL_GRACE_MS = 40;

export function createActorSession(deps: ActorSessionDeps): ActorSession {
  const { task, engine } = deps;
  const connections = createConnections(engine, deps.logins, deps.onLost);
  const expiresAtMs = Date.parse(task.expiresAt);
  let transaction: Transaction | null = null;
  let held: HeldOutput | null = null;
  let stopped: Refusal | undefined;
  let ended: Refusal | undefined;
  let busy: { readonly connection: EngineSession; readonly sinceMs: number; overdue: boolean } | null = null;
  let closed = false;
  let failedInBatch = false;
  const prepared = new Map<string, PreparedStatement>();

  const watch = setInterval(() => endOverdue(), 100);
  watch.unref();

  function endOverdue(): void {
    if (busy === null || busy.overdue || deps.now() - busy.sinceMs < task.limits.statementTimeoutMs) return;
    busy.overdue = true;
    interrupt(busy.connection).catch(deps.onLost);
  }

  /** Cancels, and ends the server process if that didn't help: a cancellation can be caught by the code that runs. */
  async function interrupt(connection: EngineSession): Promise<void> {
    const interrupted = busy;
    await connection.cancel();
    await new Promise((resolve) => setTimeout(resolve, CANCEL_GRACE_MS));
    if (busy === null || busy !== interrupted) return;
    await engine.terminate([connection.processId]);
  }

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
    transaction = null;
    held = null;
    if (connection !== undefined && connection.transaction !== 'idle') await connection.own('ROLLBACK');
  }

  function current(): EngineSession | undefined {
    return transaction === null ? undefined : connections.opened(transaction.purpose);
  }

  async function relay(
    connection: EngineSession,
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink,
    rows?: CopySource,
  ): Promise<Relayed> {
    const mine = { connection, sinceMs: deps.now(), overdue: false };
    busy = mine;
    const whyEnded = (): Refusal | undefined => ended ?? stopped ?? (mine.overdue ? overdue(task) : undefined);
    try {
      return await connection.relay(frames, replies, sink, {
        instead: ({ sqlstate }) => {
          const refusal = sqlstate === CANCELLED || sqlstate === TERMINATED ? whyEnded() : undefined;
          return refusal === undefined ? undefined : failureOf(refusal);
        },
        rows: rows === undefined ? undefined : afterHeld(rows),
      });
    } catch (error) {
      const refusal = whyEnded();
      if (error instanceof SessionLost && refusal !== undefined) throw new RefusalError(refusal, { cause: error });
      throw error;
    } finally {
      if (busy === mine) busy = null;
    }
  }

  /** What is held back goes before the server's call for rows, unless it answers a write that isn't committed yet. */
  function afterHeld(rows: CopySource): CopySource {
    let starting: Promise<void> = Promise.resolve();
    return {
      sink: rows.sink,
      start(response, target) {
        if (transaction?.implicit !== true || held === null) return rows.start(response, target);
        if (transaction.writes.length > 1) {
          target.write(copyFail('it came in one batch with another write, whose answer must wait'));
          return;
        }
        starting = held.release(rows.sink).then(() => rows.start(response, target));
      },
      async stop() {
        await starting;
        await rows.stop();
      },
    };
  }

  /** Ends the transaction for good or ill once its effect is measured; the commit itself is carried by `commit`. */
  async function commitMeasured(commit: (connection: EngineSession) => Promise<Relayed | undefined>): Promise<Outcome> {
    assert(transaction !== null && transaction.purpose === 'write', 'G5: only a write transaction is measured');
    const connection = connections.opened('write');
    assert(connection !== undefined);
    const { writes, intent } = transaction;
    const underSettings = settings();
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
    if (outcome.outcome === 'done')
      for (const setting of transaction.settings) await connections.adopt(setting, connection);
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

  async function transact(act: TransactionAct, carry: CarryTransaction, sink: ReplySink): Promise<Outcome> {
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
          const made = transaction?.settings ?? [];
          transaction = null;
          const { failure, commands } = await carry(connection, sink);
          if (failure === null && commands.at(-1) === 'COMMIT') {
            for (const setting of made) await connections.adopt(setting, connection);
          }
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
        return outcome.outcome === 'applied' ? { ...outcome, command: 'COMMIT' } : outcome;
      }
      case 'rollback': {
        const connection = current() ?? (await connections.open('read'));
        transaction = null;
        held = null;
        await carry(connection, sink);
        return DONE;
      }
      case 'savepoint':
      case 'release':
      case 'rollback to': {
        await carry(current() ?? (await connections.open('read')), sink);
        if (act.act === 'rollback to') await resyncSearchPath();
        return DONE;
      }
      default:
        return act satisfies never;
    }
  }

  function settings(ahead: readonly SettingAhead[] = []): readonly { readonly name: string; readonly value: string }[] {
    const kept = connections.settings().filter(({ name }) => changesMeaning(name));
    const made = [...(transaction?.settings ?? []), ...(transaction?.localSettings ?? []), ...ahead];
    if (made.length === 0) return kept;
    const now = new Map<string, string | null>(kept.map(({ name, value }) => [name, value]));
    for (const { name, value } of made) now.set(name, value);
    return [...now].flatMap(([name, value]) => (value === null || !changesMeaning(name) ? [] : [{ name, value }]));
  }

  /** Settings made after a savepoint went with it, and only the server knows which: names must mean what they mean to it. */
  async function resyncSearchPath(): Promise<void> {
    const connection = current();
    if (transaction === null || connection === undefined || connection.transaction !== 'open') return;
    if (transaction.settings.length === 0 && transaction.localSettings.length === 0) return;
    const [shown] = await connection.own("SELECT pg_catalog.current_setting('search_path')");
    const value = shown?.rows[0]?.[0] ?? '';
    transaction.localSettings.push({ name: 'search_path', value });
  }

  function purposeOf(judgement: Judgement | null): 'read' | 'write' {
    if (judgement === null || !connections.canWrite) return 'read';
    if (judgement.verdict === 'hold') return 'write';
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
    // The database answers as if there were only one connection: that the name is taken, or that it is gone.
    const named = act.act === 'prepare' || act.act === 'deallocate' ? prepared.get(act.name ?? '') : undefined;
    if (named !== undefined && made.transaction !== 'failed') await prepareOn(named, made);
    const relayed = await carry();
    if (relayed.failure !== null) {
      failedInBatch = true;
      return DONE;
    }
    if (act.act === 'set') {
      const setting = settingOf(act.name, act.value);
      if (act.local) transaction?.localSettings.push(setting);
      else if (transaction === null || transaction.implicit) await connections.adopt(setting, made);
      else transaction.settings.push(setting);
    }
    if (act.act === 'discard' && (act.what === 'all' || act.what === 'settings'))
      await connections.forgetSettings(made);
    if (act.act === 'prepare') {
      const on = new Map([[made, made.ownRuns]]);
      prepared.set(act.name, { name: act.name, text: act.text, by: 'sql', types: [], on });
    }
    if (act.act === 'deallocate') await deallocate(act.name, made);
    if (act.act === 'discard' && act.what === 'all') await deallocate(null, made);
    return DONE;
  }

  /** What is gone on one connection is gone for the actor. @param name `null` is all. */
  async function deallocate(name: string | null, made: EngineSession): Promise<void> {
    const gone = [...prepared.values()].filter((statement) => name === null || statement.name === name);
    for (const statement of gone) {
      prepared.delete(statement.name);
      for (const connection of statement.on.keys()) {
        if (connection !== made && !connection.closed)
          await connection.own(`DEALLOCATE ${quoteIdentifier(statement.name)}`);
      }
    }
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
    judge: (text, ahead = NOTHING_AHEAD) =>
      deps.judge(text, settings(ahead.settings), (name) => {
        const coming = ahead.prepared.get(name);
        return coming === undefined ? prepared.get(name) : (coming ?? undefined);
      }),
    prepared,
    async ready(judgement, connection, sink) {
      const named = judgement.analysis.executes?.name;
      const statement = named === undefined ? undefined : prepared.get(named);
      if (statement === undefined) return true;
      const failure = await prepareOn(statement, connection);
      if (failure === null) return true;
      sink.write(errorResponse(failure));
      failedInBatch = true;
      return false;
    },
    mayWrite: (judgement) =>
      judgement.verdict === 'run' &&
      (judgement.how === 'write' || (judgement.how === 'pinned read' && transaction?.purpose === 'write')),
    settings: () => settings(),
    get pendingWrites() {
      return transaction?.writes ?? [];
    },
    enter(judgement) {
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
    preset: (name, value) => connections.adopt(settingOf(name, value), null),
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
    },
    relay,
    transact,
    settle,
    noteRead(analysis) {
      deps.readLog.note({ task: task.id, target: engine.target.id, channel: deps.channel, shape: analysis.shape });
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
    async cancel() {
      if (busy !== null) await busy.connection.cancel();
    },
    async stop(reason) {
      stopped = reason;
      if (busy !== null) await interrupt(busy.connection);
    },
    resume() {
      stopped = undefined;
    },
    async end(reason) {
      ended = reason;
      if (busy !== null) await interrupt(busy.connection);
    },
    async close() {
      if (closed) return;
      closed = true;
      clearInterval(watch);
      await connections.close();
      deps.onClosed(session);
    },
  };
  return session;
}

/** After this the transaction can no longer be made read-write (MECHANISMS: a snapshot has been taken). */
const PIN = 'SELECT 1 FROM pg_catalog.pg_class LIMIT 1';

/** No SQL, so that the server aborts the transaction; the words stand in its log for whoever reads it. */
const FAIL_TRANSACTION = 'countersign refused a statement of this transaction';

function settingOf(name: string, value: string | null): Setting {
  const sql =
    value === null
      ? `RESET ${quoteIdentifier(name)}`
      : `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, false)`;
  return { name, value, sql };
}

const NOWHERE: ReplySink = { write: () => true, drained: () => Promise.resolve() };
