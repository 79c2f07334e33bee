import { setTimeout as sleep } from 'node:timers/promises';
import { failureOf, type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { TargetEngine } from '../engines/engine.ts';
import { errorResponse } from '../engines/postgres/wire-messages.ts';
import {
  type EngineSession,
  type ExpectedReply,
  type Relayed,
  type ReplySink,
  SessionLost,
  type Supply,
} from '../engines/session.ts';
import { limitReply } from '../execution/reply-limit.ts';
import { answerOver, CANCELLED, overdue, TERMINATED } from './session-refusals.ts';

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
  /** Since when nothing runs; `null` while something does. */
  idleSinceMs(): number | null;
  close(): void;
}

interface Busy {
  readonly connection: EngineSession;
  sinceMs: number;
  overdue: boolean;
  /** The server has said that it was cancelled. */
  cancelled: boolean;
  /** A cancellation that is on its way. */
  cancelling: Promise<void> | null;
}

/** How long a cancelled statement may take to end before its server process is ended (G11). */
const CANCEL_GRACE_MS = 40;
/** The same where only its time is over: nobody waits for it to stop at once, and a busy server is not fast. */
const OVERDUE_GRACE_MS = 1000;
/** How long one may take that has said so and is clearing up: ended then, its session would be lost for nothing. */
const CLEAR_UP_MS = 1000;
const OVERDUE_EVERY_MS = 100;

/** @param deps.stopped why nothing may run any more, or `undefined`. */
export function createRunning(deps: {
  readonly task: Task;
  readonly engine: TargetEngine;
  readonly now: () => number;
  readonly stopped: () => Refusal | undefined;
  readonly onLost: (reason: Error) => void;
  /** Whoever asks is given what fits, and told so; no error is needed. */
  readonly boundsItself: boolean;
}): Running {
  const { rowsPerReply: rows = Number.POSITIVE_INFINITY, bytesPerReply: bytes = Number.POSITIVE_INFINITY } =
    deps.task.limits;
  const isBounded = !deps.boundsItself && (Number.isFinite(rows) || Number.isFinite(bytes));
  const bounds = isBounded ? { rows, bytes } : null;
  let busy: Busy | null = null;
  let endedMs = deps.now();

  const watch = setInterval(() => endOverdue(), OVERDUE_EVERY_MS);
  watch.unref();

  function endOverdue(): void {
    if (busy === null || busy.overdue || deps.now() - busy.sinceMs < deps.task.limits.statementTimeoutMs) return;
    busy.overdue = true;
    interrupt(OVERDUE_GRACE_MS).catch(deps.onLost);
  }

  async function interrupt(graceMs = CANCEL_GRACE_MS): Promise<void> {
    const interrupted = busy;
    if (interrupted === null) return;
    interrupted.cancelling = interrupted.connection.cancel();
    await interrupted.cancelling;
    await sleep(graceMs);
    if (busy === interrupted && interrupted.cancelled) await sleep(CLEAR_UP_MS);
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
      const mine: Busy = { connection, sinceMs: deps.now(), overdue: false, cancelled: false, cancelling: null };
      busy = mine;
      // The server's own time-out may come first: it is the same limit.
      const tookTooLong = (): boolean =>
        mine.overdue || deps.now() - mine.sinceMs >= deps.task.limits.statementTimeoutMs;
      let stopping: Promise<void> | null = null;
      const limited =
        bounds === null
          ? null
          : limitReply(sink, bounds, (over) => {
              stopping = connection.cancel().catch(deps.onLost);
              return errorResponse(failureOf(answerOver(deps.task, over)));
            });
      const whyEnded = (): Refusal | undefined => deps.stopped() ?? (tookTooLong() ? overdue(deps.task) : undefined);
      try {
        const relayed = await connection.relay(frames, replies, limited ?? sink, {
          instead: ({ sqlstate }) => {
            mine.cancelled ||= sqlstate === CANCELLED;
            const refusal = sqlstate === CANCELLED || sqlstate === TERMINATED ? whyEnded() : undefined;
            return refusal === undefined ? undefined : failureOf(refusal);
          },
          rows,
          piecemeal: piecemeal === undefined ? undefined : timedAfter(piecemeal, mine),
        });
        if (limited === null || limited.over === null) return relayed;
        // Heard late, it would cancel what comes next.
        await stopping;
        return { ...relayed, failure: failureOf(answerOver(deps.task, limited.over)) };
      } catch (error) {
        const refusal = whyEnded();
        if (error instanceof SessionLost && refusal !== undefined) throw new RefusalError(refusal, { cause: error });
        throw error;
      } finally {
        // Heard late, it would cancel what comes next; whether it failed, whoever sent it knows.
        await mine.cancelling?.catch(() => undefined);
        if (busy === mine) busy = null;
        endedMs = deps.now();
      }
    },
    async cancel() {
      if (busy !== null) await busy.connection.cancel();
    },
    interrupt,
    idleSinceMs: () => (busy === null ? endedMs : null),
    close: () => clearInterval(watch),
  };
}
