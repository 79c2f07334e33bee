import type { ReplySink } from '../engines/session.ts';

/** How much of an answer may reach whoever asked. */
export interface ReplyBounds {
  readonly rows: number;
  readonly bytes: number;
}

/** Passes on what a server answers up to its bounds; beyond them one error in its place, and nothing more. */
export interface LimitedReply extends ReplySink {
  readonly over: 'rows' | 'bytes' | null;
}

const DATA_ROW = 0x44;
const COPY_DATA = 0x64;

/**
 * Rows are counted as they pass, by their headers. A row that would be one too many is not passed on, nor is anything after
 * it: the server may have sent everything before it hears that it is to stop.
 *
 * @param stop makes the error that stands for the rest, and has the server stopped. Called once.
 */
export function limitReply(
  sink: ReplySink,
  bounds: ReplyBounds,
  stop: (bound: 'rows' | 'bytes') => Buffer,
): LimitedReply {
  let rows = 0;
  let bytes = 0;
  let over: LimitedReply['over'] = null;
  /** Bytes still to come of a message that has begun. */
  let within = 0;

  /** How much of the chunk comes before the first row that is too many. Headers come whole (`ReplyScanner`). */
  function fitting(chunk: Buffer): number {
    let at = Math.min(within, chunk.length);
    within -= at;
    while (at < chunk.length) {
      const length = chunk.readInt32BE(at + 1) + 1;
      if (chunk[at] === DATA_ROW || chunk[at] === COPY_DATA) {
        rows++;
        bytes += length;
        if (rows > bounds.rows) over = 'rows';
        else if (bytes > bounds.bytes) over = 'bytes';
        if (over !== null) return at;
      }
      within = Math.max(0, at + length - chunk.length);
      at = Math.min(at + length, chunk.length);
    }
    return chunk.length;
  }

  return {
    get over() {
      return over;
    },
    write(chunk) {
      if (over !== null) return true;
      const fits = fitting(chunk);
      if (over === null) return sink.write(chunk);
      if (fits > 0) sink.write(chunk.subarray(0, fits));
      return sink.write(stop(over));
    },
    drained: () => sink.drained(),
  };
}
