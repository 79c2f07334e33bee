import type { ReplySink } from '../engines/session.ts';

/** Keeps what a write answered until its transaction is known to be committed: an actor must not see rows that never were. */
export interface HeldOutput extends ReplySink {
  /** More came than may be kept: the write must be rolled back. */
  readonly overflowed: boolean;
  /** Hands everything on, in order, as fast as the sink takes it. */
  release(to: ReplySink): Promise<void>;
  discard(): void;
}

export function createHeldOutput(limitBytes: number): HeldOutput {
  let chunks: Buffer[] = [];
  let bytes = 0;
  let overflowed = false;
  return {
    write(chunk) {
      if (overflowed) return true;
      bytes += chunk.length;
      if (bytes > limitBytes) {
        overflowed = true;
        chunks = [];
        return true;
      }
      // The frame reader lends its buffer only for the length of the call.
      chunks.push(Buffer.from(chunk));
      return true;
    },
    drained: () => Promise.resolve(),
    get overflowed() {
      return overflowed;
    },
    async release(to) {
      for (const chunk of chunks) if (!to.write(chunk)) await to.drained();
      chunks = [];
      bytes = 0;
    },
    discard() {
      chunks = [];
      bytes = 0;
      overflowed = false;
    },
  };
}
