import { ProtocolViolation } from './wire-messages.ts';

/**
 * Cuts a stream of bytes into typed messages: one byte of type, four of length, the body (PostgreSQL, "Message Flow").
 * Types that only pass through are never assembled, so that a value of a gigabyte flows in flat memory; all others are
 * handed on whole, as views into the chunk they came in where that is possible.
 */
export interface FrameReader {
  /** Takes the next bytes. @throws ProtocolViolation on bytes that can't be messages; the reader takes nothing after that. */
  push(chunk: Buffer): void;
  /** No message has begun that isn't at its end: only here may a peer leave in good order. */
  readonly atBoundary: boolean;
}

export interface FrameRules {
  /**
   * The longest frame of a type, in bytes, header included; 0 when the type must not come. Asked once for each type when
   * the reader is made.
   */
  maxLength(type: number): number;
  /** Whether frames of a type are passed on as they come. */
  passesThrough?(type: number): boolean;
  /** Frames of other types come whole up to this many bytes; longer ones are passed on as they come, each by itself. */
  wholeUpTo?(type: number): number;
  /** A whole frame, header included. It is a view: who keeps it keeps the chunk. */
  onFrame(type: number, frame: Buffer): void;
  /**
   * Bytes of pass-through frames of one type, in order: the rest of a frame begun before, any number of whole frames, and
   * the beginning of one that isn't whole yet, of which `remaining` bytes are still to come. Of a frame that is too long to
   * come whole, a piece holds nothing else.
   */
  onPiece?(type: number, piece: Buffer, remaining: number): void;
}

export const FRAME_HEADER_BYTES = 5;

/** Lengths are signed in the protocol. */
const PROTOCOL_LIMIT = 2 ** 31;
const REFUSED = 0;
const WHOLE = 1;
const PASSING = 2;

