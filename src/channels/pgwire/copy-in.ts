import { copyFail, FLUSH } from '../../engines/postgres/wire-messages.ts';
import type { CopySource, CopyTarget, ReplySink } from '../../engines/session.ts';
import type { ClientQueue } from './client-queue.ts';
import { CLIENT_MESSAGE } from './frames.ts';

/**
 * The rows of a COPY … FROM STDIN, as the client sends them (PostgreSQL, "COPY Operations"). While the server asks for
 * rows, what the client says belongs to the copy; nothing of it is looked at.
 */
export function copyFrom(queue: ClientQueue, sink: ReplySink & { flush(): void }): CopySource {
  let copying: Promise<void> | null = null;
  let stopped = false;

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
          queue.putBack(next);
          target.write(copyFail(`unexpected message type ${next.type} during COPY from stdin`));
          return;
      }
    }
  }

  return {
    sink,
    start(response, target) {
      stopped = false;
      sink.write(response);
      sink.flush();
      copying = pump(target);
    },
    async stop() {
      stopped = true;
      queue.wake();
      await copying;
      copying = null;
    },
  };
}
