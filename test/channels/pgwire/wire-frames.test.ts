import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createClientFrameReader } from '../../../src/channels/pgwire/frames.ts';
import { createFrameReader } from '../../../src/engines/postgres/wire-frames.ts';
import { message, ProtocolViolation, query, SYNC } from '../../../src/engines/postgres/wire-messages.ts';

const DATA_ROW = 0x44;
const MAX = 4096;

interface Seen {
  readonly frames: Buffer[];
  /** All pass-through bytes, joined, and whether each ended where it said. */
  passed: Buffer;
  calls: number;
}

function reading() {
  const seen: Seen = { frames: [], passed: Buffer.alloc(0), calls: 0 };
  let expected = 0;
  const reader = createFrameReader({
    maxLength: (type) => (type === DATA_ROW ? 2 ** 31 : type === 0x21 ? 0 : MAX),
    passesThrough: (type) => type === DATA_ROW,
    onFrame(type, frame) {
      expect(frame[0]).toBe(type);
      expect(frame.length).toBe(frame.readInt32BE(1) + 1);
      expect(frame.length).toBeLessThanOrEqual(MAX);
      expect(expected).toBe(0);
      seen.frames.push(Buffer.from(frame));
    },
    onPiece(type, piece, remaining) {
      expect(type).toBe(DATA_ROW);
      seen.calls++;
      seen.passed = Buffer.concat([seen.passed, piece]);
      expected = remaining;
    },
  });
  return { seen, reader };
}

