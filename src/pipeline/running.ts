import { failureOf, type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { TargetEngine } from '../engines/engine.ts';
import {
  type EngineSession,
  type ExpectedReply,
  type Relayed,
  type ReplySink,
  SessionLost,
  type Supply,
} from '../engines/session.ts';
import { CANCELLED, overdue, TERMINATED } from './session-refusals.ts';

/** What a session runs at the moment, and how it is stopped in time (G11). */
export interface Running {
  /** Sends frames and hands the replies to the sink. @throws RefusalError when it was stopped and the connection with it. */
  relay(
    connection: EngineSession,
    frames: readonly Buffer[],
    replies: readonly ExpectedReply[],
    sink: ReplySink,
    supply?: Supply,
  ): Promise<Relayed>;
  cancel(): Promise<void>;
  /** Cancels, and ends the server process if that didn't help: a cancellation can be caught by the code that runs. */
  interrupt(): Promise<void>;
  close(): void;
}

interface Busy {
  readonly connection: EngineSession;
  sinceMs: number;
  overdue: boolean;
}

/** How long a cancelled statement may take to end before its server process is ended (G11). */
const CANCEL_GRACE_MS = 40;
const OVERDUE_EVERY_MS = 100;

/** @param deps.stopped why nothing may run any more, or `undefined`. */
export function createRunning(deps: {
  readonly task: Task;
  readonly engine: TargetEngine;
  readonly now: () => number;
  readonly stopped: () => Refusal | undefined;
  readonly onLost: (reason: Error) => void;
}): Running {
  let busy: Busy | null = null;

  const watch = setInterval(() => endOverdue(), OVERDUE_EVERY_MS);
  watch.unref();

  function endOverdue(): void {
    if (busy === null || busy.overdue || deps.now() - busy.sinceMs < deps.task.limits.statementTimeoutMs) return;
    busy.overdue = true;
    interrupt().catch(deps.onLost);
  }

  async function interrupt(): Promise<void> {
    const interrupted = busy;
    if (interrupted === null) return;
    await interrupted.connection.cancel();
    await new Promise((resolve) => setTimeout(resolve, CANCEL_GRACE_MS));
    if (busy === interrupted) await deps.engine.terminate([interrupted.connection.processId]);
  }

  /** Nothing runs while a client is still sending what is to run. */
  async function* timedAfter(pieces: AsyncIterable<Buffer>, mine: Busy): AsyncGenerator<Buffer, void> {
    mine.sinceMs = Number.POSITIVE_INFINITY;
    yield* pieces;
    mine.sinceMs = deps.now();
  }

  return {
    async relay(connection, frames, replies, sink, { rows, piecemeal } = {}) {
      const mine: Busy = { connection, sinceMs: deps.now(), overdue: false };
      busy = mine;
      // The server's own time-out may come first: it is the same limit.
      const tookTooLong = (): boolean =>
        mine.overdue || deps.now() - mine.sinceMs >= deps.task.limits.statementTimeoutMs;
      const whyEnded = (): Refusal | undefined => deps.stopped() ?? (tookTooLong() ? overdue(deps.task) : undefined);
      try {
        return await connection.relay(frames, replies, sink, {
          instead: ({ sqlstate }) => {
            const refusal = sqlstate === CANCELLED || sqlstate === TERMINATED ? whyEnded() : undefined;
            return refusal === undefined ? undefined : failureOf(refusal);
          },
          rows,
          piecemeal: piecemeal === undefined ? undefined : timedAfter(piecemeal, mine),
        });
      } catch (error) {
        const refusal = whyEnded();
        if (error instanceof SessionLost && refusal !== undefined) throw new RefusalError(refusal, { cause: error });
        throw error;
      } finally {
        if (busy === mine) busy = null;
      }
    },
    async cancel() {
      if (busy !== null) await busy.connection.cancel();
    },
    interrupt,
    close: () => clearInterval(watch),
  };
}
