import type { Socket } from 'node:net';
import type { ReplySink } from '../../engines/session.ts';

/** Where a client's replies go. */
export interface SocketSink extends ReplySink {
  /** Sends what was written, at once. @returns whether the client takes more. */
  flush(): boolean;
}

/** Small replies that come one after another leave in one write. */
const COALESCED_BYTES = 16 * 1024;
/** What most replies to a client fit into. */
const FIRST_BYTES = 512;

/** Gathers small replies; what nobody has flushed leaves before the next turn of the event loop. */
export function socketSink(socket: Socket): SocketSink {
  let gathered: Buffer | null = null;
  let bytes = 0;

  function flush(): boolean {
    if (gathered === null) return true;
    const all = gathered.subarray(0, bytes);
    gathered = null;
    bytes = 0;
    return socket.destroyed || socket.write(all);
  }

  /** Room for as many more bytes, which are few. */
  function roomFor(more: number): Buffer {
    if (gathered !== null && bytes + more <= gathered.length) return gathered;
    const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, 2 * (bytes + more)));
    gathered?.copy(larger, 0, 0, bytes);
    return larger;
  }

  return {
    flush,
    write(chunk) {
      if (chunk.length === 0) return true;
      if (bytes + chunk.length > COALESCED_BYTES) {
        const room = flush();
        return (socket.destroyed || socket.write(chunk)) && room;
      }
      if (bytes === 0) flushSoon(flush);
      gathered = roomFor(chunk.length);
      // What comes is lent for the length of the call.
      chunk.copy(gathered, bytes);
      bytes += chunk.length;
      return true;
    },
    drained: () =>
      new Promise((resolve) => {
        if (socket.destroyed || !socket.writableNeedDrain) return resolve();
        const done = (): void => {
          socket.off('drain', done);
          socket.off('close', done);
          resolve();
        };
        socket.once('drain', done);
        socket.once('close', done);
      }),
  };
}

/** One turn of the event loop for all clients: most have been flushed by then. */
const soon = new Set<() => boolean>();

function flushSoon(flush: () => boolean): void {
  if (soon.size === 0) setImmediate(flushAll);
  soon.add(flush);
}

function flushAll(): void {
  const due = [...soon];
  soon.clear();
  for (const flush of due) flush();
}
