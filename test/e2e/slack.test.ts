import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { isValidSlackRequest } from '@slack/bolt';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import { type ActorId, asId } from '../../src/domain/ids.ts';
import { shortId } from '../../src/domain/plan.ts';
import { undoMade } from '../../src/pipeline/changes.ts';
import { hasSeen } from '../../src/store/decisions.ts';
import { outboxMessages } from '../../src/store/outbox.ts';
import { plansByPrefix } from '../../src/store/plans.ts';
import { newPage } from '../fixtures/browser.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { newest } from '../fixtures/postgres.ts';
import {
  buttonsOf,
  type FakeSlack,
  fakeSlack,
  labelsOf,
  type SignedRequest,
  type SlackMessage,
} from '../fixtures/slack.ts';
import { hasPython, judgedByStranger } from '../fixtures/verifier.ts';

const [ADA, GRACE] = ['U0ADA', 'U0GRACE'];
const TASK = WORK.replace('rental-production', 'rental-staging').replace(
  'rowsPerStatement: 100',
  'rowsPerStatement: 2',
);

describe.each(newest)('G4 plans in Slack, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let slack: FakeSlack;
  let task: OpenedTask;
  let ada: Countersigner;
  let nextId = 100;

  beforeAll(async () => {
    [site, slack] = await Promise.all([startSite(binaries, { environment: 'staging' }), fakeSlack()]);
    process.env['SLACK_TOKEN'] = slack.token;
    process.env['SLACK_SIGNING_SECRET'] = slack.secret;
    site.edit((config) =>
      `${config}
notifications:
  slack:
    token: "\${env:SLACK_TOKEN}"
    signingSecret: "\${env:SLACK_SIGNING_SECRET}"
    team: ${slack.team}
    channel: C0PLANS
    api: ${slack.api}
`.replace(
        /^( {2}people:)\n( {4}ada:)$/m,
        `$1
    grace: { name: Grace, slack: ${GRACE}, approves: [staging] }
    linus: { name: Linus, slack: U0LINUS, roles: [requester] }
$2
      slack: ${ADA}`,
      ),
    );
    served = await site.serve();
    task = await site.openTask(TASK);
    ada = await openCountersigner(site);
  }, 60_000);
  afterAll(async () => {
    for (const client of clients.values()) await client.end();
    await ada?.close();
    await served?.stop();
    await slack?.stop();
    await site?.remove();
  });

  /** Three customers more, each time. */
  function statement(): string {
    nextId += 3;
    return `DELETE FROM customers WHERE id IN (${nextId}, ${nextId + 1}, ${nextId + 2})`;
  }

  const clients = new Map<OpenedTask, pg.Client>();
  async function clientOf(of: OpenedTask): Promise<pg.Client> {
    const known = clients.get(of);
    if (known !== undefined) return known;
    const client = new pg.Client({ connectionString: of.postgres.replace(/@[^/]*/, `@${served.pg}`) });
    await client.connect();
    clients.set(of, client);
    return client;
  }

  /** @returns what was done, or the plan that it became. */
  async function send(sql: string, as = task): Promise<string> {
    const client = await clientOf(as);
    try {
      return (await client.query(sql)).command;
    } catch (error) {
      const { detail, hint, message } = error as pg.DatabaseError;
      return /\b([0-9a-f]{12})\b/.exec(`${detail} ${hint}`)?.[1] ?? message;
    }
  }

  async function proposed(sql = statement(), as = task) {
    const plan = await send(sql, as);
    const heldMs = Date.now();
    return { plan, sql, heldMs, message: await messageOf(plan) };
  }

  async function messageOf(plan: string): Promise<SlackMessage> {
    await expect.poll(() => slack.messageOf(plan), { timeout: 15_000, interval: 10 }).toBeDefined();
    return slack.messageOf(plan) as SlackMessage;
  }

  function post({ headers, body }: SignedRequest, to = served): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const sent = request(`${to.http}/slack/actions`, { method: 'POST', headers }, async (response) =>
        resolve({ status: response.statusCode ?? 0, body: await text(response) }),
      );
      sent.once('error', reject);
      sent.end(body);
    });
  }

  const click = async (message: SlackMessage, button: string, user: string, change = {}) =>
    (await post(slack.callback(message, button, user, change))).status;
  const shown = async (plan: string) => {
    const { store, views } = ada.countersign;
    const [record] = await plansByPrefix(store, `sha256:${plan}`);
    if (record === undefined) throw new Error(`there is no plan ${plan}`);
    return views.of(record);
  };
  const becomes = (message: SlackMessage, title: string) =>
    expect.poll(() => message.text, { timeout: 15_000, interval: 20 }).toContain(title);
  /** The last thing that a user was told alone. */
  const whispered = async (user: string, what: string) =>
    expect
      .poll(() => slack.whispers.filter((each) => each.user === user).at(-1)?.text, { timeout: 15_000 })
      .toContain(what);

  it('are told within a second, decided by a click, applied, and undone, in one message', async () => {
    const { plan, sql, message, heldMs } = await proposed();
    // Within a second on a machine that has time for it.
    expect(message.atMs - heldMs).toBeLessThan(3000);
    expect(message).toMatchObject({
      channel: 'C0PLANS',
      text: expect.stringContaining('Waits for 1 person in staging'),
    });
    const said = JSON.stringify(message.blocks);
    for (const part of [
      '3 rows deleted in public.customers',
      'rental-staging',
      'migrator',
      'clean up old test customers',
    ])
      expect(said).toContain(part);
    expect(said).toContain('the rows before and after are kept');
    expect(said).not.toContain(sql);
    expect(labelsOf(message)).toEqual(['Approve', 'Reject', 'Open']);
    expect(buttonsOf(message)[2]?.url).toContain(`${served.http}/plans/sha256%3A${plan}`);

    expect(await click(message, 'open', ADA)).toBe(200);
    expect(await click(message, 'approve', ADA)).toBe(200);
    await becomes(message, 'Approved');
    expect(labelsOf(message)).toEqual(['Open']);
    expect((await site.run('plan', 'show', plan)).stdout).toContain('attested by the gateway, not signed');

    expect(await send(sql)).toBe('DELETE');
    await becomes(message, 'Applied');
    const { id } = await shown(plan);
    const by = asId<ActorId>('ada');
    const undo = undoMade(
      await ada.countersign.changes.undo({ change: id, askedBy: by, channel: 'cli', keepNewer: false }),
    );
    const back = await messageOf(shortId(undo.id));
    expect(await click(back, 'approve', GRACE)).toBe(200);
    await becomes(back, 'Approved');
    expect(await ada.apply(undo.id)).toMatchObject({ reply: 'applied' });
    await becomes(back, 'Applied');
    await becomes(message, 'Undone');
    expect(slack.messages).toHaveLength(2);
    const approvals = await ada.countersign.ledger.entries({ kind: 'approval', limit: 9 });
    expect(approvals.map(({ entry: { body } }) => body)).toEqual(
      ['ada', 'grace'].map((person) => expect.objectContaining({ person, via: 'slack' })),
    );
  });

  it('below what policy asks people for ask nobody', async () => {
    const before = slack.messages.length;
    expect(await send(`UPDATE customers SET full_name = full_name WHERE id IN (1, 2)`)).toBe('UPDATE');
    const { message } = await proposed();
    expect(slack.messages.slice(before)).toEqual([message]);
    expect(await click(message, 'reject', ADA)).toBe(200);
    await becomes(message, 'Rejected');
  });

  it('are decided by nobody whose click does not count, and who clicked is told why', async () => {
    const { plan, message } = await proposed();
    const other = await proposed();
    const refused: [user: string, change: object, why: string][] = [
      ['U0NOBODY', {}, 'nobody in the configuration has your Slack user'],
      [ADA, { userTeam: 'T0OTHER' }, 'from the workspace T0OTHER'],
      [ADA, { team: 'T0OTHER' }, 'from the workspace T0OTHER'],
      ['U0LINUS', {}, 'linus has not the right plan.decide'],
      [ADA, { ts: '1.1' }, 'this is not the message'],
      [ADA, { channel: 'C0ELSE' }, 'this is not the message'],
      [ADA, { value: buttonsOf(other.message)[0]?.value }, 'this is not the message'],
      [ADA, { value: 'sha256:no' }, 'there is no such plan'],
    ];
    for (const [user, change, why] of refused) {
      const before = slack.whispers.length;
      expect(await click(message, 'approve', user, change), why).toBe(200);
      await expect.poll(() => slack.whispers.length, { timeout: 15_000, interval: 10 }).toBe(before + 1);
      expect(slack.whispers.at(-1), why).toMatchObject({ user, text: expect.stringContaining(why) });
      expect(slack.whispers.at(-1)?.text).toContain('Open the plan to decide: http');
    }
    expect(await shown(plan)).toMatchObject({ state: 'held', approvals: [] });
    expect(await shown(other.plan)).toMatchObject({ state: 'held', approvals: [] });

    const file = join(site.directory, 'for-grace.yaml');
    writeFileSync(file, TASK);
    const forLinus = await site.ask<OpenedTask>('task', 'open', '--file', file, '--on-behalf-of', 'linus');
    site.edit((config) => config.replace('roles: [requester]', 'approves: [staging], roles: [requester, approver]'));
    await expect.poll(() => served.log(), { timeout: 15_000 }).toContain('loaded anew');
    const own = await proposed(statement(), forLinus);
    expect(await click(own.message, 'approve', 'U0LINUS')).toBe(200);
    await whispered('U0LINUS', 'nobody countersigns their own intent');
    expect(await click(own.message, 'approve', GRACE)).toBe(200);
    await becomes(own.message, 'Approved');
  }, 60_000);

  it('are not decided by what Slack has not signed, not just now, or that came before, on another gateway too', async () => {
    const { plan, message } = await proposed();
    const valid = slack.callback(message, 'approve', ADA);
    const peer = ({ headers, body }: SignedRequest) =>
      isValidSlackRequest({ signingSecret: slack.secret, body, headers: headers as never });
    expect(peer(valid)).toBe(true);
    const forged: SignedRequest[] = [
      slack.callback(message, 'approve', ADA, { secret: 'another' }),
      slack.callback(message, 'approve', ADA, { atMs: Date.now() - 6 * 60_000 }),
      { ...valid, body: valid.body.replace('approve', 'appr0ve') },
      { ...valid, body: `${valid.body}&payload=x` },
      {
        ...valid,
        headers: {
          ...valid.headers,
          'x-slack-signature': valid.headers['x-slack-signature']?.replace('v0=', 'v1=') ?? '',
        },
      },
      { ...valid, headers: { ...valid.headers, 'x-slack-request-timestamp': '0' } },
    ];
    for (const each of forged) {
      expect(peer(each)).toBe(false);
      expect((await post(each)).status).toBe(401);
    }
    const { 'x-slack-signature': _signature, ...bare } = valid.headers;
    expect((await post({ ...valid, headers: bare as Record<string, string> })).status).toBe(401);
    expect((await post({ ...valid, body: `payload=${'x'.repeat(300_000)}` })).status).toBe(413);
    expect((await post({ ...valid, headers: { ...valid.headers, 'content-type': 'application/json' } })).status).toBe(
      415,
    );
    expect(await shown(plan)).toMatchObject({ state: 'held', approvals: [] });

    // What did not count is spent as well: it can't be kept for when it would.
    const early = slack.callback(message, 'approve', 'U0LATER');
    const late = slack.callback(message, 'reject', ADA);
    expect((await post(early)).status).toBe(200);
    const second = await site.serve();
    expect((await post(valid, second)).status).toBe(200);
    await becomes(message, 'Approved');
    for (const each of [valid, early]) {
      for (const node of [served, second]) expect((await post(each, node)).status).toBe(409);
    }
    await second.stop();
    expect((await shown(plan)).approvals).toHaveLength(1);
    expect((await post(late)).status).toBe(200);
    await whispered(ADA, 'has decided on this plan before');
  }, 60_000);

  it('wait while Slack is away, and come once, in their last state', async () => {
    const before = slack.messages.length;
    await slack.stop();
    const sql = statement();
    const plan = await send(sql);
    const { id } = await shown(plan);
    await ada.approve(id);
    expect(await ada.apply(id)).toMatchObject({ reply: 'applied' });
    const waiting = await outboxMessages(ada.countersign.store, { state: 'waiting', limit: 9 });
    expect(waiting.map(({ receiver }) => receiver)).toContain('slack:C0PLANS');
    await slack.start();
    expect((await messageOf(plan)).text).toContain('Applied');
    await expect
      .poll(async () => (await outboxMessages(ada.countersign.store, { state: 'waiting', limit: 9 })).length, {
        timeout: 15_000,
      })
      .toBe(0);
    expect(slack.messages).toHaveLength(before + 1);
  }, 60_000);

  it('approved by a click are not applied once the user is nobody’s, nor where clicks count no more', async () => {
    const { plan, message } = await proposed();
    expect(await click(message, 'approve', GRACE)).toBe(200);
    await becomes(message, 'Approved');
    const config = readFileSync(site.config, 'utf8');
    const { id } = await shown(plan);
    const apply = async () => {
      const now = await openCountersigner(site);
      const reply = await now.apply(id);
      await now.close();
      return reply;
    };
    for (const [now, then] of [
      [`slack: ${GRACE}, `, ''],
      ['tier: staging', 'tier: staging\n    clicks: never'],
    ] as const) {
      site.edit(() => config.replace(now, then));
      expect(await apply(), now).toMatchObject({ reply: 'refused', plan: { approvals: [], approvalsMissing: 1 } });
    }
    await expect.poll(() => served.log().match(/loaded anew/g)?.length, { timeout: 15_000 }).toBeGreaterThan(2);
    const { message: offered } = await proposed();
    expect(labelsOf(offered)).toEqual(['Open']);
    expect(JSON.stringify(offered.blocks)).toContain('takes a signature by somebody');
    site.edit(() => config);
    expect(await apply()).toMatchObject({ reply: 'applied' });
  }, 60_000);

  it('are counted by how people decide on them; the doctor says what is missing', async () => {
    const { people } = await site.ask<{ people: { person: string; clicked: number; unread: number }[] }>(
      'plan',
      'decisions',
    );
    // Clicked within seconds of when the message was there.
    expect(people).toContainEqual(expect.objectContaining({ person: 'grace', approved: 3, clicked: 3, rejected: 0 }));
    expect(people.find(({ person }) => person === 'grace')?.unread).toBeGreaterThan(0);
    const figures = await (await fetch(`${served.http}/metrics`)).text();
    expect(figures).toContain('countersign_decisions{person="grace",verdict="approve"} 3');
    expect(figures).toMatch(/countersign_approved_unread_ratio\{person="grace"\} (0\.\d+|1)\n/);
    const { plan, message } = await proposed();
    const person = personNamed(ada.countersign, 'ada', null);
    const { token } = await ada.countersign.identity.codes.offer(person, keyOf(ada.countersign, person, undefined));
    const page = newPage(served);
    await page.ask('POST', '/api/session/one-time', { token });
    const { id } = await shown(plan);
    expect(await hasSeen(ada.countersign.store, id, 'ada')).toBe(false);
    expect((await page.ask('GET', `/api/plans/${encodeURIComponent(id)}`)).status).toBe(200);
    expect(await hasSeen(ada.countersign.store, id, 'ada')).toBe(true);
    const { body } = await page.ask('GET', '/api/actors');
    expect(body.decisions).toContainEqual(expect.objectContaining({ person: 'grace', clicked: 3 }));
    expect(await click(message, 'reject', ADA)).toBe(200);
    await becomes(message, 'Rejected');
    const { findings } = (await site.run('doctor', '--json')).json<{ findings: { id: string; verdict: string }[] }>();
    const found = findings.filter(({ id }) => id.startsWith('slack.')).map(({ id, verdict }) => `${id} ${verdict}`);
    expect(found).toEqual(['slack.team ok', 'slack.public warn']);
  }, 60_000);

  it.skipIf(!hasPython)('are told apart from signatures by a stranger', async () => {
    const judged = (await judgedByStranger(site)) as { verdict: string; attested?: string[] };
    expect(judged).toMatchObject({ verdict: 'sound' });
    expect(judged.attested).toContainEqual(
      expect.stringMatching(/approval of ada is a click in Slack \(user U0ADA of T012AB3CD\), attested by the gateway/),
    );
  });
});
