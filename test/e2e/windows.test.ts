import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { createMetrics } from '../../src/observing/metrics.ts';
import { loadGovernance } from '../../src/server/load-governance.ts';
import { openCountersign } from '../../src/server/open-countersign.ts';
import { type Running, serve } from '../../src/server/serve.ts';
import { mcpClient, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ZONE = 'Europe/Berlin';

describe.each(servers.slice(0, 1))('when production may be changed, before $name', ({ binaries }) => {
  let site: Site;
  let untouched: string;
  let running: Running | undefined;
  let task: OpenedTask;
  let clockOffsetMs = 0;

  beforeAll(async () => {
    site = await startSite(binaries);
    const keys = join(site.directory, 'keys/people');
    mkdirSync(keys, { recursive: true });
    const grace = createPersonKey(join(keys, 'grace.key'));
    site.edit((text) =>
      text
        .replace(
          '  people:\n',
          `  people:\n    grace: { name: grace, publicKeys: ["${grace}"], approves: ["*"], mayHalt: false }\n`,
        )
        .replace('rowsWithoutApproval: 100', 'rowsWithoutApproval: 50'),
    );
    site.edit((text) => {
      untouched = text;
      return text;
    });
  }, 60_000);
  afterEach(async () => {
    await running?.close();
    running = undefined;
    clockOffsetMs = 0;
  });
  afterAll(() => site?.remove());

  /** A gateway of this process, so that its clock can be set. */
  async function gateway(times: { readonly windows?: string; readonly freezes?: string }): Promise<void> {
    site.edit(() =>
      untouched
        .replace(/( {2}production:\n)( +)/, `$1$2windows: { ${times.windows ?? ''} }\n$2`)
        .concat(`\nfreezes: [${times.freezes ?? ''}]\n`),
    );
    const countersign = await openCountersign(await loadGovernance(site.config), pino({ level: 'silent' }), {
      clock: { now: () => Date.now() + clockOffsetMs },
    });
    running = await serve(countersign, 'test', pino({ level: 'silent' }), {
      metrics: createMetrics(),
      tracing: undefined,
      own: { main: fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url)), config: site.config },
    });
    task = await site.openTask(WORK.replace('expires: 2h', 'expires: 6h'));
  }

  /** A window in the zone that opens so much later than now. */
  function windowIn(ms: number): string {
    const at = new Date(Math.ceil((Date.now() + ms) / MINUTE) * MINUTE);
    const time = at.toLocaleTimeString('en-GB', { timeZone: ZONE, hour: '2-digit', minute: '2-digit' });
    return `nightly: { at: "${time}", for: 1h, timeZone: ${ZONE} }`;
  }

  function freezeFor(ms: number, override: string): string {
    const iso = (offsetMs: number) => new Date(Date.now() + offsetMs).toISOString();
    return `{ environment: production, from: "${iso(-MINUTE)}", until: "${iso(ms)}", reason: the launch, override: [${override}] }`;
  }

  async function run(sql: string): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    try {
      return await client.query(sql);
    } finally {
      await client.end();
    }
  }

  const refused = (sql: string): Promise<{ code: string; message: string; detail: string; hint: string }> =>
    run(sql).then(
      () => Promise.reject(new Error('it was not refused')),
      (error: { code: string; message: string; detail: string; hint: string }) => error,
    );

  async function status(): Promise<{ windows: unknown[]; freezes: unknown[]; plans: { missing: string[] }[] }> {
    const mcp = await mcpClient(task.mcp);
    const answer = await mcp.call('get_status');
    await mcp.close();
    return answer as Awaited<ReturnType<typeof status>>;
  }

  const planOf = (detail: string) => /Plan (sha256:[0-9a-f]{64})/.exec(detail)?.[1] ?? 'none';
  const points = async (id: number) =>
    (
      await asSuperuser<{ n: number }>(site.databaseUrl, `SELECT loyalty_points AS n FROM customers WHERE id = ${id}`)
    )[0]?.n;

  it('refuses windows that no policy heeds', async () => {
    const times = join(site.directory, 'policies/5-times.cedar');
    const text = readFileSync(times, 'utf8');
    writeFileSync(times, text.slice(0, text.indexOf('@id("outside-window")')));
    site.edit(() => untouched.replace(/( {2}production:\n)( +)/, `$1$2windows: { ${windowIn(HOUR)} }\n$2`));
    const checked = await site.run('policy', 'check');
    expect(checked).toMatchObject({ code: 2, stderr: expect.stringContaining('no policy looks at context.inWindow') });
    writeFileSync(times, text);
    const sound = await site.run('policy', 'check');
    expect(sound.stdout).toMatch(/window {3}production nightly: daily \d\d:\d\d for 1h, Europe\/Berlin/);
  }, 60_000);

  it('lets reads flow, holds a write inside the limits until the window opens, and takes approvals before', async () => {
    await gateway({ windows: windowIn(3 * HOUR) });
    const write = 'UPDATE public.customers SET loyalty_points = 9031 WHERE id = 31';
    expect((await run('SELECT 1 AS one FROM public.customers LIMIT 1')).rows).toEqual([{ one: 1 }]);

    const held = await refused(write);
    expect(held.code).toBe('CS001');
    expect(held.detail).toContain('No change window is open: update public.customers');
    expect(held.detail).toMatch(
      /It also waits for a change window; it may be applied in: .* Europe\/Berlin \(nightly; opens in (3 h|2 h 59 min)\)/,
    );
    const plan = planOf(held.detail);
    const approved = await site.ask('plan', 'approve', plan, '--as', 'grace');
    expect(approved).toMatchObject({ state: 'approved' });
    const shown = await site.run('plan', 'show', plan);
    expect(shown.stdout).toMatch(
      /waits for a change window; it may be applied in: .* Europe\/Berlin \(nightly; opens in/,
    );

    const tooEarly = await refused(write);
    expect(tooEarly).toMatchObject({ code: 'CS001', message: expect.stringContaining('No change window is open') });
    expect(tooEarly.hint).toContain('Approvals stand');
    expect(await site.run('plan', 'apply', plan, '--as', 'grace', '--json')).toMatchObject({ code: 1 });
    expect(await points(31)).not.toBe(9031);
    expect(await status()).toMatchObject({
      windows: [{ environment: 'production', open: false, window: 'nightly', timeZone: ZONE }],
      plans: [{ id: plan, state: 'approved', missing: [expect.stringContaining('it may be applied in')] }],
    });

    expect((await run('SELECT waits_for FROM countersign.plans')).rows).toEqual([
      { waits_for: expect.stringContaining('it may be applied in') },
    ]);
    expect((await run('SELECT change_window, frozen FROM countersign.status')).rows).toEqual([
      {
        change_window: expect.stringMatching(/^production: no change window is open; next: .* \(nightly/),
        frozen: null,
      },
    ]);

    clockOffsetMs = 3 * HOUR + 2 * MINUTE;
    expect(await status()).toMatchObject({ windows: [{ open: true }], plans: [{ missing: [] }] });
    expect((await run(write)).rowCount).toBe(1);
    expect(await points(31)).toBe(9031);
    expect((await site.ask('plan', 'show', plan))['state']).toBe('applied');
    expect((await run('UPDATE public.customers SET loyalty_points = 9032 WHERE id = 32')).rowCount).toBe(1);
  }, 60_000);

  it('says of a plan that was left lying when the next window opens', async () => {
    await gateway({ windows: windowIn(HOUR) });
    const write = 'UPDATE public.customers SET loyalty_points = 9034 WHERE id = 34';
    const first = await refused(write);
    clockOffsetMs = 3 * HOUR;
    const again = await refused(write);
    expect(planOf(again.detail)).toBe(planOf(first.detail));
    expect(again.detail).toMatch(/\(nightly; opens in 2[12] h/);
  }, 60_000);

  it('G6 lets what was held and then allowed run once: by itself, and no more by its plan', async () => {
    await gateway({ windows: windowIn(HOUR) });
    const write = 'UPDATE public.customers SET loyalty_points = loyalty_points + 1 WHERE id = 71';
    const before = (await points(71)) ?? 0;
    const plan = planOf((await refused(write)).detail);
    clockOffsetMs = HOUR + MINUTE;
    expect((await run(write)).rowCount).toBe(1);
    expect(await site.ask('plan', 'show', plan)).toMatchObject({
      state: 'stale',
      note: expect.stringContaining('ran by itself'),
    });
    expect((await site.run('plan', 'approve', plan, '--as', 'ada')).code).toBe(1);
    expect(await points(71)).toBe(before + 1);
  }, 60_000);

  it('holds again when the window closes, also what was begun while it was open', async () => {
    await gateway({ windows: windowIn(-10 * MINUTE) });
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    await client.query('BEGIN');
    await client.query('UPDATE public.customers SET loyalty_points = 9041 WHERE id = 41');
    clockOffsetMs = HOUR;
    await expect(client.query('COMMIT')).rejects.toMatchObject({ code: 'CS001' });
    await client.end();
    expect(await points(41)).not.toBe(9041);
  }, 60_000);

  it('opens nothing while its clock is behind what it has said', async () => {
    await gateway({ windows: windowIn(-30 * MINUTE) });
    expect((await run('UPDATE public.customers SET loyalty_points = 9051 WHERE id = 51')).rowCount).toBe(1);
    clockOffsetMs = -10 * MINUTE;
    const held = await refused('UPDATE public.customers SET loyalty_points = 9052 WHERE id = 52');
    expect(held.detail).toContain('the gateway’s went back');
    clockOffsetMs = 0;
    expect((await run('UPDATE public.customers SET loyalty_points = 9053 WHERE id = 53')).rowCount).toBe(1);
  }, 60_000);

  it('G3 lets whom the freeze names lift it, for the plan that names the freeze', async () => {
    await gateway({ freezes: freezeFor(HOUR, 'ada') });
    const write = 'UPDATE public.customers SET loyalty_points = 9061 WHERE id = 61';
    const held = await refused(write);
    expect(held.detail).toMatch(/the end of the freeze at .* \(the launch\), or the countersignature of ada/);
    expect(await status()).toMatchObject({
      freezes: [{ environment: 'production', reason: 'the launch', override: ['ada'] }],
    });
    const plan = planOf(held.detail);
    await site.ask('plan', 'approve', plan, '--as', 'grace');
    const frozen = await refused(write);
    expect(frozen).toMatchObject({ code: 'CS001', message: expect.stringContaining('The environment is frozen') });
    await site.ask('plan', 'approve', plan, '--as', 'ada', '--reason', 'the launch needs it');
    expect((await run(write)).rowCount).toBe(1);
    expect(await points(61)).toBe(9061);
  }, 60_000);

  it('G3 does not take a countersignature for a lifted freeze that it knew nothing of', async () => {
    const write = 'DELETE FROM public.customers WHERE id <= 70 AND id > 0';
    await gateway({});
    const plan = planOf((await refused(write)).detail);
    await site.ask('plan', 'approve', plan, '--as', 'ada');
    await running?.close();
    await gateway({ freezes: freezeFor(HOUR, 'ada') });
    const applied = await site.run('plan', 'apply', plan, '--as', 'ada');
    expect(applied).toMatchObject({ code: 1, stderr: expect.stringContaining('The environment is frozen') });
    expect(await points(5)).toBeDefined();
  }, 60_000);
});
