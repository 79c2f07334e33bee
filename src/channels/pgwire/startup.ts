import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { ProtocolViolation } from '../../engines/postgres/wire-messages.ts';
import { ALPN_POSTGRESQL, type Encryption } from './encryption.ts';
import { fatal, negotiateProtocolVersion } from './messages.ts';
import { createStartupInput, type StartupInput } from './startup-input.ts';
import { MAX_STARTUP_BYTES, MIN_STARTUP_BYTES, readStartupPacket, type StartupPacket } from './startup-packet.ts';

/** What came of a connection's first words. */
export type Startup =
  | { readonly kind: 'cancel'; readonly processId: number; readonly secret: Buffer; readonly socket: Socket }
  | SessionStartup
  /** Nothing: it ended, or it was refused with `refusal`, which is then to be sent before it is closed. */
  | { readonly kind: 'closed'; readonly socket: Socket; readonly why: string; readonly refusal?: Buffer };

export interface SessionStartup {
  readonly kind: 'session';
  readonly user: string;
  readonly database: string;
  /** Everything else the client asked for, as it asked. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly protocol: WireProtocol;
  /** The TLS socket when the client asked for TLS. */
  readonly socket: Socket;
  /** Bytes that came after the start-up message. */
  readonly rest: Buffer;
}

/** 3.2 differs from 3.0 in the length of cancel keys. */
export type WireProtocol = '3.0' | '3.2';

const NEWEST_MINOR = 2;
const TLS_HANDSHAKE = 0x16;
const REFUSE_ENCRYPTION = Buffer.from('N');
const ACCEPT_ENCRYPTION = Buffer.from('S');

/**
 * Reads the start-up phase of one connection: requests for encryption, then a start-up message or a cancel request
 * (PostgreSQL, "Start-up", "SSL Session Encryption"). Bytes that came before the TLS handshake are never taken for bytes
 * that came through it (CVE-2021-23222). The caller owns the deadline: destroying the socket ends this.
 */
export async function readStartup(raw: Socket, encryption: Encryption | undefined): Promise<Startup> {
  let socket = raw;
  let input = createStartupInput(socket, Buffer.alloc(0));
  const asked = new Set<'ssl' | 'gssenc'>();
  try {
    for (;;) {
      const head = await input.read(1);
      if (head === null) return closed(socket, 'it ended before it said anything');
      if (head[0] === TLS_HANDSHAKE && socket === raw && asked.size === 0) {
        const direct = await upgradeDirectly(raw, input, head, encryption);
        if (direct === null) return closed(raw, 'the direct TLS handshake failed');
        socket = direct;
        input = createStartupInput(socket, Buffer.alloc(0));
        continue;
      }
      const packet = await readPacket(input, head);
      if (packet === null) return closed(socket, 'it ended within its first message');
      if (packet.packet === 'startup') return begin(packet, socket, input, encryption);
      if (packet.packet === 'cancel')
        return { kind: 'cancel', processId: packet.processId, secret: packet.secret, socket };
      if (packet.packet === 'unsupported version') return refuse(socket, unsupportedVersion(packet.version));

      if (asked.has(packet.packet) || socket !== raw) return refuse(socket, repeated(packet.packet));
      asked.add(packet.packet);
      if (packet.packet === 'gssenc' || encryption === undefined) {
        socket.write(REFUSE_ENCRYPTION);
        continue;
      }
      if (input.buffered() > 0) {
        raw.destroy();
        return closed(raw, 'it sent bytes in the clear after it had asked for TLS');
      }
      input.release();
      raw.write(ACCEPT_ENCRYPTION);
      const secured = await encryption.upgrade(raw);
      if (secured === null) return closed(raw, 'the TLS handshake failed');
      socket = secured;
      input = createStartupInput(socket, Buffer.alloc(0));
    }
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error;
    return refuse(socket, { sqlstate: '08P01', message: `invalid startup packet: ${error.message}` });
  } finally {
    input.release();
  }
}

/** A client that starts with the handshake itself saves a round trip, and must name the protocol in it. */
async function upgradeDirectly(
  raw: Socket,
  input: StartupInput,
  head: Buffer,
  encryption: Encryption | undefined,
): Promise<TLSSocket | null> {
  const rest = input.release();
  if (encryption === undefined) {
    raw.destroy();
    return null;
  }
  raw.unshift(Buffer.concat([head, rest]));
  const secured = await encryption.upgrade(raw);
  if (secured === null || secured.alpnProtocol === ALPN_POSTGRESQL) return secured;
  secured.destroy();
  return null;
}

async function readPacket(input: StartupInput, head: Buffer): Promise<StartupPacket | null> {
  const tail = await input.read(3);
  if (tail === null) return null;
  const length = Buffer.concat([head, tail]).readUInt32BE();
  if (length < MIN_STARTUP_BYTES || length > MAX_STARTUP_BYTES) {
    throw new ProtocolViolation(
      `its length is ${length}; ${MIN_STARTUP_BYTES} to ${MAX_STARTUP_BYTES} bytes are allowed`,
    );
  }
  const body = await input.read(length - 4);
  return body === null ? null : readStartupPacket(body);
}

function begin(
  { minor, parameters, options }: Extract<StartupPacket, { packet: 'startup' }>,
  socket: Socket,
  input: StartupInput,
  encryption: Encryption | undefined,
): Startup {
  if (encryption?.required === true && !(socket instanceof TLSSocket)) {
    return refuse(socket, {
      sqlstate: '28000',
      message: 'this gateway accepts encrypted connections only',
      hint: 'Connect with sslmode=require or stricter.',
    });
  }
  const user = parameters.get('user') ?? '';
  if (user === '') {
    return refuse(socket, {
      sqlstate: '28000',
      message: 'no user name is given in the startup packet',
      hint: 'The user is the task, the password its token, the database the target.',
    });
  }
  if (minor > NEWEST_MINOR || options.length > 0) {
    socket.write(negotiateProtocolVersion((3 << 16) | Math.min(minor, NEWEST_MINOR), options));
  }
  return {
    kind: 'session',
    user,
    database: parameters.get('database') || user,
    parameters: new Map([...parameters].filter(([name]) => name !== 'user' && name !== 'database')),
    protocol: minor >= 2 ? '3.2' : '3.0',
    socket,
    rest: input.release(),
  };
}

function closed(socket: Socket, why: string): Startup {
  return { kind: 'closed', socket, why };
}

function refuse(socket: Socket, failure: Parameters<typeof fatal>[0]): Startup {
  return { kind: 'closed', socket, why: failure.message, refusal: fatal(failure) };
}

function unsupportedVersion(version: string): Parameters<typeof fatal>[0] {
  return {
    sqlstate: '0A000',
    message: `unsupported frontend protocol ${version}: this gateway supports 3.0 to 3.${NEWEST_MINOR}`,
  };
}

function repeated(what: 'ssl' | 'gssenc'): Parameters<typeof fatal>[0] {
  return { sqlstate: '08P01', message: `${what === 'ssl' ? 'TLS' : 'GSSAPI encryption'} can't be asked for now` };
}
