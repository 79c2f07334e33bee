import { copyFail, FLUSH, ProtocolViolation } from '../../engines/postgres/wire-messages.ts';
import type { CopySource, CopyTarget, ReplySink } from '../../engines/session.ts';
import type { ClientQueue } from './client-queue.ts';
import { CLIENT_MESSAGE } from './frames.ts';

/** Where a client's rows come from. */
export interface ClientRows extends CopySource {
  /** The client said what has no place among rows: as with the server, nothing is left to say to it. */
  readonly violation: ProtocolViolation | null;
}

/**
 * The rows of a COPY … FROM STDIN, as the client sends them (PostgreSQL, "COPY Operations"). While the server asks for
 * rows, what the client says belongs to the copy; nothing of it is looked at.
 */
export function copyFrom(queue: ClientQueue, sink: ReplySink & { flush(): void }): ClientRows {
  let copying: Promise<void> | null = null;
  let stopped = false;
  let unexpected: string | null = null;
  let violation: ProtocolViolation | null = null;

  async function pump(target: CopyTarget): Promise<void> {
    for (;;) {
      const next = await queue.next(() => stopped);
      if (next === null) {
        if (!stopped) target.write(copyFail('the client left'));
        return;
      }
      switch (next.type) {
        case CLIENT_MESSAGE.copyData:
          if (!target.write(next.frame)) await target.drained();
          continue;
        case CLIENT_MESSAGE.copyDone:
        case CLIENT_MESSAGE.copyFail:
          // A Flush that went ahead of the rows meant nothing; without one the server may keep its answer to itself.
          target.write(Buffer.concat([next.frame, FLUSH]));
          return;
        case CLIENT_MESSAGE.flush:
        case CLIENT_MESSAGE.sync:
          // They mean nothing while the server takes rows: libpq sends a Sync before them, and another after.
          continue;
        default:
          // Unless the copy has failed already, and we are about to hear of it: then it is what comes next.
          queue.putBack(next);
          unexpected = `unexpected message type 0x${next.type.toString(16)} during COPY from stdin`;
          target.write(copyFail(unexpected));
          return;
      }
    }
  }

  return {
    sink,
    get violation() {
      return violation;
    },
    start(response, target) {
      stopped = false;
      unexpected = null;
      sink.write(response);
      sink.flush();
      copying = pump(target);
    },
    async stop(failure) {
      stopped = true;
      queue.wake();
      await copying;
      copying = null;
      if (unexpected === null || failure?.message.includes(unexpected) !== true) return;
      violation = new ProtocolViolation('terminating connection because protocol synchronization was lost');
    },
  };
}
