import type { DatabaseFailure } from '../../domain/database-failure.ts';

/**
 * The messages of the PostgreSQL protocol that both sides of the gateway build and read (PostgreSQL, "Message Formats").
 * Reading is strict: every length and terminator is checked, and what is left over is a violation.
 */

export class ProtocolViolation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolViolation';
  }
}

/** A typed message around a body. */
export function message(type: string, body: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(5 + body.length);
  frame.write(type, 0, 1, 'latin1');
  frame.writeInt32BE(4 + body.length, 1);
  body.copy(frame, 5);
  return frame;
}

const NUL = Buffer.from([0]);

/** @throws ProtocolViolation for text with a NUL in it: the other side would read something shorter. */
function text(value: string): Buffer {
  if (value.includes('\0')) throw new ProtocolViolation('text in a message has no NUL');
  return Buffer.concat([Buffer.from(value, 'utf8'), NUL]);
}

function int16(value: number): Buffer {
  if (value > 0xffff) throw new ProtocolViolation(`a message can't hold ${value} of anything`);
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

// ── What a client says ─────────────────────────────────────────────────────────────────────────────────────────────

export const SYNC = message('S', Buffer.alloc(0));
export const FLUSH = message('H', Buffer.alloc(0));
export const TERMINATE = message('X', Buffer.alloc(0));

export function query(sql: string): Buffer {
  return message('Q', text(sql));
}

export function parse(name: string, sql: string, types: readonly number[]): Buffer {
  return message('P', Buffer.concat([text(name), text(sql), int16(types.length), ...types.map(int32)]));
}

export interface Bind {
  readonly portal: string;
  readonly statement: string;
  /** One for each value, or one for all, or none: then all are text. 0 is text, 1 binary. */
  readonly formats: readonly number[];
  readonly values: readonly (Buffer | null)[];
  readonly resultFormats: readonly number[];
}

export function bind({ portal, statement, formats, values, resultFormats }: Bind): Buffer {
  const parts: Buffer[] = [
    text(portal),
    text(statement),
    int16(formats.length),
    ...formats.map(int16),
    int16(values.length),
  ];
  for (const value of values) {
    parts.push(int32(value === null ? -1 : value.length));
    if (value !== null) parts.push(value);
  }
  parts.push(int16(resultFormats.length), ...resultFormats.map(int16));
  return message('B', Buffer.concat(parts));
}

export function describe(what: 'statement' | 'portal', name: string): Buffer {
  return message('D', Buffer.concat([Buffer.from(what === 'statement' ? 'S' : 'P'), text(name)]));
}

export function execute(portal: string, maxRows: number): Buffer {
  return message('E', Buffer.concat([text(portal), int32(maxRows)]));
}

export function close(what: 'statement' | 'portal', name: string): Buffer {
  return message('C', Buffer.concat([Buffer.from(what === 'statement' ? 'S' : 'P'), text(name)]));
}

export function copyFail(reason: string): Buffer {
  return message('f', text(reason));
}

// ── What a server says ─────────────────────────────────────────────────────────────────────────────────────────────

export const PARSE_COMPLETE = message('1', Buffer.alloc(0));
export const BIND_COMPLETE = message('2', Buffer.alloc(0));
export const CLOSE_COMPLETE = message('3', Buffer.alloc(0));
export const NO_DATA = message('n', Buffer.alloc(0));
export const EMPTY_QUERY = message('I', Buffer.alloc(0));

export function readyForQuery(status: 'idle' | 'open' | 'failed'): Buffer {
  return message('Z', Buffer.from(status === 'idle' ? 'I' : status === 'open' ? 'T' : 'E'));
}

export function commandComplete(tag: string): Buffer {
  return message('C', text(tag));
}

export function parameterStatus(name: string, value: string): Buffer {
  return message('S', Buffer.concat([text(name), text(value)]));
}

export function errorResponse(failure: DatabaseFailure): Buffer {
  return message('E', fields(failure));
}

export function noticeResponse(notice: DatabaseFailure): Buffer {
  return message('N', fields(notice));
}

function fields(failure: DatabaseFailure): Buffer {
  const parts: Buffer[] = [];
  const add = (code: string, value: string | undefined) => {
    if (value !== undefined) parts.push(Buffer.from(code), text(value.replaceAll('\0', '')));
  };
  add('S', failure.severity);
  add('V', failure.severity);
  add('C', failure.sqlstate);
  add('M', failure.message);
  add('D', failure.detail);
  add('H', failure.hint);
  add('P', failure.position);
  return Buffer.concat([...parts, NUL]);
}

export interface Field {
  readonly name: string;
  readonly type: number;
}

/** For a cancel request, which repeats both. The secret has 4 bytes in protocol 3.0 and up to 256 in 3.2. */
export function backendKeyData(processId: number, secret: Buffer): Buffer {
  return message('K', Buffer.concat([int32(processId), secret]));
}

export function parameterDescription(types: readonly number[]): Buffer {
  return message('t', Buffer.concat([int16(types.length), ...types.map(int32)]));
}

/** A row description for columns that the gateway itself answers with; all in text form. */
export function rowDescription(columns: readonly Field[]): Buffer {
  const parts = columns.map(({ name, type }) =>
    Buffer.concat([text(name), int32(0), int16(0), int32(type), int16(0xffff), int32(-1), int16(0)]),
  );
  return message('T', Buffer.concat([int16(columns.length), ...parts]));
}

export function dataRow(values: readonly (string | null)[]): Buffer {
  const parts: Buffer[] = [int16(values.length)];
  for (const value of values) {
    const bytes = value === null ? null : Buffer.from(value, 'utf8');
    parts.push(int32(bytes === null ? -1 : bytes.length));
    if (bytes !== null) parts.push(bytes);
  }
  return message('D', Buffer.concat(parts));
}

// ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────

// A byte order mark stays: what the gateway judges must be, byte for byte, what the server gets.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A cursor over one message's body. Every read is checked; `end` must be called last. */
export function reading(body: Buffer) {
  let at = 0;
  const need = (count: number): number => {
    if (count < 0 || at + count > body.length) throw new ProtocolViolation('a message ends before its content');
    const start = at;
    at += count;
    return start;
  };
  return {
    byte: () => body.readUInt8(need(1)),
    int16: () => body.readUInt16BE(need(2)),
    int32: () => body.readInt32BE(need(4)),
    uint32: () => body.readUInt32BE(need(4)),
    bytes(count: number): Buffer {
      const start = need(count);
      return body.subarray(start, start + count);
    },
    text(): string {
      const end = body.indexOf(0, at);
      if (end === -1) throw new ProtocolViolation('a string has no end');
      const bytes = body.subarray(at, end);
      at = end + 1;
      try {
        return utf8.decode(bytes);
      } catch (error) {
        throw new ProtocolViolation(`a string is not UTF-8: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    /** For what is only shown to people: a server may speak before it knows the client's encoding. */
    lenientText(): string {
      return this.untilNul().toString('utf8');
    },
    /** A string's bytes, as they are. */
    untilNul(): Buffer {
      const end = body.indexOf(0, at);
      if (end === -1) throw new ProtocolViolation('a string has no end');
      const start = at;
      at = end + 1;
      return body.subarray(start, end);
    },
    left: () => body.length - at,
    end(): void {
      if (at !== body.length) throw new ProtocolViolation('a message is longer than its content');
    },
  };
}

export function readQuery(body: Buffer): string {
  const cursor = reading(body);
  const sql = cursor.text();
  cursor.end();
  return sql;
}

export function readParse(body: Buffer): {
  readonly name: string;
  readonly sql: string;
  readonly types: readonly number[];
} {
  const cursor = reading(body);
  const name = cursor.text();
  const sql = cursor.text();
  const types = Array.from({ length: cursor.int16() }, () => cursor.uint32());
  cursor.end();
  return { name, sql, types };
}

export function readBind(body: Buffer): Bind {
  const cursor = reading(body);
  const portal = cursor.text();
  const statement = cursor.text();
  const formats = Array.from({ length: cursor.int16() }, () => format(cursor.int16()));
  const values = Array.from({ length: cursor.int16() }, () => {
    const length = cursor.int32();
    if (length < -1) throw new ProtocolViolation('a parameter has an impossible length');
    return length === -1 ? null : cursor.bytes(length);
  });
  if (formats.length > 1 && formats.length !== values.length) {
    throw new ProtocolViolation(`${formats.length} parameter formats for ${values.length} parameters`);
  }
  const resultFormats = Array.from({ length: cursor.int16() }, () => format(cursor.int16()));
  cursor.end();
  return { portal, statement, formats, values, resultFormats };
}

function format(code: number): number {
  if (code !== 0 && code !== 1) throw new ProtocolViolation(`there is no format ${code}`);
  return code;
}

/** Describe and Close say the same of a statement or a portal. */
export function readNamed(body: Buffer): { readonly what: 'statement' | 'portal'; readonly name: string } {
  const cursor = reading(body);
  const code = cursor.byte();
  if (code !== 0x53 && code !== 0x50) throw new ProtocolViolation('it names neither a statement nor a portal');
  const name = cursor.text();
  cursor.end();
  return { what: code === 0x53 ? 'statement' : 'portal', name };
}

export function readExecute(body: Buffer): { readonly portal: string; readonly maxRows: number } {
  const cursor = reading(body);
  const portal = cursor.text();
  const maxRows = cursor.int32();
  cursor.end();
  return { portal, maxRows };
}

/** An ErrorResponse or a NoticeResponse. Fields that the gateway has no use for are dropped. */
export function readFailure(body: Buffer): DatabaseFailure {
  const cursor = reading(body);
  const found = new Map<number, string>();
  for (let code = cursor.byte(); code !== 0; code = cursor.byte()) found.set(code, cursor.lenientText());
  cursor.end();
  const of = (code: string) => found.get(code.charCodeAt(0));
  const optional = (name: 'detail' | 'hint' | 'position', value: string | undefined) =>
    value === undefined ? {} : { [name]: value };
  return {
    sqlstate: of('C') ?? 'XX000',
    severity: of('V') ?? of('S') ?? 'ERROR',
    message: of('M') ?? 'the server gave no message',
    ...optional('detail', of('D')),
    ...optional('hint', of('H')),
    ...optional('position', of('P')),
  };
}

/** The same ErrorResponse, whole, with its position moved to where the statement stands in a longer text. */
export function withPositionMoved(body: Buffer, positionIn: (position: number) => number): Buffer {
  const cursor = reading(body);
  const parts: Buffer[] = [];
  for (let code = cursor.byte(); code !== 0; code = cursor.byte()) {
    const value = cursor.untilNul();
    parts.push(Buffer.from([code]), code === POSITION ? text(String(positionIn(Number(value)))) : value);
    if (code !== POSITION) parts.push(NUL);
  }
  cursor.end();
  return message('E', Buffer.concat([...parts, NUL]));
}

const POSITION = 0x50;

export function readCommandComplete(body: Buffer): string {
  return readQuery(body);
}

export function readParameterStatus(body: Buffer): readonly [name: string, value: string] {
  const cursor = reading(body);
  const pair = [cursor.text(), cursor.text()] as const;
  cursor.end();
  return pair;
}

export function readBackendKeyData(body: Buffer): { readonly processId: number; readonly secret: Buffer } {
  const cursor = reading(body);
  const processId = cursor.int32();
  const secret = cursor.bytes(cursor.left());
  if (secret.length < 4 || secret.length > 256) throw new ProtocolViolation('a cancel key has an impossible length');
  return { processId, secret };
}

export function readReadyForQuery(body: Buffer): 'idle' | 'open' | 'failed' {
  const cursor = reading(body);
  const status = cursor.byte();
  cursor.end();
  if (status === 0x49) return 'idle';
  if (status === 0x54) return 'open';
  if (status === 0x45) return 'failed';
  throw new ProtocolViolation(`there is no transaction status ${status}`);
}

/** The columns of a RowDescription. */
export function readRowDescription(body: Buffer): readonly Field[] {
  const cursor = reading(body);
  const columns = Array.from({ length: cursor.int16() }, () => {
    const name = cursor.text();
    cursor.bytes(6);
    const type = cursor.uint32();
    cursor.bytes(8);
    return { name, type };
  });
  cursor.end();
  return columns;
}

/** The values of a DataRow whose columns are in text form. */
export function readTextRow(body: Buffer): readonly (string | null)[] {
  const cursor = reading(body);
  const values = Array.from({ length: cursor.int16() }, () => {
    const length = cursor.int32();
    return length === -1 ? null : cursor.bytes(length).toString('utf8');
  });
  cursor.end();
  return values;
}

export function readParameterTypes(body: Buffer): readonly number[] {
  const cursor = reading(body);
  const types = Array.from({ length: cursor.int16() }, () => cursor.uint32());
  cursor.end();
  return types;
}
