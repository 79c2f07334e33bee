import { copyFail } from '../engines/postgres/wire-messages.ts';
import type { CopySource } from '../engines/session.ts';
import type { HeldOutput } from './output.ts';

/** Replies that wait for a commit, and how many writes they answer. */
export interface HeldBack {
  readonly output: HeldOutput;
  readonly writes: number;
}

/**
 * Rows of a COPY … FROM STDIN whose replies are held back: what is held back goes to the client before the server's call
 * for rows does, unless it answers a write that isn't committed yet.
 */
export function rowsAfterHeld(rows: CopySource, held: () => HeldBack | null): CopySource {
  let starting: Promise<void> = Promise.resolve();
  return {
    sink: rows.sink,
    start(response, target) {
      const back = held();
      if (back === null) return rows.start(response, target);
      if (back.writes > 1) {
        target.write(copyFail('it came in one batch with another write, whose answer must wait'));
        return;
      }
      starting = back.output.release(rows.sink).then(() => rows.start(response, target));
    },
    async stop(failure) {
      await starting;
      await rows.stop(failure);
    },
  };
}
