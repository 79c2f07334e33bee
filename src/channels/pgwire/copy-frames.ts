import { FRAME_HEADER_BYTES } from '../../engines/postgres/wire-frames.ts';
import { CLIENT_MESSAGE } from './frames.ts';

/**
 * Turns the pieces in which copied data comes into whole CopyData messages, without assembling any: where one message
 * ends and the next begins means nothing (PostgreSQL, "COPY Operations"). So a connection to a server can be left at any
 * time without a message being half-way, and a message of a gigabyte flows in flat memory.
 */
export function createCopyReframer(): (piece: Buffer, remaining: number) => readonly Buffer[] {
  /** Bytes of a message, begun in an earlier piece, that are still to come. */
  let left = 0;
  return (piece, remaining) => {
    const frames: Buffer[] = [];
    const begin = Math.min(left, piece.length);
    if (begin > 0) frames.push(header(begin), piece.subarray(0, begin));
    left -= begin;
    let at = begin;
    while (at < piece.length) {
      const end = at + 1 + piece.readUInt32BE(at + 1);
      if (end > piece.length) break;
      at = end;
    }
    if (at > begin) frames.push(piece.subarray(begin, at));
    const tail = piece.subarray(Math.min(at + FRAME_HEADER_BYTES, piece.length));
    if (tail.length > 0) frames.push(header(tail.length), tail);
    left = remaining;
    return frames;
  };
}

function header(bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  frame[0] = CLIENT_MESSAGE.copyData;
  frame.writeUInt32BE(bytes + 4, 1);
  return frame;
}
