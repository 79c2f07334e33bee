import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { SMTPServer } from 'smtp-server';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCountersigner } from '../fixtures/countersigner.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';

const SECRET = `whsec_${Buffer.from('a secret of the test, long enough').toString('base64')}`;
const HELD = 'DELETE FROM customers WHERE id IN (11, 12, 13)';

interface Told {
  readonly id: string;
  readonly type: string;
  readonly data: {
    readonly headline: string;
    readonly plan: string;
    readonly url: string;
    readonly [key: string]: unknown;
  };
}

describe.each(newest)('G12 people and programs outside, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  let hooks: Server;
  let mail: SMTPServer;
  const told: Told[] = [];
  const mails: string[] = [];

  async function listen(port = 0): Promise<number> {
    hooks = createServer(async (request, response) => {
      const body = await text(request);
      const headers = request.headers as Record<string, string>;
      told.push({
        id: headers['webhook-id'] ?? '',
        ...(new Webhook(SECRET).verify(body, headers) as Omit<Told, 'id'>),
      });
      response.writeHead(204).end();
    });
    await new Promise<void>((resolve) => hooks.listen(port, '127.0.0.1', resolve));
    return (hooks.address() as AddressInfo).port;
  }

  async function propose(sql = HELD): Promise<string> {
    const client = new pg.Client({ connectionString: task.postgres.replace(/@[^/]*/, `@${served.pg}`) });
    await client.connect();
    try {
      await client.query(sql);
      throw new Error('it was not held');
    } catch (error) {
      return (
        /\b([0-9a-f]{12})\b/.exec(`${(error as pg.DatabaseError).detail} ${(error as pg.DatabaseError).hint}`)?.[1] ??
        ''
      );
    } finally {
      await client.end();
    }
  }

  beforeAll(async () => {
    site = await startSite(binaries);
    const port = await listen();
    mail = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      async onData(stream, session, done) {
        const to = session.envelope.rcptTo.map(({ address }) => address).join(', ');
        mails.push(`To ${to}\n${await text(stream)}`);
        done();
      },
    });
    await new Promise<void>((resolve) => mail.listen(0, '127.0.0.1', resolve));
    const smtp = (mail.server.address() as AddressInfo).port;
    site.edit((config) =>
      `${config}
notifications:
  webhooks: [{ url: "http://127.0.0.1:${port}/hook", secret: "\${env:HOOK_SECRET}" }]
  email: { server: "smtp://127.0.0.1:${smtp}", from: countersign@example.com }
  escalation: [{ after: 1s, to: [grace] }]
`.replace(
        /^( {2}people:)$/m,
        '$1\n    grace: { name: Grace, email: grace@example.com, roles: [auditor] }\n    edsger: { name: Edsger, email: edsger@example.com, approves: [production] }',
      ),
    );
    process.env['HOOK_SECRET'] = SECRET;
    served = await site.serve();
    task = await site.openTask(WORK);
  }, 120_000);
  afterAll(async () => {
    await served?.stop();
    hooks?.close();
    await new Promise<void>((resolve) => (mail === undefined ? resolve() : mail.close(() => resolve())));
    await site?.remove();
  });

  const toldOf = (plan: string) => told.filter(({ data }) => data.plan?.includes(plan));
  const mailsTo = (who: string, what: string) =>
    mails.filter((each) => each.startsWith(`To ${who}@`) && each.replaceAll('=\r\n', '').includes(what));

  it('hear of a plan within a second, by webhook and by mail, and of what became of it', async () => {
    const plan = await propose();
    await expect
      .poll(() => toldOf(plan).map(({ type }) => type), { timeout: 5000, interval: 20 })
      .toEqual(['plan.held']);
    const [held] = toldOf(plan);
    expect(held?.data).toMatchObject({
      headline: expect.stringContaining('3 rows deleted in public.customers'),
      environment: 'production',
      target: 'rental-production',
      owner: 'ada',
      wayBack: 'the rows before and after are kept',
      approvals: 1,
      url: expect.stringContaining(plan),
    });
    await expect.poll(() => mailsTo('edsger', plan).length, { timeout: 5000 }).toBe(1);
    expect(mailsTo('edsger', plan)[0]).toContain('Subject: [production] Waits for you: 3 rows deleted');
    // Whom it doesn't concern hears of it when it has waited for too long.
    await expect.poll(() => mailsTo('grace', 'Still waits').length, { timeout: 10_000 }).toBe(1);

    const ada = await openCountersigner(site);
    await ada.approve(held?.data.plan ?? '');
    await ada.apply(held?.data.plan ?? '');
    await ada.close();
    await expect
      .poll(() => toldOf(plan).map(({ type }) => type), { timeout: 10_000 })
      .toEqual(['plan.held', 'plan.approved', 'plan.ended']);
    expect(toldOf(plan).at(-1)?.data['outcome']).toBe('applied');
  });

  it('that are away get it when they are back, once, though the gateway was killed in between', async () => {
    const { port } = hooks.address() as AddressInfo;
    await new Promise((resolve) => hooks.close(resolve));
    const plan = await propose('DELETE FROM customers WHERE id IN (14, 15, 16)');
    await served.kill();
    const waiting = await site.ask<{ messages: { receiver: string; state: string }[] }>(
      'notification',
      'list',
      '--state',
      'waiting',
    );
    expect(waiting.messages.every(({ state }) => state === 'waiting')).toBe(true);
    await listen(port);
    served = await site.serve();
    await expect.poll(() => toldOf(plan).length, { timeout: 70_000, interval: 100 }).toBe(1);
    const { halts } = await site.ask<{ halts?: unknown }>('halt', '--reason', 'tried in the test');
    expect(halts ?? 'set').toBeTruthy();
    await expect.poll(() => told.at(-1)?.type, { timeout: 10_000 }).toBe('halt.set');
    await site.ask('resume', '--reason', 'tried');
    await expect.poll(() => told.at(-1)?.type, { timeout: 10_000 }).toBe('halt.lifted');
    expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
  });
});
