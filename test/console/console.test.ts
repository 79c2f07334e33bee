import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { asId, instantOf, type TargetId } from '../../src/domain/ids.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { statements } from '../../src/store/schema.ts';
import { write } from '../../src/store/write.ts';
import {
  axe,
  consoleUrl,
  EVERYTHING,
  hasBrowser,
  makePasskey,
  openBrowser,
  signIn,
  watchPage,
} from '../fixtures/console.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { type FakeSlack, fakeSlack, slackSettings } from '../fixtures/slack.ts';
import { openStateFile } from '../fixtures/state-file.ts';
import { hasPython, judgedByStranger, verifyAsStranger } from '../fixtures/verifier.ts';
import { goWholeWay } from '../fixtures/whole-way.ts';

const TASK = WORK.replace(/write: \[.*\]/, 'write: [public.*]').replace('rowsPerStatement: 100', 'rowsPerStatement: 5');
const DELETE = "DELETE FROM customers WHERE email LIKE '%1@%'";

describe.each(servers.slice(0, hasBrowser ? 1 : 0))('the console, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  let mcp: Awaited<ReturnType<typeof mcpClient>>;
  let ada: Countersigner;
  let slack: FakeSlack;
  let hooks: Server;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let misdeeds: ReturnType<typeof watchPage>;
  beforeAll(async () => {
    [site, browser, slack] = await Promise.all([startSite(binaries), openBrowser(), fakeSlack()]);
    const breakers = 'breakers: { knocking: { max: 3, within: 5m } }\n';
    mkdirSync(join(site.directory, 'keys/people'), { recursive: true });
    const key = createPersonKey(join(site.directory, 'keys/people/grace.key'));
    const grace = `    grace: { name: Grace, publicKeys: ["${key}"], breaksGlass: [production] }\n`;
    hooks = createServer((_request, response) => response.writeHead(204).end());
    await new Promise<void>((resolve) => hooks.listen(0, resolve));
    const { port } = hooks.address() as AddressInfo;
    process.env['HOOK_SECRET'] = `whsec_${Buffer.from('a secret of the test, long enough').toString('base64')}`;
    const hook = (host: string) => `{ url: "http://${host}:${port}/hook", secret: "\${env:HOOK_SECRET}" }`;
    site.edit(
      (text) =>
        `${text.replace('breakers: off\n', breakers).replace('  people:\n', `  people:\n${grace}`)}
notifications:
  webhooks: [${hook('127.0.0.1')}, ${hook('localhost')}]
${slackSettings(slack)}`,
    );
    served = await site.serve();
    task = await site.openTask(TASK);
    [mcp, ada] = await Promise.all([mcpClient(task.mcp), openCountersigner(site)]);
    context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
    page = await signIn(context, ada, served.http);
    misdeeds = watchPage(page, consoleUrl(served.http));
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await mcp?.close();
    await ada?.close();
    await slack?.stop();
    hooks?.close();
    await site?.remove();
  });

  const proposes = async (sql: string) => {
    const answer = await mcp.call('execute_sql', { target: 'rental-production', sql });
    return (
      (answer['plan'] as { id: string } | undefined)?.id ?? String(answer['detail']).match(/sha256:\w{64}/)?.[0] ?? ''
    );
  };
  const customers = async () =>
    (await asSuperuser<{ n: string }>(site.databaseUrl, 'SELECT count(*) n FROM customers'))[0]?.n;

  it('shows nothing to who is not signed in, and says how to', async () => {
    for (const path of ['plans', 'plans/abcd', 'activity', 'tasks', 'actors', 'targets', 'halts', 'events']) {
      expect([path, (await fetch(`${served.http}/api/${path}`)).status]).toEqual([path, 401]);
    }
    for (const path of ['halts', 'halts/resume', `tasks/${task.task}/close`, 'plans/abcd/apply', 'plans/abcd/undo']) {
      expect([path, (await fetch(`${served.http}/api/${path}`, { method: 'POST' })).status]).toEqual([path, 401]);
    }
    const stranger = await (await browser.newContext()).newPage();
    await stranger.goto(`${served.http}/activity`);
    await stranger.getByText('countersign console login').waitFor();
    expect(await stranger.getByRole('navigation').count()).toBe(0);
    await stranger.context().close();
  });

  it('is served whole by the gateway: strict policy, kept for ever by name, nothing beside its own pages', async () => {
    const shell = await fetch(`${served.http}/plans/abcd`);
    expect(shell.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    expect(shell.headers.get('content-security-policy')).not.toContain('unsafe');
    // As links in messages have it.
    expect((await fetch(`${served.http}/plans/sha256%3Aabcd`)).status).toBe(200);
    const html = await shell.text();
    const script = /src="(\/assets\/[^"]+\.js)"/.exec(html)?.[1] ?? '';
    const asset = await fetch(served.http + script);
    expect(asset.headers.get('cache-control')).toContain('immutable');
    const etag = shell.headers.get('etag') ?? '';
    expect((await fetch(`${served.http}/`, { headers: { 'if-none-match': etag } })).status).toBe(304);
    for (const path of ['/nothing', '/assets/../package.json', '/index.html', '/plans/a/b', '/plans/a%2fb'])
      expect((await fetch(served.http + path)).status).toBe(404);
  });

  it('makes a passkey that counts once its owner has vouched for it', async () => {
    await makePasskey(page, ada);
  });

  it('an agent proposes: Slack and the queue have it within a second; signed, applied and taken back from there', async () => {
    await page.goto(consoleUrl(served.http));
    await page.getByText('Nothing waits for you.').waitFor();
    const before = Number(await customers());
    const said: string[] = [];
    const way = await goWholeWay({
      page,
      at: served.http,
      slack,
      countersigner: ada,
      headline: '24 rows deleted in public.customers',
      reason: '24 test customers, seen',
      propose: () => proposes(DELETE),
      async seen(step, message) {
        said.push(`${step}: ${message.text.split(' in production', 1)[0]}`);
        if (step === 'proposed') await findByKeyboard();
        if (step === 'opened') {
          await page.getByText('Production', { exact: true }).waitFor();
          await page.getByText('clean up old test customers').waitFor();
          expect(await page.getByRole('img', { name: /public\.customers: 24 deleted/ }).count()).toBe(1);
        }
        if (step === 'applied') expect(await customers()).toBe(String(before - 24));
      },
    });
    expect(await customers()).toBe(String(before));
    expect(said).toEqual([
      'proposed: Waits for 1 person',
      'opened: Waits for 1 person',
      'signing: Waits for 1 person',
      'approved: Approved',
      'applied: Applied',
      'undone: Undone',
    ]);
    expect((await ada.countersign.ledger.entries({ kind: 'approval', limit: 2 }))[0]?.entry).toMatchObject({
      subject: way.plan,
      body: { person: 'ada', reason: '24 test customers, seen' },
    });
    console.log('the whole way, in ms after the plan was recorded:', JSON.stringify(way));
    // What people are promised is a second; a machine that does much else meanwhile is given time.
    expect(way.toldMs.slack).toBeLessThan(10_000);
    expect(way.toldMs.console).toBeLessThan(10_000);
  });

  async function findByKeyboard(): Promise<void> {
    await page.keyboard.press('/');
    await page.keyboard.type('no such thing');
    await page.getByText('Nothing that waits says that.').waitFor();
    await page.getByRole('searchbox').fill('customers');
    await page.getByRole('link', { name: /24 rows deleted in public\.customers/ }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: /24 rows deleted in public\.customers; \d+ more by/ }).waitFor();
  }

  it('halts and lets go on, with a reason, by who is still there, and says so on every page', async () => {
    await page.goto(`${consoleUrl(served.http)}/halt`);
    await page.getByLabel('Why', { exact: true }).fill('looking at something odd');
    await page.getByRole('button', { name: 'Halt everything' }).click();
    await page.getByText('Everything is halted.').waitFor();
    const stopped = await mcp.call('execute_sql', { target: 'rental-production', sql: 'SELECT 1' });
    expect(stopped).toMatchObject({ outcome: 'halted', code: 'CS004' });
    await page.getByRole('link', { name: 'Targets' }).click();
    await page.getByText('looking at something odd').first().waitFor();
    await page.goto(`${consoleUrl(served.http)}/halt`);
    // Somebody left the browser open: the device is asked who is there, and then it is done.
    const old = instantOf(Date.now() - 3_600_000);
    await ada.countersign.store.commit([write(statements.updateTable('person_sessions').set({ stepped_up_at: old }))]);
    await page.getByLabel('Why it may go on').fill('it was nothing');
    await page.getByRole('button', { name: 'Let it go on' }).click();
    await page.getByText('Everything is halted.').waitFor({ state: 'detached' });
    const sessions = await ada.countersign.ledger.entries({ kind: 'session', limit: 1 });
    expect(sessions[0]?.entry.body).toMatchObject({ event: 'stepped up', person: 'ada', via: 'passkey' });
    // The browser tells of every refusal: of this one, and of no other.
    expect(misdeeds.errors.splice(0)).toEqual([expect.stringContaining('403')]);
    expect(await mcp.call('execute_sql', { target: 'rental-production', sql: 'SELECT 1' })).toMatchObject({
      outcome: 'rows',
    });
  });

  it('finds what was done by who, what and where, and replays a task in order', async () => {
    const api = async (query: string) =>
      (await page.evaluate(async (asked) => (await fetch(`/api/activity?${asked}`)).json(), query)) as {
        entries: { kind: string; decision: string | null; task: string | null; index: number }[];
        next: number | null;
      };
    const byTable = await api('table=public.customers&limit=50');
    expect(byTable.entries.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['plan', 'approval', 'outcome']));
    expect((await api('decision=hold')).entries.every(({ kind }) => kind === 'plan')).toBe(true);
    expect((await api(`task=${task.task}`)).entries.every((entry) => entry.task === task.task)).toBe(true);
    expect((await api('text=looking%20at%20something')).entries.map(({ kind }) => kind)).toEqual(['halt']);
    expect((await api('until=2020-01-01T00:00:00Z')).entries).toEqual([]);
    const first = await api('limit=3');
    const second = await api(`limit=3&before=${first.next}`);
    expect(second.entries[0]?.index).toBe((first.entries[2]?.index ?? 0) - 1);
    await page.goto(`${consoleUrl(served.http)}/tasks/${task.task}`);
    await page.getByText('Took effect').first().waitFor();
    const kinds = await page.locator('.entry .kind').allInnerTexts();
    expect(kinds.slice(0, 2)).toEqual(['Task opened', 'Held']);
    expect(kinds).toEqual(expect.arrayContaining(['Signed', 'Applies', 'Took effect']));
  });

  it('hands out what filters show, the proof of an action and the whole ledger, for others to judge', async () => {
    await page.goto(`${consoleUrl(served.http)}/activity?decision=approve`);
    const rows = (await taken('CSV')).split('\r\n');
    expect(rows[0]).toMatch(/^entry,at,kind,decision,actor/);
    expect(rows.slice(1, -1).map((row) => row.split(',').slice(2, 5))).toEqual([
      ['approval', 'approve', 'ada'],
      ['approval', 'approve', 'ada'],
    ]);
    const lines = (await taken('JSON lines')).trimEnd().split('\n');
    const parsed = lines.map((line) => JSON.parse(line));
    expect(parsed[0]).toMatchObject({ countersign: 'activity/v1', filter: { decision: 'approve' } });
    expect(parsed.at(-1)).toEqual({ end: { entries: 2, complete: true, next: null, unfiled: 0 } });

    const [plan] = await ada.countersign.ledger.entries({ kind: 'plan', limit: 1 });
    await page.goto(`${consoleUrl(served.http)}/plans/${plan?.entry.subject}`);
    const proof = join(site.directory, 'taken.proof.jsonl');
    writeFileSync(proof, await taken('Take all about it in one file'));
    await page.goto(`${consoleUrl(served.http)}/activity`);
    await page.getByText('Check it yourself, without this gateway').click();
    const archive = join(site.directory, 'taken.ledger.jsonl');
    writeFileSync(archive, await taken(/^Take the whole ledger/));
    const { verifierKey } = ada.countersign.ledger;
    expect(await verifyLedger(archive, verifierKey)).toMatchObject({ verdict: 'sound', keyFrom: 'outside' });
    expect(readFileSync(archive, 'utf8')).not.toContain(task.token);
    expect(readFileSync(archive, 'utf8')).not.toContain("'%1@%'");
    if (hasPython) {
      const trust = join(site.directory, 'trust.json');
      writeFileSync(trust, JSON.stringify(await site.ask('ledger', 'trust')));
      expect(await verifyAsStranger(archive, trust)).toMatchObject({ verdict: 'sound', applied: 2 });
      expect(await verifyAsStranger(proof, trust)).toMatchObject({ verdict: 'sound', applied: 1 });
    }
  });

  it('says that the ledger is sound only once it was read whole, and that it is not when it is not', async () => {
    await page.goto(`${consoleUrl(served.http)}/activity`);
    await page.getByText('Not verified yet').waitFor();
    await page.getByText('No witness cosigns it').waitFor();
    const verify = page.getByRole('button', { name: 'Verify all of it now' });
    await verify.click();
    await page.getByText(/^Sound as of/).waitFor({ timeout: 30_000 });
    const state = openStateFile(site);
    state.exec('PRAGMA busy_timeout = 5000');
    const [old] = state.prepare("SELECT idx, entry FROM ledger_entries WHERE kind = 'approval' LIMIT 1").all();
    const put = (entry: unknown) =>
      state.prepare('UPDATE ledger_entries SET entry = ? WHERE idx = ?').run(String(entry), Number(old?.['idx']));
    put(String(old?.['entry']).replace('24 test customers', '42 test customers'));
    await verify.click();
    await page.getByRole('alert').getByText(`entry ${old?.['idx']} was changed`).waitFor({ timeout: 30_000 });
    expect(await page.getByText(/^Sound as of/).count()).toBe(0);
    expect(await (await fetch(`${served.http}/metrics`)).text()).toContain(
      'countersign_ledger_verdict{verdict="tampered"} 1',
    );
    put(old?.['entry']);
    state.close();
    await verify.click();
    await page.getByText(/^Sound as of/).waitFor({ timeout: 30_000 });
  });

  async function taken(name: string | RegExp): Promise<string> {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name }).click()]);
    const file = await download.path();
    return readFileSync(file, 'utf8');
  }

  it('tells whoever comes back what came meanwhile, and nothing twice', async () => {
    const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
    const entries = await ada.countersign.ledger.entries({ limit: 10_000 });
    const halt = entries.find(({ entry }) => entry.kind === 'halt');
    const stopped = new AbortController();
    const events = await fetch(`${served.http}/api/events`, {
      headers: { cookie, 'last-event-id': String((halt?.index ?? 0) - 1) },
      signal: stopped.signal,
    });
    let told = '';
    for await (const chunk of events.body ?? []) {
      told += Buffer.from(chunk).toString('utf8');
      if (told.includes('"resume"')) break;
    }
    stopped.abort();
    expect(told).toMatch(/^retry: \d+\nid: \d+\nevent: hello\n/);
    expect(told.match(/"kind":"halt"/g)).toHaveLength(1);
    expect(told).not.toContain('"kind":"plan"');
    expect(told).not.toContain('INSERT');
  });

  it('lets who is named act alone, said on every page until another has reviewed it', async () => {
    const plan = await proposes('DELETE FROM customers WHERE id = 61');
    const alone = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
    const grace = await signIn(alone, ada, served.http, 'grace');
    const errors = watchPage(grace, consoleUrl(served.http));
    await makePasskey(grace, ada, 'grace');
    await page.goto(`${consoleUrl(served.http)}/plans/${plan}`);
    await page.getByRole('button', { name: 'Approve …' }).waitFor();
    expect(await page.getByRole('button', { name: 'Break the glass …' }).count()).toBe(0);

    await grace.goto(`${consoleUrl(served.http)}/plans/${plan}`);
    await grace.getByRole('button', { name: 'Break the glass …' }).click();
    await grace.getByText('the countersignature of other people').waitFor();
    const act = grace.getByRole('button', { name: 'Sign, and apply it now' });
    await grace.getByLabel('Why it can’t wait').fill('orders fail since 03:10');
    expect(await act.isDisabled()).toBe(true);
    await grace.getByLabel(/^Type production/).fill('production');
    expect(await axe(grace, EVERYTHING)).toEqual([]);
    await act.click();
    await grace.getByText('Applied', { exact: true }).waitFor();
    await grace.getByText('grace acted alone on it.').waitFor();
    expect(await grace.getByRole('button', { name: 'Review …' }).count()).toBe(0);

    await page.goto(`${consoleUrl(served.http)}/targets`);
    await page.getByText('grace acted alone, and nobody has reviewed it.').waitFor();
    await page.getByRole('link', { name: 'Look at incidents' }).click();
    await page.getByText('Not reviewed yet').waitFor();
    await page.getByRole('button', { name: 'Review …' }).click();
    await page.getByLabel('What you make of it').fill('right, seen');
    await page.getByRole('button', { name: 'Sign the review' }).click();
    await page.getByText('Reviewed by ada').waitFor();
    const kinds = (await ada.countersign.ledger.entries({ subject: plan, limit: 20 })).map(({ entry }) => entry.kind);
    expect(kinds.toSorted()).toEqual(['apply', 'break-glass', 'incident review', 'intent', 'outcome', 'plan']);
    const judged = await judgedByStranger(site);
    if (judged !== null)
      expect(judged).toMatchObject({
        verdict: 'sound',
        brokenGlass: [expect.stringContaining('by break-glass of grace, reviewed by ada')],
      });
    expect(errors).toEqual({ errors: [], foreign: [] });
    await alone.close();
  });

  it('says when what it shows may be old, and catches up by itself', async () => {
    await page.goto(consoleUrl(served.http));
    await page.getByText('Live', { exact: true }).waitFor();
    await context.setOffline(true);
    await page.getByRole('link', { name: 'Targets' }).click();
    await page.getByText('The gateway does not answer.').waitFor();
    await page.getByText('Not connected: this may be old').waitFor();
    await context.setOffline(false);
    await page.getByText('checked on every connection').waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
    misdeeds.errors.length = 0;
  });

  it('shows drift and breakers with the targets, and lets go on from there', async () => {
    const target = asId<TargetId>('rental-production');
    await ada.countersign.drifts.check(target, 'ada');
    await page.goto(`${consoleUrl(served.http)}/targets`);
    await page.getByText('none: the schema is as its baseline has it').waitFor();
    await asSuperuser(site.databaseUrl, 'CREATE TABLE public.shadow (id integer)');
    await ada.countersign.drifts.check(target, 'ada');
    await page.getByText('2 objects are not as the baseline has them').click();
    await page.getByText('table public.shadow').waitFor();
    const knocking = await mcpClient((await site.openTask(WORK)).mcp);
    for (let n = 0; n < 3; n++) await knocking.call('execute_sql', { target, sql: 'DROP TABLE payments' });
    await page.getByText('Tripped').waitFor();
    await page.getByLabel('Why it may go on').fill('it was told not to');
    await page.getByRole('button', { name: 'Let it go on' }).click();
    await page.getByText('was let go on; less is enough until').waitFor();
    expect(await knocking.call('execute_sql', { target, sql: 'SELECT 1' })).toMatchObject({ outcome: 'rows' });
    await knocking.close();
    await asSuperuser(site.databaseUrl, 'DROP TABLE public.shadow');
  });

  it('axe finds nothing on any page, in light and dark', { timeout: 90_000 }, async () => {
    await proposes(DELETE);
    await proposes('DROP TABLE damage_reports');
    const paths = [
      '/',
      '/?show=ended',
      'first plan',
      '/activity',
      '/tasks',
      `/tasks/${task.task}`,
      '/actors',
      '/targets',
    ];
    for (const path of [...paths, '/halt', '/passkeys', '/incidents']) {
      await page.emulateMedia({ colorScheme: 'light' });
      await open(path);
      expect([path, await axe(page, EVERYTHING)]).toEqual([path, []]);
      await page.emulateMedia({ colorScheme: 'dark' });
      expect([path, 'dark', await axe(page, ['color-contrast'])]).toEqual([path, 'dark', []]);
    }
    const stranger = await (await browser.newContext()).newPage();
    await stranger.goto(consoleUrl(served.http));
    await stranger.getByText('Sign in to see').waitFor();
    expect(await axe(stranger, EVERYTHING)).toEqual([]);
    await stranger.context().close();
  });

  it('asked for nothing from elsewhere, and had no error to tell', () => {
    expect(misdeeds).toEqual({ errors: [], foreign: [] });
  });

  async function open(path: string): Promise<void> {
    await page.goto(consoleUrl(served.http) + (path.startsWith('/') ? path : '/'));
    await page.locator('main h1').waitFor();
    if (!path.startsWith('/')) await page.locator('.plan-line').first().click();
    await page.locator('.waiting').waitFor({ state: 'detached' });
    await page.locator('.link-state[data-connection="live"]').waitFor();
  }
});
