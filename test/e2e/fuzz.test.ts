import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  close,
  describe as describeFrame,
  execute,
  FLUSH,
  message,
  parse,
  query,
  SYNC,
  TERMINATE,
} from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { asSuperuser, sampled, servers } from '../fixtures/postgres.ts';
import {
  cancelRequest,
  connectRaw,
  dialRaw,
  type RawClient,
  scramClient,
  startupMessage,
  startupPacket,
} from '../fixtures/raw-client.ts';
import { LOG_EVERY_STATEMENT, readTargetLog, unjudged } from '../fixtures/target-log.ts';

/** How long each kind of mutation is tried; more by `FUZZ_SECONDS=600 vitest run test/e2e/fuzz.test.ts`. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 1.5);
const SEED = Number(process.env['FUZZ_SEED'] ?? 20260129);
/** Mutated conversations that are carried at the same time. */
const AT_ONCE = 8;
/** A client that is gone may keep its socket at the gateway so long. */
const CLOSED_WITHIN_MS = 5000;
const GROWTH_BYTES = 64 * 1024 * 1024;

const TASK = `
purpose: be mutated
agent: migrator
targets:
  rental-production:
    read: [public.customers, public.vehicles]
    write: [public.customers]
limits: { rowsPerStatement: 100, rowsPerTask: 1000000, statementTimeout: 10s }
expires: 2h
`;

const FORBIDDEN = "UPDATE public.marker SET word = 'slipped through'";
/** What would be a message of its own if anybody lost count of the bytes around it. */
const SMUGGLED = Buffer.concat([query(FORBIDDEN), SYNC]);
const READ = 'SELECT id, plate FROM public.vehicles WHERE id < 4 ORDER BY id';
const WRITE = 'UPDATE public.customers SET loyalty_points = loyalty_points WHERE id = 1';
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const bound = (statement: string, values: readonly (Buffer | null)[], formats: readonly number[] = []) =>
  bind({ portal: '', statement, formats, values, resultFormats: [] });

/** What clients that have been let in say; each leaves the session as it was. */
const CONVERSATIONS: Readonly<Record<string, readonly Buffer[]>> = {
  'a simple query': [query(READ)],
  'several in one': [query(`BEGIN; ${READ}; ${WRITE}; COMMIT`), query('ROLLBACK')],
  'a write': [query(WRITE)],
  'what is refused': [query(FORBIDDEN), query('DROP TABLE public.marker'), query('DELETE FROM public.customers')],
  extended: [
    parse('', 'SELECT full_name FROM public.customers WHERE id = $1 AND full_name <> $2', [23, 25]),
    bound('', [Buffer.from('1'), SMUGGLED]),
    describeFrame('portal', ''),
    execute('', 0),
    SYNC,
  ],
  'binary, named': [
    parse('s1', 'SELECT plate FROM public.vehicles WHERE id = $1', [23]),
    describeFrame('statement', 's1'),
    bound('s1', [int32(2)], [1]),
    execute('', 0),
    close('statement', 's1'),
    SYNC,
  ],
  'a bound write': [
    parse('', 'UPDATE public.customers SET full_name = full_name WHERE id = $1 AND full_name <> $2', [23, 25]),
    bound('', [int32(2), SMUGGLED], [1, 0]),
    execute('', 0),
    SYNC,
  ],
  'pipelined, with an error': [
    parse('', 'SELECT 1/0', []),
    bound('', []),
    execute('', 0),
    parse('', FORBIDDEN, []),
    bound('', []),
    execute('', 0),
    SYNC,
    parse('', READ, []),
    bound('', []),
    execute('', 0),
    SYNC,
  ],
  'a portal in parts': [
    query('BEGIN'),
    parse('', READ, []),
    bind({ portal: 'p', statement: '', formats: [], values: [], resultFormats: [] }),
    execute('p', 1),
    FLUSH,
    execute('p', 1),
    close('portal', 'p'),
    SYNC,
    query('COMMIT'),
  ],
  'copy out': [query('COPY public.vehicles (id, plate) TO STDOUT')],
  'copy in': [
    query('COPY public.customers (full_name, email) FROM STDIN'),
    message('d', Buffer.concat([Buffer.from('a\tb\n'), SMUGGLED])),
    message('f', Buffer.from('no\0')),
  ],
  'a function call': [message('F', Buffer.from([0, 0, 5, 185, 0, 0, 0, 0, 0, 0]))],
};

