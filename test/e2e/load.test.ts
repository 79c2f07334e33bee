import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  describe as describeFrame,
  execute,
  message,
  parse,
  query,
  readFailure,
  SYNC,
} from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers, WHOLE } from '../fixtures/postgres.ts';
import {
  cancelRequest,
  connectRaw,
  dialRaw,
  type RawClient,
  type ServerMessage,
  spoken,
  startupPacket,
} from '../fixtures/raw-client.ts';

const SESSIONS = Number(process.env['LOAD_SESSIONS'] ?? 200);
const MEBIBYTE = 1024 * 1024;
/** How much is streamed in each direction; the protocol's limit for one value is 1024. */
const STREAMED_MB = Number(process.env['LOAD_MB'] ?? 144);
/** PostgreSQL makes several copies of what is bound: at its limit the server needs gigabytes, the gateway none. */
const BOUND_MB = Math.min(STREAMED_MB, 1023);
/** What a stream may add to the gateway's memory, however long it is. */
const STREAM_GROWTH_BYTES = 96 * MEBIBYTE;

const TASK = WORK.replace('write: [', 'write: [public.drop_box, ').replace(
  'statementTimeout: 10s',
  `statementTimeout: 2m, sessions: ${SESSIONS + 50}`,
);
const SLOW = 'SELECT count(*) FROM telemetry a, telemetry b, telemetry c';

