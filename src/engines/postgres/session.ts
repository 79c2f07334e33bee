import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import type { DatabaseFailure } from '../../domain/database-failure.ts';
import {
  type BoundValue,
  type EngineSession,
  type ExpectedReply,
  type Relayed,
  type ReplySink,
  SessionLost,
  type TransactionStatus,
} from '../session.ts';
import { type CancelAddress, requestCancel } from './cancel-request.ts';
import { drained } from './drained.ts';
import { createExchange, type Exchange, SERVER_MESSAGE } from './exchange.ts';
import { ownResult } from './own-replies.ts';
import { createReplyScanner } from './reply-scanner.ts';
import {
  bind,
  describe,
  execute,
  FLUSH,
  message,
  ProtocolViolation,
  parse,
  query,
  readFailure,
  readParameterStatus,
  SYNC,
  TERMINATE,
} from './wire-messages.ts';

/** An authenticated connection whose start-up is over: from here on its bytes are ours. */
export interface StartedConnection extends CancelAddress {
  readonly stream: Duplex;
  readonly parameters: Map<string, string>;
}

/** Takes over a connection that has just started and carries an actor's frames over it; see `EngineSession`. */
export function carryOver(connection: StartedConnection): EngineSession {
  const { stream, parameters } = connection;
  let transaction: TransactionStatus = 'idle';
  let current: Exchange | null = null;
  let ownRuns = 0;
  let ended: Error | null = null;
  let farewell: DatabaseFailure | null = null;
  const lost: ((reason: DatabaseFailure | Error) => void)[] = [];
  let notify: (message: Buffer) => void = () => undefined;

  const gone = Promise.withResolvers<void>();

  const scanner = createReplyScanner({ message: onMessage, pass: onPass });

  stream.on('data', (chunk: Buffer) => {
    try {
      scanner.push(chunk);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    }
  });
  stream.on('error', (error: Error) => end(error));
  stream.on('close', () => end(new SessionLost('the target closed the connection')));

  function end(reason: Error): void {
    if (ended !== null) return;
    ended = reason;
    stream.destroy();
    gone.resolve();
    const exchange = current;
    current = null;
    exchange?.reject(new SessionLost(farewell?.message ?? reason.message, { cause: reason }));
    for (const listener of lost) listener(farewell ?? reason);
  }

  function onPass(bytes: Buffer): void {
    if (current === null) throw new ProtocolViolation('the server sent rows that nobody asked for');
    const { sink } = current;
    if (sink === null) {
      current.takeOwnRows(bytes);
      return;
    }
    if (!sink.write(bytes)) {
      stream.pause();
      sink.drained().then(
        () => stream.resume(),
        (error: unknown) => end(error instanceof Error ? error : new Error(String(error))),
      );
    }
  }

  function onMessage(type: number, body: Buffer): boolean | Buffer {
    if (type === SERVER_MESSAGE.parameterStatus) {
      const [name, value] = readParameterStatus(body);
      parameters.set(name, value);
      return current?.sink != null;
    }
    if (type === SERVER_MESSAGE.notification) {
      // It belongs to no answer, whatever is under way.
      notify(message('A', body));
      return false;
    }
    return current === null ? unasked(type, body) : current.take(type, body);
  }

  /** Between exchanges a server says little: notices, and why it ends the connection. */
  function unasked(type: number, body: Buffer): boolean {
    if (type === SERVER_MESSAGE.error) farewell = readFailure(body);
    else if (type !== SERVER_MESSAGE.notice) {
      throw new ProtocolViolation('the server spoke without being asked');
    }
    return false;
  }

  function exchange(
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink | null,
    more: Parameters<EngineSession['relay']>[3] = {},
  ): Promise<Exchange> {
    if (ended !== null)
      return Promise.reject(new SessionLost('the connection to the target is closed', { cause: ended }));
    assert(current === null, 'one exchange at a time');
    return new Promise<Exchange>((resolve, reject) => {
      const begun: Exchange = createExchange({
        stream,
        replies,
        sink,
        more,
        isCurrent: () => current === begun,
        onReady(status) {
          transaction = status;
        },
        onFatal(failure) {
          farewell = failure;
        },
        onOver() {
          if (current !== begun) return;
          current = null;
          resolve(begun);
        },
        reject,
      });
      current = begun;
      if (frames.length === 0) return;
      stream.write(frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames));
    });
  }

  async function sendPiecemeal(pieces: AsyncIterable<Buffer>): Promise<void> {
    try {
      for await (const piece of pieces) {
        if (ended !== null) return;
        if (!stream.write(piece)) await drained(stream);
      }
      stream.write(FLUSH);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      end(new SessionLost(`a message to the target broke off: ${why}`, { cause: error }));
    }
  }

  /** With rows that follow, or a message that is sent as it comes. */
  async function relayMore(...[frames, replies, sink, more]: Parameters<EngineSession['relay']>): Promise<Relayed> {
    let why: DatabaseFailure | null = null;
    try {
      // Also after an early answer all of a message is sent, or the server would take what comes next for its rest.
      const [{ commands, failure }] = await Promise.all([
        exchange(frames, replies, sink, more),
        more?.piecemeal === undefined ? undefined : Promise.race([sendPiecemeal(more.piecemeal), gone.promise]),
      ]);
      if (more?.piecemeal !== undefined && ended !== null)
        throw new SessionLost(farewell?.message ?? 'the target closed the connection', { cause: ended });
      why = failure;
      return { commands, failure };
    } finally {
      await more?.rows?.stop(why);
    }
  }

  return {
    processId: connection.processId,
    parameters,
    get transaction() {
      return transaction;
    },
    get closed() {
      return ended !== null;
    },
    get ownRuns() {
      return ownRuns;
    },
    async own(...statements) {
      ownRuns++;
      const done = await exchange(
        statements.map(query),
        statements.map(() => ({ to: 'query' })),
        null,
      );
      return done.own.map(ownResult);
    },
    async ownBound(text: string, values: readonly BoundValue[]) {
      ownRuns++;
      const types = values.map((value) => value.type);
      const bound = bind({
        portal: '',
        statement: '',
        formats: values.map((value) => (value.format === 'binary' ? 1 : 0)),
        values: values.map((value) => value.value),
        resultFormats: [0],
      });
      const done = await exchange(
        [parse('', text, types), bound, describe('portal', ''), execute('', 0), SYNC],
        [{ to: 'parse' }, { to: 'bind' }, { to: 'describe portal' }, { to: 'execute' }, { to: 'sync' }],
        null,
      );
      const [result] = done.own;
      assert(result !== undefined);
      return ownResult(result);
    },
    relay(frames, replies, sink, more) {
      return more?.piecemeal === undefined && more?.rows === undefined
        ? exchange(frames, replies, sink, more)
        : relayMore(frames, replies, sink, more);
    },
    cancel() {
      if (current?.copying === true) current.stopRows();
      return requestCancel(connection);
    },
    destroy: () => end(new SessionLost('the gateway ended the connection')),
    async close() {
      if (ended !== null) return;
      lost.length = 0;
      await new Promise<void>((resolve) => {
        stream.once('close', () => resolve());
        setTimeout(() => stream.destroy(), CLOSE_TIMEOUT_MS).unref();
        stream.end(TERMINATE);
      });
    },
    onLost(listener) {
      lost.push(listener);
    },
    onNotification(listener) {
      notify = listener;
    },
  };
}

const CLOSE_TIMEOUT_MS = 1000;
