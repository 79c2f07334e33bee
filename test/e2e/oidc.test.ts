import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newPage, type Page } from '../fixtures/browser.ts';
import { mcpClient, type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { type StartedIssuer, startIssuer } from '../fixtures/issuer.ts';
import { type StartedProvider, startProvider } from '../fixtures/oidc.ts';
import { servers } from '../fixtures/postgres.ts';

const CLIENT = { id: 'countersign', secret: 'a secret of a test that is long enough' };

const AUDIENCE = 'https://countersign.example/mcp';
const SUBJECT = 'spiffe://example.com/ns/agents/sa/migrator';

const ACCOUNTS = {
  ada: { email: 'ada@example.com', email_verified: true, groups: ['dba', 'everybody'] },
  mallory: { email: 'ada@example.com', email_verified: false, groups: ['dba'] },
  'grace-4711': { email: 'whatever@example.com', email_verified: true, groups: 'audit' },
  edsger: { email: 'edsger@example.com', email_verified: true, groups: ['everybody', 'admins'] },
  stranger: { email: 'stranger@example.com', email_verified: true, groups: ['dba'] },
};

describe.each(servers.slice(0, 1))('OpenID Connect and tokens of others, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let provider: StartedProvider;
  let platform: StartedIssuer;

  beforeAll(async () => {
    provider = await startProvider(ACCOUNTS);
    platform = await startIssuer();
    site = await startSite(binaries, { scale: 0.01 });
    writeFileSync(join(site.directory, 'oidc.secret'), CLIENT.secret, { mode: 0o600 });
    const people = `    grace: { name: Grace, subject: grace-4711, roles: [auditor] }\n    edsger: { name: Edsger, email: Edsger@example.com }\n`;
    site.edit(
      (text) =>
        `${text
          .replace('  people:\n', `  people:\n${people}`)
          .replace(
            /^( +)migrator:\n( +)owner/m,
            `$1migrator:\n$2workload: { issuer: ${platform.issuer}, subject: ${SUBJECT} }\n$2owner`,
          )
          .replace(/^( +)name: ada$/m, '$1name: ada\n$1email: ada@example.com')}
identity:
  issuers: [{ issuer: ${platform.issuer}, jwks: ${platform.jwks}, audience: ${AUDIENCE} }]
  oidc:
    issuer: ${provider.issuer}
    clientId: ${CLIENT.id}
    clientSecret: \${file:oidc.secret}
    groups: { dba: [requester, approver], audit: [auditor], admins: [administrator] }
`,
    );
    served = await site.serve();
    provider.know({ ...CLIENT, redirectUri: `${newPage(served).origin}/api/session/oidc/callback` });
  });
  afterAll(async () => {
    await Promise.all([provider?.stop(), platform?.stop()]);
    await site?.remove();
  });

  /** The browser leaves for the provider, with a ticket in a cookie. */
  async function leave(page: Page, query = ''): Promise<string> {
    const answer = await fetch(`${page.origin}/api/session/oidc${query}`, { redirect: 'manual' });
    expect(answer.status).toBe(303);
    const [ticket = ''] = answer.headers.getSetCookie();
    expect(ticket).toMatch(/^countersign-sign-in=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=300$/);
    page.cookie = ticket.split(';', 1)[0];
    return answer.headers.get('location') ?? '';
  }

  /** … and comes back by a link of the provider's. */
  async function comeBack(page: Page, callback: string) {
    const cookie = page.cookie ?? '';
    const answer = await fetch(callback, { redirect: 'manual', headers: { cookie } });
    const session = answer.headers.getSetCookie().find((set) => set.startsWith('countersign='));
    if (session !== undefined) page.cookie = session.split(';', 1)[0];
    const said = answer.status === 303 ? '' : ((await answer.json()) as { error: { message: string; hint: string } });
    return { status: answer.status, session, said: JSON.stringify(said) };
  }

  async function signIn(as: string) {
    const page = newPage(served);
    const callback = await provider.signIn(await leave(page), as);
    return { page, callback, ...(await comeBack(page, callback)) };
  }

  it('signs somebody in whose address the provider has verified, with the roles of both', async () => {
    expect((await newPage(served).ask('GET', '/api/session')).body.login.oidc).toBe('/api/session/oidc');
    const { page, status, session } = await signIn('ada');
    expect(status).toBe(303);
    expect(session).toMatch(/^countersign=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    // An operator by the configuration, and in no group of operators.
    expect((await page.ask('GET', '/api/session')).body).toMatchObject({
      person: 'ada',
      via: 'oidc',
      roles: ['requester', 'approver'],
    });
  });

  it('knows somebody by the provider’s own name for them, whatever their address says', async () => {
    const { page } = await signIn('grace-4711');
    expect((await page.ask('GET', '/api/session')).body).toMatchObject({ person: 'grace', roles: ['auditor'] });
  });

  it('signs nobody in whom the configuration doesn’t know, nor by an address that nobody verified', async () => {
    const stranger = await signIn('stranger');
    expect(stranger).toMatchObject({ status: 403, session: undefined });
    expect(stranger.said).toContain('nobody here is stranger');
    expect(stranger.said).toContain('under actors.people');
    expect(await signIn('mallory')).toMatchObject({ status: 403, session: undefined });
  });

  it('is asked anew who is there before what a session is not enough for, and must have asked', async () => {
    const { page } = await signIn('ada');
    expect((await page.ask('GET', '/api/session')).body.steppedUpAt).toMatch(/^1970/);
    const registers = (on: Page) => on.ask('POST', '/api/passkeys/options');
    expect(await registers(page)).toMatchObject({
      status: 403,
      body: { error: { code: 'step_up_needed', hint: expect.stringContaining('/api/session/oidc?again') } },
    });
    const again = newPage(served);
    const asked = new URL(await leave(again, '?again'));
    expect(asked.searchParams.get('max_age')).toBe('900');
    expect((await comeBack(again, await provider.signIn(asked.href, 'ada'))).status).toBe(303);
    const { steppedUpAt } = (await again.ask('GET', '/api/session')).body;
    expect(Math.abs(Date.now() - Date.parse(steppedUpAt))).toBeLessThan(60_000);
    expect((await registers(again)).status).toBe(200);
    // A browser that takes the question out of the address gets an answer that says of no time.
    const quiet = newPage(served);
    const without = new URL(await leave(quiet, '?again'));
    without.searchParams.delete('max_age');
    expect((await comeBack(quiet, await provider.signIn(without.href, 'ada'))).status).toBe(403);
  });

  it('can’t be given a role by the provider that the configuration doesn’t give', async () => {
    const { status, said } = await signIn('edsger');
    expect(status).toBe(403);
    expect(said).toContain('no group of edsger gives a role');
  });

  it('takes an answer once, in the browser that began, with the state that it began with', async () => {
    const good = await signIn('ada');
    const again = newPage(served);
    expect((await comeBack(again, good.callback)).status, 'without a ticket').toBe(403);
    await leave(again);
    expect((await comeBack(again, good.callback)).status, 'another browser').toBe(403);
    const page = newPage(served);
    const callback = await provider.signIn(await leave(page), 'ada');
    const forged = new URL(callback);
    forged.searchParams.set('state', 'A'.repeat(43));
    expect((await comeBack(page, forged.href)).status, 'another state').toBe(403);
    const stolen = new URL(callback);
    stolen.searchParams.set('code', 'A'.repeat(43));
    expect((await comeBack(page, stolen.href)).status, 'another code').toBe(403);
    const ticket = page.cookie;
    expect((await comeBack(page, callback)).status).toBe(303);
    page.cookie = ticket;
    expect((await comeBack(page, callback)).status, 'the same once more').toBe(403);
  });

  it('tells MCP clients where tokens come from, and knows an agent by that of its platform', async () => {
    const asked = await fetch(served.mcp, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(asked.status).toBe(401);
    const [, metadata = ''] = /resource_metadata="([^"]+)"/.exec(asked.headers.get('www-authenticate') ?? '') ?? [];
    expect(metadata).toBe('https://countersign.example/.well-known/oauth-protected-resource/mcp');
    expect(await (await fetch(`${served.http}${new URL(metadata).pathname}`)).json()).toMatchObject({
      resource: AUDIENCE,
      authorization_servers: [platform.issuer],
      bearer_methods_supported: ['header'],
    });
    const good = { sub: SUBJECT, aud: AUDIENCE };
    const agent = await mcpClient({ url: served.mcp, token: await platform.token(good) });
    const opened = await agent.call('open_task', {
      purpose: 'look around',
      targets: { 'rental-production': { read: ['public.*'] } },
    });
    expect(opened).toMatchObject({ outcome: 'opened', task: { agent: 'migrator' } });
    await agent.close();
    const now = Math.floor(Date.now() / 1000);
    const stranger = (await generateKeyPair('ES256')).privateKey;
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: platform.issuer, ...good, exp: now + 60 };
    const wrong: Record<string, string> = {
      'another audience': await platform.token({ ...good, aud: 'https://other.example/mcp' }),
      'another subject': await platform.token({ ...good, sub: 'spiffe://example.com/ns/agents/sa/other' }),
      'another issuer': await platform.token({ ...good, iss: 'https://evil.example' }),
      'an old one': await platform.token({ ...good, exp: now - 60 }),
      'one for years': await platform.token({ ...good, exp: now + 365 * 86_400 }),
      'one of tomorrow': await platform.token({ ...good, nbf: now + 3600 }),
      'another key': await platform.token(good, stranger),
      'no signature': `${part({ alg: 'none' })}.${part(claims)}.`,
      'a shared secret': await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.alloc(32, 1)),
    };
    for (const [what, token] of Object.entries(wrong)) {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
      expect((await fetch(served.mcp, { method: 'POST', headers, body: '{}' })).status, what).toBe(401);
    }
  });

  it('ends with the provider’s place in the configuration', async () => {
    const { page } = await signIn('ada');
    site.edit((text) => text.slice(0, text.indexOf('  oidc:\n')));
    const status = async () => (await page.ask('GET', '/api/session')).status;
    await expect.poll(status, { timeout: 10_000, interval: 200 }).toBe(401);
    expect((await newPage(served).ask('GET', '/api/session')).body.login.oidc).toBeNull();
  });
});