const [newest] = servers;
describe.skipIf(newest === undefined)(`G12 no one in: malformed bytes before ${newest?.name}`, () => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;
  let log = '';

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, {
      settings: LOG_EVERY_STATEMENT,
      onLog: (text) => {
        log += text;
      },
    });
    await asSuperuser(site.databaseUrl, "CREATE TABLE public.marker AS SELECT 'untouched' AS word");
    gateway = await site.serve();
    task = await site.openTask(TASK);
  }, 60_000);
  afterAll(() => site?.remove());

  /** What must hold after anything: a fresh client is served, nothing was changed or run unseen, nothing failed inside. */
  async function stillSound(): Promise<void> {
    const client = await connectRaw(task.postgres);
    client.send(query(READ));
    expect((await client.until('Z')).map(({ type }) => type).join('')).toBe('TDDDCZ');
    await client.close();
    expect(await asSuperuser(site.databaseUrl, 'SELECT word FROM public.marker')).toEqual([{ word: 'untouched' }]);
    expect(readTargetLog(log).filter(({ user, text }) => user.startsWith('cs_') && text.includes('marker'))).toEqual(
      [],
    );
    const faults = gateway
      .log()
      .split('\n')
      .filter((line) => /"level":(?:50|60|"error"|"fatal")|nhandled/.test(line));
    expect(faults).toEqual([]);
    expect(gateway.process.exitCode).toBeNull();
    await expect.poll(actorsConnections, { timeout: CLOSED_WITHIN_MS }).toBe(0);
  }

  /** What a client that is gone must not leave behind: the target's slots are few. */
  async function actorsConnections(): Promise<number> {
    const [open] = await asSuperuser<{ count: number }>(
      site.databaseUrl,
      "SELECT count(*)::int AS count FROM pg_stat_activity WHERE starts_with(usename, 'cs_')",
    );
    return open?.count ?? 0;
  }

  /** Sends bytes to a session that has been let in, leaves, and sees that the gateway lets go and spoke in whole messages. */
  async function afterLogin(bytes: Buffer): Promise<void> {
    const client = await connectRaw(task.postgres);
    client.socket.end(bytes);
    await letGo(client);
  }

  async function letGo(client: Pick<RawClient, 'closed'>): Promise<void> {
    const late = new Promise<'kept'>((resolve) => setTimeout(resolve, CLOSED_WITHIN_MS, 'kept').unref());
    const said = await Promise.race([client.closed, late]);
    expect(said).not.toBe('kept');
    if (said === 'kept') return;
    for (const { type } of said) expect('ACDEGIKNRSTVZcdnstv123HW').toContain(type);
  }

  async function inTurns<Item>(items: readonly Item[], act: (item: Item) => Promise<void>): Promise<void> {
    const left = [...items];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
      }),
    );
  }

  it.each(sampled(Object.entries(CONVERSATIONS), 1))(
    'says the same wherever %s is cut in two',
    async (_name, frames) => {
      const bytes = Buffer.concat(frames);
      const answers = frames.filter((frame) => 'QSF'.includes(String.fromCharCode(frame[0] ?? 0))).length;
      const client = await connectRaw(task.postgres);
      const answer = async () => {
        const said: string[] = [];
        for (let count = 0; count < answers; count++) {
          said.push(...(await client.until('Z')).map(({ type, body }) => type + withoutPlan(body)));
        }
        return said;
      };
      client.send(bytes);
      const whole = await answer();
      for (let at = 1; at < bytes.length; at++) {
        client.send(bytes.subarray(0, at));
        await new Promise((resolve) => setImmediate(resolve));
        client.send(bytes.subarray(at));
        expect(await answer(), `cut at byte ${at}`).toEqual(whole);
      }
      await client.close();
      await stillSound();
    },
  );

  it.each(sampled(Object.entries(CONVERSATIONS)))(
    'lets go of a client that leaves at any byte of %s',
    async (_name, frames) => {
      const bytes = Buffer.concat([...frames, TERMINATE]);
      // Every byte of the headers, and every few of what is between them.
      const places = Array.from({ length: bytes.length }, (_, at) => at).filter((at) => SECONDS > 6 || at % 5 < 2);
      await inTurns(places, (at) => afterLogin(bytes.subarray(0, at)));
      await stillSound();
    },
  );

  it(
    'withstands mutations of what clients say',
    async () => {
      const all = Object.values(CONVERSATIONS).map((frames) => [...frames]);
      const conversation = fc.array(fc.nat(all.length - 1), { minLength: 1, maxLength: 3 });
      const mutated = fc
        .tuple(conversation, mutations())
        .map(([which, mutate]) => mutate(which.flatMap((index) => all[index] ?? [])));
      // What it takes to have seen everything once is no growth.
      await explore(mutated, afterLogin);
      const before = await memoryOf(gateway);
      await explore(mutated, afterLogin, SEED + 1);
      await stillSound();
      expect((await memoryOf(gateway)) - before).toBeLessThan(GROWTH_BYTES);
    },
    60_000 + SECONDS * 2000,
  );

  it(
    'withstands mutations of what nobody has authenticated',
    async () => {
      const url = new URL(task.postgres);
      const port = Number(url.port);
      const scram = scramClient(decodeURIComponent(url.password));
      const start = startupPacket({ user: url.username, database: url.pathname.slice(1), application_name: 'fuzz' });
      const hello = await clientHello();
      const ssl = startupMessage(80877103);
      const before = await memoryOf(gateway);

      /** The steps of a login, of which one is mutated and the ones before it are as they should be. */
      const attempt = async ([step, mutate]: [number, Mutate]) => {
        const client = await dialRaw(url.hostname, port);
        if (step === 0) client.socket.end(mutate([start]));
        else if (step === 1) client.socket.end(mutate([cancelRequest(4711, int32(815))]));
        else if (step === 2) client.socket.end(mutate([startupMessage(80877104), ssl, start]));
        else if (step === 3) client.socket.end(mutate([hello]));
        else if (step === 4) {
          client.socket.removeAllListeners('data');
          client.send(ssl);
          await Promise.race([once(client.socket, 'data'), client.closed]);
          client.socket.resume();
          client.socket.end(mutate([hello]));
        } else {
          client.send(start);
          await client.until('R');
          if (step === 6) {
            client.send(scram.first);
            const [challenge] = (await client.until('R')).slice(-1);
            client.socket.end(mutate([scram.final(challenge?.body ?? Buffer.alloc(0)), query(READ)]));
          } else client.socket.end(mutate([scram.first]));
        }
        await letGo(client);
      };
      for (let step = 0; step <= 6; step++) await attempt([step, (frames) => Buffer.concat(frames)]);
      await explore(fc.tuple(fc.nat(6), mutations()), attempt);
      await stillSound();
      expect((await memoryOf(gateway)) - before).toBeLessThan(GROWTH_BYTES);
    },
    60_000 + SECONDS * 2000,
  );

  it('keeps no more of an announced message than has come', async () => {
    const before = await memoryOf(gateway);
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectRaw(task.postgres)));
    const announced = Buffer.concat([Buffer.from('B'), int32(60 * 1024 * 1024), Buffer.alloc(64 * 1024)]);
    for (const client of clients) client.send(announced);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await memoryOf(gateway)) - before).toBeLessThan(GROWTH_BYTES);
    for (const client of clients) client.socket.end();
    await Promise.all(clients.map(letGo));
    await stillSound();
  });

  it('has judged everything that the target ran', async () => {
    expect(readTargetLog(log).length).toBeGreaterThan(500);
    // Reads are brought into the ledger within a second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await unjudged(site, log, /^(?:UPDATE|COPY) public\.customers\b/)).toEqual([]);
  });

  async function explore<Case>(
    cases: fc.Arbitrary<Case>,
    attempt: (one: Case) => Promise<void>,
    seed = SEED,
  ): Promise<void> {
    let tried = 0;
    const property = fc.asyncProperty(fc.array(cases, { minLength: AT_ONCE, maxLength: AT_ONCE }), async (several) => {
      tried += several.length;
      await Promise.all(several.map(attempt));
      expect(gateway.process.exitCode).toBeNull();
    });
    await fc.assert(property, {
      seed,
      numRuns: 1_000_000,
      interruptAfterTimeLimit: SECONDS * 1000,
      endOnFailure: true,
    });
    console.log(`${tried} mutated conversations in ${SECONDS} s, seed ${seed}`);
  }
});

