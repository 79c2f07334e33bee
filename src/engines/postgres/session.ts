import assert from 'node:assert/strict';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { DatabaseFailure } from '../../domain/database-failure.ts';
import {
  type BoundValue,
  type CopySource,
  type CopyTarget,
  EngineFailure,
  type EngineSession,
  type ExpectedReply,
  type OwnResult,
  type Relayed,
  type ReplySink,
  SessionLost,
  type TransactionStatus,
} from '../session.ts';
import { createReplyScanner } from './reply-scanner.ts';
import {
  bind,
  copyFail,
  describe,
  errorResponse,
  execute,
  message,
  ProtocolViolation,
  parse,
  query,
  readCommandComplete,
  readFailure,
  readParameterStatus,
  readParameterTypes,
  readTextRow,
  SYNC,
  TERMINATE,
  withPositionMoved,
} from './wire-messages.ts';

/** An authenticated connection whose start-up is over: from here on its bytes are ours. */
export interface StartedConnection {
  readonly stream: Duplex;
  readonly processId: number;
  /** With the process id, what the cancel protocol asks for. */
  readonly secretKey: number;
  readonly parameters: Map<string, string>;
  /** Where cancel requests go: the same server, without TLS being needed (PostgreSQL, "Canceling Requests in Progress"). */
  readonly host: string;
  readonly port: number;
}

/** What is under way on the connection: the replies that are still to come, and who gets them. */
interface Exchange {
  readonly replies: ExpectedReply[];
  at: number;
  readonly sink: ReplySink | null;
  readonly commands: string[];
  failure: DatabaseFailure | null;
  readonly rows: CopySource | undefined;
  /** The server takes rows. */
  copying: boolean;
  readonly instead: ((failure: DatabaseFailure) => DatabaseFailure | undefined) | undefined;
  /** The beginning of a row of the gateway's own whose end is still to come. */
  piece: Buffer | null;
  /** Results of the gateway's own statements, one a ReadyForQuery. */
  readonly own: { command: string; rows: (readonly (string | null)[])[]; failure: DatabaseFailure | null }[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const TYPE = {
  parseComplete: 0x31,
  bindComplete: 0x32,
  closeComplete: 0x33,
  notification: 0x41,
  commandComplete: 0x43,
  dataRow: 0x44,
  error: 0x45,
  copyIn: 0x47,
  emptyQuery: 0x49,
  backendKey: 0x4b,
  notice: 0x4e,
  parameterStatus: 0x53,
  rowDescription: 0x54,
  copyBoth: 0x57,
  ready: 0x5a,
  noData: 0x6e,
  portalSuspended: 0x73,
  parameterDescription: 0x74,
} as const;

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
    const exchange = current;
    current = null;
    exchange?.reject(new SessionLost(farewell?.message ?? reason.message, { cause: reason }));
    for (const listener of lost) listener(farewell ?? reason);
  }

  /** Rows of the gateway's own queries come here too: they are small, and never reach an actor. */
  function onPass(bytes: Buffer): void {
    const exchange = current;
    if (exchange === null) throw new ProtocolViolation('the server sent rows that nobody asked for');
    if (exchange.sink === null) {
      readOwnRows(bytes, exchange);
      return;
    }
    if (!exchange.sink.write(bytes)) {
      stream.pause();
      exchange.sink.drained().then(
        () => stream.resume(),
        (error: unknown) => end(error instanceof Error ? error : new Error(String(error))),
      );
    }
  }

