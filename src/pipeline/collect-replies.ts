import type { DatabaseFailure } from '../domain/database-failure.ts';
import { createFrameReader } from '../engines/postgres/wire-frames.ts';
import {
  readCommandComplete,
  readFailure,
  readRowDescription,
  readTextRow,
} from '../engines/postgres/wire-messages.ts';
import type { ReplySink } from '../engines/session.ts';
import type { ResultBounds } from './gateway.ts';
import { createRowReader } from './row-reader.ts';

/** What a statement was answered, read out of the protocol up to the bounds. */
export interface Replies extends ReplySink {
  readonly columns: readonly { readonly name: string; readonly type: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** The first row that did not fit, and all after it, were left out. */
  readonly truncated: boolean;
  readonly command: string | null;
  readonly notices: readonly string[];
  readonly failure: DatabaseFailure | null;
}

const ROW_DESCRIPTION = 0x54;
const DATA_ROW = 0x44;
const COMMAND_COMPLETE = 0x43;
const ERROR = 0x45;
const NOTICE = 0x4e;
const MAX_NOTICES = 50;
/** Any one message other than a row beyond this ends the session. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

export function collectReplies(bounds: ResultBounds): Replies {
  let columns: Replies['columns'] = [];
  const rows: (readonly (string | null)[])[] = [];
  const notices: string[] = [];
  let bytes = 0;
  let truncated = false;
  let command: string | null = null;
  let failure: DatabaseFailure | null = null;

  const rowReader = createRowReader({
    fits: (length) => {
      bytes += length;
      truncated ||= rows.length >= bounds.maxRows || bytes > bounds.maxBytes;
      return !truncated;
    },
    onRow: (body) => rows.push(readTextRow(body)),
  });

  const reader = createFrameReader({
    maxLength: (type) => (type === DATA_ROW ? Number.POSITIVE_INFINITY : MAX_FRAME_BYTES),
    // A row may be of a gigabyte: it is looked at only if it fits.
    passesThrough: (type) => type === DATA_ROW,
    onPiece: (_type, piece) => rowReader.push(piece),
    onFrame(type, frame) {
      const body = frame.subarray(5);
      switch (type) {
        case ROW_DESCRIPTION:
          columns = readRowDescription(body).map(({ name, type: oid }) => ({ name, type: oid }));
          return;
        case COMMAND_COMPLETE:
          command = readCommandComplete(body);
          return;
        case ERROR:
          failure ??= readFailure(body);
          return;
        case NOTICE:
          if (notices.length < MAX_NOTICES) notices.push(readFailure(body).message);
          return;
        default:
          return;
      }
    },
  });

  return {
    write(chunk) {
      reader.push(chunk);
      return true;
    },
    drained: () => Promise.resolve(),
    get columns() {
      return columns;
    },
    rows,
    get truncated() {
      return truncated;
    },
    get command() {
      return command;
    },
    notices,
    get failure() {
      return failure;
    },
  };
}
