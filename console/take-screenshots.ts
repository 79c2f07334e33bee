// Takes the pictures of docs/console and records the whole way of a change, with what was measured on it:
// node console/take-screenshots.ts (needs Debian's chromium; about a minute).
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { createPersonKey } from '../src/approval/person-key.ts';
import { consoleUrl, makePasskey, openBrowser, signIn } from '../test/fixtures/console.ts';
import { openCountersigner } from '../test/fixtures/countersigner.ts';
import { mcpClient, startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { fakeSlack, slackSettings } from '../test/fixtures/slack.ts';
import { goWholeWay, type Seen } from '../test/fixtures/whole-way.ts';
import { writeWholeWay } from './write-whole-way.ts';

const OUT = fileURLToPath(new URL('../docs/console/', import.meta.url));
const DESKTOP: BrowserContextOptions = { viewport: { width: 1280, height: 860 } };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 1.25,
  isMobile: true,
  hasTouch: true,
};

const TASK = WORK.replace(
  'write: [public.customers, public.reservations, public.vehicles, public.notes]',
  'write: [public.*]',
)
  .replace('rowsPerStatement: 100', 'rowsPerStatement: 5')
  .replace(
    'purpose: clean up old test customers',
    'purpose: remove the customers that last week’s load test left behind',
  );

const STATEMENTS = [
  "UPDATE public.customers SET email = lower(email) || '.test' WHERE id BETWEEN 1 AND 3",
  'SELECT full_name FROM public.customers WHERE id = 7',
  'DELETE FROM pg_catalog.pg_authid',
  'UPDATE public.vehicles SET daily_rate = daily_rate * 1.1 WHERE id BETWEEN 1 AND 40',
  'DROP TABLE public.damage_reports',
  'GRANT SELECT, DELETE ON public.customers TO PUBLIC',
  "-- only those that the load test made\nDELETE FROM public.customers\n WHERE email LIKE '%1@%' AND id > 20",
];