  function onMessage(type: number, body: Buffer): boolean | Buffer {
    if (type === TYPE.parameterStatus) {
      const [name, value] = readParameterStatus(body);
      parameters.set(name, value);
      return current?.sink != null;
    }
    if (type === TYPE.notification) {
      // It belongs to no answer, whatever is under way.
      notify(message('A', body));
      return false;
    }
    const exchange = current;
    if (exchange === null) return unasked(type, body);
    const expected = exchange.replies[exchange.at];
    if (expected === undefined) throw new ProtocolViolation('the server answered more than it was asked');
    const shown = exchange.sink !== null && expected.hidden !== true;
    switch (type) {
      case TYPE.error:
        return onError(exchange, expected, body);
      case TYPE.ready:
        onReady(exchange, expected, body);
        return false;
      case TYPE.commandComplete: {
        const command = readCommandComplete(body);
        exchange.commands.push(command);
        const own = exchange.own.at(-1);
        if (own !== undefined) own.command = command;
        if (expected.to === 'execute') advance(exchange);
        return shown;
      }
      case TYPE.emptyQuery:
      case TYPE.portalSuspended:
        if (expected.to === 'execute') advance(exchange);
        return shown;
      case TYPE.copyIn:
        return onCopyIn(exchange, body);
      case TYPE.copyBoth:
        throw new ProtocolViolation('the server began to replicate without being asked');
      case TYPE.parseComplete:
        return finish(exchange, expected, 'parse', shown);
      case TYPE.bindComplete:
        return finish(exchange, expected, 'bind', shown);
      case TYPE.closeComplete:
        return finish(exchange, expected, 'close', shown);
      case TYPE.parameterDescription:
        expected.onParameterTypes?.(readParameterTypes(body));
        return shown;
      case TYPE.rowDescription:
      case TYPE.noData:
        if (expected.to === 'describe statement' || expected.to === 'describe portal') advance(exchange);
        return shown;
      default:
        return shown;
    }
  }

  function onCopyIn(exchange: Exchange, body: Buffer): boolean {
    const { rows } = exchange;
    if (rows === undefined) {
      stream.write(copyFail('no rows can be sent here'));
      return false;
    }
    exchange.copying = true;
    const over = (): boolean => current !== exchange || ended !== null;
    const response = message('G', body);
    const target: CopyTarget = {
      write: (frames) => over() || !exchange.copying || stream.write(frames),
      drained: () =>
        new Promise((resolve) => {
          if (over() || !stream.writableNeedDrain) return resolve();
          const done = (): void => {
            stream.off('drain', done);
            stream.off('close', done);
            resolve();
          };
          stream.once('drain', done);
          stream.once('close', done);
        }),
    };
    // Later, so that what came before it in this chunk reaches the sink before it.
    queueMicrotask(() => rows.start(response, target));
    return false;
  }

  function finish(exchange: Exchange, expected: ExpectedReply, to: ExpectedReply['to'], shown: boolean): boolean {
    if (expected.to !== to) throw new ProtocolViolation(`the server answered ${to} where ${expected.to} was asked`);
    expected.onDone?.();
    advance(exchange);
    return shown;
  }

  /** After an error the server skips everything up to the next Sync: so do the expected replies. */
  function onError(exchange: Exchange, expected: ExpectedReply, body: Buffer): boolean | Buffer {
    const failure = readFailure(body);
    const instead = exchange.instead?.(failure);
    if (failure.severity === 'FATAL' || failure.severity === 'PANIC') farewell = failure;
    exchange.failure ??= instead ?? failure;
    const own = exchange.own.at(-1);
    if (own !== undefined) own.failure = failure;
    if (expected.to !== 'query' && expected.to !== 'sync') {
      const sync = exchange.replies.findIndex((reply, index) => index >= exchange.at && reply.to === 'sync');
      exchange.at = sync === -1 ? exchange.replies.length : sync;
      if (sync === -1) queueMicrotask(() => complete(exchange));
    }
    if (exchange.sink === null) return false;
    if (instead !== undefined) return errorResponse(instead);
    return expected.charactersBefore === undefined ? true : withPositionMoved(body, expected.charactersBefore);
  }

  function onReady(exchange: Exchange, expected: ExpectedReply, body: Buffer): void {
    if (expected.to !== 'query' && expected.to !== 'sync') {
      throw new ProtocolViolation(`the server was ready before it answered ${expected.to}`);
    }
    const status = body[0];
    transaction = status === 0x49 ? 'idle' : status === 0x54 ? 'open' : 'failed';
    advance(exchange);
    if (exchange.sink === null && exchange.at < exchange.replies.length) exchange.own.push(emptyOwn());
  }

