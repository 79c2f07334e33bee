import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import pg from 'pg';
import postgres from 'postgres';
import selfsigned from 'selfsigned';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EncryptionOptions } from '../../../src/channels/pgwire/encryption.ts';
import type { PgwireListener, PgwireOptions, WireConnection } from '../../../src/channels/pgwire/listener.ts';
import { query } from '../../../src/engines/postgres/wire-messages.ts';
import { cancelRequest } from '../../fixtures/raw-client.ts';
import { answerOne, dial, failureIn, listenForTest, logIn, TOKEN } from './wire-client.ts';

const certificates = new Map<string, EncryptionOptions>();
const open: PgwireListener[] = [];

beforeAll(async () => {
  const name = [{ name: 'commonName', value: 'localhost' }];
  for (const [kind, options] of [
    ['RSA, SHA-256', { keySize: 2048, algorithm: 'sha256' }],
    ['RSA, SHA-512', { keySize: 2048, algorithm: 'sha512' }],
    ['EC, SHA-256', { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' }],
  ] as const) {
    const made = await selfsigned.generate(name, options);
    certificates.set(kind, { key: made.private, certificate: made.cert, required: false });
  }
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close(0)));
});

async function listen(options: Partial<PgwireOptions> = {}) {
  const listener = await listenForTest(options);
  open.push(listener);
  return listener;
}

function certificate(kind = 'RSA, SHA-256'): EncryptionOptions {
  const found = certificates.get(kind);
  if (found === undefined) throw new Error(`there is no certificate ${kind}`);
  return found;
}

interface Psql {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function psql(port: number, connection: string, environment: Record<string, string> = {}): Promise<Psql> {
  return new Promise((resolve) => {
    execFile(
      'psql',
      ['-X', '-At', '-c', 'SELECT 1', `host=127.0.0.1 port=${port} dbname=rental user=task_1 ${connection}`],
      { env: { PATH: process.env['PATH'], PGPASSWORD: TOKEN, PGCONNECT_TIMEOUT: '10', ...environment } },
      (error, stdout, stderr) => resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const hasPsql = await new Promise<boolean>((resolve) =>
  execFile('psql', ['--version'], (error) => resolve(error === null)),
);

describe.skipIf(!hasPsql)('psql', () => {
  it.each(['disable', 'prefer', 'allow'])('connects with sslmode=%s where there is no TLS', async (mode) => {
    const { address, connected } = await listen();
    expect(await psql(address.port, `sslmode=${mode}`)).toEqual({ status: 0, stdout: '1\n', stderr: '' });
    expect(connected[0]).toMatchObject({ user: 'task_1', database: 'rental', protocol: '3.0' });
    expect(connected[0]?.settings).toContainEqual({ name: 'application_name', value: 'psql' });
  });

  it.each(['disable', 'prefer', 'require'])('connects with sslmode=%s where there is TLS', async (mode) => {
    const { address } = await listen({ tls: certificate() });
    expect(await psql(address.port, `sslmode=${mode}`)).toEqual({ status: 0, stdout: '1\n', stderr: '' });
  });

  it.each(['RSA, SHA-256', 'RSA, SHA-512', 'EC, SHA-256'])(
    'binds the channel to a certificate with %s',
    async (kind) => {
      const { address } = await listen({ tls: certificate(kind) });
      const bound = await psql(address.port, 'sslmode=require channel_binding=require');
      expect(bound).toEqual({ status: 0, stdout: '1\n', stderr: '' });
    },
  );

  it('connects with channel_binding=disable over TLS', async () => {
    const { address } = await listen({ tls: certificate() });
    expect(await psql(address.port, 'sslmode=require channel_binding=disable')).toMatchObject({ status: 0 });
  });

  it('refuses channel_binding=require without TLS by itself', async () => {
    const { address } = await listen();
    expect(await psql(address.port, 'channel_binding=require')).toMatchObject({ status: 2 });
  });

  it('does not connect in the clear where TLS is required', async () => {
    const { address } = await listen({ tls: { ...certificate(), required: true } });
    const refused = await psql(address.port, 'sslmode=disable');
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('encrypted connections only') });
    expect(await psql(address.port, 'sslmode=require')).toMatchObject({ status: 0 });
  });

  it('is told the same of a wrong password and of an unknown user, in about the same time', async () => {
    const { address, connected } = await listen();
    const timed = async (connection: string, password: string) => {
      const started = performance.now();
      const result = await psql(address.port, connection, { PGPASSWORD: password });
      return { ...result, tookMs: performance.now() - started };
    };
    const wrong = await timed('', 'wrong');
    const unknown = await timed('user=task_2', TOKEN);
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain('password authentication failed for user "task_1"');
    expect(unknown.stderr.replace('task_2', 'task_1')).toBe(wrong.stderr);
    expect(wrong.tookMs).toBeGreaterThan(250);
    expect(unknown.tookMs).toBeGreaterThan(250);
    expect(connected).toEqual([]);
  });

  it('is told when nobody can be looked up', async () => {
    const { address } = await listen({ authenticate: () => Promise.reject(new Error('the store is down')) });
    const refused = await psql(address.port, '');
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('nobody is let in') });
    expect(refused.stderr).not.toContain('store is down');
  });

  it('hands on its options and time zone as settings', async () => {
    const { address, connected } = await listen();
    await psql(address.port, '', { PGOPTIONS: '-c search_path=app -c statement_timeout=5s', PGTZ: 'Europe/Vienna' });
    expect(connected[0]?.settings).toEqual(
      expect.arrayContaining([
        { name: 'search_path', value: 'app' },
        { name: 'statement_timeout', value: '5s' },
        { name: 'TimeZone', value: 'Europe/Vienna' },
      ]),
    );
    const refused = await psql(address.port, '', { PGOPTIONS: '-c default_transaction_read_only=off' });
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('default_transaction_read_only') });
  });
});

