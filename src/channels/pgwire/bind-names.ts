import { FRAME_HEADER_BYTES } from '../../engines/postgres/wire-frames.ts';
import { ProtocolViolation, reading } from '../../engines/postgres/wire-messages.ts';
import { NAMED_BYTES } from './frames.ts';
import type { LongMessage } from './long-message.ts';

/** What a Bind says before its values. */
export interface BindNames {
  readonly portal: string;
  readonly statement: string;
  /** Where in the message the values begin, in bytes. */
  readonly end: number;
}

/** Reads so much of a long Bind as tells what is bound; its values are the server's to look at. */
export async function readBindNames(message: LongMessage): Promise<BindNames> {
  for (;;) {
    const head = await message.head();
    if (head === null) throw new ProtocolViolation('a Bind names no statement');
    const portalEnd = head.indexOf(0, FRAME_HEADER_BYTES);
    const end = portalEnd === -1 ? -1 : head.indexOf(0, portalEnd + 1);
    if (end !== -1) {
      const names = reading(head.subarray(FRAME_HEADER_BYTES, end + 1));
      return { portal: names.text(), statement: names.text(), end: end + 1 };
    }
    if (head.length > 2 * NAMED_BYTES) throw new ProtocolViolation('the names in a Bind are too long');
  }
}
