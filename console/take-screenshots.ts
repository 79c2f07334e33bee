// Takes the pictures of docs/console and records the whole way of a change, with what was measured on it:
// node console/take-screenshots.ts (needs Debian's chromium; about a minute).
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright-core';
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
site.edit((text) => `${text}\nnotifications:\n${slackSettings(slack)}`);
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
  await open(page, '/plans/0123456789ab');
  await picture(page, 'error');

  await agent.close();
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

  const phone = await signIn(await browser.newContext(PHONE), ada, served.http);
  await phone.locator('.plan-line').first().waitFor();
  await picture(phone, 'phone-approvals');
  await openPlan(phone, /deleted in public\.customers/);
  await picture(phone, 'phone-plan');
  await openPlan(phone, /No way back/);
  await picture(phone, 'phone-irreversible');
  await open(phone, '/activity');
  await picture(phone, 'phone-activity');
  await open(phone, '/halt');
  await picture(phone, 'phone-halt');
  await ada.close();
} finally {
  await browser.close();
  await slack.stop();
  await site.remove();
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
