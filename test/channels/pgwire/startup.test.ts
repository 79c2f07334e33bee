import { once } from 'node:events';
import tls from 'node:tls';
import fc from 'fast-check';
import selfsigned from 'selfsigned';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EncryptionOptions } from '../../../src/channels/pgwire/encryption.ts';
import type { PgwireListener, PgwireOptions } from '../../../src/channels/pgwire/listener.ts';
import { message } from '../../../src/engines/postgres/wire-messages.ts';
import { cancelRequest, startupMessage, startupPacket } from '../../fixtures/raw-client.ts';
import { dial, failureIn, GSSENC_REQUEST, listenForTest, SSL_REQUEST } from './wire-client.ts';

let encryption: EncryptionOptions;
const open: PgwireListener[] = [];

beforeAll(async () => {
  const made = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 });
  encryption = { key: made.private, certificate: made.cert, required: false };
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)));
});

async function listen(options: Partial<PgwireOptions> = {}) {
  const listener = await listenForTest(options);
  open.push(listener);
  return listener;
}

/** What the listener says to these bytes until it closes. */
async function saysTo(port: number, ...chunks: Buffer[]): Promise<Buffer> {
  const client = await dial(port);
  for (const chunk of chunks) client.socket.write(chunk);
  return client.ended;
}

const SASL = (bytes: Buffer) => bytes[0] === 0x52 && bytes.readInt32BE(5) === 10;

describe('start-up', () => {
  it('asks for SCRAM, wherever the packet is cut', async () => {
    const { address } = await listen();
    const bytes = startupPacket({ user: 'task_1', database: 'rental' });
    for (let place = 1; place < bytes.length; place += 3) {
      const client = await dial(address.port);
      client.socket.setNoDelay(true);
      client.socket.write(bytes.subarray(0, place));
      await new Promise((resolve) => setImmediate(resolve));
      client.socket.write(bytes.subarray(place));
      expect(SASL(await client.until(24))).toBe(true);
      expect(client.got().toString('latin1')).toContain('SCRAM-SHA-256\0\0');
      expect(client.got().toString('latin1')).not.toContain('PLUS');
      client.socket.destroy();
    }
  });

  it.each([
    ['protocol 2.0', startupMessage(2 << 16, Buffer.alloc(288)), '0A000', 'unsupported frontend protocol 2.0'],
    ['protocol 4.0', startupMessage(4 << 16, Buffer.from('\0')), '0A000', '4.0'],
    ['no user', startupPacket({ database: 'x' }), '28000', 'no user name'],
    ['a parameter that comes twice', startupMessage(3 << 16, Buffer.from('user\0a\0user\0b\0\0')), '08P01', 'twice'],
    ['no terminator', startupMessage(3 << 16, Buffer.from('user\0a\0')), '08P01', 'invalid startup packet'],
    [
      'bytes after the terminator',
      startupMessage(3 << 16, Buffer.from('user\0a\0\0x')),
      '08P01',
      'longer than its content',
    ],
    ['a name that is not UTF-8', startupMessage(3 << 16, Buffer.from('user\0\xff\0\0', 'latin1')), '08P01', 'UTF-8'],
    ['a length of four', Buffer.from([0, 0, 0, 4]), '08P01', 'length is 4'],
    ['a length of 10,001', Buffer.from([0, 0, 0x27, 0x11]), '08P01', 'length is 10001'],
    ['a length of two gigabytes', Buffer.from([0x7f, 0xff, 0xff, 0xff]), '08P01', 'length is'],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), '08P01', 'length is'],
    ['an SSLRequest with a body', startupMessage(80877103, Buffer.from('x')), '08P01', 'longer than its content'],
    ['replication', startupPacket({ user: 'task_1', replication: 'database' }), 'CS008', 'Replication'],
    ['an encoding that is not UTF8', startupPacket({ user: 'task_1', client_encoding: 'LATIN1' }), 'CS008', 'LATIN1'],
    ['a setting not on the list', startupPacket({ user: 'task_1', role: 'postgres' }), 'CS008', 'role'],
  ])('refuses %s', async (_what, bytes, sqlstate, text) => {
    const { address } = await listen();
    const failure = failureIn(await saysTo(address.port, bytes));
    expect(failure).toMatchObject({ severity: 'FATAL', sqlstate, message: expect.stringContaining(text) });
  });

  it('negotiates a newer minor version and unknown protocol options down', async () => {
    const { address } = await listen();
    const client = await dial(address.port);
    client.socket.write(startupPacket({ user: 'task_1', '_pq_.feature': 'on' }, (3 << 16) | 9999));
    const bytes = await client.until(50);
    expect(bytes[0]).toBe(0x76);
    expect(bytes.readInt32BE(5)).toBe((3 << 16) | 2);
    expect(bytes.readInt32BE(9)).toBe(1);
    expect(bytes.toString('latin1')).toContain('_pq_.feature\0');
    client.socket.destroy();
  });

  it('does not negotiate what it knows', async () => {
    const { address } = await listen();
    for (const minor of [0, 2]) {
      const client = await dial(address.port);
      client.socket.write(startupPacket({ user: 'task_1' }, (3 << 16) | minor));
      expect(SASL(await client.until(24))).toBe(true);
      client.socket.destroy();
    }
  });

  it('says N to GSSENCRequest, and to SSLRequest without a certificate, once each', async () => {
    const { address } = await listen();
    const client = await dial(address.port);
    client.socket.write(GSSENC_REQUEST);
    expect((await client.until(1)).toString()).toBe('N');
    client.socket.write(SSL_REQUEST);
    expect((await client.until(2)).toString()).toBe('NN');
    client.socket.write(SSL_REQUEST);
    expect(failureIn((await client.ended).subarray(2))).toMatchObject({ sqlstate: '08P01' });
  });

  it('closes on a client that takes too long', async () => {
    const { address } = await listen({ limits: { maxConnections: 5, startupTimeoutMs: 150 } });
    const started = performance.now();
    await Promise.all([
      saysTo(address.port),
      saysTo(address.port, SSL_REQUEST.subarray(0, 5)),
      saysTo(address.port, startupPacket({ user: 'task_1' })),
    ]);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('takes a half-closed client for gone', async () => {
    const { address } = await listen();
    for (const bytes of [Buffer.alloc(0), SSL_REQUEST, startupPacket({ user: 'task_1' }), SSL_REQUEST.subarray(0, 3)]) {
      const client = await dial(address.port);
      client.socket.end(bytes);
      await client.ended;
    }
  });
});

