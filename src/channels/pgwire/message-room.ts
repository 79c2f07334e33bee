import type { Refusal } from '../../domain/refusal.ts';
import type { LongMessage } from './long-message.ts';

/** Bounds what long messages of all clients take up together: each waits for its room before any of it is kept. */
export interface MessageRoom {
  /** Resolves to what gives the room back; `null` when there was none in time. */
  reserve(bytes: number): Promise<(() => void) | null>;
}

/** Room that one client has taken; it is given back when the batch is over for which it was taken. */
export interface ClientRoom {
  /** All of a message; `null` when there was no room for it in time. */
  assemble(message: LongMessage): Promise<Buffer | null>;
  giveBack(): void;
}

const ROOM_BYTES = 256 * 1024 * 1024;
const WAIT_MS = 10_000;

export function createMessageRoom(roomBytes = ROOM_BYTES, waitMs = WAIT_MS): MessageRoom {
  let free = roomBytes;
  /** First come, first served, so that many small ones can't keep a large one out. */
  const waiting: { readonly bytes: number; readonly admit: () => void }[] = [];

  function admitNext(): void {
    for (let next = waiting[0]; next !== undefined && next.bytes <= free; next = waiting[0]) {
      waiting.shift();
      free -= next.bytes;
      next.admit();
    }
  }

  function giver(bytes: number): () => void {
    let given = false;
    return () => {
      if (given) return;
      given = true;
      free += bytes;
      admitNext();
    };
  }

  return {
    reserve(bytes) {
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          const index = waiting.indexOf(asking);
          if (index !== -1) waiting.splice(index, 1);
          resolve(null);
          admitNext();
        }, waitMs);
        timer.unref();
        const asking = {
          bytes,
          admit() {
            clearTimeout(timer);
            resolve(giver(bytes));
          },
        };
        waiting.push(asking);
        admitNext();
      });
    },
  };
}

export function createClientRoom(room: MessageRoom): ClientRoom {
  let taken: (() => void)[] = [];
  return {
    async assemble(message) {
      const giveBack = await room.reserve(message.length);
      if (giveBack === null) return null;
      taken.push(giveBack);
      return message.whole();
    },
    giveBack() {
      for (const giveBack of taken) giveBack();
      taken = [];
    },
  };
}

export const NO_ROOM: Refusal = {
  refused: 'unavailable',
  message: 'The gateway holds as many long messages as it has room for.',
  hint: 'Send it again in a moment, or in smaller parts.',
};
