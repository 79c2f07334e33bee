import { connect } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDownloads } from '../../src/channels/http/console/download.ts';

describe('files that are made while they are read', () => {
  const app: FastifyInstance = fastify({ forceCloseConnections: true });
  const failures: unknown[] = [];
  let url = '';
  let ended = 0;
  beforeAll(async () => {
    const onFailure = (error: unknown) => failures.push(error);
    const downloads = createDownloads({ onFailure });
    const impatient = createDownloads({ onFailure, maxIdleMs: 300 });
    app.get('/endless', { exposeHeadRoute: false }, (_request, reply) =>
      downloads.send(reply, async () => ({ name: 'a.jsonl', type: 'application/jsonl', lines: endless() })),
    );
    app.get('/impatient', (_request, reply) =>
      impatient.send(reply, async () => ({ name: 'a.jsonl', type: 'application/jsonl', lines: endless() })),
    );
    app.get('/broken', (_request, reply) =>
      downloads.send(reply, async () => ({ name: 'b.jsonl', type: 'application/jsonl', lines: broken() })),
    );
    app.get('/refused', (_request, reply) =>
      downloads.send(reply, async () => ({ refused: { refused: 'denied', message: 'No.', hint: 'Ask.' } })),
    );
    app.get('/throws', (_request, reply) => downloads.send(reply, () => Promise.reject(new Error('no state'))));
    url = await app.listen({ host: '127.0.0.1', port: 0 });
  });
  afterAll(() => app.close());

  async function* endless() {
    try {
      for (;;) yield 'x'.repeat(65_536);
    } finally {
      ended++;
    }
  }
  async function* broken() {
    yield 'the beginning\n';
    await new Promise((resolve) => setTimeout(resolve, 100));
    throw new Error('the state is gone');
  }

  const asked = async (path: string) => {
    const stop = new AbortController();
    const answer = await fetch(url + path, { signal: stop.signal });
    // Kept with what is open: one that nobody holds any more is called off.
    return { status: answer.status, answer, stop: () => stop.abort() };
  };
  const status = async (path = '/endless') => {
    const one = await asked(path);
    one.stop();
    return one.status;
  };

  it('are few at a time; whoever goes away makes room, and so does what is refused or fails', async () => {
    expect((await fetch(`${url}/refused`)).status).toBe(403);
    expect((await fetch(`${url}/throws`)).status).toBe(500);
    const open = await Promise.all([asked('/endless'), asked('/endless'), asked('/endless')]);
    expect(open.map(({ status }) => status)).toEqual([200, 200, 200]);
    const fourth = await fetch(`${url}/endless`);
    expect([fourth.status, fourth.headers.get('retry-after')]).toEqual([503, '30']);
    for (const { stop } of open) stop();
    await expect.poll(() => ended, { timeout: 10_000 }).toBe(3);
    await expect.poll(() => status(), { timeout: 10_000 }).toBe(200);
  });

  it('break off for who reads nothing of them', async () => {
    const sockets = Array.from({ length: 3 }, () => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      socket.write('GET /impatient HTTP/1.1\r\nhost: x\r\n\r\n');
      socket.on('error', () => undefined);
      return socket.pause();
    });
    await expect.poll(() => status('/impatient'), { timeout: 10_000, interval: 5 }).toBe(503);
    await expect.poll(() => status('/impatient'), { timeout: 10_000 }).toBe(200);
    for (const socket of sockets) socket.destroy();
  });

  it('break off visibly where the rest can’t be had', async () => {
    const answer = await fetch(`${url}/broken`);
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="b.jsonl"');
    await expect(answer.text()).rejects.toThrow();
    expect(failures.map(String)).toEqual(expect.arrayContaining(['Error: the state is gone']));
  });
});
