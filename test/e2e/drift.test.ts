import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Deviation } from '../../src/domain/drift.ts';
import type { EntryKind } from '../../src/domain/entry.ts';
import { type ActorId, asId } from '../../src/domain/ids.ts';
import { plansInState } from '../../src/store/plans.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { openStateFile } from '../fixtures/state-file.ts';

const PATIENCE = { timeout: 30_000, interval: 100 };

interface Look {
  readonly objects: number;
  readonly schema: string;
  readonly deviations: readonly Deviation[];
}

describe.each(servers.slice(0, 1))('drift of a target, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  let ada: Countersigner;
  const told: { type: string; data: Record<string, unknown> }[] = [];
  const receiver = createServer(async (request, response) => {
    told.push(JSON.parse(await text(request)));
    response.end();
  });

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.01, schema: 'CREATE TABLE public.scrap (id integer PRIMARY KEY)' });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    writeFileSync(join(site.directory, 'keys/webhook'), `whsec_${Buffer.alloc(32).toString('base64')}`, {
      mode: 0o600,
    });
    site.edit((config) =>
      `${config}\nnotifications:\n  webhooks: [{ url: '${hook}', secret: '\${file:keys/webhook}' }]\n`.replace(
        /^( {4}credentials:\n)/m,
        '    drift: { every: 1m }\n$1',
      ),
    );
    ada = await openCountersigner(site);
  }, 120_000);
  afterAll(async () => {
    receiver.close();
    await served?.stop();
    await ada?.close();
    await site?.remove();
  });

  const sql = (...commands: string[]) => asSuperuser(site.databaseUrl, commands.join(';'));
  const look = async (...args: string[]) =>
    (await site.run('drift', 'show', 'rental-production', ...args, '--json')).json<Look>();
  const named = async () => {
    const seen = await ada.countersign.drifts.look(asId('rental-production'));
    return 'refused' in seen
      ? seen.refused.message
      : seen.deviations.map(({ object, change }) => `${change} ${object}`);
  };
  const entries = async (kind: EntryKind) =>
    (await ada.countersign.ledger.entries({ kind, limit: 100 })).map(({ entry }) => ({
      body: entry.body as Record<string, unknown>,
    }));
  const carryOut = async (plan: string) => {
    await ada.approve(plan);
    expect(await ada.apply(plan)).toMatchObject({ reply: 'applied' });
  };

  it('has no baseline before the first look, and what is there is it from then on', async () => {
    expect((await site.run('drift', 'show', 'rental-production')).stderr).toContain('has no baseline yet');
    served = await site.serve();
    await expect.poll(async () => (await entries('baseline')).length, PATIENCE).toBe(1);
    const first = await site.run('drift', 'check');
    expect([first.code, first.stdout]).toEqual([0, expect.stringContaining('as it should be')]);
    expect(await entries('drift')).toEqual([]);
  }, 60_000);

  it('is not what a task brings with it: logins and their grants come and go', async () => {
    task = await site.openTask(WORK.replace(/write: \[.*\]/, 'write: [public.*]'));
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    await client.query('SELECT count(*) FROM customers');
    await client.end();
    expect(await named()).toEqual([]);
  }, 60_000);

  it('is found object by object, with what was and what is', async () => {
    await sql(
      'CREATE TABLE public.shadow (id integer PRIMARY KEY)',
      // Under a name that looks like one of ours.
      'CREATE FUNCTION public.quiet() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$',
      'CREATE TRIGGER "~countersign_look" BEFORE INSERT ON public.shadow FOR EACH ROW EXECUTE FUNCTION public.quiet()',
      'ALTER TABLE public.customers ADD COLUMN loophole text',
      'ALTER TABLE public.customers ENABLE ROW LEVEL SECURITY',
      'CREATE ROLE somebody',
      'GRANT SELECT ON public.payments TO somebody',
      "ALTER DATABASE rental SET app.secret = 'hunter2'",
      'ALTER DATABASE rental SET work_mem = 1024',
    );
    const shown = await site.run('drift', 'show', 'rental-production');
    expect(shown.code).toBe(1);
    expect(shown.stdout).toMatch(/rental-production drifts: \d+ objects: \d+ added, 2 changed/);
    for (const line of [
      '+ table public.shadow',
      '+ trigger public.shadow.~countersign_look',
      '+ column public.customers.loophole',
      '    type: text',
      '~ table public.customers',
      '    row security: (none) → yes',
      '~ table public.payments',
      '    grants + somebody: SELECT',
      '+ role somebody',
      '+ setting work_mem',
      'PostgreSQL doesn’t keep who changes a schema',
    ])
      expect(shown.stdout).toContain(line);
    expect(shown.stdout).not.toContain('hunter2');
    const checked = await site.run('drift', 'check', 'rental-production');
    expect([checked.code, checked.stdout]).toEqual([1, expect.stringContaining('DRIFT')]);
  }, 60_000);

  it('is recorded once and told to the owner, whoever finds it', async () => {
    await site.run('drift', 'check');
    const found = await entries('drift');
    expect(found).toHaveLength(1);
    await expect.poll(() => told.map(({ type }) => type), PATIENCE).toEqual(['drift.found']);
    expect(told[0]?.data).toMatchObject({ target: 'rental-production', owner: 'ada' });
    const page = await (await fetch(`${served.http}/metrics`)).text();
    expect(page).toMatch(/^countersign_drift_objects\{target="rental-production"\} [1-9]/m);
    const doctor = await site.run('doctor', '--json');
    const { findings } = doctor.json<{ findings: { id: string; verdict: string }[] }>();
    expect(findings.find(({ id }) => id === 'drift.found')?.verdict).toBe('warn');
  }, 60_000);

  it('stands on a plan that is made meanwhile, and is not what that plan does', async () => {
    const before = await named();
    const { plan } = await heldPlan('DROP TABLE scrap');
    expect((await site.run('plan', 'show', plan)).stdout).toMatch(
      /^drift +\d+ objects are not as the baseline has them/m,
    );
    await carryOut(plan);
    expect(await named()).toEqual(before);
    await site.run('drift', 'check');
    expect(await named()).toEqual(before);
    expect((await entries('baseline')).at(-1)?.body).toMatchObject({ how: 'applied plans', plans: [plan] });
    const undo = { change: plan, askedBy: asId<ActorId>('ada'), channel: 'cli', keepNewer: false } as const;
    const back = await ada.countersign.changes.undo(undo);
    await carryOut('refused' in back ? back.refused.message : back.plan.id);
    expect(await named()).toEqual(before);
  }, 60_000);

  it('stays drift where a plan alters what had drifted before', async () => {
    for (const statement of [
      'ALTER TABLE customers ADD COLUMN fine text',
      'CREATE INDEX CONCURRENTLY late ON vehicles (id)',
    ]) {
      const { plan } = await heldPlan(statement);
      await carryOut(plan);
    }
    const names = await named();
    expect(names).toContain('changed table public.customers');
    expect(names).not.toContain('added column public.customers.fine');
    expect(names).not.toContain('added index public.late');
  }, 60_000);

  it('is the baseline once a person signs what they have looked at', async () => {
    const { schema } = await look();
    await sql('CREATE TABLE public.meanwhile ()');
    const accept = (...more: string[]) =>
      site.run('drift', 'accept', 'rental-production', '--as', 'ada', '--reason', 'the hotfix of last night', ...more);
    const stale = await accept('--schema', schema);
    expect([stale.code, stale.stderr]).toEqual([1, expect.stringContaining('by now')]);
    expect((await accept('--schema', (await look()).schema)).stdout).toContain('ada has accepted');
    expect(await named()).toEqual([]);
    expect((await site.run('drift', 'check')).code).toBe(0);
    const [accepted] = (await entries('baseline')).filter(({ body }) => body['how'] === 'accepted');
    expect(accepted?.body).toMatchObject({ person: 'ada', reason: 'the hotfix of last night' });
    await expect.poll(() => told.map(({ type }) => type), PATIENCE).toContain('drift.ended');
  }, 60_000);

  it('is not hidden by whoever writes another baseline into the state', async () => {
    await sql('DROP TABLE public.meanwhile');
    const state = openStateFile(site);
    const row = state.prepare('SELECT definitions FROM baselines').get() as { definitions: string };
    const without = (JSON.parse(row.definitions) as [string, string][]).filter(([name]) => !name.includes('meanwhile'));
    state.prepare('UPDATE baselines SET definitions = ?').run(JSON.stringify(without));
    state.close();
    const checked = await site.run('drift', 'check');
    expect([checked.code, checked.stderr]).toEqual([3, expect.stringContaining('is not the one that the ledger says')]);
    await site.ask('drift', 'accept', 'rental-production', '--as', 'ada', '--reason', 'looked at by hand');
    expect((await site.run('drift', 'check')).code).toBe(0);
  }, 60_000);

  it('is also what one environment has otherwise than another', async () => {
    await asSuperuser(site.server.url('postgres'), 'CREATE DATABASE staging');
    await asSuperuser(site.server.url('staging'), 'CREATE TABLE public.tried_out (id integer)');
    const staging = ['--database', site.server.url('staging'), '--environment', 'staging', '--owner', 'ada'];
    await site.ask('init', ...staging, '--target', 'rental-staging', '--yes');
    const compared = await site.run('drift', 'show', 'rental-staging', '--against', 'rental-production');
    const [, lacks = '', has = ''] = compared.stdout.split(/lacks:\n/);
    expect([compared.code, lacks, has]).toEqual([
      1,
      expect.stringContaining('+ table public.tried_out'),
      expect.stringContaining('- table public.customers'),
    ]);
  }, 90_000);

  async function heldPlan(statement: string): Promise<{ readonly plan: string }> {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    const refused = await client.query(statement).catch((error: pg.DatabaseError) => error.code);
    await client.end();
    expect(refused).toBe('CS001');
    const [held] = await plansInState(ada.countersign.store, 'held');
    return { plan: held?.id ?? '' };
  }
});
