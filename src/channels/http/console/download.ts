import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Refusal } from '../../../domain/refusal.ts';
import { sendError, sendRefusal } from '../http-error.ts';

/** Hands out files that are made while they are read: few at a time, and none to who doesn’t read on. */
export interface Downloads {
  /** @param begin begins to read, once there is room for it. */
  send(reply: FastifyReply, begin: () => Promise<Download | { readonly refused: Refusal }>): Promise<FastifyReply>;
}

export interface Download {
  readonly name: string;
  readonly type: string;
  readonly lines: AsyncIterable<string>;
}

const MAX_AT_ONCE = 3;
const MAX_IDLE_MS = 60_000;

/** @param deps.onFailure told why a file broke off; its receiver sees that it did. @param deps.maxIdleMs of a receiver that takes nothing. */
export function createDownloads({
  onFailure,
  maxIdleMs = MAX_IDLE_MS,
}: {
  readonly onFailure: (error: unknown) => void;
  readonly maxIdleMs?: number;
}): Downloads {
  let open = 0;
  return {
    async send(reply, begin) {
      if (open >= MAX_AT_ONCE) {
        return sendError(reply.header('retry-after', '30'), 503, {
          code: 'too_many_downloads',
          message: 'Others are taking files from this gateway already.',
          hint: 'Try again in a moment; countersign ledger export writes the same on its machine.',
        });
      }
      open++;
      let file: Awaited<ReturnType<typeof begin>>;
      try {
        file = await begin();
      } catch (error) {
        open--;
        throw error;
      }
      if ('refused' in file) {
        open--;
        return sendRefusal(reply, file.refused);
      }
      const stream = Readable.from(file.lines, { objectMode: false });
      // Also when nothing of it was ever read.
      stream.once('close', () => {
        open--;
      });
      stream.once('error', onFailure);
      reply.raw.setTimeout(maxIdleMs, () => reply.raw.destroy());
      return reply
        .headers({ 'content-type': file.type, 'content-disposition': `attachment; filename="${file.name}"` })
        .send(stream);
    },
  };
}