describe('TLS', () => {
  async function secured(port: number, direct = false, ALPNProtocols?: string[]) {
    const client = await dial(port);
    if (!direct) {
      client.socket.write(SSL_REQUEST);
      expect((await client.until(1)).toString()).toBe('S');
    }
    client.socket.removeAllListeners('data');
    const socket = tls.connect({
      socket: client.socket,
      rejectUnauthorized: false,
      ...(ALPNProtocols ? { ALPNProtocols } : {}),
    });
    await once(socket, 'secureConnect');
    return socket;
  }

  async function firstBytes(socket: tls.TLSSocket): Promise<Buffer> {
    socket.write(startupPacket({ user: 'task_1' }));
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return chunk;
  }

  it('offers channel binding over TLS, asked for or begun directly', async () => {
    const { address } = await listen({ tls: encryption });
    for (const socket of [await secured(address.port), await secured(address.port, true, ['postgresql'])]) {
      expect((await firstBytes(socket)).toString('latin1')).toContain('SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0');
    }
  });

  it('works after a refused GSSENCRequest', async () => {
    const { address } = await listen({ tls: encryption });
    const client = await dial(address.port);
    client.socket.write(GSSENC_REQUEST);
    expect((await client.until(1)).toString()).toBe('N');
    client.socket.write(SSL_REQUEST);
    expect((await client.until(2)).toString()).toBe('NS');
    client.socket.destroy();
  });

  it('CVE-2021-23222: drops a client whose words in the clear came with its SSLRequest', async () => {
    const { address, lines } = await listen({ tls: encryption });
    const injected = startupPacket({ user: 'task_1', database: 'injected' });
    expect(await saysTo(address.port, Buffer.concat([SSL_REQUEST, injected]))).toEqual(Buffer.alloc(0));
    expect(lines.join()).toContain('in the clear');
  });

  it('drops a client that goes on in the clear after the S', async () => {
    const { address } = await listen({ tls: encryption });
    const client = await dial(address.port);
    client.socket.write(SSL_REQUEST);
    await client.until(1);
    client.socket.write(startupPacket({ user: 'task_1' }));
    const bytes = await client.ended;
    expect(bytes.subarray(1).toString('latin1')).not.toContain('SCRAM');
  });

  it('refuses direct TLS that does not name the protocol, and without a certificate', async () => {
    const { address } = await listen({ tls: encryption });
    const nameless = await secured(address.port, true);
    nameless.on('error', () => nameless.destroy());
    nameless.write(startupPacket({ user: 'task_1' }));
    await once(nameless, 'close');
    await expect(secured(address.port, true, ['h2'])).rejects.toThrow();
    const plain = await listen();
    expect(await saysTo(plain.address.port, Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]))).toEqual(Buffer.alloc(0));
  });

  it('refuses TLS within TLS', async () => {
    const { address } = await listen({ tls: encryption });
    const socket = await secured(address.port);
    socket.write(SSL_REQUEST);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(failureIn(chunk)).toMatchObject({ sqlstate: '08P01' });
  });

  it('refuses clients in the clear where TLS is required, and says what to do', async () => {
    const { address } = await listen({ tls: { ...encryption, required: true } });
    const failure = failureIn(await saysTo(address.port, startupPacket({ user: 'task_1' })));
    expect(failure).toMatchObject({ sqlstate: '28000', hint: expect.stringContaining('sslmode=require') });
  });
});

