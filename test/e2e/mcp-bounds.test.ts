import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, connectClient, ONE_PROTOCOL } from '../channels/mcp/running-gateway.ts';
import { type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const [newest] = servers;
const target = 'rental-production';

let site: Site;
let gateway: Served;
beforeAll(async () => {
  if (newest === undefined) return;
  site = await startSite(newest.binaries);
  await asSuperuser(
    site.databaseUrl,
    `DO $$ BEGIN FOR n IN 1..230 LOOP EXECUTE format('CREATE TABLE public.paged_%s (id int)', lpad(n::text, 3, '0')); END LOOP; END $$;
     DO $$ BEGIN EXECUTE (SELECT format('CREATE TABLE public.wide (%s)', string_agg('c' || n || ' int', ', ')) FROM generate_series(1, 1000) AS n); END $$`,
  );
  gateway = await site.serve();
});
afterAll(() => site?.remove());

describe.skipIf(newest === undefined).each(ONE_PROTOCOL)('bounded answers over MCP %s', (version) => {
  const connect = async () => connectClient(gateway.http, (await site.openTask(WORK)).mcp.token, version);
  const names = (answer: Awaited<ReturnType<typeof call>>) =>
    (answer.structured['objects'] as { name: string }[]).map(({ name }) => name);

  async function using<Result>(use: (client: Client) => Promise<Result>): Promise<Result> {
    const client = await connect();
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  }

  it('page through objects, each seen once, also when some come and go meanwhile', () =>
    using(async (client) => {
      const seen: string[] = [];
      let cursor: string | undefined;
      for (let page = 0; ; page++) {
        const answer = await call(client, 'search_objects', {
          target,
          pattern: 'paged_*',
          limit: 50,
          ...(cursor === undefined ? {} : { cursor }),
        });
        expect(answer.isError).toBe(false);
        seen.push(...names(answer));
        cursor = answer.structured['nextCursor'] as string | undefined;
        if (cursor === undefined) break;
        if (page === 0) await asSuperuser(site.databaseUrl, 'CREATE TABLE public.paged_000 (id int)');
      }
      await asSuperuser(site.databaseUrl, 'DROP TABLE public.paged_000');
      expect(seen).toEqual(Array.from({ length: 230 }, (_, at) => `public.paged_${String(at + 1).padStart(3, '0')}`));
    }));

  it('take no cursor that was not given out for this list', () =>
    using(async (client) => {
      const list = { target, pattern: 'paged_*', limit: 50 };
      const { nextCursor } = (await call(client, 'search_objects', list)).structured as { nextCursor: string };
      const forged = Buffer.from('public.paged_100').toString('base64url');
      const foreign = { isError: true, structured: { outcome: 'foreign cursor', hint: /without a cursor/ } };
      const refused = expect.objectContaining({
        isError: foreign.isError,
        structured: expect.objectContaining({
          outcome: 'foreign cursor',
          hint: expect.stringMatching(foreign.structured.hint),
        }),
      });
      expect(await call(client, 'search_objects', { ...list, cursor: forged })).toEqual(refused);
      expect(await call(client, 'search_objects', { ...list, cursor: `${nextCursor.slice(1)}A` })).toEqual(refused);
      expect(await call(client, 'search_objects', { ...list, pattern: '*', cursor: nextCursor })).toEqual(refused);
      expect(await call(client, 'list_targets', { cursor: nextCursor })).toEqual(refused);
      await using(async (other) =>
        expect(await call(other, 'search_objects', { ...list, cursor: nextCursor })).toEqual(refused),
      );
      expect(names(await call(client, 'search_objects', { ...list, cursor: nextCursor }))[0]).toBe('public.paged_051');
      await expect(client.listTools({ cursor: nextCursor })).rejects.toMatchObject({
        code: -32602,
        message: expect.stringContaining('not given out for this list'),
      });
    }));

  it('page through the plans of a task, newest first, by state, and of no other task', () =>
    using(async (client) => {
      const made: string[] = [];
      for (let n = 0; n < 3; n++) {
        const held = await call(client, 'execute_sql', {
          target,
          sql: `DELETE FROM public.customers WHERE id = ${n} OR true`,
        });
        made.unshift((held.structured['plan'] as { id: string }).id);
      }
      const ids = (answer: Awaited<ReturnType<typeof call>>) =>
        (answer.structured['plans'] as { id: string }[]).map(({ id }) => id);
      const first = await call(client, 'list_plans', { limit: 2 });
      expect(ids(first)).toEqual(made.slice(0, 2));
      expect(first.structured).toMatchObject({ matching: 3, truncated: false });
      const cursor = first.structured['nextCursor'];
      const second = await call(client, 'list_plans', { limit: 2, cursor });
      expect(ids(second)).toEqual(made.slice(2));
      expect(second.structured).not.toHaveProperty('nextCursor');
      expect(await call(client, 'list_plans', { state: 'held', cursor })).toMatchObject({
        structured: { outcome: 'foreign cursor' },
      });
      expect((await call(client, 'list_plans', { state: 'applied' })).structured).toMatchObject({ matching: 0 });
      await using(async (other) =>
        expect((await call(other, 'list_plans')).structured).toMatchObject({ plans: [], matching: 0 }),
      );
    }));

  it('cut the lists of a wide table, and say so', () =>
    using(async (client) => {
      const { structured, text } = await call(client, 'describe_object', { target, name: 'wide' });
      expect(structured).toMatchObject({
        outcome: 'described',
        truncated: true,
        cut: [{ list: 'columns', shown: 400, of: 1000 }],
        howToGoOn: expect.stringContaining('information_schema.columns'),
      });
      expect(text).toContain('Only 400 of 1000 of its columns are shown.');
      expect(structured['object']).toHaveProperty('columns.length', 400);
    }));

  it('leave out a row of 40 MB, and say how to go on', () =>
    using(async (client) => {
      const sql = "SELECT repeat('x', 40000000) AS big UNION ALL SELECT 'small'";
      const { structured } = await call(client, 'execute_sql', { target, sql });
      expect(structured).toMatchObject({
        rows: [],
        truncated: true,
        truncatedBy: 'bytes',
        howToGoOn: expect.stringContaining('left(column'),
      });
      const after = await call(client, 'execute_sql', { target, sql: 'SELECT generate_series(1, 3)', max_rows: 2 });
      expect(after.structured).toMatchObject({ truncated: true, truncatedBy: 'max_rows', rows: [['1'], ['2']] });
    }));
});