const frame = fc
  .tuple(fc.constantFrom('Q', 'D', 'D', 'Z', 'C'), fc.uint8Array({ maxLength: 60 }))
  .map(([type, body]) => message(type, Buffer.from(body)));

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const edges = [0, ...sorted, bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

describe('frame reader', () => {
  it('gives the same frames wherever the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 30 }), (frames, places) => {
        const bytes = Buffer.concat(frames);
        const { seen, reader } = reading();
        for (const chunk of cut(bytes, places)) reader.push(Buffer.from(chunk));
        expect(seen.frames).toEqual(frames.filter((each) => each[0] !== DATA_ROW));
        expect(seen.passed).toEqual(Buffer.concat(frames.filter((each) => each[0] === DATA_ROW)));
        expect(reader.atBoundary).toBe(true);
      }),
    );
  });

  it('gives the same frames byte by byte, and cut at each single byte', () => {
    const frames = [
      query('select 1'),
      message('D', Buffer.alloc(7, 1)),
      message('D', Buffer.alloc(0)),
      SYNC,
      query(''),
    ];
    const bytes = Buffer.concat(frames);
    for (let place = 0; place <= bytes.length; place++) {
      const { seen, reader } = reading();
      for (const chunk of cut(bytes, [place])) reader.push(chunk);
      expect(seen.frames).toEqual([frames[0], frames[3], frames[4]]);
      expect(seen.passed).toEqual(Buffer.concat([...frames.slice(1, 3)]));
    }
    const { seen, reader } = reading();
    for (const byte of bytes) reader.push(Buffer.from([byte]));
    expect(seen.frames).toEqual([frames[0], frames[3], frames[4]]);
  });

  it('hands on a run of rows as one slice, in the order of the frames around it', () => {
    const order: string[] = [];
    const reader = createFrameReader({
      maxLength: () => MAX,
      passesThrough: (type) => type === DATA_ROW,
      onFrame: (type) => order.push(String.fromCharCode(type)),
      onPiece: (_type, piece, remaining) => order.push(`${piece.length}+${remaining}`),
    });
    const row = message('D', Buffer.alloc(10));
    reader.push(
      Buffer.concat([message('T', Buffer.alloc(2)), row, row, row, message('C', Buffer.alloc(1)), row.subarray(0, 8)]),
    );
    expect(order).toEqual(['T', '45+0', 'C', '8+7']);
    expect(reader.atBoundary).toBe(false);
    reader.push(row.subarray(8));
    expect(order.at(-1)).toBe('7+0');
  });

  it('passes a value of a gigabyte on without holding it', () => {
    const size = 1_000_000_000;
    const head = Buffer.alloc(5);
    head[0] = DATA_ROW;
    head.writeInt32BE(size - 1, 1);
    let passed = 0;
    let last = -1;
    const reader = createFrameReader({
      maxLength: () => 2 ** 31,
      passesThrough: () => true,
      onFrame: () => expect.unreachable(),
      onPiece: (_type, piece, remaining) => {
        passed += piece.length;
        last = remaining;
      },
    });
    reader.push(head);
    const chunk = Buffer.alloc(1024 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    while (passed < size) reader.push(chunk.subarray(0, Math.min(chunk.length, size - passed)));
    expect(last).toBe(0);
    expect(reader.atBoundary).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });

  it('holds what came of a frame, not what its length announces', () => {
    const head = Buffer.alloc(5);
    head.write('Q');
    head.writeInt32BE(15 * 1024 * 1024, 1);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 100 }, () => createClientFrameReader({ onFrame: () => expect.unreachable() }));
    for (const reader of readers) reader.push(head);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024);
  });

  it.each([
    ['a length below four', Buffer.from([0x51, 0, 0, 0, 3])],
    ['a negative length', Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff])],
    ['a negative length of a row', Buffer.from([0x44, 0x80, 0, 0, 0])],
    ['a row shorter than its header', Buffer.from([0x44, 0, 0, 0, 0])],
    ['more than is allowed', Buffer.from([0x51, 0, 0, 0x10, 0])],
    ['a type that must not come', Buffer.from([0x21, 0, 0, 0, 4])],
  ])('refuses %s, and everything after it', (_what, bytes) => {
    for (let place = 0; place <= bytes.length; place++) {
      const { seen, reader } = reading();
      expect(() => {
        for (const chunk of cut(bytes, [place])) reader.push(chunk);
      }).toThrow(ProtocolViolation);
      expect(() => reader.push(SYNC)).toThrow(ProtocolViolation);
      expect(seen.frames).toEqual([]);
      expect(reader.atBoundary).toBe(false);
    }
  });

  it('stands any bytes: a violation or frames within bounds, the same however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 8 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        (frames, mutations, places) => {
          const bytes = Buffer.concat(frames);
          for (const [place, value] of mutations) bytes[place % bytes.length] = value;
          const outcomes = [[bytes], cut(bytes, places)].map((chunks) => {
            const { seen, reader } = reading();
            let violated = false;
            try {
              for (const chunk of chunks) reader.push(Buffer.from(chunk));
            } catch (error) {
              if (!(error instanceof ProtocolViolation)) throw error;
              violated = true;
            }
            return { frames: seen.frames, passed: seen.passed, violated };
          });
          expect(outcomes[0]).toEqual(outcomes[1]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('walks over small rows at the speed of memory', () => {
    const chunk = Buffer.concat(Array.from({ length: 2000 }, () => message('D', Buffer.alloc(27))));
    const { seen, reader } = { ...reading(), seen: { bytes: 0 } };
    const fast = createFrameReader({
      maxLength: () => 2 ** 31,
      passesThrough: () => true,
      onFrame: () => expect.unreachable(),
      onPiece: (_type, piece) => {
        seen.bytes += piece.length;
      },
    });
    expect(reader.atBoundary).toBe(true);
    const timed = (work: () => void) => {
      const startedMs = performance.now();
      for (let round = 0; round < 2000; round++) work();
      return performance.now() - startedMs;
    };
    // The least that can be done: to step from length to length. A row that came to cost an object would cost far more.
    const stepping = () => {
      let at = 0;
      while (at < chunk.length) at += 1 + chunk.readInt32BE(at + 1);
      expect(at).toBe(chunk.length);
    };
    timed(stepping);
    timed(() => fast.push(chunk));
    expect(timed(() => fast.push(chunk)) / timed(stepping)).toBeLessThan(8);
  });
});

describe('client frames', () => {
  it.each([
    ['a password after authentication', 'p'],
    ['what only servers send', 'Z'],
    ['a start-up packet', '\0'],
  ])('refuses %s', (_what, type) => {
    const reader = createClientFrameReader({ onFrame: () => expect.unreachable() });
    expect(() => reader.push(message(type, Buffer.alloc(0)))).toThrow(ProtocolViolation);
  });

  it('refuses a Sync with a body', () => {
    const reader = createClientFrameReader({ onFrame: () => expect.unreachable() });
    expect(() => reader.push(message('S', Buffer.alloc(1)))).toThrow(/at most 5/);
  });

  it('never assembles copied data', () => {
    const pieces: number[] = [];
    const reader = createClientFrameReader({
      onFrame: () => expect.unreachable(),
      onCopyData: (piece, remaining) => pieces.push(piece.length, remaining),
    });
    reader.push(message('d', Buffer.alloc(100)).subarray(0, 50));
    expect(pieces).toEqual([50, 55]);
  });
});
