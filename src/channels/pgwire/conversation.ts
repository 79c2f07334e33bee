import type { Socket } from 'node:net';
import type { DatabaseFailure } from '../../domain/database-failure.ts';
import { failureOf, RefusalError, SQLSTATES } from '../../domain/refusal.ts';
import {
  EMPTY_QUERY,
  errorResponse,
  ProtocolViolation,
  readQuery,
  readyForQuery,
} from '../../engines/postgres/wire-messages.ts';
import { SessionLost } from '../../engines/session.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { carryQuery, type Steps } from '../../pipeline/carry-query.ts';
import { type ClientFrame, createClientQueue } from './client-queue.ts';
import { tell, unsupportedMessage } from './conversation-replies.ts';
import { copyFrom } from './copy-in.ts';
import { createExtended } from './extended.ts';
import { CLIENT_MESSAGE } from './frames.ts';
import { createLongMessage } from './long-message.ts';
import { type ClientRoom, createClientRoom, type MessageRoom } from './message-room.ts';
import { handOnNotifications } from './notifications.ts';
import { socketSink } from './socket-sink.ts';

/** A client that has been let in, and the session it speaks with. */
export interface Conversation {
  readonly socket: Socket;
  /** Bytes that came with the end of the start-up. */
  readonly rest: Buffer;
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly signal: AbortSignal;
  /** Shared by all clients. */
  readonly room: MessageRoom;
}

/**
 * Talks to a client until it leaves: takes its messages in order, one batch at a time, and answers each batch whole
 * (PostgreSQL, "Message Flow"). Translates only; what may run is decided behind `ActorSession`.
 */
export async function converse(conversation: Conversation): Promise<void> {
  const room = createClientRoom(conversation.room);
  try {
    await converseIn(room, conversation);
  } finally {
    room.giveBack();
  }
}

async function converseIn(room: ClientRoom, { socket, rest, session, steps, signal }: Conversation): Promise<void> {
  const queue = createClientQueue(socket, rest, () => {
    session.cancel().catch(() => socket.destroy());
  });
  signal.addEventListener('abort', () => queue.wake());

  const sink = socketSink(socket);
  const notifications = handOnNotifications(session, sink, socket);
  const rows = copyFrom(queue, sink);
  const extended = createExtended({ session, steps, sink, rows, room });

  while (true) {
    const next = queue.first() ?? (await queue.next(() => signal.aborted && session.transaction === 'idle'));
    if (next === null) break;
    if (next.type === CLIENT_MESSAGE.terminate) {
      sink.flush();
      return;
    }
    notifications.hold();
    try {
      const ends = next.type === CLIENT_MESSAGE.query || next.type === CLIENT_MESSAGE.sync;
      await (steps.within?.(ends, () => answer(next)) ?? answer(next));
      // The client waits for it; where more has come already, the answers leave together.
      if (queue.isEmpty) sink.flush();
    } catch (error) {
      sink.write(errorResponse(lastWords(error)));
      sink.flush();
      return;
    }
  }
  if (signal.aborted) sink.write(errorResponse(SHUTTING_DOWN));
  else if (queue.over instanceof ProtocolViolation) sink.write(errorResponse(lastWords(queue.over)));
  sink.flush();

  function ready(): void {
    room.giveBack();
    notifications.release();
    sink.write(readyForQuery(session.transaction));
  }

  async function answer(begun: ClientFrame): Promise<void> {
    if (begun.remaining === 0) return answerTo(begun.type, begun.frame);
    const message = createLongMessage(begun, queue);
    if (begun.type !== CLIENT_MESSAGE.query) await extended.takeLong(message);
    else if (await extended.makeWay()) {
      const frame = await extended.assemble(message);
      if (frame === null) await message.drop();
      return frame === null ? endBatch() : answerTo(begun.type, frame);
    }
    await message.drop();
  }

  async function endBatch(): Promise<void> {
    await extended.sync();
    ready();
  }

  async function answerTo(type: number, frame: Buffer): Promise<void> {
    const body = frame.subarray(5);
    switch (type) {
      case CLIENT_MESSAGE.query: {
        if (!(await extended.makeWay())) return;
        await simple(readQuery(body), frame);
        await stayInStep();
        ready();
        return;
      }
      case CLIENT_MESSAGE.sync:
        return endBatch();
      case CLIENT_MESSAGE.functionCall:
        if (!(await extended.makeWay())) return;
        extended.refuse(unsupportedMessage('The function-call message'));
        return endBatch();
      case CLIENT_MESSAGE.copyData:
      case CLIENT_MESSAGE.copyDone:
      case CLIENT_MESSAGE.copyFail:
        // What is left of a COPY that failed or was refused: the server would skip it too.
        return;
      default:
        await extended.take(type, frame, body);
        await stayInStep();
    }
  }

  /** @throws ProtocolViolation once the client said anything else in the middle of rows; what failed by that is answered. */
  async function stayInStep(): Promise<void> {
    if (rows.violation === null) return;
    await extended.sync();
    throw rows.violation;
  }

  async function simple(text: string, frame: Buffer): Promise<void> {
    const outcome = await carryQuery(session, { text, frame, sink, rows }, steps);
    if (outcome.outcome === 'empty') sink.write(EMPTY_QUERY);
    else tell(sink, outcome);
  }
}

const SHUTTING_DOWN: DatabaseFailure = {
  severity: 'FATAL',
  sqlstate: '57P01',
  message: 'the gateway is shutting down',
  hint: 'Connect again in a moment.',
};

function lastWords(error: unknown): DatabaseFailure {
  if (error instanceof RefusalError) return { ...failureOf(error.refusal), severity: 'FATAL' };
  if (error instanceof ProtocolViolation) return { severity: 'FATAL', sqlstate: '08P01', message: error.message };
  if (error instanceof SessionLost) {
    return {
      severity: 'FATAL',
      sqlstate: SQLSTATES.unavailable,
      message: `The connection to the target was lost: ${error.message}`,
      hint: 'Nothing that was not committed took effect. Connect again.',
    };
  }
  return {
    severity: 'FATAL',
    sqlstate: 'XX000',
    message: `The gateway failed: ${error instanceof Error ? error.message : String(error)}`,
    hint: 'Connect again; the gateway’s log says more.',
  };
}