describe('cancel requests', () => {
  it('are answered by nothing, and cancel nothing without a key', async () => {
    const cancelled: number[] = [];
    const { address } = await listen({ onCancel: (id) => void cancelled.push(id) });
    expect(await saysTo(address.port, cancelRequest(4711, Buffer.alloc(4)))).toEqual(Buffer.alloc(0));
    expect(await saysTo(address.port, cancelRequest(4711, Buffer.alloc(32)))).toEqual(Buffer.alloc(0));
    expect(cancelled).toEqual([]);
  });
});

describe('a flood', () => {
  it('of connections that say nothing leaves room for who speaks', async () => {
    const { address } = await listen({ limits: { maxConnections: 2, startupTimeoutMs: 30_000 } });
    const silent = await Promise.all(Array.from({ length: 200 }, () => dial(address.port)));
    const client = await dial(address.port);
    client.socket.write(startupPacket({ user: 'task_1' }));
    expect(SASL(await client.until(24))).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(silent.filter(({ socket }) => !socket.destroyed).length).toBeLessThanOrEqual(66);
    for (const { socket } of [client, ...silent]) socket.destroy();
  });
});

describe('fuzzed start-up', () => {
  const good = [
    SSL_REQUEST,
    GSSENC_REQUEST,
    startupPacket({ user: 'task_1', database: 'rental', application_name: 'x' }),
    cancelRequest(1, Buffer.alloc(4)),
    message('p', Buffer.from('SCRAM-SHA-256\0\0\0\0\x0fn,,n=,r=abcdefgh')),
    message('p', Buffer.from('c=biws,r=abcdefgh,p=AAAA')),
    message('Q', Buffer.from('select 1\0')),
  ];

  it('never lets anybody in, never hangs, never breaks the listener', async () => {
    const { address, connected, lines } = await listen({
      tls: encryption,
      limits: { maxConnections: 50, startupTimeoutMs: 150 },
    });
    const bytes = fc
      .array(
        fc.oneof(
          fc.constantFrom(...good),
          fc.uint8Array({ maxLength: 60 }).map((noise) => Buffer.from(noise)),
        ),
        { maxLength: 5 },
      )
      .map((parts) => Buffer.concat(parts));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(bytes, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat()), {
          minLength: 8,
          maxLength: 8,
        }),
        async (attacks) => {
          await Promise.all(
            attacks.map(async ([content, mutations, place]) => {
              const mutated = Buffer.from(content);
              if (mutated.length > 0) for (const [at, value] of mutations) mutated[at % mutated.length] = value;
              const client = await dial(address.port);
              const edge = place % (mutated.length + 1);
              client.socket.write(mutated.subarray(0, edge));
              await new Promise((resolve) => setTimeout(resolve, 1));
              if (!client.socket.destroyed) client.socket.write(mutated.subarray(edge));
              const deadline = new Promise((_, reject) => setTimeout(() => reject(new Error('it hung')), 5000).unref());
              await Promise.race([client.ended, deadline]);
            }),
          );
        },
      ),
      { numRuns: 25 },
    );
    expect(connected).toEqual([]);
    expect(lines.filter((line) => line.includes('fault'))).toEqual([]);
    const client = await dial(address.port);
    client.socket.write(startupPacket({ user: 'task_1' }));
    expect(SASL(await client.until(24))).toBe(true);
    client.socket.destroy();
  });
});
