import type { Socket } from 'node:net';
import { createCopyReframer } from './copy-frames.ts';
import { CLIENT_MESSAGE, createClientFrameReader } from './frames.ts';

export interface ClientFrame {
  readonly type: number;
  /** Header included; of a long message only the beginning. */
  readonly frame: Buffer;
  /** How many bytes of a long message are still to come after it: `more` gives them. */
  readonly remaining: number;
}

/** What a client has said and nobody has answered yet, in order. While much waits, nothing more is read from the client. */
export interface ClientQueue {
  /** Nothing waits. */
  readonly isEmpty: boolean;
  /** The next message, where one waits. */
  first(): ClientFrame | undefined;
  /** The next message; `null` once nothing waits and the client is gone, or `enough` says so (asked again on `wake`). */
  next(enough: () => boolean): Promise<ClientFrame | null>;
  /** The next piece of the long message that was begun last; `null` when the client left in the middle of it. */
  more(): Promise<ClientFrame | null>;
  /** Puts back what was taken. */
  putBack(frame: ClientFrame): void;
  wake(): void;
  /** Why no more will come: the client left, or said what is no message. */
  readonly over: Error | 'left' | null;
}

const MAX_QUEUED_BYTES = 4 * 1024 * 1024;

/**
 * @param rest bytes that came with the end of the start-up.
 * @param onOver called at once when the client is gone, whatever still waits.
 */
export function createClientQueue(socket: Socket, rest: Buffer, onOver: () => void): ClientQueue {
  const waiting: ClientFrame[] = [];
  let bytes = 0;
  let wake: (() => void) | null = null;
  let over: Error | 'left' | null = null;

  const keep = (type: number, frame: Buffer, remaining: number): void => {
    waiting.push({ type, frame, remaining });
    bytes += frame.length;
    if (bytes > MAX_QUEUED_BYTES) socket.pause();
  };
  const reframe = createCopyReframer();
  const reader = createClientFrameReader({
    // A view into the socket's chunk, which need not be kept for a small message that has to wait.
    onFrame: (type, frame) => keep(type, Buffer.from(frame), 0),
    onPiece: keep,
    onCopyData: (piece, remaining) => {
      for (const frame of reframe(piece, remaining)) keep(CLIENT_MESSAGE.copyData, frame, 0);
    },
  });
  const end = (reason: Error | 'left'): void => {
    over ??= reason;
    wake?.();
    onOver();
  };
  const take = (chunk: Buffer): void => {
    try {
      reader.push(chunk);
      wake?.();
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
    }
  };
  socket.on('data', take);
  socket.once('close', () => end('left'));
  socket.once('error', end);
  // It may have left while its session was being opened; nothing would tell of that any more.
  if (socket.destroyed) end('left');
  if (rest.length > 0) take(rest);

  function first(): ClientFrame | undefined {
    const frame = waiting.shift();
    if (frame === undefined) return undefined;
    bytes -= frame.frame.length;
    if (socket.isPaused() && bytes <= MAX_QUEUED_BYTES) socket.resume();
    return frame;
  }

  async function next(enough: () => boolean): Promise<ClientFrame | null> {
    for (;;) {
      const frame = first();
      if (frame !== undefined) return frame;
      if (over !== null || enough()) return null;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = null;
    }
  }

  return {
    get over() {
      return over;
    },
    get isEmpty() {
      return waiting.length === 0;
    },
    first,
    next,
    // Nothing comes between the pieces of a message.
    more: () => next(() => false),
    putBack(frame) {
      waiting.unshift(frame);
      bytes += frame.frame.length;
    },
    wake: () => wake?.(),
  };
}
