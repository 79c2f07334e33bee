import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Answer } from './answer.ts';

/**
 * Where a list goes on. A cursor is good for one list only, asked for in the same way by the same task, and only as it was
 * given out: every gateway that knows the key can read it, nobody else can write one.
 */
export interface Cursors {
  /** @param list what makes it that list: its name, the task, the filters. @param last the last entry of the page. */
  write(list: readonly unknown[], last: string): string;
  /** The last entry of the page before, or `undefined` when the cursor was not given out for this list. */
  read(list: readonly unknown[], cursor: string): string | undefined;
}

const SEAL_BYTES = 16;
const MAX_LENGTH = 1000;

export function createCursors(key: Buffer): Cursors {
  const sealOf = (list: readonly unknown[], last: string): Buffer =>
    createHmac('sha256', key)
      .update(JSON.stringify([list, last]))
      .digest()
      .subarray(0, SEAL_BYTES);
  return {
    write: (list, last) => Buffer.concat([sealOf(list, last), Buffer.from(last)]).toString('base64url'),
    read(list, cursor) {
      const bytes = Buffer.from(cursor, 'base64url');
      if (bytes.length < SEAL_BYTES || bytes.toString('base64url') !== cursor) return undefined;
      const last = bytes.subarray(SEAL_BYTES).toString();
      return timingSafeEqual(bytes.subarray(0, SEAL_BYTES), sealOf(list, last)) ? last : undefined;
    },
  };
}

/** The argument of a tool. */
export const CURSOR = z
  .string()
  .max(MAX_LENGTH)
  .optional()
  .describe('The nextCursor of the page before; all other arguments as they were.');

/** What a tool says of a cursor that it has not given out. */
export const FOREIGN_CURSOR = {
  outcome: 'foreign cursor',
  message: 'This cursor was not given out for this list.',
  hint: 'Ask again without a cursor, and go on with the nextCursor that comes, with all other arguments as they were.',
} as const;

export function foreignCursorAnswer() {
  const { message, hint } = FOREIGN_CURSOR;
  return { structured: FOREIGN_CURSOR, text: `${message}\n${hint}`, isError: true } satisfies Answer<unknown>;
}
