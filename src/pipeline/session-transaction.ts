import assert from 'node:assert/strict';
import type { Analysis, TransactionAct } from '../domain/effect.ts';
import type { IntentId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { StatementAnswer } from '../domain/statement-answer.ts';
import type { Task } from '../domain/task.ts';
import { commandComplete } from '../engines/postgres/wire-messages.ts';
import { EngineFailure, type EngineSession, type Relayed, type ReplySink } from '../engines/session.ts';
import type { Connections, Purpose } from '../execution/connections.ts';
import type { HeldBack } from '../execution/copy-rows.ts';
import { beginMeasured, flushCounters } from '../execution/measure-write.ts';
import { createHeldOutput, type HeldOutput } from '../execution/output.ts';
import { mixesSettings, type Transaction } from '../execution/transaction.ts';
import type { CarryTransaction } from './actor-session.ts';
import type { CommitWrites } from './commit-writes.ts';
import { type Gathered, NO_SAVEPOINT_NOW } from './gathered.ts';
import { createGathering, type Gathering } from './gathering.ts';
import type { Hold } from './hold.ts';
import type { Holdings } from './holdings.ts';
import { blockFor, NOBODY_BEGAN, notInBlock } from './implicit-block.ts';
import type { Judgement } from './judge.ts';
import type { Outcome } from './outcome.ts';
import { ANSWER_TOO_LARGE, HELD_OUTPUT_MB, LOST, SETTINGS_MIXED } from './session-refusals.ts';
import type { Watch } from './watch.ts';

/**
 * The transaction that an actor's session is in, begun by the actor or by the gateway around one batch: how it begins, and
 * how it ends measured (G5). What it answers is held back as long as it may still be undone.
 */
export interface SessionTransaction {
  readonly open: Transaction | null;
  /** The connection on which the open transaction is. */
  connection(): EngineSession | undefined;
  /** Begins one around a batch. @param pinned it reads, and nothing in it may write. */
  begin(purpose: Purpose, pinned: boolean): Promise<EngineSession>;
  /** Begins the one around several statements of one text, where none is open. @param rest what comes of the text. */
  beginBlock(rest: readonly Judgement[]): Promise<void>;
  /** Carries BEGIN, COMMIT and their kin. COMMIT measures first. */
  transact(act: TransactionAct, carry: CarryTransaction, sink: ReplySink): Promise<Outcome>;
  /** Ends the one around a batch: measured and committed, or undone. */
  settle(sink: ReplySink): Promise<Outcome>;
  /** Where replies go now. */
  output(sink: ReplySink): ReplySink;
  /** Changes that wait for its COMMIT. */
  readonly gathering: Gathering;
  /** What it wrote can't be planned: settings changed in between. */
  readonly mixesSettings: boolean;
  takeBack(): Promise<void>;
  /** Brings it into the failed state after a refusal, as PostgreSQL does after an error. */
  fail(): Promise<void>;
  /** Replies of the batch that wait for its commit. */
  heldBack(): HeldBack | null;
}

export interface SessionTransactionDeps {
  readonly task: Task;
  readonly channel: Channel;
  readonly connections: Connections;
  readonly commitWrites: CommitWrites;
  readonly planTransaction: Hold;
  readonly newIntentId: () => IntentId;
  readonly holdings: () => Holdings;
  readonly watch: () => Watch | undefined;
  /** Why nothing may run at all, or `undefined`. */
  readonly standing: () => Refusal | undefined;
  /** Why what runs is to be stopped, or `undefined`. */
  readonly stopped: () => Refusal | undefined;
  /** A statement ran whose effect is not in the ledger. */
  readonly noteShape: (analysis: Analysis) => void;
}

const DONE: Outcome = { outcome: 'done' };

const HELD_OUTPUT_BYTES = HELD_OUTPUT_MB * 1024 * 1024;

export function createSessionTransaction(deps: SessionTransactionDeps): SessionTransaction {
  const { connections, task } = deps;
  let transaction: Transaction | null = null;
  let held: HeldOutput | null = null;
  const gathering = createGathering({ transaction: () => transaction, current });

  function current(): EngineSession | undefined {
    return transaction === null ? undefined : connections.opened(transaction.purpose);
  }

  function begun(purpose: Purpose, implicit: boolean): Transaction {
    const intent = deps.newIntentId();
    return {
      purpose,
      implicit,
      writes: [],
      settings: [],
      localSettings: [],
      intent,
      hasSavepoints: false,
      madeBeforeWrites: null,
      keptBytes: 0,
    };
  }

  async function begin(purpose: Purpose, pinned: boolean): Promise<EngineSession> {
    const connection = await connections.open(purpose);
    if (purpose === 'write') await beginMeasured(connection);
    else if (pinned) await connection.own('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY', PIN);
    else await connection.own('BEGIN READ ONLY');
    transaction = begun(purpose, true);
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
    for (const { analysis } of writes) deps.noteShape(analysis);
  }

  /** Ends the transaction for good or ill once its effect is measured; the commit itself is carried by `commit`. */
  async function commitMeasured(commit: (connection: EngineSession) => Promise<Relayed | undefined>): Promise<Outcome> {
    assert(transaction !== null && transaction.purpose === 'write', 'G5: only a write transaction is measured');
    const connection = connections.opened('write');
    assert(connection !== undefined);
    const { writes, intent } = transaction;
    const underSettings = deps.holdings().settings();
    const outcome = await deps.commitWrites({
      connection,
      writes,
      intent,
      task,
      channel: deps.channel,
      settings: underSettings,
      mixesSettings: mixesSettings(transaction),
      watch: deps.watch(),
      commit: () => commit(connection),
    });
    if (outcome.outcome === 'done') await deps.holdings().committed(transaction, connection);
    transaction = null;
    return outcome;
  }

  /** What was gathered is planned with all that the transaction wrote, in the order in which it came. */
  async function commitGathered(connection: EngineSession, { decision }: Gathered): Promise<Outcome> {
    assert(transaction !== null);
    const { writes, settings: made } = transaction;
    const mixed = mixesSettings(transaction);
    const settings = deps.holdings().settings();
    transaction = null;
    await connection.own('ROLLBACK');
    if (mixed) return { outcome: 'refused', refusal: SETTINGS_MIXED };
    const { channel, planTransaction } = deps;
    const outcome = await planTransaction({ task, channel, writes, settings, decision, watch: deps.watch() });
    if (outcome.outcome !== 'applied') return outcome;
    for (const setting of made) await connections.adopt(setting, null);
    // What the database had to say of them was heard on trial.
    return { ...outcome, answers: [{ command: 'COMMIT', notices: [], returnsRows: false }] };
  }

  async function fail(): Promise<void> {
    const connection = current();
    if (transaction === null || connection === undefined || connection.transaction !== 'open') return;
    try {
      await connection.own(FAIL_TRANSACTION);
    } catch (error) {
      if (!(error instanceof EngineFailure)) throw error;
    }
  }

  async function settle(sink: ReplySink): Promise<Outcome> {
    if (transaction === null || !transaction.implicit) return DONE;
    const connection = current();
    if (connection === undefined || connection.closed) {
      transaction = null;
      held = null;
      return { outcome: 'refused', refusal: LOST };
    }
    if (transaction.purpose === 'read') {
      const ended = transaction;
      const failed = connection.transaction === 'failed';
      transaction = null;
      await connection.own('COMMIT');
      if (!failed) await deps.holdings().committed(ended, connection);
      return DONE;
    }
    const output = held;
    const halted = deps.stopped();
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
    const nobodyBegan = transaction?.implicit === true;
    const ending: CarryTransaction = (connection, to) => {
      if (nobodyBegan) to.write(NOBODY_BEGAN);
      return carry(connection, to);
    };
    switch (act.act) {
      case 'begin': {
        if (transaction !== null) {
          const connection = current();
          assert(connection !== undefined);
          transaction.implicit = false;
          // The server would be told to begin what it is in.
          if (nobodyBegan && act.plain) sink.write(commandComplete(act.tag));
          else await carry(connection, sink);
          return DONE;
        }
        const purpose = connections.canWrite && !act.readOnly ? 'write' : 'read';
        const connection = await connections.open(purpose);
        if (purpose === 'write') await flushCounters(connection);
        const relayed = await carry(connection, sink);
        if (relayed.failure !== null) return DONE;
        transaction = begun(purpose, false);
        if (purpose === 'read') await connection.own('SET TRANSACTION READ ONLY');
        return DONE;
      }
      case 'commit': {
        const connection = current() ?? (await connections.open('read'));
        const halted = deps.standing();
        if (halted !== undefined && connection.transaction !== 'idle') {
          await rollBack();
          return { outcome: 'refused', refusal: halted };
        }
        const changes = gathering.gathered;
        if (changes !== null && connection.transaction === 'open') return commitGathered(connection, changes);
        const measured = transaction?.purpose === 'write' && connection.transaction === 'open';
        if (!measured || transaction?.writes.length === 0) {
          const ended = transaction;
          if (ended !== null) noteUndone(ended);
          transaction = null;
          const { failure, commands } = await ending(connection, sink);
          const committed = failure === null && commands.at(-1) === 'COMMIT';
          if (committed && ended !== null) await deps.holdings().committed(ended, connection);
          return DONE;
        }
        const output = createHeldOutput(HELD_OUTPUT_BYTES);
        const earlier = held;
        const outcome = await commitMeasured(() => ending(connection, output));
        held = null;
        if (outcome.outcome === 'done') {
          await earlier?.release(sink);
          await output.release(sink);
        }
        // What the actor sent was COMMIT, and in its place the approved plan was applied.
        return outcome.outcome === 'applied'
          ? { ...outcome, answers: [answeredAs('COMMIT', outcome.answers)] }
          : outcome;
      }
      case 'rollback': {
        const connection = current() ?? (await connections.open('read'));
        if (transaction !== null) noteUndone(transaction);
        transaction = null;
        held = null;
        await ending(connection, sink);
        return DONE;
      }
      case 'savepoint':
      case 'release':
      case 'rollback to': {
        if (nobodyBegan) {
          await rollBack();
          return { outcome: 'failed', failure: notInBlock(act.act) };
        }
        if (gathering.gathered !== null && current()?.transaction === 'open') {
          await fail();
          return { outcome: 'refused', refusal: NO_SAVEPOINT_NOW };
        }
        if (transaction !== null) transaction.hasSavepoints = true;
        await carry(current() ?? (await connections.open('read')), sink);
        if (act.act === 'rollback to') await deps.holdings().rolledBackTo();
        return DONE;
      }
      default:
        return act satisfies never;
    }
  }

  return {
    get open() {
      return transaction;
    },
    connection: current,
    begin,
    async beginBlock(rest) {
      if (transaction !== null) return;
      const { purpose, pinned } = blockFor(rest, connections.canWrite);
      await begin(purpose, pinned);
    },
    transact,
    settle,
    gathering,
    get mixesSettings() {
      return transaction !== null && mixesSettings(transaction);
    },
    async takeBack() {
      const connection = current();
      if (transaction === null || connection?.transaction !== 'open') return;
      await connection.own('ROLLBACK');
      await connection.own('BEGIN');
    },
    fail,
    output: (sink) => (transaction?.implicit && held !== null ? held : sink),
    heldBack: () =>
      transaction?.implicit === true && held !== null ? { output: held, writes: transaction.writes.length } : null,
  };
}

/** One answer in place of several, with all that they told. */
function answeredAs(command: string, answers: readonly StatementAnswer[]): StatementAnswer {
  return { command, notices: answers.flatMap(({ notices }) => notices), returnsRows: false };
}

/** No SQL, so that the server aborts the transaction; the words stand in its log for whoever reads it. */
const FAIL_TRANSACTION = 'countersign refused a statement of this transaction';

/** After this the transaction can no longer be made read-write (a snapshot has been taken). */
const PIN = 'SELECT 1 FROM pg_catalog.pg_class LIMIT 1';
