import type { ProtocolAct } from '../config/scenario-schema.ts';
import {
  bind,
  close,
  copyFail,
  describe,
  execute,
  FLUSH,
  message,
  parse,
  query,
  SYNC,
} from '../engines/postgres/wire-messages.ts';
import { filledIn } from './surroundings.ts';

/** What goes to the connection itself. */
type SentAct = Exclude<ProtocolAct, { readonly wait: true } | { readonly cancel: unknown }>;

/** An act as the bytes of its message. */
export function frameOf(act: SentAct, words: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => filledIn(value, words);
  if ('query' in act) return query(text(act.query));
  if ('parse' in act) return parse(act.as, text(act.parse), []);
  if ('bind' in act)
    return bind({
      portal: act.portal,
      statement: act.bind,
      formats: [],
      values: act.values.map(bytesOf),
      resultFormats: [],
    });
  if ('describe' in act) return describe(act.describe, act.name);
  if ('execute' in act) return execute(act.execute, act.rows);
  if ('close' in act) return close(act.close, act.name);
  if ('call' in act) return functionCall(act.call, act.arguments.map(text));
  if ('copyData' in act) return message('d', Buffer.from(text(act.copyData), 'utf8'));
  if ('copyDone' in act) return message('c', Buffer.alloc(0));
  if ('copyFail' in act) return copyFail(text(act.copyFail));
  if ('hex' in act) return Buffer.from(act.hex, 'hex');
  return 'sync' in act ? SYNC : FLUSH;
}

/** FunctionCall: arguments and result as text (PostgreSQL, "Message Formats"). */
function functionCall(oid: number, values: readonly string[]): Buffer {
  const int16 = (value: number) => {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value);
    return bytes;
  };
  const int32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const given = values.map((value) => Buffer.from(value, 'utf8')).flatMap((bytes) => [int32(bytes.length), bytes]);
  return message('F', Buffer.concat([int32(oid), int16(0), int16(values.length), ...given, int16(0)]));
}

export function bytesOf(value: string | number | boolean | null): Buffer | null {
  return value === null ? null : Buffer.from(String(value), 'utf8');
}
