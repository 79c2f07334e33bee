import { createFrameReader, FRAME_HEADER_BYTES, type FrameReader } from '../../engines/postgres/wire-frames.ts';

/** What an authenticated client may send, by the byte that starts it (PostgreSQL, "Message Formats"). */
export const CLIENT_MESSAGE = {
  bind: 0x42,
  close: 0x43,
  describe: 0x44,
  execute: 0x45,
  functionCall: 0x46,
  flush: 0x48,
  parse: 0x50,
  query: 0x51,
  sync: 0x53,
  terminate: 0x58,
  copyDone: 0x63,
  copyData: 0x64,
  copyFail: 0x66,
} as const;

export interface ClientFrameHandler {
  /** A whole message, header included; a view into the chunk it came in. */
  onFrame(type: number, frame: Buffer): void;
  /** Copied data as it comes, never assembled; `remaining` bytes of the last message are still to come. */
  onCopyData?(piece: Buffer, remaining: number): void;
  /** A piece of a message that is too long to come whole; `remaining` bytes of it are still to come. */
  onPiece?(type: number, piece: Buffer, remaining: number): void;
}

const MEBIBYTE = 1024 * 1024;
/** A portal's or statement's name and a few bytes: longer ones serve nobody. */
export const NAMED_BYTES = 16 * 1024;

/** The most that PostgreSQL takes for one message (`PQ_LARGE_MESSAGE_LIMIT`), and the byte of its type. */
const GIGABYTE = 0x3fffffff + 1;

/** Longer messages are not assembled as they come: whoever takes them decides whether they are kept, dropped or passed on. */
export const LONG_MESSAGE_BYTES = MEBIBYTE;

/**
 * The longest frame of each type, in bytes. Texts are parsed and kept, so they are bounded well below the protocol's
 * gigabyte; bound values and copied rows are not.
 */
const LONGEST: ReadonlyMap<number, number> = new Map([
  [CLIENT_MESSAGE.bind, GIGABYTE],
  [CLIENT_MESSAGE.close, NAMED_BYTES],
  [CLIENT_MESSAGE.describe, NAMED_BYTES],
  [CLIENT_MESSAGE.execute, NAMED_BYTES],
  [CLIENT_MESSAGE.functionCall, MEBIBYTE],
  [CLIENT_MESSAGE.flush, FRAME_HEADER_BYTES],
  [CLIENT_MESSAGE.parse, 16 * MEBIBYTE],
  [CLIENT_MESSAGE.query, 16 * MEBIBYTE],
  [CLIENT_MESSAGE.sync, FRAME_HEADER_BYTES],
  [CLIENT_MESSAGE.terminate, FRAME_HEADER_BYTES],
  [CLIENT_MESSAGE.copyDone, FRAME_HEADER_BYTES],
  [CLIENT_MESSAGE.copyData, GIGABYTE],
  [CLIENT_MESSAGE.copyFail, NAMED_BYTES],
]);

/** Cuts what an authenticated client sends into messages; types that no client sends are a ProtocolViolation. */
export function createClientFrameReader(handler: ClientFrameHandler): FrameReader {
  return createFrameReader({
    maxLength: (type) => LONGEST.get(type) ?? 0,
    passesThrough: (type) => type === CLIENT_MESSAGE.copyData,
    wholeUpTo: () => LONG_MESSAGE_BYTES,
    onFrame: (type, frame) => handler.onFrame(type, frame),
    onPiece(type, piece, remaining) {
      if (type === CLIENT_MESSAGE.copyData) handler.onCopyData?.(piece, remaining);
      else handler.onPiece?.(type, piece, remaining);
    },
  });
}
