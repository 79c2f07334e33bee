import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newPage, type Page } from '../fixtures/browser.ts';
import { type Served, type Site, startSite } from '../fixtures/gateway.ts';
import { type StartedProvider, startProvider } from '../fixtures/oidc.ts';
import { servers } from '../fixtures/postgres.ts';

const CLIENT = { id: 'countersign', secret: 'a secret of a test that is long enough' };

const ACCOUNTS = {
  ada: { email: 'ada@example.com', email_verified: true, groups: ['dba', 'everybody'] },
  mallory: { email: 'ada@example.com', email_verified: false, groups: ['dba'] },
  'grace-4711': { email: 'whatever@example.com', email_verified: true, groups: 'audit' },
  edsger: { email: 'edsger@example.com', email_verified: true, groups: ['everybody', 'admins'] },
  stranger: { email: 'stranger@example.com', email_verified: true, groups: ['dba'] },
};

describe.each(servers.slice(0, 1))('OpenID Connect, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let provider: StartedProvider;

  beforeAll(async () => {
    provider = await startProvider(ACCOUNTS);
    site = await startSite(binaries, { scale: 0.01 });
    writeFileSync(join(site.directory, 'oidc.secret'), CLIENT.secret, { mode: 0o600 });
    const people = `    grace: { name: Grace, subject: grace-4711, roles: [auditor] }\n    edsger: { name: Edsger, email: Edsger@example.com }\n`;
    site.edit(
      (text) =>
        `${text.replace('  people:\n', `  people:\n${people}`).replace(/^( +)name: ada$/m, '$1name: ada\n$1email: ada@example.com')}
identity:
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
    await provider?.stop();
    await site?.remove();
  });

  /** The browser leaves for the provider, with a ticket in a cookie. */
  async function leave(page: Page): Promise<string> {
    const answer = await fetch(`${page.origin}/api/session/oidc`, { redirect: 'manual' });
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

  it('ends with the provider’s place in the configuration', async () => {
    const { page } = await signIn('ada');
    site.edit((text) => text.slice(0, text.indexOf('identity:\n  oidc:')));
    const status = async () => (await page.ask('GET', '/api/session')).status;
    await expect.poll(status, { timeout: 10_000, interval: 200 }).toBe(401);
    expect((await newPage(served).ask('GET', '/api/session')).body.login.oidc).toBeNull();
  });
});
