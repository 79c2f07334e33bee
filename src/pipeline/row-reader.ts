import assert from 'node:assert/strict';
import { FRAME_HEADER_BYTES } from '../engines/postgres/wire-frames.ts';

/** Puts together the rows that fit out of the pieces that a result comes in; of all others it keeps nothing. */
export interface RowReader {
  /** Takes the next bytes of DataRow messages, in the pieces that a `FrameReader` passes on: no header is cut in two. */
  push(piece: Buffer): void;
}

export function createRowReader(rules: {
  /** Asked once for each row, in order, with the length of its body. */
  readonly fits: (lengthBytes: number) => boolean;
  /** The body of a row that fits: a copy, the keeper's own. */
  readonly onRow: (body: Buffer) => void;
}): RowReader {
  let row: Buffer | null = null;
  let taken = 0;
  /** What is still to come of the row that has begun. */
  let left = 0;

  return {
    push(piece) {
      let at = 0;
      while (at < piece.length) {
        if (left === 0) {
          assert(piece.length - at >= FRAME_HEADER_BYTES, 'a header comes in one piece');
          left = piece.readUInt32BE(at + 1) + 1 - FRAME_HEADER_BYTES;
          at += FRAME_HEADER_BYTES;
          row = rules.fits(left) ? Buffer.allocUnsafe(left) : null;
          taken = 0;
        }
        const length = Math.min(left, piece.length - at);
        if (row !== null) taken += piece.copy(row, taken, at, at + length);
        at += length;
        left -= length;
        if (left === 0 && row !== null) {
          rules.onRow(row);
          row = null;
        }
      }
    },
  };
}