describe('node-postgres', () => {
  const options = (port: number) => ({ host: '127.0.0.1', port, user: 'task_1', database: 'rental', password: TOKEN });

  const ways: readonly [how: string, certificate: string | undefined, extra: pg.ClientConfig][] = [
    ['in the clear', undefined, {}],
    ['over TLS', 'RSA, SHA-256', { ssl: { rejectUnauthorized: false } }],
    [
      'over TLS with channel binding',
      'RSA, SHA-512',
      { ssl: { rejectUnauthorized: false }, enableChannelBinding: true },
    ],
    [
      'over direct TLS',
      'EC, SHA-256',
      { ssl: { rejectUnauthorized: false, ALPNProtocols: ['postgresql'] }, sslnegotiation: 'direct' },
    ],
  ];

  it.each(ways)('connects %s', async (_how, kind, extra) => {
    const { address } = await listen(kind === undefined ? {} : { tls: certificate(kind) });
    const client = new pg.Client({ ...options(address.port), ...extra });
    await client.connect();
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ '?column?': 1 }]);
    await client.end();
  });

  it('fails with 28P01 on a wrong password', async () => {
    const { address } = await listen();
    const client = new pg.Client({ ...options(address.port), password: 'wrong' });
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01', severity: 'FATAL' });
  });
});

describe('postgres.js', () => {
  const connectTo = (port: number, extra: object = {}) =>
    postgres({
      host: '127.0.0.1',
      port,
      user: 'task_1',
      database: 'rental',
      password: TOKEN,
      max: 1,
      fetch_types: false,
      ...extra,
    });

  it.each([
    ['in the clear', {}, {}],
    ['over TLS', { tls: true }, { ssl: 'require' as const }],
  ])('connects %s', async (_how, { tls = false }: { tls?: boolean }, extra) => {
    const { address } = await listen(tls ? { tls: certificate() } : {});
    const sql = connectTo(address.port, extra);
    expect(await sql.unsafe('SELECT 1').simple()).toEqual([{ '?column?': 1 }]);
    await sql.end();
  });

  it('fails with 28P01 on a wrong password', async () => {
    const { address } = await listen();
    const sql = connectTo(address.port, { password: 'wrong' });
    await expect(sql.unsafe('SELECT 1').simple()).rejects.toMatchObject({ code: '28P01' });
    await sql.end();
  });
});

