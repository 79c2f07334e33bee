import { failureOf, type Refusal } from '../../domain/refusal.ts';
import { FRAME_HEADER_BYTES } from '../../engines/postgres/wire-frames.ts';
import { errorResponse, readNamed } from '../../engines/postgres/wire-messages.ts';
import type { CopySource, ReplySink } from '../../engines/session.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import type { Steps } from '../../pipeline/carry-query.ts';
import { createClientPortals } from './client-portals.ts';
import { createClientStatements } from './client-statements.ts';
import { tell } from './conversation-replies.ts';
import { CLIENT_MESSAGE } from './frames.ts';
import type { LongMessage } from './long-message.ts';
import { type ClientRoom, NO_ROOM } from './message-room.ts';
import { createOutbox } from './outbox.ts';

/** The extended query protocol of one client (PostgreSQL, "Extended Query"). */
export interface Extended {
  /** Takes one message other than Sync. */
  take(type: number, frame: Buffer, body: Buffer): Promise<void>;
  /** The same for a message that is too long to be assembled as it comes. What it doesn't read of it is of no use. */
  takeLong(message: LongMessage): Promise<void>;
  /** All of a long message; `null` when there is no room for it, as the client was told. */
  assemble(message: LongMessage): Promise<Buffer | null>;
  /** Ends the batch: everything is sent, measured, committed and answered. ReadyForQuery is the caller's. */
  sync(): Promise<void>;
  /** Answers with an error and skips what follows, up to the next Sync. */
  refuse(refusal: Refusal): void;
  /**
   * Makes way for a simple query: what waits is sent and answered, and the unnamed statement and portal are destroyed.
   * False after an error: like all else up to the next Sync, it is to be skipped.
   */
  makeWay(): Promise<boolean>;
}

export function createExtended(deps: {
  readonly session: ActorSession;
  readonly steps: Steps;
  readonly sink: ReplySink;
  readonly rows: CopySource;
  readonly room: ClientRoom;
}): Extended {
  const { session } = deps;
  const outbox = createOutbox({ ...deps, forget: (statement) => statements.forget(statement) });
  const statements = createClientStatements({ ...deps, outbox });
  const portals = createClientPortals({ ...deps, outbox, statements });

  async function assemble(message: LongMessage): Promise<Buffer | null> {
    const whole = await deps.room.assemble(message);
    if (whole === null) await outbox.fail(failureOf(NO_ROOM));
    return whole;
  }

  return {
    assemble,
    async takeLong(message) {
      if (outbox.skipping) return;
      if (message.type === CLIENT_MESSAGE.bind) return portals.bindLong(message);
      const frame = await assemble(message);
      if (frame !== null) await statements.parse(frame, frame.subarray(FRAME_HEADER_BYTES));
    },
    async take(type, frame, body) {
      if (outbox.skipping) return;
      switch (type) {
        case CLIENT_MESSAGE.parse:
          return statements.parse(frame, body);
        case CLIENT_MESSAGE.bind:
          return portals.bind(frame, body);
        case CLIENT_MESSAGE.describe: {
          const { what, name } = readNamed(body);
          return what === 'portal' ? portals.describe(name, frame) : statements.describe(name, frame);
        }
        case CLIENT_MESSAGE.execute:
          return portals.execute(frame, body);
        case CLIENT_MESSAGE.close: {
          const { what, name } = readNamed(body);
          return what === 'portal' ? portals.close(name, frame) : statements.close(name, frame);
        }
        case CLIENT_MESSAGE.flush:
          return outbox.send('flush');
        default:
          return outbox.fail({
            severity: 'ERROR',
            sqlstate: '08P01',
            message: `a message of type ${type} is not expected here`,
          });
      }
    },
    async sync() {
      await outbox.send('sync');
      const outcome = await session.settle(deps.sink);
      tell(deps.sink, outcome);
      outbox.skipping = false;
      if (session.transaction === 'idle') portals.forgetAll();
    },
    refuse(refusal) {
      outbox.sink().write(errorResponse(failureOf(refusal)));
      outbox.skipping = true;
    },
    async makeWay() {
      if (!outbox.skipping) await outbox.send('flush');
      if (outbox.skipping) return false;
      statements.forgetUnnamed();
      portals.forgetUnnamed();
      return true;
    },
  };
}