const [newest] = servers;
describe.skipIf(newest === undefined)(`load before ${newest?.name}`, () => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, {
      settings: { max_connections: String(SESSIONS + 100) },
      schema: 'CREATE TABLE public.drop_box (content text)',
    });
    site.edit((text) => text.replace('    credentials:', `    maxSessions: ${SESSIONS + 50}\n    credentials:`));
    gateway = await site.serve();
    task = await site.openTask(TASK);
    // Compiling the parser takes much memory for a moment, once.
    const client = await connectRaw(url());
    await answerTo(client, query('SELECT 1'));
    await client.close();
    await sleep(1000);
  }, 60_000);
  afterAll(() => site?.remove());

  function url(): string {
    const moved = new URL(task.postgres);
    moved.host = gateway.pg;
    return moved.href;
  }

  async function answerTo(client: RawClient, ...frames: readonly Buffer[]): Promise<readonly ServerMessage[]> {
    client.send(...frames);
    return client.until('Z');
  }

  const sqlstateOf = (messages: readonly ServerMessage[]) => {
    const error = messages.find(({ type }) => type === 'E');
    return error === undefined ? 'none' : readFailure(error.body).sqlstate;
  };

  it(`holds ${SESSIONS} idle sessions, and answers on each of them`, async () => {
    const before = await memoryOf(gateway);
    const clients: RawClient[] = [];
    const opening = Array.from({ length: SESSIONS }, (_, index) => index);
    await inTurns(opening, 16, async () => {
      clients.push(await connectRaw(url()));
    });
    const each = ((await memoryOf(gateway)) - before) / SESSIONS;
    console.log(`${Math.round(each / 1024)} KiB a session`);
    expect(each).toBeLessThan(400 * 1024);
    await inTurns([...clients.keys()], 32, async (index) => {
      const client = clients[index];
      if (client === undefined) return;
      const said = await answerTo(client, query(`SELECT ${index} AS mine`));
      expect(said.find(({ type }) => type === 'D')?.body.toString('latin1', 6)).toBe(String(index));
    });
    await Promise.all(clients.map((client) => client.close()));
    await expect
      .poll(() => count("SELECT count(*) FROM pg_stat_activity WHERE starts_with(usename, 'cs_')"), { timeout: 20_000 })
      .toBe(0);
  }, 300_000);

  async function count(sql: string): Promise<number> {
    const [row] = await asSuperuser<{ count: string }>(site.databaseUrl, sql);
    return Number(row?.count);
  }

  it.each([
    ['rows', `SELECT repeat('x', 1024) FROM generate_series(1, ${STREAMED_MB * 1024})`],
    ['one value', `SELECT repeat('x', ${STREAMED_MB * MEBIBYTE})`],
    ['copied rows', `COPY (SELECT repeat('x', 1024) FROM generate_series(1, ${STREAMED_MB * 1024})) TO STDOUT`],
  ])(
    `streams ${STREAMED_MB} MB of %s to a slow reader in flat memory`,
    async (_what, sql) => {
      const socket = await loggedIn();
      const before = await memoryOf(gateway);
      let received = 0;
      let last = Buffer.alloc(0);
      let most = 0;
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
        last = Buffer.concat([last, chunk]).subarray(-6);
      });
      socket.write(query(sql));
      // It reads a little, and then nothing for a while; the server must be held back.
      await sleep(100);
      for (let pause = 0; pause < 5; pause++) {
        socket.pause();
        await sleep(200);
        most = Math.max(most, await memoryOf(gateway));
        socket.resume();
        await sleep(20);
      }
      const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
      while (!last.equals(ready)) {
        await Promise.race([once(socket, 'data'), sleep(1000)]);
        most = Math.max(most, await memoryOf(gateway));
        expect(socket.destroyed).toBe(false);
      }
      expect(received).toBeGreaterThan(STREAMED_MB * MEBIBYTE);
      expect(most - before).toBeLessThan(STREAM_GROWTH_BYTES);
      socket.destroy();
    },
    120_000,
  );

  /** A session whose socket keeps nothing of what comes. */
  async function loggedIn(): Promise<Socket> {
    const { socket } = await connectRaw(url());
    socket.removeAllListeners('data');
    return socket;
  }

  it.runIf(WHOLE)(
    `takes ${STREAMED_MB} MB of copied rows in flat memory`,
    async () => {
      const client = await connectRaw(url());
      const before = await memoryOf(gateway);
      let most = 0;
      client.send(query('COPY drop_box FROM STDIN'));
      await client.until('G');
      const piece = message('d', Buffer.alloc(MEBIBYTE, 'y'));
      for (let megabyte = 0; megabyte < STREAMED_MB; megabyte++) {
        if (!client.socket.write(piece)) await once(client.socket, 'drain');
        if (megabyte % 16 === 0) most = Math.max(most, await memoryOf(gateway));
      }
      client.send(message('d', Buffer.from('\n')), message('c', Buffer.alloc(0)));
      expect(spoken(await client.until('Z'))).toBe('C Z');
      most = Math.max(most, await memoryOf(gateway));
      expect(await count('SELECT length(content) AS count FROM drop_box')).toBe(STREAMED_MB * MEBIBYTE);
      expect(most - before).toBeLessThan(STREAM_GROWTH_BYTES);
      await client.close();
    },
    120_000,
  );

  it(`takes ${BOUND_MB} MB of one bound value in flat memory, for a read and for a write`, async () => {
    const client = await connectRaw(url());
    const before = await memoryOf(gateway);
    let most = 0;
    for (const sql of ['SELECT length($1)', 'INSERT INTO drop_box VALUES ($1)']) {
      client.send(parse('', sql, [25]));
      await sendBind(client.socket, BOUND_MB * MEBIBYTE, async () => {
        most = Math.max(most, await memoryOf(gateway));
      });
      const said = await answerTo(client, describeFrame('portal', ''), execute('', 0), SYNC);
      most = Math.max(most, await memoryOf(gateway));
      if (sql.startsWith('SELECT')) {
        expect(said.find(({ type }) => type === 'D')?.body.toString('latin1', 6)).toBe(String(BOUND_MB * MEBIBYTE));
      } else expect(spoken(said)).toBe('1 2 n C Z');
    }
    console.log(`${Math.round((most - before) / MEBIBYTE)} MiB more for ${BOUND_MB} MB`);
    expect(await count('SELECT max(length(content)) AS count FROM drop_box')).toBe(BOUND_MB * MEBIBYTE);
    expect(most - before).toBeLessThan(STREAM_GROWTH_BYTES);
    await client.close();
  }, 240_000);

  it('holds back many clients that send large values at once', async () => {
    const before = await memoryOf(gateway);
    const clients = await Promise.all(Array.from({ length: 24 }, () => connectRaw(url())));
    let most = 0;
    const watch = setInterval(async () => {
      most = Math.max(most, await memoryOf(gateway));
    }, 50);
    await Promise.all(
      clients.map(async (client) => {
        client.send(parse('', 'SELECT length($1), pg_sleep(0.2)', [25]));
        await sendBind(client.socket, 24 * MEBIBYTE, async () => undefined);
        expect(spoken(await answerTo(client, execute('', 0), SYNC))).toBe('1 2 D C Z');
      }),
    );
    clearInterval(watch);
    console.log(`${Math.round((most - before) / MEBIBYTE)} MiB more for ${24 * 24} MB of 24 clients`);
    expect(most - before).toBeLessThan(256 * MEBIBYTE);
    await Promise.all(clients.map((client) => client.close()));
  }, 120_000);

  /** Binds one value of the letter z to the unnamed statement, as fast as the gateway takes it. */
  async function sendBind(socket: Socket, valueBytes: number, each: () => Promise<void>): Promise<void> {
    const ends = bind({ portal: '', statement: '', formats: [], values: [Buffer.alloc(0)], resultFormats: [] });
    ends.writeInt32BE(ends.length - 1 + valueBytes, 1);
    ends.writeInt32BE(valueBytes, ends.length - 6);
    socket.write(ends.subarray(0, -2));
    const piece = Buffer.alloc(MEBIBYTE, 'z');
    for (let megabyte = 0; megabyte < valueBytes / MEBIBYTE; megabyte++) {
      if (!socket.write(piece)) await once(socket, 'drain');
      if (megabyte % 16 === 0) await each();
    }
    socket.write(ends.subarray(-2));
  }

  it('cancels by the right key only, and never another session', async () => {
    const [mine, other] = [await connectRaw(url()), await connectRaw(url())];
    mine.send(query('SELECT pg_sleep(1.5), 1 AS one'));
    other.send(query(SLOW));
    await sleep(200);
    const wrong = Buffer.from(mine.secret.map((byte) => byte ^ 0x55));
    for (const [processId, secret] of [
      [mine.processId, other.secret],
      [mine.processId, wrong],
      [mine.processId, Buffer.concat([mine.secret, mine.secret])],
      [mine.processId + 1, mine.secret],
      [0, mine.secret],
    ] as const) {
      await cancel(processId, secret);
    }
    await cancel(other.processId, other.secret);
    expect(sqlstateOf(await other.until('Z'))).toBe('57014');
    expect(sqlstateOf(await mine.until('Z'))).toBe('none');
    // A key is worth nothing once its session is over; nor does it stop what comes next on a session that goes on.
    await mine.close();
    other.send(query('SELECT pg_sleep(0.5)'));
    await cancel(mine.processId, mine.secret);
    expect(sqlstateOf(await other.until('Z'))).toBe('none');
    await other.close();
  });

  async function cancel(processId: number, secret: Buffer): Promise<void> {
    const { hostname, port } = new URL(url());
    const client = await dialRaw(hostname, Number(port));
    client.send(cancelRequest(processId, secret));
    expect(await client.closed).toEqual([]);
  }

  describe('what is not carried', () => {
    async function refusalAtStart(parameters: Record<string, string>) {
      return connectRaw(url(), parameters).then(
        async (client) => {
          await client.close();
          return 'it was let in';
        },
        (error: Error) => error.message,
      );
    }

    it.each([
      [{ replication: 'true' }, 'CS008 Replication'],
      [{ replication: 'database' }, 'CS008 Replication'],
      [{ options: '-c session_replication_role=replica' }, 'CS008 The start-up parameter session_replication_role'],
      [{ options: '-c default_transaction_read_only=off' }, 'CS008'],
      [{ options: '--role=postgres' }, 'CS008 The start-up parameter role'],
      [{ options: '-crow_security=off' }, 'CS008'],
      [{ options: '-B 100' }, 'CS008'],
      [{ session_preload_libraries: 'x' }, 'CS008'],
      [{ options: '-c statement_timeout=nonsense' }, '22023'],
      [{ client_encoding: 'LATIN1' }, 'CS008'],
      [{ options: '-c statement_timeout=5000', application_name: 'x' }, 'it was let in'],
    ])('start-up with %o: %s', async (parameters, said) => {
      expect(await refusalAtStart(parameters as Record<string, string>)).toContain(said);
    });

    it('answers the function-call message with an error, and goes on', async () => {
      const client = await connectRaw(url());
      const call = message('F', Buffer.from([0, 0, 5, 185, 0, 0, 0, 0, 0, 0]));
      expect(sqlstateOf(await answerTo(client, call))).toBe('CS008');
      expect(sqlstateOf(await answerTo(client, query('SELECT 1')))).toBe('none');
      await client.close();
    });

    it.each([
      ['a message of an unknown type', message('~', Buffer.from('x'))],
      ['a message that only servers send', message('Z', Buffer.from('I'))],
      ['a length below its own', Buffer.from([0x51, 0, 0, 0, 3, 0])],
      ['a negative length', Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff, 0])],
      ['a Sync with a body', Buffer.from([0x53, 0, 0, 0, 5, 0])],
      ['a Query without an end', message('Q', Buffer.from('SELECT 1'))],
      ['a Query with something behind its end', message('Q', Buffer.from('SELECT 1\0x'))],
      ['a Query that is not UTF-8', message('Q', Buffer.from("SELECT '\xff'\0", 'latin1'))],
      ['an Execute of half a number', message('E', Buffer.from([0, 0, 0]))],
      ['a password when nobody asked', message('p', Buffer.from('secret\0'))],
      ['a second start-up', startupPacket({ user: 'postgres' })],
    ])('ends a session at %s, and says why', async (_what, bytes) => {
      const client = await connectRaw(url());
      client.send(bytes);
      const said = await client.closed;
      expect(said).toHaveLength(1);
      expect(readFailure(said[0]?.body ?? Buffer.alloc(1))).toMatchObject({ severity: 'FATAL', sqlstate: '08P01' });
    });
  });

  it('drains on SIGTERM: what runs ends well, who idles is told, who holds a transaction may end it, nobody new comes in', async () => {
    const [idle, running, inside] = await Promise.all([connectRaw(url()), connectRaw(url()), connectRaw(url())]);
    await answerTo(inside, query('BEGIN; UPDATE customers SET loyalty_points = 4711 WHERE id = 1'));
    running.send(query('SELECT pg_sleep(1), 1 AS one'));
    await sleep(200);
    const stopped = gateway.stop();
    expect(sqlstateOf(await idle.until('E'))).toBe('57P01');
    await idle.closed;
    const late = new pg.Client({ connectionString: url() });
    await expect(late.connect()).rejects.toMatchObject({ code: expect.stringMatching(/^(?:ECONNREFUSED|57P0[13])$/) });
    expect(spoken(await running.until('Z'))).toBe('T D C Z');
    expect(sqlstateOf(await answerTo(inside, query('COMMIT')))).toBe('none');
    expect(await stopped).toBe(0);
    expect(await count('SELECT loyalty_points AS count FROM customers WHERE id = 1')).toBe(4711);
    gateway = await site.serve();
  });

  it('cuts off after a while who does not end, and rolls back what it had not committed', async () => {
    const [busy, inside] = await Promise.all([connectRaw(url()), connectRaw(url())]);
    await answerTo(inside, query('BEGIN; UPDATE customers SET loyalty_points = 815 WHERE id = 1'));
    busy.send(query(SLOW));
    await sleep(200);
    const startedMs = performance.now();
    expect(await gateway.stop()).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    await Promise.all([busy.closed, inside.closed]);
    expect(await count('SELECT loyalty_points AS count FROM customers WHERE id = 1')).not.toBe(815);
    await expect
      .poll(() => count("SELECT count(*) FROM pg_stat_activity WHERE starts_with(usename, 'cs_')"), { timeout: 10_000 })
      .toBe(0);
    gateway = await site.serve();
  }, 60_000);
});

async function inTurns<Item>(
  items: readonly Item[],
  atOnce: number,
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const left = [...items];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
    }),
  );
}

function memoryOf({ process: child }: Served): Promise<number> {
  return new Promise((resolve, reject) => {
    execFile('ps', ['-o', 'rss=', '-p', String(child.pid)], (error, stdout) =>
      error === null ? resolve(Number(stdout) * 1024) : reject(error),
    );
  });
}
