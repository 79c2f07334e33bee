import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeeper, type Keeper } from '../../src/backups/keeper.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.parse('2026-11-21T12:00:00Z');

describe('G10 the keeper of backups', () => {
  let directory: string;
  let keeper: Keeper;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'countersign-keeper-'));
    keeper = createKeeper({ directory, token: 'right', keepMs: 30 * DAY_MS, now: () => NOW_MS });
  });
  afterEach(async () => {
    await keeper.app.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const ask = async (
    method: 'GET' | 'PUT' | 'DELETE' | 'PATCH' | 'POST',
    url: string,
    more: { body?: string; said?: string; token?: string } = {},
  ) => {
    const { body = '', said = createHash('sha256').update(body).digest('hex'), token = 'right' } = more;
    const headers = {
      authorization: `Bearer ${token}`,
      'x-content-sha256': said,
      'content-type': 'application/octet-stream',
    };
    return (await keeper.app.inject({ method, url, headers, ...(method === 'PUT' ? { payload: body } : {}) }))
      .statusCode;
  };
  const file = (backup: string, name = 'a') => `/v1/shop/${backup}/${name}`;

  it('adds a file once, whole or not at all', async () => {
    expect(await ask('PUT', file('one'), { body: 'content', said: '00' })).toBe(422);
    expect(readdirSync(join(directory, 'shop/one'))).toEqual([]);
    expect(await ask('PUT', file('one'), { body: 'content' })).toBe(201);
    expect(await ask('PUT', file('one'), { body: 'another' })).toBe(409);
    expect(readFileSync(join(directory, 'shop/one/a'), 'utf8')).toBe('content');
  });

  it('keeps nothing of a file that was cut off', async () => {
    const { port } = new URL(await keeper.app.listen({ host: '127.0.0.1', port: 0 }));
    const socket = net.connect(Number(port), '127.0.0.1');
    socket.write(
      `PUT ${file('cut')} HTTP/1.1\r\nHost: keeper\r\nAuthorization: Bearer right\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nabc`,
    );
    const kept = () => readdirSync(join(directory, 'shop/cut'));
    await expect.poll(() => readdirSync(directory).includes('shop') && kept().length, { timeout: 5000 }).toBe(1);
    socket.destroy();
    await expect.poll(kept, { timeout: 5000 }).toEqual([]);
  });

  it('knows no way to take away, and nobody without its token', async () => {
    expect(await ask('PUT', file('one'), { body: 'content' })).toBe(201);
    for (const method of ['DELETE', 'PATCH', 'POST'] as const) expect(await ask(method, file('one'))).toBe(404);
    for (const method of ['GET', 'PUT'] as const) expect(await ask(method, file('one'), { token: 'wrong' })).toBe(401);
    expect(readdirSync(join(directory, 'shop/one'))).toEqual(['a']);
  });

  it.each(['/v1/..%2f..%2fetc/x/passwd', '/v1/shop/one/%00', '/v1/shop/.hidden/a', '/v1/shop/one/.part'])(
    'refuses a name that could lead elsewhere: %s',
    async (url) => {
      expect([await ask('GET', url), await ask('PUT', url, { body: 'x' })]).toEqual([400, 400]);
    },
  );

  it('deletes by its own clock what is too old, but never the newest of a target', async () => {
    const aged = async (backup: string, days: number, finished = true) => {
      const name = finished ? 'manifest.json' : 'a';
      await ask('PUT', file(backup, name), { body: backup });
      const at = new Date(NOW_MS - days * DAY_MS);
      for (const path of [join(directory, 'shop', backup, name), join(directory, 'shop', backup)])
        utimesSync(path, at, at);
    };
    await aged('older', 90);
    await aged('newest', 60);
    await aged('unfinished', 40, false);
    expect(await keeper.expire()).toEqual(['shop/older', 'shop/unfinished']);
    expect(await keeper.expire()).toEqual([]);
    await aged('fresh', 1);
    expect(await keeper.expire()).toEqual(['shop/newest']);
  });
});