export function createFrameReader(rules: FrameRules): FrameReader {
  const { kinds, maxLengths, wholeLengths } = tabulate(rules);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  let headerBytes = 0;
  /** The frame being assembled; it grows with what came, not with what was announced. */
  let assembly: Buffer | null = null;
  let assembled = 0;
  let assemblyLength = 0;
  let passingType = 0;
  let passing = 0;
  /** Stays true when a push ends by an exception: nothing can be known of the bytes after it. */
  let inside = false;

  function push(chunk: Buffer): void {
    if (inside) throw new ProtocolViolation('nothing can be read after a violation');
    inside = true;
    let at = 0;
    if (headerBytes > 0) at = finishHeader(chunk);
    if (assembly !== null) at = assemble(assembly, chunk, at);
    at = passing > 0 ? passOn(chunk, at, at) : at;
    while (at < chunk.length) at = takeFrame(chunk, at);
    inside = false;
  }

  /** One frame that lies whole in the chunk, or the run of pass-through frames that begins here, or the beginning of either. */
  function takeFrame(chunk: Buffer, at: number): number {
    if (chunk.length - at < FRAME_HEADER_BYTES) {
      headerBytes = chunk.copy(header, 0, at);
      return chunk.length;
    }
    const type = chunk[at] ?? 0;
    const length = frameLength(type, chunk.readUInt32BE(at + 1));
    if (passes(type, length)) {
      passingType = type;
      passing = length;
      return passOn(chunk, at, at);
    }
    if (length <= chunk.length - at) {
      rules.onFrame(type, chunk.subarray(at, at + length));
      return at + length;
    }
    return begin(chunk, at, length);
  }

  /**
   * The hot path: a result's rows. Walks from header to header while the type stays the same, and hands the whole run on
   * as one slice. `runStart` is where the bytes begin that were not handed on yet.
   */
  function passOn(chunk: Buffer, runStart: number, from: number): number {
    const type = passingType;
    const maxLength = maxLengths[type] ?? 0;
    const inRuns = kinds[type] === PASSING;
    const end = chunk.length;
    let at = from + passing;
    while (inRuns && end - at >= FRAME_HEADER_BYTES && chunk[at] === type) {
      const length = chunk.readUInt32BE(at + 1) + 1;
      if (length < FRAME_HEADER_BYTES || length > maxLength) {
        rules.onPiece?.(type, chunk.subarray(runStart, at), 0);
        frameLength(type, length - 1);
      }
      at += length;
    }
    const reached = Math.min(at, end);
    passing = at - reached;
    if (reached > runStart) rules.onPiece?.(type, chunk.subarray(runStart, reached), passing);
    return reached;
  }

  /** Completes a header that was cut; the frame's body starts at what is returned. */
  function finishHeader(chunk: Buffer): number {
    const taken = chunk.copy(header, headerBytes, 0, FRAME_HEADER_BYTES - headerBytes);
    headerBytes += taken;
    if (headerBytes < FRAME_HEADER_BYTES) return taken;
    headerBytes = 0;
    const type = header[0] ?? 0;
    const length = frameLength(type, header.readUInt32BE(1));
    if (passes(type, length)) {
      passingType = type;
      passing = length - FRAME_HEADER_BYTES;
      rules.onPiece?.(type, Buffer.from(header), passing);
    } else if (length === FRAME_HEADER_BYTES) {
      rules.onFrame(type, Buffer.from(header));
    } else {
      begin(header, 0, length);
    }
    return taken;
  }

  function begin(bytes: Buffer, at: number, length: number): number {
    const present = bytes.length - at;
    assembly = Buffer.allocUnsafe(Math.min(length, Math.max(2 * present, 1024)));
    assembled = bytes.copy(assembly, 0, at);
    assemblyLength = length;
    return bytes.length;
  }

  function assemble(into: Buffer, chunk: Buffer, at: number): number {
    const taken = Math.min(assemblyLength - assembled, chunk.length - at);
    let frame = into;
    if (assembled + taken > frame.length) {
      frame = Buffer.allocUnsafe(Math.min(assemblyLength, 2 * (assembled + taken)));
      into.copy(frame, 0, 0, assembled);
    }
    assembled += chunk.copy(frame, assembled, at, at + taken);
    assembly = frame;
    if (assembled === assemblyLength) {
      assembly = null;
      rules.onFrame(frame[0] ?? 0, frame.subarray(0, assemblyLength));
    }
    return at + taken;
  }

  function passes(type: number, length: number): boolean {
    return kinds[type] === PASSING || length > (wholeLengths[type] ?? 0);
  }

  /** The length of a frame, header included, from the length that its header tells, which doesn't count the type. */
  function frameLength(type: number, told: number): number {
    if (kinds[type] === REFUSED) throw new ProtocolViolation(`a message of type ${nameOf(type)} is not expected here`);
    const length = told + 1;
    if (length < FRAME_HEADER_BYTES)
      throw new ProtocolViolation(`a message of type ${nameOf(type)} tells length ${told}`);
    const longest = maxLengths[type] ?? 0;
    if (length > longest) {
      throw new ProtocolViolation(
        `a message of type ${nameOf(type)} has ${length} bytes; at most ${longest} are allowed`,
      );
    }
    return length;
  }

  return {
    push,
    get atBoundary() {
      return !inside && headerBytes === 0 && assembly === null && passing === 0;
    },
  };
}

function tabulate(rules: FrameRules): { kinds: Uint8Array; maxLengths: Float64Array; wholeLengths: Float64Array } {
  const kinds = new Uint8Array(256);
  const maxLengths = new Float64Array(256);
  const wholeLengths = new Float64Array(256);
  for (let type = 0; type < 256; type++) {
    const longest = Math.min(rules.maxLength(type), PROTOCOL_LIMIT);
    maxLengths[type] = longest;
    wholeLengths[type] = rules.wholeUpTo?.(type) ?? longest;
    kinds[type] = longest < FRAME_HEADER_BYTES ? REFUSED : rules.passesThrough?.(type) === true ? PASSING : WHOLE;
  }
  return { kinds, maxLengths, wholeLengths };
}

function nameOf(type: number): string {
  return type > 0x20 && type < 0x7f ? `'${String.fromCharCode(type)}'` : `0x${type.toString(16).padStart(2, '0')}`;
}
