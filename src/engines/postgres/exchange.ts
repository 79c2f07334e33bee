import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import type { DatabaseFailure } from '../../domain/database-failure.ts';
import type {
  CopyTarget,
  EngineSession,
  ExpectedReply,
  ReplySink,
  SessionLost,
  TransactionStatus,
} from '../session.ts';
import { drained } from './drained.ts';
import { emptyOwnReply, type OwnReply, readOwnRows } from './own-replies.ts';
import {
  copyFail,
  errorResponse,
  message,
  ProtocolViolation,
  readCommandComplete,
  readFailure,
  readParameterTypes,
  withPositionMoved,
} from './wire-messages.ts';

/** Messages of a server's, by the byte that starts them (PostgreSQL, "Message Formats"). */
export const SERVER_MESSAGE = {
  parseComplete: 0x31,
  bindComplete: 0x32,
  closeComplete: 0x33,
  notification: 0x41,
  commandComplete: 0x43,
  error: 0x45,
  copyIn: 0x47,
  emptyQuery: 0x49,
  notice: 0x4e,
  parameterStatus: 0x53,
  rowDescription: 0x54,
  copyBoth: 0x57,
  ready: 0x5a,
  noData: 0x6e,
  portalSuspended: 0x73,
  parameterDescription: 0x74,
} as const;

/** What is under way on a connection: the replies that are still to come, and who gets them. */
export interface Exchange {
  /** Where replies go; `null` when the gateway itself asked. */
  readonly sink: ReplySink | null;
  readonly commands: readonly string[];
  /** The first error that came. */
  readonly failure: DatabaseFailure | null;
  /** Results of the gateway's own statements, one a ReadyForQuery. */
  readonly own: readonly OwnReply[];
  /** The server takes rows. */
  readonly copying: boolean;
  /** Takes one message that answers it. Returns whether it is passed on, or what is instead. */
  take(type: number, body: Buffer): boolean | Buffer;
  /** Takes rows of the gateway's own queries: they are small, and never reach an actor. */
  takeOwnRows(bytes: Buffer): void;
  /** A server that waits for rows doesn't look for cancel requests: it is told that none will come. */
  stopRows(): void;
  /** The connection is gone. */
  reject(error: SessionLost): void;
}

/**
 * Begins an exchange: reads what answers it, message by message, and knows when all is there.
 *
 * @param deps.onReady told the transaction's state each time the server is ready.
 * @param deps.onOver called once, when every expected reply is there.
 */
