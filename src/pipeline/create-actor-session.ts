import assert from 'node:assert/strict';
import type { Analysis, PreparedText, SessionAct } from '../domain/effect.ts';
import type { IntentId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { ProfileLogins, TargetEngine } from '../engines/engine.ts';
import type { EngineSession, Relayed, ReplySink } from '../engines/session.ts';
import { createConnections } from '../execution/connections.ts';
import { rowsAfterHeld } from '../execution/copy-rows.ts';
import type { ActorSession, Runnable } from './actor-session.ts';
import { NOTHING_AHEAD } from './ahead.ts';
import type { CommitWrites } from './commit-writes.ts';
import { judgeBeside } from './gathered.ts';
import type { Hold } from './hold.ts';
import { createHoldings } from './holdings.ts';
import { needsBlock } from './implicit-block.ts';
import { becomesPlan, type Judgement } from './judge.ts';
import { keepWrite } from './keep-write.ts';
import type { Outcome } from './outcome.ts';
import type { ReadLog } from './read-log.ts';
import { createRunning } from './running.ts';
import {
  CLOSED,
  expired,
  LOST,
  RESET_INSIDE,
  RUNS_AT_COMMIT,
  TOO_MANY_CURSORS,
  TOO_MANY_LOCKS,
  UNRECORDED,
} from './session-refusals.ts';
import { createSessionTransaction } from './session-transaction.ts';
import { watchTransaction } from './watch-transaction.ts';

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
  /** Makes a plan of a transaction that changes definitions, and applies it where nothing is missing. */
  readonly planTransaction: Hold;
  readonly readLog: ReadLog;
  readonly now: () => number;
  readonly newIntentId: () => IntentId;
  readonly onClosed: (session: ActorSession) => void;
  readonly onLost: (reason: Error) => void;
}

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
  let stopped: Refusal | undefined;
  let ended: Refusal | undefined;
  let closed = false;
  let failedInBatch = false;
  const running = createRunning({
    ...deps,
    stopped: () => ended ?? stopped,
    boundsItself: deps.channel === 'mcp',
  });
  const transaction = createSessionTransaction({
    ...deps,
    connections,
    standing,
    stopped: () => ended ?? stopped,
    holdings: () => holdings,
    watch: () => session.watch,
    noteShape,
  });
  const holdings = createHoldings({
    connections,
    transaction: () => transaction.open,
    current: transaction.connection,
  });

  const transactionWatch = watchTransaction({
    ...deps,
    open: () => transaction.open,
    idleSinceMs: running.idleSinceMs,
    othersWaiting: async () => {
      const connection = transaction.connection();
      return connection === undefined ? 0 : engine.othersWaiting(connection.processId);
    },
    onTrouble: deps.onLost,
    end(why) {
      ended ??= why;
      const connection = transaction.connection();
      if (connection === undefined) return;
      // A server process hears of the end of its connection when its statement is done: until then it holds what it holds.
      if (running.idleSinceMs() === null) engine.terminate([connection.processId]).catch(deps.onLost);
      // With the connection goes what it holds; whatever the client says next is answered with why.
      else connection.destroy();
    },
  });

  function standing(): Refusal | undefined {
    if (ended !== undefined) return ended;
    if (stopped !== undefined) return stopped;
    if (closed) return CLOSED;
    if (deps.now() >= expiresAtMs) return expired(task);
    if (deps.readLog.full) return UNRECORDED;
    return undefined;
  }

  function noteShape({ shape }: Analysis): void {
    note(shape);
  }

  function note(shape: string): void {
    deps.readLog.note({ task: task.id, target: engine.target.id, channel: deps.channel, shape });
  }

  function purposeOf(judgement: Judgement | null): 'read' | 'write' {
    if (judgement === null || !connections.canWrite) return 'read';
    if (becomesPlan(judgement)) return 'write';
    return judgement.verdict === 'run' && judgement.how === 'write' ? 'write' : 'read';
  }

  function begins(judgement: Runnable): judgement is Extract<Runnable, { verdict: 'run' }> {
    return judgement.verdict === 'run' && judgement.how !== 'read' && !needsBlock(judgement.analysis);
  }

  function leavesReading(judgement: Runnable): boolean {
    const writes = judgement.verdict === 'run' && judgement.how === 'write';
    return writes && transaction.open?.implicit === true && transaction.open.purpose === 'read';
  }

  async function adopt(act: SessionAct, made: EngineSession, carry: () => Promise<Relayed>): Promise<Outcome> {
    if (act.act === 'discard' && act.what === 'settings' && transaction.open !== null) {
      return { outcome: 'refused', refusal: RESET_INSIDE };
    }
    // Its shape would not say which.
    if (act.act === 'advisory lock' && act.takes) note(`advisory lock ${act.key}`);
    const { failure } = await holdings.adopt(act, made, carry);
    if (failure !== null) failedInBatch = true;
    return DONE;
  }

  function judge(text: string, ahead = NOTHING_AHEAD): Judgement {
    const judgement = deps.judge(text, holdings.settings(ahead.settings), (name) => {
      const coming = ahead.prepared.get(name);
      return coming === undefined ? holdings.prepared.get(name) : (coming ?? undefined);
    });
    const { gathered } = transaction.gathering;
    if (gathered !== null) return judgeBeside(judgement, gathered, engine.currentCatalogue());
    if (judgement.verdict === 'session' && judgement.act.act === 'advisory lock') {
      const { key, takes } = judgement.act;
      if (takes && key !== null && !holdings.mayLock(key))
        return { verdict: 'unsupported', analysis: judgement.analysis, refusal: TOO_MANY_LOCKS };
    }
    if (judgement.verdict !== 'run') return judgement;
    const { analysis } = judgement;
    if (analysis.holdsCursor === undefined) return judgement;
    // The server runs it to its end during COMMIT, when everything has been measured.
    if (judgement.how === 'pinned read' && transaction.open?.purpose === 'write')
      return { verdict: 'unsupported', analysis, refusal: RUNS_AT_COMMIT };
    if (holdings.hasRoomFor(analysis.holdsCursor)) return judgement;
    return { verdict: 'unsupported', analysis, refusal: TOO_MANY_CURSORS };
  }

  function noteCursor({ holdsCursor }: Analysis): void {
    const connection = transaction.connection() ?? connections.opened('read');
    if (holdsCursor !== undefined && connection !== undefined) holdings.noteCursor(holdsCursor, connection);
  }

  const session: ActorSession = {
    task,
    channel: deps.channel,
    connections,
    watch: undefined,
    get transaction() {
      if (transaction.open === null || transaction.open.implicit) return 'idle';
      return transaction.connection()?.transaction ?? 'failed';
    },
    standing,
    judge,
    prepared: holdings.prepared,
    ready({ analysis }, connection, sink) {
      const ready = holdings.ready(analysis, connection, sink);
      // Most statements execute nothing that was prepared by name, and wait for nothing.
      if (ready === true) return true;
      return Promise.resolve(ready).then((done) => {
        if (!done) failedInBatch = true;
        return done;
      });
    },
    mayWrite: (judgement) =>
      judgement.verdict === 'run' &&
      (transaction.open !== null || begins(judgement)) &&
      (judgement.how === 'write' || (judgement.how === 'pinned read' && transaction.open?.purpose === 'write')),
    settings: () => holdings.settings(),
    gathering: transaction.gathering,
    get mixesSettings() {
      return transaction.mixesSettings;
    },
    takeBack: transaction.takeBack,
    get pendingWrites() {
      return transaction.open?.writes ?? [];
    },
    enter(judgement) {
      const place = judgement.verdict === 'session' ? holdings.place(judgement.act) : undefined;
      if (place !== undefined) return place;
      const inside = transaction.connection();
      if (transaction.open !== null) {
        if (inside === undefined) throw new RefusalError(LOST);
        if (!leavesReading(judgement)) return inside;
        // A batch that read in a pinned transaction now writes: the read is over and its transaction too.
        return transaction.settle(NOWHERE).then(() => transaction.begin('write', false));
      }
      if (begins(judgement)) {
        return transaction.begin(judgement.how === 'write' ? 'write' : 'read', judgement.how === 'pinned read');
      }
      return connections.opened('read') ?? connections.open('read');
    },
    get inBlock() {
      return transaction.open?.implicit === true;
    },
    beginBlock: transaction.beginBlock,
    mustBegin: (judgement) => (transaction.open === null ? begins(judgement) : leavesReading(judgement)),
    connectionFor(judgement) {
      const inside = transaction.connection();
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
    output: transaction.output,
    note(write) {
      assert(transaction.open !== null, 'G5: a write runs only in a transaction that will be measured');
      keepWrite(transaction.open, write);
      noteCursor(write.analysis);
    },
    relay: (connection, frames, replies, sink, supply = {}) =>
      running.relay(connection, frames, replies, sink, {
        ...supply,
        rows: supply.rows === undefined ? undefined : rowsAfterHeld(supply.rows, transaction.heldBack),
      }),
    transact: transaction.transact,
    async settle(sink) {
      failedInBatch = false;
      const outcome = await transaction.settle(sink);
      if (transaction.open === null && connections.anyBeside) await connections.letGo(holdings.heldOn());
      return outcome;
    },
    noteRead(analysis) {
      noteCursor(analysis);
      noteShape(analysis);
    },
    fail: transaction.fail,
    async renew(logins) {
      await connections.renew(logins, holdings.heldOn());
    },
    cancel: running.cancel,
    async stop(reason) {
      stopped = reason;
      await running.interrupt();
    },
    refuse(reason) {
      stopped = reason;
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
      transactionWatch.close();
      await connections.close();
      deps.onClosed(session);
    },
  };
  return session;
}

const NOWHERE: ReplySink = { write: () => true, drained: () => Promise.resolve() };
