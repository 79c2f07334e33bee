import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { query } from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { cancelRequest, connectRaw, dialRaw, type RawClient, type ServerMessage } from '../fixtures/raw-client.ts';
import { KEPT } from './fidelity/kept-sequences.ts';
import { INBOX, sequence, spokenOf, units } from './fidelity/message-sequences.ts';
import { SPECIMENS } from './fidelity/schema.ts';

/** How long sequences are tried, and half as long cancel requests; more by `FUZZ_SECONDS=600 vitest run test/e2e/differential.test.ts`. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 6);
const SEED = Number(process.env['FUZZ_SEED'] ?? 20260130);

const [newest] = servers;
describe.skipIf(newest === undefined)(`any order of messages before ${newest?.name}`, () => {
  let site: Site;
  let task: OpenedTask;
  let watcher: pg.Client;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { schema: `${SPECIMENS}${INBOX}` });
    await site.serve();
    task = await site.openTask(
      WORK.replace('write: [', 'write: [public.drafts, public.inbox, ').replace(
        'rowsPerTask: 1000',
        'rowsPerTask: 1000000',
      ),
    );
    watcher = new pg.Client({ connectionString: site.databaseUrl });
    await watcher.connect();
  }, 60_000);
  afterAll(async () => {
    await watcher?.end();
    await site?.remove();
  });

  async function answersOf(url: string, frames: readonly Buffer[]): Promise<readonly string[]> {
    const client = await connectRaw(url);
    client.send(...frames);
    return (await client.closed).filter(({ type }) => type !== 'S').map(asLine);
  }

  /** What comes until the server has been ready so many times. */
  async function answersTo(client: RawClient, times: number, ...frames: readonly Buffer[]): Promise<readonly string[]> {
    client.send(...frames);
    const heard: string[] = [];
    for (let ready = 0; ready < times; ready++) heard.push(...(await client.until('Z')).map(asLine));
    return heard;
  }

  async function cancel(request: Buffer): Promise<void> {
    const { hostname, port } = new URL(task.postgres);
    const caller = await dialRaw(hostname, Number(port));
    caller.send(request);
    await caller.closed;
  }

  /** How many rows each left behind; they are taken away. */
  async function left(): Promise<{ readonly governed: number; readonly direct: number }> {
    const { rows } = await watcher.query<{ writer: string }>('DELETE FROM public.inbox RETURNING writer');
    const governed = rows.filter(({ writer }) => writer.startsWith('cs_')).length;
    return { governed, direct: rows.length - governed };
  }

  it.each(KEPT)('is answered alike: $what', async ({ frames }) => {
    expect(await answersOf(task.postgres, frames)).toEqual(await answersOf(site.databaseUrl, frames));
    const rows = await left();
    expect(rows.governed).toBe(rows.direct);
  });

  it(
    'is answered as the database itself answers it',
    async () => {
      let tried = 0;
      await fc.assert(
        fc.asyncProperty(sequence, async ({ frames, midway }) => {
          tried++;
          const [governed, direct] = await Promise.all([
            answersOf(task.postgres, frames),
            answersOf(site.databaseUrl, frames),
          ]);
          // What it says it doesn't carry it may answer otherwise.
          fc.pre(!governed.some((line) => NOT_CARRIED.test(line)));
          // Who leaves without waiting gets what was sent until then: the one sends at once what the other gathers.
          const heard = midway ? Math.min(governed.length, direct.length) : undefined;
          expect(governed.slice(0, heard), spokenOf(frames)).toEqual(direct.slice(0, heard));
          const rows = await left();
          expect(rows.governed, spokenOf(frames)).toBe(rows.direct);
        }),
        { seed: SEED, numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000 },
      );
      console.log(`${tried} sequences in ${SECONDS} s, seed ${SEED}`);
    },
    120_000 + SECONDS * 4000,
  );

  it(
    'is stopped at any moment by its own key, and by no other',
    async () => {
      let tried = 0;
      await fc.assert(
        fc.asyncProperty(units, key, fc.nat({ max: 20 }), async (spoken, kind, delayMs) => {
          tried++;
          const frames = spoken.flat();
          const client = await connectRaw(task.postgres);
          const neighbour = await connectRaw(task.postgres);
          client.send(...frames);
          await sleep(delayMs);
          await cancel(kind(client, neighbour));
          const heard = await answersTo(client, spoken.length);
          const alive = await answersTo(client, 1, query('SELECT 1'));
          for (const one of [client, neighbour]) await one.close();

          const said = (type: string) => heard.filter((line) => line.startsWith(type));
          const stopped = heard.filter((line) => line.includes('C57014\0Mcanceling'));
          if (kind !== own)
            expect(
              [...heard, ...alive].filter((line) => line.includes('Mcanceling')),
              spokenOf(frames),
            ).toEqual([]);
          expect(alive.at(-1), spokenOf(frames)).toBe('Z I');
          const copied = said('C COPY ').reduce((sum, tag) => sum + Number.parseInt(tag.slice(7), 10), 0);
          expect({ ...(await left()), stopped: stopped.length <= 1 }, spokenOf(frames)).toEqual({
            governed: copied,
            direct: 0,
            stopped: true,
          });
        }),
        { seed: SEED, numRuns: 1_000_000, interruptAfterTimeLimit: (SECONDS * 1000) / 2 },
      );
      console.log(`${tried} cancel requests in ${SECONDS / 2} s, seed ${SEED}`);
    },
    120_000 + SECONDS * 4000,
  );
});

/** What a cancel request says; of two sessions of one task. */
type Key = (client: RawClient, neighbour: RawClient) => Buffer;
const own: Key = ({ processId, secret }) => cancelRequest(processId, secret);
const key = fc.constantFrom<Key>(
  own,
  own,
  (_, neighbour) => own(neighbour, neighbour),
  ({ processId }, neighbour) => cancelRequest(processId, neighbour.secret),
  ({ processId, secret }) => cancelRequest(processId, Buffer.from(secret.map((byte) => byte ^ 1))),
  ({ processId, secret }) => cancelRequest(processId, Buffer.concat([secret, secret])),
  ({ processId, secret }) => cancelRequest(processId, secret.subarray(1)),
  ({ processId, secret }) => cancelRequest(processId + 1, secret),
  ({ processId }) => cancelRequest(processId, Buffer.alloc(0)),
);

const NOT_CARRIED = /CCS008|it came in one batch with another write, whose answer must wait/;

function asLine({ type, body }: ServerMessage): string {
  return `${type} ${inServersWords(body.toString('latin1'))}`;
}

/** Where in the server's code an error was raised is no matter; and the gateway ends a COPY in the client's name. */
function inServersWords(said: string): string {
  return said
    .replace(/\0F[^\0]*\0L\d+\0R[^\0]*/, '')
    .replace(/C57014\0MCOPY from stdin failed: (unexpected message type)/, 'C08P01\0M$1');
}