type Mutate = (frames: readonly Buffer[]) => Buffer;

/** One to four changes, of frames or of bytes. */
function mutations(): fc.Arbitrary<Mutate> {
  const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
  const at = (where: number, length: number) => Math.floor(where * length);
  const lengths = fc.oneof(
    fc.constantFrom(0, 1, 3, 4, 5, 0x7fffffff, -1, -0x80000000, 0x40000000, 65536),
    fc.integer({ min: -8, max: 2048 }),
  );
  const ofFrames = fc.oneof(
    fc.tuple(place, lengths).map(([where, length]) => (frames: Buffer[]) => {
      const frame = frames[at(where, frames.length)];
      if (frame !== undefined && frame.length >= 5) frame.writeInt32BE(length, 1);
      return frames;
    }),
    fc.tuple(place, fc.integer({ min: -9, max: 9 })).map(([where, by]) => (frames: Buffer[]) => {
      const frame = frames[at(where, frames.length)];
      if (frame !== undefined && frame.length >= 5) frame.writeInt32BE((frame.readInt32BE(1) + by) | 0, 1);
      return frames;
    }),
    fc
      .tuple(place, fc.constantFrom(...'QPBEDCSHFXdcfpRZ\0\x16~'.split('')))
      .map(([where, type]) => (frames: Buffer[]) => {
        frames[at(where, frames.length)]?.write(type, 0, 'latin1');
        return frames;
      }),
    place.map((where) => (frames: Buffer[]) => frames.filter((_, index) => index !== at(where, frames.length))),
    fc.tuple(place, place).map(([from, to]) => (frames: Buffer[]) => {
      const again = frames[at(from, frames.length)];
      return again === undefined ? frames : frames.toSpliced(at(to, frames.length), 0, Buffer.from(again));
    }),
    place.map((where) => (frames: Buffer[]) => frames.toSpliced(at(where, frames.length), 0, Buffer.from(SMUGGLED))),
  );
  const ofBytes = fc.oneof(
    fc.tuple(place, fc.nat(255)).map(([where, value]) => (bytes: Buffer) => {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[at(where, changed.length)] = value;
      return changed;
    }),
    place.map((where) => (bytes: Buffer) => bytes.subarray(0, at(where, bytes.length))),
    fc.tuple(place, fc.uint8Array({ maxLength: 12 })).map(([where, extra]) => (bytes: Buffer) => {
      const here = at(where, bytes.length);
      return Buffer.concat([bytes.subarray(0, here), extra, bytes.subarray(here)]);
    }),
    fc.tuple(place, fc.integer({ min: 1, max: 12 })).map(([where, count]) => (bytes: Buffer) => {
      const here = at(where, bytes.length);
      return Buffer.concat([bytes.subarray(0, here), bytes.subarray(here + count)]);
    }),
  );
  return fc
    .tuple(fc.array(ofFrames, { maxLength: 2 }), fc.array(ofBytes, { maxLength: 2 }))
    .map(([framewise, bytewise]) => (frames) => {
      const changed = framewise.reduce<Buffer[]>(
        (so, change) => change(so),
        frames.map((frame) => Buffer.from(frame)),
      );
      return bytewise.reduce<Buffer>((so, change) => change(so), Buffer.concat(changed));
    });
}

/** The first bytes of a TLS client that names the protocol. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write(chunk: Buffer, _encoding, done) {
        resolve(Buffer.from(chunk));
        done();
      },
    });
    tls
      .connect({ socket: wire, ALPNProtocols: ['postgresql'], servername: 'localhost' })
      .on('error', () => wire.destroy());
  });
}

/** Held statements are told by the plan's id, which is new when the state that it was measured on is. */
function withoutPlan(body: Buffer): string {
  return body.toString('latin1').replace(/[0-9a-f]{8,}/g, '…');
}

function memoryOf({ process: child }: Served): Promise<number> {
  return new Promise((resolve, reject) => {
    execFile('ps', ['-o', 'rss=', '-p', String(child.pid)], (error, stdout) =>
      error === null ? resolve(Number(stdout) * 1024) : reject(error),
    );
  });
}