describe('the listener', () => {
  const client = (port: number) =>
    new pg.Client({ host: '127.0.0.1', port, user: 'task_1', database: 'rental', password: TOKEN });

  it('cancels the one session whose key it is given', async () => {
    const cancelled: number[] = [];
    const { address, connected } = await listen({ onCancel: (id) => void cancelled.push(id) });
    const clients = [client(address.port), client(address.port)];
    for (const each of clients) await each.connect();
    const [first, second] = connected.map(({ keys }) => keys);
    if (first === undefined || second === undefined) throw new Error('there are two');
    const send = async (bytes: Buffer) => {
      const { socket, ended } = await dial(address.port);
      socket.write(bytes);
      expect(await ended).toEqual(Buffer.alloc(0));
    };
    await send(cancelRequest(first.processId, second.secret));
    expect(cancelled).toEqual([]);
    await send(cancelRequest(second.processId, second.secret));
    expect(cancelled).toEqual([second.processId]);
    for (const each of clients) await each.end();
    await expect.poll(() => connected.every(({ socket }) => socket.destroyed)).toBe(true);
    await send(cancelRequest(second.processId, second.secret));
    expect(cancelled).toEqual([second.processId]);
  });

  it('hands on what a client sent right after its last SASL message', async () => {
    const { address, connected } = await listen();
    const client = await logIn(address.port, { after: query('SELECT 1') });
    await expect.poll(() => client.got().includes('SELECT 1')).toBe(true);
    expect(connected[0]?.rest).toEqual(query('SELECT 1'));
    client.socket.write(query('SELECT 1'));
    await expect.poll(() => client.got().toString('latin1').split('SELECT 1').length).toBe(3);
    client.socket.destroy();
  });

  it('gives cancel keys of 32 bytes since protocol 3.2', async () => {
    const { address, connected } = await listen();
    for (const [minor, protocol, length] of [
      [0, '3.0', 4],
      [1, '3.0', 4],
      [2, '3.2', 32],
    ] as const) {
      const client = await logIn(address.port, { version: (3 << 16) | minor });
      await expect.poll(() => connected.at(-1)?.protocol).toBe(protocol);
      expect(connected.at(-1)?.keys.secret.length).toBe(length);
      client.socket.destroy();
      connected.length = 0;
    }
  });

  it('does not let in a wrong proof, byte by byte', async () => {
    const { address, connected } = await listen();
    const client = await logIn(address.port, { token: 'wrong' });
    expect(failureIn((await client.ended).subarray(24 + 9 + 84))).toMatchObject({ sqlstate: '28P01' });
    expect(connected).toEqual([]);
  });

  it('stands a client that is gone after any byte of its login', async () => {
    const listener = await listenForTest();
    for (let bytes = 1; bytes < 250; bytes++) {
      const gone = await logIn(listener.address.port, { after: query('SELECT 1'), bytes });
      gone.socket.resetAndDestroy();
    }
    const one = client(listener.address.port);
    await one.connect();
    await one.end();
    expect(listener.lines.filter((line) => line.includes('fault'))).toEqual([]);
    const started = performance.now();
    await listener.close(5000);
    expect(performance.now() - started).toBeLessThan(2000);
    expect(listener.connected.every(({ socket }) => socket.destroyed)).toBe(true);
  });

  it('says 53300 to one too many, and lets in again when one has left', async () => {
    const { address } = await listen({ limits: { maxConnections: 2, startupTimeoutMs: 3000 } });
    const [one, two] = [client(address.port), client(address.port)];
    await one.connect();
    await two.connect();
    await expect(client(address.port).connect()).rejects.toMatchObject({ code: '53300' });
    await one.end();
    await expect
      .poll(async () => {
        const again = client(address.port);
        return again.connect().then(
          () => again.end().then(() => 'in'),
          () => 'full',
        );
      })
      .toBe('in');
    await two.end();
  });

  it('holds to its limit when many come at once', async () => {
    const { address, connected } = await listen({ limits: { maxConnections: 3, startupTimeoutMs: 3000 } });
    const clients = Array.from({ length: 20 }, () => client(address.port));
    const outcomes = await Promise.allSettled(clients.map((each) => each.connect()));
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(3);
    expect(connected.length).toBe(3);
    await Promise.all(clients.filter((_, index) => outcomes[index]?.status === 'fulfilled').map((each) => each.end()));
  });

  it('lets the right secret in at once while wrong ones of its address wait', async () => {
    const { address } = await listen({ limits: { maxConnections: 20, startupTimeoutMs: 5000 } });
    const wrong = Array.from({ length: 40 }, () => {
      const each = new pg.Client({ host: '127.0.0.1', port: address.port, user: 'task_1', password: 'wrong' });
      return each.connect().catch((error: Error) => error.message);
    });
    const started = performance.now();
    const right = client(address.port);
    await right.connect();
    expect(performance.now() - started).toBeLessThan(1500);
    await right.end();
    expect(new Set(await Promise.all(wrong))).toContain('password authentication failed for user "task_1"');
  });

  it('closes gracefully: tells the sessions, and refuses who comes', async () => {
    const listener = await listenForTest();
    const one = client(listener.address.port);
    one.on('error', () => undefined);
    await one.connect();
    const started = performance.now();
    await listener.close(5000);
    expect(performance.now() - started).toBeLessThan(3000);
    expect(listener.connected[0]?.closing.aborted).toBe(true);
    await expect(client(listener.address.port).connect()).rejects.toThrow(/ECONNREFUSED/);
  });

  it('cuts off sessions that do not end within the grace', async () => {
    const listener = await listenForTest({
      onSession: (connection) => {
        const deaf = answerOne({ ...connection, closing: new AbortController().signal });
        return deaf;
      },
    });
    const one = client(listener.address.port);
    one.on('error', () => undefined);
    await one.connect();
    const started = performance.now();
    await listener.close(200);
    expect(performance.now() - started).toBeGreaterThanOrEqual(190);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('keeps in order what comes while a session is not listening yet, and stops reading meanwhile', async () => {
    const connected: WireConnection[] = [];
    const { address } = await listen({
      onSession: async (connection) => {
        connected.push(connection);
        await new Promise((resolve) => setTimeout(resolve, 200));
        await answerOne(connection);
      },
    });
    const client = await logIn(address.port, { after: query('SELECT 1') });
    for (let each = 0; each < 999; each++) client.socket.write(query(`SELECT ${'1'.repeat(2000)}`));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(connected[0]?.socket.readableLength).toBeLessThan(256 * 1024);
    await expect.poll(() => client.got().toString('latin1').split('SELECT 1').length, { timeout: 10_000 }).toBe(1001);
    client.socket.destroy();
  });

  it('closes the connection of a session that failed, and goes on', async () => {
    const { address, lines } = await listen({ onSession: () => Promise.reject(new Error('broken')) });
    await expect(client(address.port).connect()).rejects.toThrow();
    expect(lines.join()).toContain('a session ended by a fault');
    await expect(client(address.port).connect()).rejects.toThrow();
  });

  it('drops a client that said it is done and reads nothing', async () => {
    const { address } = await listen();
    await new Promise<void>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true }, () => socket.end());
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
      socket.resume();
      socket.on('end', () => socket.destroy());
    });
  });

  it('never writes a token or a verifier to its log', async () => {
    const { address, lines } = await listen();
    const one = client(address.port);
    await one.connect();
    await one.end();
    expect(lines.join()).toContain('a client connected');
    expect(lines.join()).not.toContain(TOKEN);
  });
});
