import type { DatabaseFailure } from '../../domain/database-failure.ts';
import { type Refusal, SQLSTATES } from '../../domain/refusal.ts';
import { errorResponse, message, ProtocolViolation, reading } from '../../engines/postgres/wire-messages.ts';

/** Messages of the start-up phase, which only the side that clients talk to needs (PostgreSQL, "Message Formats"). */

export const AUTHENTICATION_OK = authentication(0, Buffer.alloc(0));

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  return authentication(10, Buffer.from(`${mechanisms.join('\0')}\0\0`, 'latin1'));
}

export function saslContinue(text: string): Buffer {
  return authentication(11, Buffer.from(text, 'utf8'));
}

export function saslFinal(text: string): Buffer {
  return authentication(12, Buffer.from(text, 'utf8'));
}

function authentication(kind: number, body: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeInt32BE(kind);
  return message('R', Buffer.concat([head, body]));
}

/** Tells a client which version is spoken, and which of its protocol options are not known. */
export function negotiateProtocolVersion(version: number, unknownOptions: readonly string[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(version, 0);
  head.writeInt32BE(unknownOptions.length, 4);
  return message('v', Buffer.concat([head, ...unknownOptions.map((name) => Buffer.from(`${name}\0`, 'utf8'))]));
}

/** An error after which the connection is closed. */
export function fatal(failure: Omit<DatabaseFailure, 'severity'>): Buffer {
  return errorResponse({ ...failure, severity: 'FATAL' });
}

export function fatalRefusal({ refused, message: fact, detail, hint }: Refusal): Buffer {
  return fatal({ sqlstate: SQLSTATES[refused], message: fact, ...(detail === undefined ? {} : { detail }), hint });
}

export function readSaslInitialResponse(body: Buffer): { readonly mechanism: string; readonly message: string } {
  const cursor = reading(body);
  const mechanism = cursor.text();
  const length = cursor.int32();
  if (length < 0) throw new ProtocolViolation('the first SASL message is missing');
  const first = cursor.bytes(length);
  cursor.end();
  return { mechanism, message: readSaslResponse(first) };
}

/** SCRAM messages of clients of ours are ASCII: their names and nonces are. */
export function readSaslResponse(body: Buffer): string {
  const text = body.toString('latin1');
  if (!/^[\x20-\x7e]*$/.test(text))
    throw new ProtocolViolation('a SASL message has bytes that are not printable ASCII');
  return text;
}
