import type { DatabaseFailure } from '../../domain/database-failure.ts';
import { errorResponse, FLUSH, SYNC } from '../../engines/postgres/wire-messages.ts';
import type { CopySource, EngineSession, ExpectedReply, Relayed, ReplySink } from '../../engines/session.ts';
import type { PreparedStatement } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';

/**
 * Messages of the extended protocol on their way to a session's connections. They are sent together as far as they go to
 * one connection; replies come in the order of the messages, also where the gateway answers itself.
 */
export interface Outbox {
  /** Something failed: what follows is skipped, up to the next Sync. */
  skipping: boolean;
  add(connection: EngineSession, frame: Buffer, reply: ExpectedReply): void;
  /** A Parse. A statement that was not understood is not known to the connection. */
  addParse(statement: PreparedStatement, connection: EngineSession, frame: Buffer, hidden: boolean): void;
  /** An Execute that rows follow: sent at once, because what comes next may be its rows, and no Sync. */
  addTakingRows(connection: EngineSession, frame: Buffer): Promise<void>;
  /** A message that is too long to wait: sent as it comes, and answered before anything else is done. */
  addPiecemeal(connection: EngineSession, pieces: AsyncIterable<Buffer>, reply: ExpectedReply): Promise<void>;
  /** Sends what waits. With a Sync the connections are free for the gateway's own statements afterwards. */
  send(end: 'flush' | 'sync'): Promise<void>;
  /** Sends what waits, up to a Sync, as one act of the session's. */
  sendAs(carry: (send: () => Promise<Relayed>) => Promise<void>): Promise<void>;
  /** Makes sure that what waits for another connection is sent and answered first. */
  turnTo(connection: EngineSession): Promise<void>;
  /** Answers a message in the gateway's own name. */
  answer(message: Buffer): Promise<void>;
  fail(failure: DatabaseFailure): Promise<void>;
  /** Where replies go now. */
  sink(): ReplySink;
}

interface Waiting {
  readonly connection: EngineSession;
  readonly frames: Buffer[];
  readonly replies: ExpectedReply[];
  takesRows: boolean;
}

/** @param deps.forget a statement that no connection has understood. */
export function createOutbox(deps: {
  readonly session: ActorSession;
  readonly sink: ReplySink;
  readonly rows: CopySource;
  readonly forget: (statement: PreparedStatement) => void;
}): Outbox {
  const { session } = deps;
  let waiting: Waiting | null = null;
  /** Parsed in this batch, and not yet known to have been understood. */
  let parsing: { readonly statement: PreparedStatement; readonly connection: EngineSession }[] = [];
  /** Connections that were sent something since their last Sync. */
  const unsynced = new Set<EngineSession>();

  const sink = (): ReplySink => session.output(deps.sink);

  function neverParsed({ statement, connection }: (typeof parsing)[number]): void {
    statement.on.delete(connection);
    if (statement.on.size === 0) deps.forget(statement);
  }

  function relay({ connection, frames, replies, takesRows }: Waiting, end: 'flush' | 'sync'): Promise<Relayed> {
    const last = end === 'sync' ? SYNC : FLUSH;
    const expected: readonly ExpectedReply[] = end === 'sync' ? [...replies, { to: 'sync' }] : replies;
    return session.relay(connection, [...frames, last], expected, sink(), takesRows ? { rows: deps.rows } : {});
  }

  const outbox: Outbox = {
    skipping: false,
    sink,
    add(connection, frame, reply) {
      waiting ??= { connection, frames: [], replies: [], takesRows: false };
      waiting.frames.push(frame);
      waiting.replies.push(reply);
    },
    addParse(statement, connection, frame, hidden) {
      const begun = { statement, connection };
      parsing.push(begun);
      const onDone = (): void => {
        parsing = parsing.filter((one) => one !== begun);
      };
      const { positionIn } = statement;
      outbox.add(connection, frame, {
        to: 'parse',
        hidden,
        onDone,
        ...(positionIn === undefined ? {} : { positionIn }),
      });
      statement.on.set(connection, connection.ownRuns);
    },
    async addTakingRows(connection, frame) {
      outbox.add(connection, frame, { to: 'execute' });
      if (waiting !== null) waiting.takesRows = true;
      await outbox.send('flush');
    },
    async addPiecemeal(connection, pieces, reply) {
      await outbox.send('flush');
      if (outbox.skipping) return;
      unsynced.add(connection);
      const { failure } = await session.relay(connection, [], [reply], sink(), { piecemeal: pieces });
      if (failure === null) return;
      outbox.skipping = true;
      session.noteFailure();
    },
    async send(end) {
      const sending = waiting;
      waiting = null;
      if (sending !== null) {
        const { failure } = await relay(sending, end);
        if (end === 'sync') unsynced.delete(sending.connection);
        else unsynced.add(sending.connection);
        if (failure !== null) {
          outbox.skipping = true;
          session.noteFailure();
          parsing.forEach(neverParsed);
        }
        parsing = [];
      }
      if (end === 'flush') return;
      for (const connection of unsynced) {
        if (!connection.closed) await session.relay(connection, [SYNC], [{ to: 'sync' }], sink());
      }
      unsynced.clear();
    },
    async sendAs(carry) {
      const sending = waiting;
      waiting = null;
      parsing = [];
      if (sending === null) return;
      await carry(async () => {
        const relayed = await relay(sending, 'sync');
        if (relayed.failure !== null) outbox.skipping = true;
        return relayed;
      });
    },
    async turnTo(connection) {
      if (waiting !== null && waiting.connection !== connection) await outbox.send('flush');
    },
    async answer(message) {
      if (waiting !== null) await outbox.send('flush');
      if (!outbox.skipping) sink().write(message);
    },
    async fail(failure) {
      await outbox.send('sync');
      if (outbox.skipping) return;
      sink().write(errorResponse(failure));
      await session.fail();
      session.noteFailure();
      outbox.skipping = true;
    },
  };
  return outbox;
}