const [first] = servers;
if (first === undefined) throw new Error('no PostgreSQL server is here to take pictures before');
mkdirSync(OUT, { recursive: true });
const site = await startSite(first.binaries);
const slack = await fakeSlack();
// Two ways by which others hear of whoever acts alone.
const hooks = createServer((_request, response) => response.writeHead(204).end());
await new Promise<void>((resolve) => hooks.listen(0, resolve));
configure((hooks.address() as AddressInfo).port);
const browser = await openBrowser();
try {
  const served = await site.serve();
  const ada = await openCountersigner(site);
  const page = await signIn(await browser.newContext(DESKTOP), ada, served.http);
  await page.getByText('Nothing waits for you.').waitFor();
  await picture(page, 'empty');
  await makePasskey(page, ada);

  const task = await site.openTask(TASK);
  const agent = await mcpClient(task.mcp);
  const propose = async (sql: string) => {
    const answer = await agent.call('execute_sql', { target: 'rental-production', sql });
    return (answer['plan'] as { readonly id: string } | undefined)?.id ?? '';
  };
  const said: [Seen, string][] = [];
  const way = await goWholeWay({
    page,
    at: served.http,
    slack,
    countersigner: ada,
    headline: '29 rows deleted in public.customers',
    reason: 'Seen: all of them are of the load test.',
    propose: () => propose('DELETE FROM public.customers\n WHERE id BETWEEN 21 AND 49'),
    async seen(step, message) {
      said.push([step, message.text]);
      await picture(page, `whole-way-${step}`);
    },
  });
  writeWholeWay(`${OUT}whole-way.md`, way, { said, server: first.name, chromium: browser.version() });

  for (const sql of STATEMENTS) await propose(sql);
  await open(page, '/');
  await picture(page, 'approvals');
  await openPlan(page, /deleted in public\.customers/);
  await picture(page, 'plan');
  await page.keyboard.press('a');
  await page.getByLabel('Reason, if there is something to say').fill('Seen: all of them are of the load test.');
  await picture(page, 'approve');
  await open(page, '/tasks');
  await picture(page, 'tasks');
  await open(page, '/targets');
  await picture(page, 'targets');
  await open(page, '/halt');
  await picture(page, 'halt');
  await open(page, '/incidents');
  await picture(page, 'incidents-empty');
  await open(page, '/plans/0123456789ab');
  await picture(page, 'error');

  const urgent = await propose('UPDATE public.vehicles SET daily_rate = daily_rate WHERE id BETWEEN 1 AND 12');
  await agent.close();
  const grace = await signIn(await browser.newContext(DESKTOP), ada, served.http, 'grace');
  await makePasskey(grace, ada, 'grace');
  await open(grace, `/plans/${urgent}`);
  await picture(grace, 'plan-of-responder');
  await grace.getByRole('button', { name: 'Break the glass …' }).click();
  await grace.getByLabel('Why it can’t wait').fill('The rates are wrong since 03:10; nobody answers.');
  await grace.getByLabel(/^Type production/).fill('production');
  await picture(grace, 'act-alone');
  await grace.getByRole('button', { name: 'Sign, and apply it now' }).click();
  await grace.getByText('grace acted alone on it.').waitFor();
  await picture(grace, 'acted-alone');
  await open(page, '/incidents');
  await picture(page, 'incidents');
  await page.getByRole('button', { name: 'Review …' }).click();
  await page.getByLabel('What you make of it').fill('Right: it could not wait.');
  await picture(page, 'review');

  await open(page, '/actors');
  await page.getByRole('button', { name: 'Away? Let another decide in your place …' }).click();
  await page.getByLabel('Until').fill(localDay(7 * 86_400_000));
  await page.getByLabel('Why', { exact: true }).fill('On holiday.');
  await picture(page, 'delegate');
  await page.getByRole('button', { name: 'Sign with a passkey' }).click();
  await page.getByText('decides in their place').waitFor();
  await picture(page, 'actors');

  await open(page, '/activity');
  await picture(page, 'activity-unverified');
  await page.getByRole('button', { name: 'Verify all of it now' }).click();
  await page.getByText(/^Sound as of/).waitFor({ timeout: 60_000 });
  await picture(page, 'activity');
  await page.getByText('Check it yourself, without this gateway').click();
  await picture(page, 'activity-check-yourself');
  await open(page, '/activity?actor=nobody');
  await picture(page, 'activity-empty');

  const stranger = await (await browser.newContext(DESKTOP)).newPage();
  await stranger.goto(consoleUrl(served.http));
  await stranger.getByText('Sign in to see').waitFor();
  await picture(stranger, 'sign-in');

  const dark = await signIn(await browser.newContext({ ...DESKTOP, colorScheme: 'dark' }), ada, served.http);
  await dark.locator('.plan-line').first().waitFor();
  await openPlan(dark, /deleted in public\.customers/);
  await picture(dark, 'dark-plan');
  await open(dark, '/activity');
  await picture(dark, 'dark-activity');
  await open(dark, '/incidents');
  await picture(dark, 'dark-incidents');

  const phone = await signIn(await browser.newContext(PHONE), ada, served.http);
  await phone.locator('.plan-line').first().waitFor();
  await picture(phone, 'phone-approvals');
  await openPlan(phone, /deleted in public\.customers/);
  await picture(phone, 'phone-plan');
  await openPlan(phone, /No way back/);
  await picture(phone, 'phone-irreversible');
  await open(phone, '/activity');
  await picture(phone, 'phone-activity');
  await open(phone, '/incidents');
  await picture(phone, 'phone-incidents');
  await open(phone, '/halt');
  await picture(phone, 'phone-halt');
  await ada.close();
} finally {
  await browser.close();
  await slack.stop();
  hooks.close();
  await site.remove();
}

function configure(port: number): void {
  process.env['HOOK_SECRET'] = `whsec_${Buffer.from('a secret of the pictures, long enough').toString('base64')}`;
  mkdirSync(join(site.directory, 'keys/people'), { recursive: true });
  const person = (name: string, may: string) =>
    `    ${name.toLowerCase()}: { name: ${name}, publicKeys: ["${createPersonKey(join(site.directory, `keys/people/${name.toLowerCase()}.key`))}"], ${may} }\n`;
  const people = [person('Grace', 'breaksGlass: [production]'), person('Edsger', 'approves: [staging]')];
  const hook = (host: string) => `{ url: "http://${host}:${port}/hook", secret: "\${env:HOOK_SECRET}" }`;
  site.edit(
    (text) =>
      `${text.replace('  people:\n', `  people:\n${people.join('')}`).replace('environments:\n', 'environments:\n  staging: { tier: staging, owner: ada }\n')}
identity: { delegation: { longest: 14d } }
notifications:
  webhooks: [${hook('127.0.0.1')}, ${hook('localhost')}]
${slackSettings(slack)}`,
  );
}

/** As a field wants it: local, without a zone. */
function localDay(laterMs: number): string {
  const date = new Date(Date.now() + laterMs);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(consoleUrl(new URL(page.url()).origin) + path);
  await page.locator('.link-state[data-connection="live"]').waitFor();
  await page.locator('.waiting').waitFor({ state: 'detached' });
}

async function openPlan(page: Page, name: RegExp): Promise<void> {
  await open(page, '/');
  await page.getByRole('link', { name }).first().click();
  await page.locator('.decide').waitFor();
}

async function picture(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(150);
  await page.screenshot({ path: `${OUT}${name}.png`, animations: 'disabled' });
}
