import type { Socket } from 'node:net';

/** Reads a socket by exact amounts, as long as nobody is known at its other end: never holds more than it was asked for and one chunk. */
export interface StartupInput {
  /** The next `count` bytes; `null` when the connection ended before they came. One read at a time. */
  read(count: number): Promise<Buffer | null>;
  /** Bytes that came and were not read. */
  buffered(): number;
  /** Lets go of the socket, which then flows again for whoever listens next, and returns what was not read. */
  release(): Buffer;
}

/** @param unread Bytes that an earlier reader of the same socket got beyond what it needed. */
export function createStartupInput(socket: Socket, unread: Buffer): StartupInput {
  let held = unread;
  let ended = socket.destroyed || socket.readableEnded;
  let wake: (() => void) | null = null;

  const onReadable = () => wake?.();
  const onEnd = () => {
    ended = true;
    wake?.();
  };
  socket.on('readable', onReadable);
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', onEnd);

  async function read(count: number): Promise<Buffer | null> {
    while (held.length < count) {
      const chunk: Buffer | null = socket.read();
      if (chunk !== null) held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      else if (ended) return null;
      else await arrival();
    }
    const taken = held.subarray(0, count);
    held = held.subarray(count);
    return taken;
  }

  function arrival(): Promise<void> {
    return new Promise((resolve) => {
      wake = () => {
        wake = null;
        resolve();
      };
    });
  }

  return {
    read,
    buffered: () => held.length + socket.readableLength,
    release() {
      socket.off('readable', onReadable);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.off('error', onEnd);
      const rest = held;
      held = Buffer.alloc(0);
      return rest;
    },
  };
}
