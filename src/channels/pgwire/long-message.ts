import type { ClientFrame, ClientQueue } from './client-queue.ts';

/**
 * A message of a client's that is too long to be assembled as it comes. It is read once: its beginning, then whole or
 * piece by piece; whoever doesn't want it drops it.
 */
export interface LongMessage {
  readonly type: number;
  /** Header included. */
  readonly length: number;
  /** Its beginning, a little longer each time it is asked. `null` when there is no more of it. */
  head(): Promise<Buffer | null>;
  /** All of it, in one piece. Who asks has room for it. */
  whole(): Promise<Buffer>;
  /** All of it as it comes, the header included. */
  pieces(): AsyncGenerator<Buffer, void>;
  /** Lets the rest of it come, and keeps nothing. */
  drop(): Promise<void>;
}

/** The client left in the middle of a message: nothing that it said there counts. */
export class LeftMidway extends Error {
  constructor() {
    super('the client left in the middle of a message');
    this.name = 'LeftMidway';
  }
}

/** @param begun what `queue` gave last. */
export function createLongMessage(begun: ClientFrame, queue: ClientQueue): LongMessage {
  /** Come, and not handed on yet. */
  let came: Buffer[] = [begun.frame];
  let left = begun.remaining;

  async function nextPiece(): Promise<Buffer | null> {
    if (left === 0) return null;
    const piece = await queue.more();
    if (piece === null) throw new LeftMidway();
    left = piece.remaining;
    return piece.frame;
  }

  async function* pieces(): AsyncGenerator<Buffer, void> {
    for (let piece = came.shift(); piece !== undefined; piece = came.shift()) yield piece;
    for (let piece = await nextPiece(); piece !== null; piece = await nextPiece()) yield piece;
  }

  return {
    type: begun.type,
    length: begun.frame.length + begun.remaining,
    async head() {
      const piece = await nextPiece();
      if (piece === null) return null;
      came = [Buffer.concat([...came, piece])];
      return came[0] ?? null;
    },
    async whole() {
      const whole = Buffer.allocUnsafe(begun.frame.length + begun.remaining);
      let at = 0;
      for await (const piece of pieces()) at += piece.copy(whole, at);
      return whole;
    },
    pieces,
    async drop() {
      came = [];
      while ((await nextPiece()) !== null);
    },
  };
}
