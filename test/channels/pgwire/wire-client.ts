import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { CLIENT_MESSAGE, createClientFrameReader } from '../../../src/channels/pgwire/frames.ts';
import type { WireConnection } from '../../../src/channels/pgwire/listener.ts';
import { listenPgwire, type PgwireListener, type PgwireOptions } from '../../../src/channels/pgwire/listener.ts';
import { makeScramVerifier } from '../../../src/domain/scram.ts';
import {
  backendKeyData,
  commandComplete,
  dataRow,
  errorResponse,
  message,
  ProtocolViolation,
  parameterStatus,
  readFailure,
  readQuery,
  readyForQuery,
  rowDescription,
} from '../../../src/engines/postgres/wire-messages.ts';
import { startupMessage, startupPacket } from '../../fixtures/raw-client.ts';

export const TOKEN = 'cst_a-token-long-enough-to-be-one';
const VERIFIER = makeScramVerifier(TOKEN);

/** A listener whose only user is `task_1`, with sessions that answer whatever they are asked by 1. */
export async function listenForTest(
  options: Partial<PgwireOptions> = {},
): Promise<PgwireListener & { readonly connected: WireConnection[]; readonly lines: string[] }> {
  const connected: WireConnection[] = [];
  const lines: string[] = [];
  const log = (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`);
  const listener = await listenPgwire({
    host: '127.0.0.1',
    port: 0,
    authenticate: (user) => Promise.resolve(user === 'task_1' ? VERIFIER : undefined),
    onSession: (connection) => {
      connected.push(connection);
      return answerOne(connection);
    },
    onCancel: () => undefined,
    limits: { maxConnections: 20, startupTimeoutMs: 3000 },
    log: { info: log, warn: log, error: log },
    ...options,
  });
  return { ...listener, connected, lines };
}

/** Answers each query by one row with a 1 in it. */
export function answerOne({ socket, rest, keys, closing }: WireConnection): Promise<void> {
  return new Promise((resolve) => {
    const reader = createClientFrameReader({
      onFrame(type, frame) {
        if (type === CLIENT_MESSAGE.terminate) resolve();
        if (type !== CLIENT_MESSAGE.query) return;
        readQuery(frame.subarray(5));
        socket.write(
          Buffer.concat([
            rowDescription([{ name: '?column?', type: 23 }]),
            dataRow(['1']),
            commandComplete('SELECT 1'),
            readyForQuery('idle'),
          ]),
        );
      },
    });
    const take = (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        if (!(error instanceof ProtocolViolation)) throw error;
        socket.write(errorResponse({ severity: 'FATAL', sqlstate: '08P01', message: error.message }));
        resolve();
      }
    };
    socket.on('data', take);
    socket.on('close', () => resolve());
    closing.addEventListener('abort', () => resolve());
    socket.write(
      Buffer.concat([
        parameterStatus('server_version', '18.0'),
        parameterStatus('client_encoding', 'UTF8'),
        parameterStatus('standard_conforming_strings', 'on'),
        backendKeyData(keys.processId, keys.secret),
        readyForQuery('idle'),
      ]),
    );
    if (rest.length > 0) take(rest);
  });
}

/** A bare connection that collects what it gets. */
export async function dial(
  port: number,
): Promise<{ socket: Socket; got(): Buffer; until(count: number): Promise<Buffer>; ended: Promise<Buffer> }> {
  const socket = net.connect({ host: '127.0.0.1', port });
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
  });
  const ended = new Promise<Buffer>((resolve) => {
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(received));
  });
  await once(socket, 'connect');
  return {
    socket,
    got: () => received,
    async until(count) {
      while (received.length < count && !socket.destroyed) await Promise.race([once(socket, 'data'), ended]);
      return received;
    },
    ended,
  };
}

export const SSL_REQUEST = startupMessage(80877103);
export const GSSENC_REQUEST = startupMessage(80877104);

/** The failure in bytes that hold one ErrorResponse, at their end. */
export function failureIn(bytes: Buffer) {
  let at = 0;
  while (bytes[at] !== 0x45 && at < bytes.length) at += 1 + bytes.readInt32BE(at + 1);
  return readFailure(bytes.subarray(at + 5, at + 1 + bytes.readInt32BE(at + 1)));
}

interface Login {
  readonly version?: number;
  readonly parameters?: Record<string, string>;
  readonly token?: string;
  /** Sent in one write with the last SASL message. */
  readonly after?: Buffer;
  /** After so many bytes the client is gone. */
  readonly bytes?: number;
}

/** Logs in byte by byte, as no client library lets one. */
export async function logIn(
  port: number,
  { version, parameters, token = TOKEN, after = Buffer.alloc(0), bytes = Number.POSITIVE_INFINITY }: Login = {},
) {
  const client = await dial(port);
  let left = bytes;
  const send = (content: Buffer) => {
    if (left > 0) client.socket.write(content.subarray(0, left));
    left -= content.length;
    if (left <= 0) client.socket.destroySoon();
  };
  send(startupPacket({ user: 'task_1', database: 'rental', ...parameters }, version));
  await client.until(24);
  const bare = 'n=,r=fyko+d2lbbFgONRv9qkxdawL';
  send(saslInitialResponse(`n,,${bare}`));
  const received = await client.until(24 + 9 + 84);
  if (received.length < 24 + 9 + 84) return client;
  const serverFirst = received.toString('latin1', 24 + 9);
  const [, nonce = '', salt = '', iterations = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(serverFirst) ?? [];
  const salted = pbkdf2Sync(token, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest();
  const signature = createHmac('sha256', storedKey).update(`${bare},${serverFirst},c=biws,r=${nonce}`).digest();
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))).toString('base64');
  send(Buffer.concat([message('p', Buffer.from(`c=biws,r=${nonce},p=${proof}`)), after]));
  return client;
}

function saslInitialResponse(text: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(text.length);
  return message('p', Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, Buffer.from(text)]));
}
