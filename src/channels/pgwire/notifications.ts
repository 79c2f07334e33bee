import type { Socket } from 'node:net';
import type { ReplySink } from '../../engines/session.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';

/** Hands on what channels are told, between answers and never inside of one (PostgreSQL, "Asynchronous Operations"). */
export interface Notifications {
  /** A client's message is about to be answered: what comes waits. */
  hold(): void;
  /** An answer is at its end: what waited goes before the ReadyForQuery. */
  release(): void;
}

/** A client that doesn't read so much is gone, or as good as. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export function handOnNotifications(session: ActorSession, sink: ReplySink, socket: Socket): Notifications {
  let waiting: Buffer[] = [];
  let bytes = 0;
  let holding = false;
  session.onNotification((message) => {
    if (bytes + socket.writableLength > MAX_WAITING_BYTES) {
      socket.destroy();
      return;
    }
    if (!holding) {
      sink.write(message);
      return;
    }
    waiting.push(message);
    bytes += message.length;
  });
  return {
    hold() {
      holding = true;
    },
    release() {
      holding = false;
      for (const message of waiting) sink.write(message);
      waiting = [];
      bytes = 0;
    },
  };
}