  function advance(exchange: Exchange): void {
    exchange.at++;
    // Later, so that what is passed on of this chunk reaches the sink before the exchange is over.
    if (exchange.at >= exchange.replies.length) queueMicrotask(() => complete(exchange));
  }

  function complete(exchange: Exchange): void {
    if (current !== exchange) return;
    current = null;
    exchange.resolve();
  }

  /** Between exchanges a server says little: notices, and why it ends the connection. */
  function unasked(type: number, body: Buffer): boolean {
    if (type === TYPE.error) farewell = readFailure(body);
    else if (type !== TYPE.notice) {
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
      const begun: Exchange = {
        replies: [...replies],
        at: 0,
        sink,
        commands: [],
        failure: null,
        rows: more.rows,
        copying: false,
        instead: more.instead,
        piece: null,
        own: sink === null ? [emptyOwn()] : [],
        resolve: () => resolve(begun),
        reject,
      };
      current = begun;
      stream.write(frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames));
    });
  }

  function ownResult({ command, rows, failure }: Exchange['own'][number]): OwnResult {
    if (failure !== null) throw new EngineFailure(failure);
    return { command, rows };
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
      const done = await exchange(
        [
          parse(
            '',
            text,
            values.map((value) => value.type),
          ),
          bind({
            portal: '',
            statement: '',
            formats: values.map((value) => (value.format === 'binary' ? 1 : 0)),
            values: values.map((value) => value.value),
            resultFormats: [0],
          }),
          describe('portal', ''),
          execute('', 0),
          SYNC,
        ],
        [{ to: 'parse' }, { to: 'bind' }, { to: 'describe portal' }, { to: 'execute' }, { to: 'sync' }],
        null,
      );
      const [result] = done.own;
      assert(result !== undefined);
      return ownResult(result);
    },
    async relay(frames, replies, sink, more): Promise<Relayed> {
      try {
        const { commands, failure } = await exchange(frames, replies, sink, more);
        return { commands, failure };
      } finally {
        await more?.rows?.stop();
      }
    },
    cancel() {
      if (current?.copying === true) {
        // A server that waits for rows doesn't look for cancel requests.
        stream.write(copyFail('canceling statement due to user request'));
        current.copying = false;
      }
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
const CANCEL_TIMEOUT_MS = 2000;
const CANCEL_REQUEST_CODE = 80877102;

function emptyOwn(): Exchange['own'][number] {
  return { command: '', rows: [], failure: null };
}

/** Rows of the gateway's own results; a row may come in pieces. */
function readOwnRows(bytes: Buffer, exchange: Exchange): void {
  const own = exchange.own.at(-1);
  assert(own !== undefined);
  const all = exchange.piece === null ? bytes : Buffer.concat([exchange.piece, bytes]);
  exchange.piece = null;
  for (let at = 0; at < all.length; ) {
    const end = all.length - at < 5 ? Number.POSITIVE_INFINITY : at + 1 + all.readInt32BE(at + 1);
    if (end > all.length) {
      exchange.piece = Buffer.from(all.subarray(at));
      return;
    }
    if (all[at] === TYPE.dataRow) own.rows.push(readTextRow(all.subarray(at + 5, end)));
    at = end;
  }
}

/** A connection of its own, closed by the server without an answer (PostgreSQL, "Canceling Requests in Progress"). */
function requestCancel({ host, port, processId, secretKey }: StartedConnection): Promise<void> {
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  request.writeInt32BE(processId, 8);
  request.writeInt32BE(secretKey, 12);
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port });
    socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy(new Error('the target did not take the cancel request')));
    socket.once('connect', () => socket.end(request));
    socket.once('error', reject);
    socket.once('close', () => resolve());
    socket.resume();
  });
}
