import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/domain/digest.ts';
import { bind, execute, parse, query, readFailure, SYNC } from '../../src/engines/postgres/wire-messages.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { cancelRequest, connectRaw, dialRaw, type RawClient, spoken } from '../fixtures/raw-client.ts';

const MEBIBYTE = 1024 * 1024;

const [newest] = servers;
describe.skipIf(newest === undefined)(`values that are too large to be kept, before ${newest?.name}`, () => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;

  beforeAll(async () => {
    if (newest === undefined) return;
    site = await startSite(newest.binaries, { schema: 'CREATE TABLE public.drop_box (id int, content text)' });
    await asSuperuser(
      site.databaseUrl,
      "INSERT INTO public.drop_box SELECT n, 'old' FROM generate_series(1, 200) AS n",
    );
    gateway = await site.serve();
    task = await site.openTask(WORK.replace('write: [', 'write: [public.drop_box, '));
  }, 60_000);
  afterAll(() => site?.remove());

  function connect(): Promise<RawClient> {
    const moved = new URL(task.postgres);
    moved.host = gateway.pg;
    return connectRaw(moved.href);
  }

  async function count(sql: string): Promise<number> {
    const [row] = await asSuperuser<{ count: string }>(site.databaseUrl, sql);
    return Number(row?.count);
  }

  const plans = async () => (await site.ask<{ plans: unknown[] }>('plan', 'list')).plans.length;

  async function carry(client: RawClient, sql: string, megabytes: number) {
    client.send(parse('', sql, [25]));
    const value = beginBind(megabytes * MEBIBYTE);
    client.socket.write(value.head);
    await sendBytes(client.socket, megabytes * MEBIBYTE);
    client.socket.write(value.tail);
    client.send(execute('', 0), SYNC);
    const said = await client.until('Z');
    const error = said.find(({ type }) => type === 'E');
    return { said: spoken(said), error: error === undefined ? undefined : readFailure(error.body) };
  }

  it('commits to them in the ledger, and the entry fits no other value', async () => {
    const client = await connect();
    const sql = 'UPDATE drop_box SET content = $1 WHERE id = 1';
    const { said } = await carry(client, sql, 20);
    expect(said).toBe('1 2 C Z');
    await client.close();
    expect(await count('SELECT length(content) AS count FROM drop_box WHERE id = 1')).toBe(20 * MEBIBYTE);
    const { entries } = await site.ask<{
      entries: { kind: string; subject: string; body: { statements?: Record<string, unknown>[] } }[];
    }>('ledger', 'show');
    const intent = entries.filter(({ kind }) => kind === 'intent').at(-1);
    const [statement] = intent?.body.statements ?? [];
    expect(statement).not.toHaveProperty('salt');
    const { disclosures } = await site.ask<{ disclosures: { salt: string; statement: null }[] }>(
      'ledger',
      'disclose',
      intent?.subject ?? '',
    );
    const salt = disclosures[0]?.salt ?? '';
    expect(disclosures).toMatchObject([{ statement: null, commitment: statement?.['commitment'] }]);
    const named = bind({ portal: '', statement: '', formats: [], values: [], resultFormats: [] }).length - 6;
    const committed = (letter: string) => {
      const frame = bind({
        portal: '',
        statement: '',
        formats: [],
        values: [Buffer.alloc(20 * MEBIBYTE, letter)],
        resultFormats: [],
      });
      const values = createHash('sha256').update(salt).update(frame.subarray(named)).digest('hex');
      return digestOf({ salt, text: sql, values: `sha256:${values}` });
    };
    expect(statement).toMatchObject({ command: 'UPDATE', valuesBytes: 20 * MEBIBYTE + 10 });
    expect(statement?.['commitment']).toBe(committed('z'));
    expect(statement?.['commitment']).not.toBe(committed('y'));
  });

  it.each([
    ['a statement that is held', 'DELETE FROM drop_box WHERE content <> $1'],
    ['a write that turns out to be over the limit', 'UPDATE drop_box SET content = $1'],
  ])('refuses them for %s: nothing changes, no plan is made, and the session goes on', async (_what, sql) => {
    const before = await plans();
    const client = await connect();
    const { error } = await carry(client, sql, 17);
    expect(error).toMatchObject({ sqlstate: 'CS005', hint: expect.stringContaining('16 MB') });
    client.send(query('SELECT 1 AS one'));
    expect(spoken(await client.until('Z'))).toBe('T D C Z');
    await client.close();
    expect(await plans()).toBe(before);
    expect(await count("SELECT count(*) FROM drop_box WHERE content = 'old'")).toBe(199);
  });

  it('makes a plan of what is held with values that can be kept', async () => {
    const client = await connect();
    const { error } = await carry(client, 'DELETE FROM drop_box WHERE content <> $1', 2);
    expect(error).toMatchObject({ sqlstate: 'CS001' });
    await client.close();
  });

  it('skips them after an error, up to the next Sync', async () => {
    const client = await connect();
    client.send(parse('', 'SELECT length($1), no_such_column', [25]));
    const value = beginBind(3 * MEBIBYTE);
    client.socket.write(value.head);
    await sendBytes(client.socket, 3 * MEBIBYTE);
    client.socket.write(value.tail);
    client.send(execute('', 0), SYNC, query('SELECT 1 AS one'));
    expect(spoken(await client.until('Z'))).toContain('42703');
    expect(spoken(await client.until('Z'))).toBe('T D C Z');
    await client.close();
  });

  it('hands on what the server says of them, and goes on', async () => {
    const client = await connect();
    const { error } = await carry(client, 'SELECT $1::int', 2);
    expect(error).toMatchObject({ sqlstate: '22P02' });
    client.send(query('SELECT 1 AS one'));
    expect(spoken(await client.until('Z'))).toBe('T D C Z');
    await client.close();
  });

  it('ends the server’s session when the client leaves, or is stopped, in the middle of one', async () => {
    const sessions = () => count("SELECT count(*) FROM pg_stat_activity WHERE starts_with(usename, 'cs_')");
    const left = await beginMidway();
    expect(await sessions()).toBeGreaterThan(0);
    left.socket.destroy();
    await expect.poll(sessions, { timeout: 5000 }).toBe(0);

    const stopped = await beginMidway();
    // A cancellation waits for nothing that has not begun: as before the database itself, it comes to nothing.
    const { hostname, port } = new URL(`postgres://${gateway.pg}`);
    const canceller = await dialRaw(hostname, Number(port));
    canceller.send(cancelRequest(stopped.processId, stopped.secret));
    await canceller.closed;
    await site.run('halt', '--task', task.task, '--reason', 'test');
    const said = await stopped.closed;
    expect(spoken(said.slice(-1))).toMatch(/CS004/);
    await expect.poll(sessions, { timeout: 5000 }).toBe(0);
    await site.run('resume', '--task', task.task, '--reason', 'test');
    expect(await count("SELECT count(*) FROM drop_box WHERE content = 'old'")).toBe(199);
  });

  /** Half of a value has been sent, to a statement that would write it. */
  async function beginMidway(): Promise<RawClient> {
    const client = await connect();
    client.send(parse('', 'UPDATE drop_box SET content = $1 WHERE id = 2', [25]));
    client.socket.write(beginBind(40 * MEBIBYTE).head);
    await sendBytes(client.socket, 20 * MEBIBYTE);
    await sleep(100);
    return client;
  }

  it('refuses a message over the protocol’s own limit', async () => {
    const client = await connect();
    const head = Buffer.from([0x42, 0x40, 0, 0, 0]);
    client.send(head);
    const [last] = (await client.closed).slice(-1);
    expect(last === undefined ? undefined : readFailure(last.body)).toMatchObject({
      severity: 'FATAL',
      sqlstate: '08P01',
      message: expect.stringContaining('at most'),
    });
  });
});

/** A Bind of one value to the unnamed statement: what comes before the value, and after it. */
function beginBind(valueBytes: number): { readonly head: Buffer; readonly tail: Buffer } {
  const frame = bind({ portal: '', statement: '', formats: [], values: [Buffer.alloc(0)], resultFormats: [] });
  frame.writeInt32BE(frame.length - 1 + valueBytes, 1);
  frame.writeInt32BE(valueBytes, frame.length - 6);
  return { head: frame.subarray(0, -2), tail: frame.subarray(-2) };
}

async function sendBytes(socket: Socket, bytes: number): Promise<void> {
  const piece = Buffer.alloc(MEBIBYTE, 'z');
  for (let sent = 0; sent < bytes; sent += piece.length) if (!socket.write(piece)) await once(socket, 'drain');
}
