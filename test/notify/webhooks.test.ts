import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, it } from 'vitest';
import { sendToWebhooks } from '../../src/notify/webhooks.ts';

const SECRET = `whsec_${Buffer.from('a secret of the test, long enough').toString('base64')}`;
const NEWS = { type: 'drill.failed', data: { target: 'rental', problems: ['a table is missing'] } } as const;

describe('a webhook', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  /** Answers with these codes, one after the other; keeps what came. */
  async function receiver(codes: readonly number[]) {
    const came: { headers: Record<string, string>; body: string }[] = [];
    server = createServer(async (request, response) => {
      came.push({ headers: request.headers as Record<string, string>, body: await text(request) });
      response.writeHead(codes[came.length - 1] ?? 200).end();
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return { came, to: [{ url, secret: { reveal: () => SECRET } }] };
  }

  it('says what happened, signed so that the receiver can verify it', async () => {
    const { came, to } = await receiver([200]);
    expect(await sendToWebhooks(to, NEWS)).toEqual([]);
    const [first] = came;
    expect(new Webhook(SECRET).verify(first?.body ?? '', first?.headers ?? {})).toMatchObject(NEWS);
    expect(() => new Webhook(SECRET).verify(`${first?.body} `, first?.headers ?? {})).toThrow();
  });

  it('is sent again with the same id until it is taken', async () => {
    const { came, to } = await receiver([500, 503, 204]);
    expect(await sendToWebhooks(to, NEWS, { waitsMs: [1, 1, 1] })).toEqual([]);
    expect(came).toHaveLength(3);
    expect(new Set(came.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  it('that nobody takes is told, and keeps no other from going', async () => {
    const { came, to } = await receiver([]);
    const nobody = { url: 'http://127.0.0.1:1/', secret: { reveal: () => SECRET } };
    const undelivered = await sendToWebhooks([nobody, ...to], NEWS, { waitsMs: [1] });
    expect(undelivered).toEqual([{ url: nobody.url, why: expect.any(String) }]);
    expect(came).toHaveLength(1);
  });

  it('whose secret can’t be read is told, and keeps no other from going', async () => {
    const { came, to } = await receiver([]);
    const secret = {
      reveal: () => {
        throw new Error('the file is missing');
      },
    };
    const undelivered = await sendToWebhooks([{ url: 'http://127.0.0.1:1/', secret }, ...to], NEWS);
    expect(undelivered).toMatchObject([{ why: expect.stringContaining('the file is missing') }]);
    expect(came).toHaveLength(1);
  });

  it('follows no redirect', async () => {
    const { to } = await receiver([302]);
    expect(await sendToWebhooks(to, NEWS, { waitsMs: [] })).toHaveLength(1);
  });
});
