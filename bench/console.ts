import { createHash, randomBytes } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { digestOf, type Json } from '../src/domain/digest.ts';
import type { Entry } from '../src/domain/entry.ts';
import { asId, type Digest, instantOf } from '../src/domain/ids.ts';
import type { Plan } from '../src/domain/plan.ts';
import { insertPlan, listPlans } from '../src/store/plans.ts';
import { hasBrowser, openBrowser, signIn } from '../test/fixtures/console.ts';
import { type Countersigner, openCountersigner } from '../test/fixtures/countersigner.ts';
import { mcpClient, startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import type { Report } from './report.ts';

const PLANS = Number(process.env['BENCH_PLANS'] ?? 1000);
const ENTRIES = Number(process.env['BENCH_ENTRIES'] ?? 1_000_000);
const ASKED = 30;
const AT_ONCE = 2000;

/** What the console asks its gateway for, with very much waiting and a very long ledger behind it. */
export async function consoleAnswers(report: Report): Promise<void> {
  const [first] = servers;
  report.section(
    `the console, ${PLANS.toLocaleString('en-US')} plans waiting, ${ENTRIES.toLocaleString('en-US')} entries in the ledger`,
    'median ms (95 of 100)',
  );
  if (first === undefined || !hasBrowser) return report.tell('all', 'skipped: no server, or no browser');
  const site = await startSite(first.binaries, { scale: 0.02 });
  let browser: Browser | undefined;
  try {
    const served = await site.serve();
    const { task, mcp } = await site.openTask(WORK);
    const agent = await mcpClient(mcp);
    await agent.call('execute_sql', { target: 'rental-production', sql: 'TRUNCATE public.notes' });
    await agent.call('execute_sql', { target: 'rental-production', sql: 'DELETE FROM public.customers' });
    await agent.close();
    const ada = await openCountersigner(site);
    await fillPlans(ada);
    await fillLedger(ada, task);
    browser = await openBrowser();
    const context = await browser.newContext();
    const page = await signIn(context, ada, served.http);
    const filing = performance.now();
    for (let filed = 0; filed < ENTRIES; ) {
      const answer = await page.evaluate(async () => (await fetch('/api/activity?kind=plan&limit=1')).json());
      filed = (answer as { filed: number }).filed;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const filedS = (performance.now() - filing) / 1000;
    const plan = (await listPlans(ada.countersign.store, { limit: 1 }))[0]?.id ?? '';
    const last = ENTRIES - 1;
    const asked: readonly (readonly [string, string])[] = [
      ['the queue, 50 of them', 'plans?limit=50'],
      ['the queue, searched', 'plans?limit=50&text=customers'],
      ['a plan', `plans/${plan}`],
      ['the newest 60 entries', 'activity?limit=60'],
      ['those of an actor that has most of them', 'activity?limit=60&actor=migrator'],
      ['of a table that few entries touch', 'activity?limit=60&table=public.rare'],
      [
        'of an actor and a decision that are rare together',
        'activity?limit=60&actor=migrator&decision=deny&table=public.rare',
      ],
      ['a word that nothing has, 20,000 entries back', 'activity?limit=60&text=nowhere-to-be-found'],
      ['from the middle of the time', `activity?limit=60&until=${at(last / 2)}`],
      ['tasks', 'tasks?limit=30'],
    ];
    for (const [what, path] of asked) {
      const took = (await page.evaluate(
        async ([address, times]) => {
          const all: number[] = [];
          for (let n = 0; n < Number(times); n++) {
            const started = performance.now();
            const response = await fetch(`/api/${address}`);
            await response.text();
            if (!response.ok) throw new Error(`${address}: ${response.status}`);
            all.push(performance.now() - started);
          }
          return all;
        },
        [path, String(ASKED)],
      )) as number[];
      report.tell(what, figure(took));
    }
    const visible: number[] = [];
    for (let n = 0; n < 5; n++) {
      await page.goto('about:blank');
      const started = performance.now();
      await page.goto(`${served.http.replace('127.0.0.1', 'localhost')}/`);
      await page.locator('.plan-line').first().waitFor();
      visible.push(performance.now() - started);
    }
    report.tell('from opening the page to seeing the queue', figure(visible));
    report.tell('entries filed for filters, the first time', `${filedS.toFixed(0)} s for all of them`);
    await ada.close();
  } finally {
    await browser?.close();
    await site.remove();
  }
}

/** One real plan, as often as is wanted: another nonce makes it another plan. */
async function fillPlans({ countersign: { store, ledger } }: Countersigner): Promise<void> {
  const [made] = await listPlans(store, { limit: 1 });
  if (made === undefined) throw new Error('nothing was held');
  const writes = Array.from({ length: PLANS }, () => {
    const plan: Plan = { ...made.plan, nonce: randomBytes(16).toString('base64url') };
    const wish = `sha256:${createHash('sha256').update(plan.nonce).digest('hex')}`;
    const id = digestOf(plan as unknown as Json);
    return insertPlan({ id, plan, wish: asId<Digest>(wish), state: 'held', at: plan.createdAt });
  });
  await ledger.record({ entries: [entry(0, 'plan', 'sha256:many', { task: 'task_many' })], writes });
}

async function fillLedger({ countersign: { ledger } }: Countersigner, task: string): Promise<void> {
  for (let from = 0; from < ENTRIES; from += AT_ONCE) {
    const entries = Array.from({ length: Math.min(AT_ONCE, ENTRIES - from) }, (_, n) => {
      const index = from + n;
      const rare = index % 50_000 === 7;
      const table = rare ? 'public.rare' : `public.t${index % 40}`;
      const measured = [{ table, inserted: 1, updated: 0, deleted: 0, truncated: 0, via: 'direct' }];
      const target = 'rental-production';
      const body = { actor: 'migrator', task, target, channel: 'pgwire', measured, policies: ['some-policy'] };
      const statements = [{ shape: `INSERT INTO ${table} (a, b, c) VALUES ($1, $2, $3)`, commitment: `${index}` }];
      return entry(index, rare ? 'denied' : 'intent', `int_${index}`, { ...body, statements, decision: 'allow' });
    });
    await ledger.record({ entries });
  }
}

function entry(index: number, kind: Entry['kind'], subject: string, body: Json): Entry {
  return { v: 1, kind, at: instantOf(Date.parse(at(index))), subject, body };
}

/** A second after the other, up to now. */
function at(index: number): string {
  return new Date(Date.now() - (ENTRIES - Math.floor(index)) * 1000).toISOString();
}

function figure(took: readonly number[]): string {
  const sorted = [...took].sort((a, b) => a - b);
  const share = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(0);
  return `${share(0.5)} (${share(0.95)})`;
}
