import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { message, readFailure } from '../engines/postgres/wire-messages.ts';

/** One message of a server's. */
export interface ServerMessage {
  /** Its first byte, as a letter. */
  readonly type: string;
  readonly body: Buffer;
}

/** A client that speaks the protocol frame by frame, as no library lets one; to a gateway or a server. */
export interface RawClient {
  readonly socket: Socket;
  readonly processId: number;
  readonly secret: Buffer;
  send(...frames: readonly Buffer[]): void;
  /** Everything up to and including the next message of one of these types. @throws when the connection ends before. */
  until(...types: readonly string[]): Promise<ServerMessage[]>;
  /** What came and nobody waited for, once the connection is closed. */
  readonly closed: Promise<ServerMessage[]>;
  close(): Promise<void>;
}

/** A bare connection that reads messages; nothing is sent yet. */
export async function dialRaw(host: string, port: number): Promise<Omit<RawClient, 'processId' | 'secret'>> {
  const socket = net.connect({ host, port, noDelay: true });
  let bytes: Buffer = Buffer.alloc(0);
  let messages: ServerMessage[] = [];
  let wake: () => void = () => undefined;
  socket.on('data', (chunk: Buffer) => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      messages.push({ type: String.fromCharCode(bytes[at] ?? 0), body: bytes.subarray(at + 5, end) });
      at = end;
    }
    bytes = bytes.subarray(at);
    wake();
  });
  const closed = new Promise<ServerMessage[]>((resolve) => {
    // A reset is one of the ways to be closed; what matters is that it is.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      wake();
      resolve(messages);
    });
  });
  await once(socket, 'connect');
  return {
    socket,
    closed,
    send(...frames) {
      if (!socket.destroyed) socket.write(Buffer.concat(frames));
    },
    async until(...types) {
      for (;;) {
        const index = messages.findIndex(({ type }) => types.includes(type));
        if (index !== -1) {
          const taken = messages.slice(0, index + 1);
          messages = messages.slice(index + 1);
          return taken;
        }
        if (socket.destroyed) throw new Error(`the connection was closed after ${spoken(messages)}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async close() {
      socket.end();
      socket.resume();
      await closed;
    },
  };
}

/** Logs in by SCRAM, without TLS, as the connection string says. @throws when it isn't let in. */
export async function connectRaw(url: string, parameters: Readonly<Record<string, string>> = {}): Promise<RawClient> {
  const { hostname, port, username, password, pathname } = new URL(url);
  const client = await dialRaw(hostname, Number(port));
  const scram = scramClient(decodeURIComponent(password));
  client.send(startupPacket({ user: decodeURIComponent(username), database: pathname.slice(1), ...parameters }));
  await client.until('R');
  client.send(scram.first);
  const [challenge] = (await client.until('R', 'E')).slice(-1);
  client.send(scram.final(challenge?.body ?? Buffer.alloc(0)));
  const greeting = await client.until('Z', 'E');
  const key = greeting.find(({ type }) => type === 'K')?.body;
  if (key === undefined) throw new Error(`not let in: ${spoken(greeting)}`);
  return { ...client, processId: key.readInt32BE(0), secret: key.subarray(4) };
}

/** The two answers of a SCRAM-SHA-256 client (RFC 5802); the second needs the server's challenge. */
export function scramClient(password: string): { readonly first: Buffer; final(challenge: Buffer): Buffer } {
  const bare = `n=,r=${randomBytes(18).toString('base64')}`;
  const initial = Buffer.from(`n,,${bare}`);
  const length = Buffer.alloc(4);
  length.writeInt32BE(initial.length);
  return {
    first: message('p', Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, initial])),
    final(challenge) {
      const serverFirst = challenge.toString('latin1', 4);
      const [, nonce = '', salt = '', iterations = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(serverFirst) ?? [];
      const salted = saltedPassword(password, salt, Number(iterations));
      const clientKey = createHmac('sha256', salted).update('Client Key').digest();
      const storedKey = createHash('sha256').update(clientKey).digest();
      const signature = createHmac('sha256', storedKey).update(`${bare},${serverFirst},c=biws,r=${nonce}`).digest();
      const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))).toString('base64');
      return message('p', Buffer.from(`c=biws,r=${nonce},p=${proof}`));
    },
  };
}

const salted = new Map<string, Buffer>();

/** Kept, because it is slow by design and the same for every connection of a task. */
function saltedPassword(password: string, salt: string, iterations: number): Buffer {
  const key = `${password} ${salt} ${iterations}`;
  const found = salted.get(key) ?? pbkdf2Sync(password, Buffer.from(salt, 'base64'), iterations, 32, 'sha256');
  salted.set(key, found);
  return found;
}

/** A packet of the start-up phase: without a type, with a code. */
export function startupMessage(code: number, rest: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + rest.length, 0);
  head.writeInt32BE(code, 4);
  return Buffer.concat([head, rest]);
}

export function startupPacket(parameters: Readonly<Record<string, string>>, version = 3 << 16): Buffer {
  const pairs = Object.entries(parameters).flat();
  return startupMessage(version, Buffer.from(`${pairs.map((part) => `${part}\0`).join('')}\0`));
}

export function cancelRequest(processId: number, secret: Buffer): Buffer {
  const id = Buffer.alloc(4);
  id.writeInt32BE(processId);
  return startupMessage(80877102, Buffer.concat([id, secret]));
}

/** Messages as one reads them: types, and what errors say. */
export function spoken(messages: readonly ServerMessage[]): string {
  return messages
    .map(({ type, body }) => {
      if (type !== 'E') return type;
      const { sqlstate, message: text } = readFailure(body);
      return `E(${sqlstate} ${text})`;
    })
    .join(' ');
}
