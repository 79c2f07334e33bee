import { ProtocolViolation } from './wire-messages.ts';

/**
 * Walks over what a server sends, without taking apart what is only passed on: rows are looked at by their five header
 * bytes and leave in the same slices they came in, whatever their size (PostgreSQL, "Message Formats").
 */
export interface ReplyScanner {
  /** Takes the next bytes from the server. @throws ProtocolViolation when they can't be messages. */
  push(chunk: Buffer): void;
}

export interface ReplyHandler {
  /** A whole message other than a row or copied data; `body` is without the header. Returns whether it is passed on, or what is instead. */
  message(type: number, body: Buffer): boolean | Buffer;
  /** Bytes to pass on: whole messages, or pieces of big ones, in order. Valid only during the call. */
  pass(bytes: Buffer): void;
}

const HEADER_BYTES = 5;
/** Messages that are judged are small; a larger one is no message of PostgreSQL's. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const DATA_ROW = 0x44;
const COPY_DATA = 0x64;

export function createReplyScanner(handler: ReplyHandler): ReplyScanner {
  /** Bytes of a message that has begun and isn't whole yet. */
  let partial: Buffer | null = null;
  /** Bytes still to come of a row whose beginning has been passed on. */
  let passing = 0;

  function push(chunk: Buffer): void {
    let bytes = chunk;
    if (partial !== null) {
      bytes = Buffer.concat([partial, chunk]);
      partial = null;
    }
    let at = 0;
    let runStart = 0;
    if (passing > 0) {
      at = Math.min(passing, bytes.length);
      passing -= at;
    }
    while (at + HEADER_BYTES <= bytes.length) {
      const type = bytes[at] ?? 0;
      const end = at + 1 + bytes.readInt32BE(at + 1);
      if (end < at + HEADER_BYTES) throw new ProtocolViolation(`a message of type ${type} has an impossible length`);
      if (type === DATA_ROW || type === COPY_DATA) {
        if (end > bytes.length) {
          passing = end - bytes.length;
          at = bytes.length;
          break;
        }
        at = end;
        continue;
      }
      if (end - at > MAX_MESSAGE_BYTES) throw new ProtocolViolation(`a message of type ${type} is too long`);
      if (end > bytes.length) break;
      const shown = handler.message(type, bytes.subarray(at + HEADER_BYTES, end));
      if (shown !== true) {
        if (at > runStart) handler.pass(bytes.subarray(runStart, at));
        if (shown !== false) handler.pass(shown);
        runStart = end;
      }
      at = end;
    }
    if (at > runStart) handler.pass(bytes.subarray(runStart, at));
    if (at < bytes.length) partial = Buffer.from(bytes.subarray(at));
  }

  return { push };
}
