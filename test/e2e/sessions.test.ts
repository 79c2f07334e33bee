import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import { RIGHTS } from '../../src/domain/rights.ts';
import { newPage, type Page } from '../fixtures/browser.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { openStateFile } from '../fixtures/state-file.ts';

describe.each(servers.slice(0, 1))('who is signed in, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let ada: Countersigner;
  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.01 });
    site.edit((text) => text.replace('listen:\n', 'listen:\n  proxies: [127.0.0.1, "::1"]\n'));
    served = await site.serve();
    ada = await openCountersigner(site);
  });
  afterAll(async () => {
    await ada?.close();
    await site?.remove();
  });

  const offered = async () => {
    const person = personNamed(ada.countersign, 'ada', null);
    const { token } = await ada.countersign.identity.codes.offer(person, keyOf(ada.countersign, person, undefined));
    return token;
  };
  const redeem = (page: Page, token: string, headers: Record<string, string | undefined> = {}) =>
    page.ask('POST', '/api/session/one-time', { token }, headers);
  const signedIn = async () => {
    const page = newPage(served);
    expect((await redeem(page, await offered())).status).toBe(200);
    return page;
  };

  it('is told how to sign in, signs in with the address that the command prints, and signs out', async () => {
    const page = newPage(served);
    expect(await page.ask('GET', '/api/session')).toMatchObject({
      status: 401,
      body: { error: { code: 'not_signed_in' }, login: { passkey: false, oidc: null } },
    });
    const { url } = await site.ask<{ url: string }>('console', 'login', '--as', 'ada');
    expect(url).toMatch(/^http:\/\/localhost:\d+\/sign-in#[\w-]{43}$/);
    const answer = await page.openSignIn(url);
    expect(answer).toMatchObject({ status: 200, body: { person: 'ada', via: 'key' } });
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^countersign=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
    const { body } = await page.ask('GET', '/api/session');
    expect(body).toMatchObject({ person: 'ada', name: 'ada', roles: ['requester', 'approver', 'operator'] });
    expect(body.rights).toContain('plan.decide');
    expect(body.rights).not.toContain('config.reload');
    expect((await page.ask('DELETE', '/api/session')).status).toBe(204);
    expect((await newPage(served).openSignIn(url)).status).toBe(403);
  });

  it('is over for a stolen cookie as well once somebody has signed out', async () => {
    const page = await signedIn();
    const stolen = { cookie: page.cookie };
    expect((await page.ask('GET', '/api/session', undefined, stolen)).status).toBe(200);
    await page.ask('DELETE', '/api/session');
    expect((await page.ask('GET', '/api/session', undefined, stolen)).status).toBe(401);
  });

  it('changes nothing for a page of another origin, or without the header that only a page of ours knows', async () => {
    const page = await signedIn();
    const port = new URL(page.origin).port;
    const foreign: Record<string, string | undefined>[] = [
      { 'x-countersign-csrf': undefined },
      { 'x-countersign-csrf': 'A'.repeat(43) },
      { origin: undefined },
      { origin: 'http://evil.example' },
      { origin: `https://localhost:${port}` },
      { origin: 'http://localhost:1' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of foreign)
      expect((await page.ask('DELETE', '/api/session', undefined, headers)).status, JSON.stringify(headers)).toBe(403);
    expect((await page.ask('GET', '/api/session')).status).toBe(200);
  });

  it('can’t be signed in by another site, and a code that was refused there is still good', async () => {
    const page = newPage(served);
    const token = await offered();
    expect((await redeem(page, token, { origin: undefined })).body.error.code).toBe('not_from_here');
    expect((await redeem(page, token, { origin: 'http://evil.example' })).status).toBe(403);
    const answer = await redeem(page, token);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  });

  it('gets a new session at every sign-in: one that was planted or had before is worth nothing', async () => {
    const page = newPage(served);
    const planted = `countersign=${'A'.repeat(43)}`;
    page.cookie = planted;
    await redeem(page, await offered());
    const first = page.cookie;
    expect(first).not.toBe(planted);
    await redeem(page, await offered());
    expect(page.cookie).not.toBe(first);
    expect((await page.ask('GET', '/api/session', undefined, { cookie: first })).status).toBe(401);
    const two = { cookie: `${page.cookie}; countersign=${'A'.repeat(43)}` };
    expect((await page.ask('GET', '/api/session', undefined, two)).status, 'two cookies of one name').toBe(401);
  });

  it('is signed in once by a code, however many redeem it at the same time', async () => {
    const token = await offered();
    const answers = await Promise.all([1, 2, 3, 4].map(() => redeem(newPage(served), token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403, 403]);
  });

  it('is ended by a command, and nobody’s token lies in the state or the ledger', async () => {
    const page = await signedIn();
    const session = (await page.ask('GET', '/api/session')).body.session as string;
    const { countersign } = ada;
    expect((await countersign.identity.sessions.all()).map(({ id }) => id)).toContain(session);
    expect(await site.ask('session', 'revoke', session, '--as', 'ada', '--reason', 'lost laptop')).toEqual({
      ended: [session],
    });
    expect((await page.ask('GET', '/api/session')).status).toBe(401);
    const entries = await countersign.ledger.entries({ subject: session, limit: 10 });
    expect(entries.map(({ entry }) => (entry.body as { event: string }).event)).toEqual(['opened', 'ended']);
    const state = openStateFile(site);
    const kept = JSON.stringify(state.prepare('SELECT * FROM person_sessions').all()) + JSON.stringify(entries);
    state.close();
    expect(kept).not.toContain(page.cookie?.split('=')[1]);
  });

  it('lets a program do what its token was signed for, and never approve', async () => {
    const { identity } = ada.countersign;
    const person = personNamed(ada.countersign, 'ada', null);
    const key = keyOf(ada.countersign, person, undefined);
    const page = newPage(served);
    const ask = (token: string, method: string, path: string, body?: object) =>
      page.ask(method, path, body, { authorization: `Bearer ${token}`, origin: undefined });
    const made = await site.ask<{ id: string; token: string }>(
      'token',
      'create',
      '--as',
      'ada',
      '--name',
      'a dashboard',
      '--right',
      'plan.read',
      'halt.set',
      '--expires',
      '1h',
    );
    expect((await ask(made.token, 'GET', '/api/plans')).status).toBe(200);
    expect(
      (await ask(made.token, 'POST', '/api/halts', {})).status,
      'a malformed halt, and no question of origin',
    ).toBe(400);
    expect((await ask(made.token, 'GET', '/api/activity')).body.error.code).toBe('no_right');
    expect((await ask(made.token, 'GET', '/mcp')).status, 'agents’ side').toBe(401);
    expect((await page.ask('GET', '/api/session', undefined, { cookie: `countersign=${made.token}` })).status).toBe(
      401,
    );
    expect((await ask(`${made.token}x`, 'GET', '/api/plans')).status).toBe(401);
    const most = await identity.tokens.create(person, key, { name: 'most', rights: RIGHTS, lifetimeMs: 60_000 });
    for (const [method, path] of [
      ['POST', '/api/plans/x/verdict/options'],
      ['POST', '/api/plans/x/verdict'],
      ['POST', '/api/passkeys/options'],
    ] as const)
      expect((await ask(most.token, method, path, {})).body.error.code, path).toBe('no_right');
    const short = await identity.tokens.create(person, key, { name: 'short', rights: ['plan.read'], lifetimeMs: 1 });
    expect((await ask(short.token, 'GET', '/api/plans')).status).toBe(401);
    // Whoever writes the state can’t make one mean more, or somebody else.
    const state = openStateFile(site);
    const rows = state.prepare('SELECT * FROM person_tokens').all() as { id: string; token_hash: string }[];
    expect(JSON.stringify(rows)).not.toContain(made.token.slice(4));
    const forged = `csp_${'A'.repeat(43)}`;
    const hash = `sha256:${createHash('sha256').update(forged).digest('hex')}`;
    state.prepare('UPDATE person_tokens SET token_hash = ? WHERE id = ?').run(hash, most.id);
    expect((await ask(forged, 'GET', '/api/plans')).status).toBe(401);
    // … nor put somebody's session there, or make one another person's.
    const own = await signedIn();
    const session = (await own.ask('GET', '/api/session')).body.session as string;
    state.prepare('UPDATE person_sessions SET ends_at = ? WHERE id = ?').run('2099-01-01T00:00:00.000Z', session);
    expect((await own.ask('GET', '/api/session')).status).toBe(401);
    const planted = createHash('sha256').update('B'.repeat(43)).digest('hex');
    state
      .prepare(
        `INSERT INTO person_sessions SELECT 'session_planted', ?, person, via, credential, opened_at, seen_at, stepped_up_at,
           ends_at, NULL, roles, seal FROM person_sessions WHERE id = ?`,
      )
      .run(`sha256:${planted}`, session);
    const thief = { cookie: `countersign=${'B'.repeat(43)}` };
    expect((await page.ask('GET', '/api/session', undefined, thief)).status).toBe(401);
    const row = state.prepare('SELECT * FROM person_tokens WHERE id = ?').get(made.id) as Record<string, string>;
    expect(await site.run('token', 'revoke', made.id, '--as', 'ada')).toMatchObject({ code: 0 });
    expect((await ask(made.token, 'GET', '/api/plans')).status).toBe(401);
    const columns = Object.keys(row);
    state
      .prepare(`INSERT INTO person_tokens (${columns.join()}) VALUES (${columns.map(() => '?').join()})`)
      .run(...Object.values(row));
    state.close();
    expect((await ask(made.token, 'GET', '/api/plans')).status, 'put back').toBe(401);
    const entries = await ada.countersign.ledger.entries({ subject: made.id, limit: 10 });
    expect(entries.map(({ entry }) => (entry.body as { event: string }).event)).toEqual(['made', 'revoked']);
  });

  it('locks an address out that keeps failing, whatever it then comes with', async () => {
    const token = await offered();
    const statuses: number[] = [];
    const secondOf = (tried: number) => ({ token: 'A'.repeat(42) + String(tried % 10) });
    const through = async (tried: number, forwarded: string) =>
      newPage(served).ask('POST', '/api/session/one-time', secondOf(tried), { 'x-forwarded-for': forwarded });
    // The named proxy tells whom it has seen; what they say themselves stands before that.
    for (let tried = 0; tried < 12; tried++)
      statuses.push((await through(tried, `198.51.100.${tried}, 203.0.113.1`)).status);
    expect(statuses.at(-1)).toBe(429);
    expect((await through(0, '203.0.113.1, 203.0.113.2')).status).not.toBe(429);
    for (let tried = 0; tried < 12; tried++)
      statuses.push((await redeem(newPage(served), secondOf(tried).token)).status);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
    const late = await redeem(newPage(served), token);
    expect(late).toMatchObject({ status: 429, body: { error: { code: 'locked_out' } } });
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(30);
  });
});