export function createExchange(deps: {
  readonly stream: Duplex;
  readonly replies: readonly ExpectedReply[];
  readonly sink: ReplySink | null;
  readonly more: NonNullable<Parameters<EngineSession['relay']>[3]>;
  /** Whether it is what goes on now. */
  readonly isCurrent: () => boolean;
  readonly onReady: (status: TransactionStatus) => void;
  readonly onFatal: (failure: DatabaseFailure) => void;
  readonly onOver: () => void;
  readonly reject: (error: SessionLost) => void;
}): Exchange {
  const { stream, replies, sink, more } = deps;
  const commands: string[] = [];
  const own: OwnReply[] = sink === null ? [emptyOwnReply()] : [];
  let at = 0;
  let failure: DatabaseFailure | null = null;
  let copying = false;
  /** The beginning of a row of the gateway's own whose end is still to come. */
  let piece: Buffer | null = null;

  function take(type: number, body: Buffer): boolean | Buffer {
    const expected = replies[at];
    if (expected === undefined) throw new ProtocolViolation('the server answered more than it was asked');
    const shown = sink !== null && expected.hidden !== true;
    switch (type) {
      case SERVER_MESSAGE.error:
        return onError(expected, body);
      case SERVER_MESSAGE.ready:
        onReady(expected, body);
        return false;
      case SERVER_MESSAGE.commandComplete: {
        const command = readCommandComplete(body);
        commands.push(command);
        const last = own.at(-1);
        if (last !== undefined) last.command = command;
        if (expected.to === 'execute') advance();
        return shown;
      }
      case SERVER_MESSAGE.emptyQuery:
      case SERVER_MESSAGE.portalSuspended:
        if (expected.to === 'execute') advance();
        return shown;
      case SERVER_MESSAGE.copyIn:
        return onCopyIn(body);
      case SERVER_MESSAGE.copyBoth:
        throw new ProtocolViolation('the server began to replicate without being asked');
      case SERVER_MESSAGE.parseComplete:
        return finish(expected, 'parse', shown);
      case SERVER_MESSAGE.bindComplete:
        return finish(expected, 'bind', shown);
      case SERVER_MESSAGE.closeComplete:
        return finish(expected, 'close', shown);
      case SERVER_MESSAGE.parameterDescription:
        expected.onParameterTypes?.(readParameterTypes(body));
        return shown;
      case SERVER_MESSAGE.rowDescription:
      case SERVER_MESSAGE.noData:
        if (expected.to === 'describe statement' || expected.to === 'describe portal') advance();
        return shown;
      default:
        return shown;
    }
  }

  function onCopyIn(body: Buffer): boolean {
    const { rows } = more;
    if (rows === undefined) {
      stream.write(copyFail('no rows can be sent here'));
      return false;
    }
    copying = true;
    const response = message('G', body);
    // Later, so that what came before it in this chunk reaches the sink before it.
    queueMicrotask(() => rows.start(response, copyTarget()));
    return false;
  }

  function copyTarget(): CopyTarget {
    const over = (): boolean => !deps.isCurrent();
    return {
      write: (frames) => over() || !copying || stream.write(frames),
      drained: () => (over() ? Promise.resolve() : drained(stream)),
    };
  }

  function finish(expected: ExpectedReply, to: ExpectedReply['to'], shown: boolean): boolean {
    if (expected.to !== to) throw new ProtocolViolation(`the server answered ${to} where ${expected.to} was asked`);
    expected.onDone?.();
    advance();
    return shown;
  }

  /** After an error the server skips everything up to the next Sync: so do the expected replies. */
  function onError(expected: ExpectedReply, body: Buffer): boolean | Buffer {
    const said = readFailure(body);
    const instead = more.instead?.(said);
    if (said.severity === 'FATAL' || said.severity === 'PANIC') deps.onFatal(said);
    failure ??= instead ?? said;
    const last = own.at(-1);
    if (last !== undefined) last.failure = said;
    if (expected.to !== 'query' && expected.to !== 'sync') {
      const sync = replies.findIndex((reply, index) => index >= at && reply.to === 'sync');
      at = sync === -1 ? replies.length : sync;
      if (sync === -1) queueMicrotask(deps.onOver);
    }
    if (sink === null) return false;
    if (instead !== undefined) return errorResponse(instead);
    return expected.positionIn === undefined ? true : withPositionMoved(body, expected.positionIn);
  }

  function onReady(expected: ExpectedReply, body: Buffer): void {
    if (expected.to !== 'query' && expected.to !== 'sync') {
      throw new ProtocolViolation(`the server was ready before it answered ${expected.to}`);
    }
    const status = body[0];
    deps.onReady(status === 0x49 ? 'idle' : status === 0x54 ? 'open' : 'failed');
    advance();
    if (sink === null && at < replies.length) own.push(emptyOwnReply());
  }

  function advance(): void {
    at++;
    // Later, so that what is passed on of this chunk reaches the sink before the exchange is over.
    if (at >= replies.length) queueMicrotask(deps.onOver);
  }

  return {
    sink,
    commands,
    own,
    get failure() {
      return failure;
    },
    get copying() {
      return copying;
    },
    take,
    takeOwnRows(bytes) {
      const last = own.at(-1);
      assert(last !== undefined);
      piece = readOwnRows(piece === null ? bytes : Buffer.concat([piece, bytes]), last);
    },
    stopRows() {
      stream.write(copyFail('canceling statement due to user request'));
      copying = false;
    },
    reject: deps.reject,
  };
}
