import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signBreakGlass } from '../../src/approval/break-glass.ts';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import type { BreakGlassStatement } from '../../src/domain/break-glass.ts';
import { canonicalJson, digestOf, type Json } from '../../src/domain/digest.ts';
import { type ActorId, asId, instantOf, type PlanId } from '../../src/domain/ids.ts';
import { glassOf } from '../../src/server/glass.ts';
import { insertIncident } from '../../src/store/incidents.ts';
import { getPlan, transition } from '../../src/store/plans.ts';
import { type Authenticator, newAuthenticator } from '../fixtures/authenticator.ts';
import { newPage, signedInWithPasskey } from '../fixtures/browser.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { type Ran, countersign as run } from '../fixtures/run-command.ts';
import { judgedByStranger } from '../fixtures/verifier.ts';

const SECRET = `whsec_${Buffer.from('a secret of the test, long enough').toString('base64')}`;
const HOUR = 3_600_000;

describe.each(newest)('G4 a person acts alone, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  let hooks: Server;
  let mail: SMTPServer;
  let opened: Countersigner;
  let email = '';
  const grace = asId<ActorId>('grace');
  const told: { readonly type: string; readonly data: { readonly headline: string; readonly incident?: string } }[] =
    [];
  const mails: string[] = [];

  beforeAll(async () => {
    site = await startSite(binaries);
    mkdirSync(join(site.directory, 'keys/people'), { recursive: true });
    const person = (name: string, may: string) => {
      const key = createPersonKey(join(site.directory, `keys/people/${name}.key`));
      return `    ${name}: { name: ${name}, email: ${name}@example.com, publicKeys: ["${key}"], ${may} }\n`;
    };
    const people = [
      person('grace', 'breaksGlass: [production]'),
      person('barbara', 'breaksGlass: [staging]'),
      person('edsger', 'approves: [production]'),
      person('judge', 'roles: [auditor]'),
    ];
    hooks = createServer(async (request, response) => {
      told.push(JSON.parse(await text(request)));
      response.writeHead(204).end();
    });
    mail = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      async onData(stream, session, done) {
        mails.push(`To ${session.envelope.rcptTo.map(({ address }) => address).join()}\n${await text(stream)}`);
        done();
      },
    });
    await new Promise<void>((resolve) => hooks.listen(0, '127.0.0.1', resolve));
    await new Promise<void>((resolve) => mail.listen(0, '127.0.0.1', resolve));
    const port = (hooks.address() as AddressInfo).port;
    const smtp = (mail.server.address() as AddressInfo).port;
    email = `  email: { server: "smtp://127.0.0.1:${smtp}", from: countersign@example.com }\n  escalation: [{ after: 1s, to: [edsger] }]\n`;
    const iso = (offsetMs: number) => new Date(Date.now() + offsetMs).toISOString();
    process.env['HOOK_SECRET'] = SECRET;
    site.edit(
      (config) =>
        `${config
          .replace('  people:\n', `  people:\n${people.join('')}`)
          .replace('environments:\n', 'environments:\n  staging: { tier: staging, owner: ada }\n')
          .replace('quorum: 1\n', 'quorum: 2\n')
          .replace('quorumUnmeasured: 1', 'quorumUnmeasured: 2')}
freezes: [{ environment: production, from: "${iso(-HOUR)}", until: "${iso(HOUR)}", reason: the launch }]
notifications:
  webhooks: [{ url: "http://127.0.0.1:${port}/hook", secret: "\${env:HOOK_SECRET}" }, { url: "http://127.0.0.1:${port}/other", secret: "\${env:HOOK_SECRET}" }]
${email}`,
    );
    served = await site.serve();
    task = await site.openTask(WORK);
    opened = await openCountersigner(site);
  }, 60_000);
  afterAll(async () => {
    await opened?.close();
    await served?.stop();
    hooks?.close();
    await new Promise<void>((resolve) => (mail === undefined ? resolve() : mail.close(() => resolve())));
    await site?.remove();
  });

  async function propose(id: number, by = task): Promise<string> {
    const mcp = await mcpClient(by.mcp);
    const sql = `DELETE FROM customers WHERE id = ${id}`;
    const { outcome, plan } = await mcp.call('execute_sql', { target: 'rental-production', sql });
    await mcp.close();
    expect(outcome).toBe('held');
    return (plan as { id: string }).id;
  }
  const breakGlass = (plan: string, who: string, ...more: string[]): Promise<Ran> =>
    run(
      [
        'plan',
        'break-glass',
        plan,
        '--as',
        who,
        '--reason',
        'the site is down',
        '--json',
        '--config',
        site.config,
        ...more,
      ],
      { cwd: site.directory },
    );
  const isThere = async (id: number) =>
    (await asSuperuser(site.databaseUrl, `SELECT 1 FROM customers WHERE id = ${id}`)).length === 1;
  const kindsOf = async (plan: string) => {
    const entries = await opened.countersign.ledger.entries({ subject: plan, limit: 100 });
    return entries.map(({ entry }) => entry.kind).toSorted();
  };

  async function signed(plan: string, change: Partial<BreakGlassStatement> = {}, by = 'grace') {
    const record = await getPlan(opened.countersign.store, asId<PlanId>(plan));
    if (record === undefined) throw new Error(`there is no plan ${plan}`);
    const at = Date.now();
    const statement: BreakGlassStatement = {
      type: 'https://countersign.dev/break-glass/v1',
      plan: record.id,
      environment: record.plan.environment,
      identity: digestOf(record.plan.identity as unknown as Json),
      person: grace,
      standsInFor: ['after freeze', 'approvals'],
      reason: 'the site is down',
      at: instantOf(at),
      until: instantOf(at + HOUR),
      ...change,
    };
    const signer = personNamed(opened.countersign, by, null);
    return signBreakGlass(statement, keyOf(opened.countersign, signer, undefined));
  }
  const apply = async (plan: string, person: string) => {
    const reply = await opened.countersign.applyPlan(asId(plan), { person: asId(person) });
    return reply.reply === 'refused' ? reply.refusal.message : reply.reply;
  };

  it('lets nobody who would not be heard, by two ways that don’t fail together', async () => {
    const plan = await propose(21);
    const unheard = join(site.directory, 'unheard.yaml');
    writeFileSync(unheard, readFileSync(site.config, 'utf8').replace(email, ''));
    expect(await breakGlass(plan, 'grace', '--config', unheard)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('only webhook 127.0.0.1'),
    });
    expect(await kindsOf(plan)).toEqual(['plan']);
    expect(await isThere(21)).toBe(true);
  });

  it('applies a plan now, without people and in a freeze; it is told, recorded, can be undone, and another reviews it', async () => {
    const plan = await propose(22);
    const broken = (await breakGlass(plan, 'grace')).json<{ incident: string; state: string; standsInFor: string[] }>();
    expect(broken).toMatchObject({ state: 'applied', standsInFor: ['after freeze', 'approvals'] });
    const { incident } = broken;
    expect(await isThere(22)).toBe(false);
    expect(await kindsOf(plan)).toEqual(['apply', 'break-glass', 'intent', 'outcome', 'plan']);
    const types = () => told.filter(({ data }) => data.incident === incident).map(({ type }) => type);
    await expect.poll(types, { timeout: 10_000 }).toContain('glass.broken');
    const mailed = (who: string, what: string) =>
      mails.filter((each) => each.startsWith(`To ${who}@`) && each.replaceAll('=\r\n', '').includes(what)).length;
    await expect.poll(() => mailed('judge', incident), { timeout: 10_000 }).toBe(1);
    await expect.poll(() => mailed('edsger', 'Nobody has reviewed it'), { timeout: 10_000 }).toBe(1);

    expect((await site.run('doctor')).stdout).toContain(incident);
    expect(await (await fetch(`${served.http}/metrics`)).text()).toContain('countersign_incidents_unreviewed 1');
    const review = (who: string) => site.run('incident', 'review', incident, '--as', who, '--reason', 'it was right');
    expect((await review('grace')).stderr).toContain('grace has not the right incident.review');
    expect((await review('judge')).stdout).toContain(`judge has reviewed ${incident}`);
    expect((await site.run('incident', 'show', incident)).stdout).toMatch(
      /reviewed by judge[\s\S]*grace at .*: the site is down[\s\S]*after freeze, approvals[\s\S]*break-glass[\s\S]*incident review/,
    );
    expect((await site.run('ledger', 'verify')).stdout).toContain(
      `by break-glass of grace (${incident}), reviewed by judge`,
    );
    const judged = await judgedByStranger(site);
    const alone = `plan ${plan} applied without after freeze and approvals by break-glass of grace, reviewed by judge`;
    if (judged !== null) expect(judged).toMatchObject({ code: 0, brokenGlass: [alone] });
    const undo = await site.ask<{ plan: string }>('change', 'undo', plan.slice(7, 19), '--as', 'ada');
    expect(undo.plan).toMatch(/^sha256:/);
  }, 60_000);

  it('is for nobody else: not unnamed, not elsewhere, not for one’s own intent, with no other’s key, by no agent', async () => {
    const plan = await propose(23);
    const asked = join(site.directory, 'asked.yaml');
    writeFileSync(asked, WORK);
    const own = await propose(24, await site.ask('task', 'open', '--file', asked, '--on-behalf-of', 'grace'));
    const glass = await glassOf(opened.countersign);
    const says = async (envelope: Parameters<typeof glass.receive>[0]) => {
      const answer = await glass.receive(envelope);
      return 'refused' in answer ? answer.refused.message : 'taken';
    };
    expect(await says(await signed(plan, { person: asId('ada') }, 'ada'))).toContain(
      'ada has not the right glass.break',
    );
    const barbara = await signed(plan, { person: asId('barbara') }, 'barbara');
    expect(await says(barbara)).toContain('barbara may not break the glass in production');
    expect(await says(await signed(own))).toContain('nobody breaks the glass for their own intent');
    expect(await says(await signed(plan, {}, 'edsger'))).toContain('no key of grace signed it');
    expect(await says(await signed(plan, { person: asId('migrator') }))).toContain('migrator is no person');
    expect((await breakGlass(plan, 'migrator')).stderr).toContain('migrator is an agent');
    expect((await breakGlass(own, 'grace')).stderr).toContain('nobody breaks the glass for their own intent');
    expect(await kindsOf(plan)).toEqual(['plan']);
    expect([await isThere(23), await isThere(24)]).toEqual([true, true]);
  });

  describe('with a passkey', () => {
    const [device, stranger] = [newAuthenticator(), newAuthenticator()];
    const STANDS_IN = ['after freeze', 'approvals'];
    const at = (plan: string) => `/api/plans/${plan}/break-glass`;

    const signedIn = (name: string, authenticator: Authenticator) =>
      signedInWithPasskey(served, opened, name, authenticator);

    it('it is the same act: applied, told, reviewed by another’s, and verified by both', async () => {
      const plan = await propose(28);
      const [page, judge] = [await signedIn('grace', device), await signedIn('judge', stranger)];
      expect((await page.ask('GET', at(plan))).body).toEqual({ missing: STANDS_IN });
      const asked = await page.ask('POST', `${at(plan)}/options`, { reason: 'down', standsInFor: STANDS_IN });
      const { payload, options } = asked.body;
      const broken = await page.ask('POST', at(plan), { payload, assertion: device.get(options, page.origin) });
      expect(broken).toMatchObject({
        status: 200,
        body: { state: 'applied', told: expect.arrayContaining(['email']) },
      });
      expect(await isThere(28)).toBe(false);

      const { incident } = broken.body;
      const review = `/api/incidents/${incident}/review`;
      const listed = await judge.ask('GET', '/api/incidents?unreviewed=true');
      expect(listed.body.incidents.map(({ id }: { id: string }) => id)).toContain(incident);
      expect((await page.ask('POST', `${review}/options`, { reason: 'mine' })).status).toBe(403);
      const looked = (await judge.ask('POST', `${review}/options`, { reason: 'it was right' })).body;
      const signedByOther = { payload: looked.payload, assertion: device.get(looked.options, judge.origin) };
      expect((await judge.ask('POST', review, signedByOther)).body.error.message).toContain('no passkey of judge');
      const assertion = stranger.get(looked.options, judge.origin);
      expect((await judge.ask('POST', review, { payload: looked.payload, assertion })).status).toBe(200);
      expect((await site.run('ledger', 'verify')).stdout).toContain(
        `by break-glass of grace (${incident}), reviewed by judge`,
      );
      const judged = await judgedByStranger(site);
      const alone = `plan ${plan} applied without after freeze and approvals by break-glass of grace, reviewed by judge`;
      if (judged !== null) expect(judged).toMatchObject({ code: 0, brokenGlass: expect.arrayContaining([alone]) });
    }, 60_000);

    it('nothing counts that was signed for something else, by another device, or not by a person', async () => {
      const [plan, other] = [await propose(29), await propose(30)];
      const own = newAuthenticator();
      const again = await signedIn('grace', own);
      const ask = async (of: string, standsInFor = STANDS_IN) =>
        (await again.ask('POST', `${at(of)}/options`, { reason: 'down', standsInFor })).body;
      const { payload, options } = await ask(plan);
      const says = async (of: string, body: object, from = again) => {
        const { status, body: answer } = await from.ask('POST', at(of), body);
        return status === 200 ? 'taken' : String(answer.error.message);
      };
      const assertion = own.get(options, again.origin);
      expect(await says(other, { payload, assertion })).toContain('about another plan');
      expect(await says(plan, { payload, assertion: newAuthenticator().get(options, again.origin) })).toContain(
        'no passkey of grace',
      );
      for (const wrongly of [
        { flags: 0x01 },
        { origin: 'http://evil.example' },
        { type: 'webauthn.create' },
        { by: newAuthenticator() },
      ])
        expect(await says(plan, { payload, assertion: own.get(options, again.origin, wrongly) })).toContain(
          'no key of grace',
        );
      const statement = JSON.parse(Buffer.from(payload, 'base64').toString('utf8'));
      const changed = (change: object) =>
        Buffer.from(canonicalJson({ ...statement, ...change } as Json), 'utf8').toString('base64');
      expect(await says(plan, { payload: changed({ reason: 'fine' }), assertion })).toContain(
        'no key of grace signed it',
      );
      expect(await says(plan, { payload: changed({ person: 'judge' }), assertion })).toContain('of somebody else');
      expect(await says(plan, { payload: changed({ at: instantOf(Date.now() - HOUR) }), assertion })).toContain(
        'too long ago',
      );
      // A verdict is no broken glass, nor the other way round.
      expect(
        await says(plan, { payload: changed({ type: 'https://countersign.dev/approval/v1' }), assertion }),
      ).toContain('malformed');
      expect((await ask(plan, ['approvals'])).error.message).toContain('has changed: it is after freeze, approvals');
      expect(await says(plan, { payload, assertion }, newPage(served))).toContain('Nobody is signed in');
      const { origin, cookie, csrf } = again;
      const elsewhere = Object.assign(newPage(served), { origin, cookie, csrf: `${csrf}x` });
      expect(await says(plan, { payload, assertion }, elsewhere)).toContain('does not come from a page');
      expect((await again.ask('GET', at(`sha256:${'0'.repeat(64)}`))).status).toBe(404);
      expect([await kindsOf(plan), await kindsOf(other)]).toEqual([['plan'], ['plan']]);
      expect([await isThere(29), await isThere(30)]).toEqual([true, true]);
      expect(await says(plan, { payload, assertion })).toBe('taken');
      expect(await says(plan, { payload, assertion })).toContain('applied already');
      expect((await kindsOf(plan)).filter((kind) => kind === 'break-glass')).toHaveLength(1);
    }, 60_000);
  });

  describe('whoever holds a statement', () => {
    it('can’t use it for another plan, again, later, for longer, or for what it doesn’t name', async () => {
      const { countersign } = opened;
      const glass = await glassOf(countersign);
      const [one, other] = [await propose(25), await propose(26)];
      const says = async (envelope: Parameters<typeof glass.receive>[0]) => {
        const answer = await glass.receive(envelope);
        return 'refused' in answer ? answer.refused.message : 'taken';
      };
      expect(await says(await signed(one, { standsInFor: ['approvals'] }))).toContain('no longer what was signed');
      expect(await says(await signed(one, { until: instantOf(Date.now() + 2 * HOUR) }))).toContain('more than an hour');
      expect(await says(await signed(one, { until: instantOf(Date.now() - 1) }))).toContain('it was good until');
      expect(await says(await signed(one, { environment: asId('staging') }))).toContain('another target');
      const envelope = await signed(one);
      expect(await says({ ...envelope, payload: (await signed(other)).payload })).toContain(
        'no key of grace signed it',
      );
      expect(await says(envelope)).toBe('taken');
      expect(await says(envelope)).toContain('recorded before');
      // Whoever can write the state puts it to another plan.
      const row = { plan: asId<PlanId>(other), person: grace, envelope, openedAt: instantOf(Date.now()) };
      await countersign.store.commit([insertIncident({ id: 'incident_0000000000000000', ...row })]);
      expect(await apply(other, 'grace')).toContain('not approved');
      // It is grace who acts, not whoever knows of it: neither another person nor the agent that asked.
      expect(await apply(one, 'ada')).toContain('nobody but grace applies it');
      const mcp = await mcpClient(task.mcp);
      const sql = 'DELETE FROM customers WHERE id = 25';
      expect(await mcp.call('execute_sql', { target: 'rental-production', sql })).toMatchObject({ outcome: 'held' });
      await mcp.close();
      expect([await isThere(25), await isThere(26)]).toEqual([true, true]);
      expect(await apply(one, 'grace')).toBe('applied');
      expect(await isThere(25)).toBe(false);
    }, 30_000);

    it('can’t act past a halt, nor by what stands in the state and not in the ledger', async () => {
      const plan = await propose(27);
      const glass = await glassOf(opened.countersign);
      await site.ask('halt', '--reason', 'stop', '--as', 'ada');
      await opened.countersign.halts.refresh();
      expect(await glass.receive(await signed(plan))).toMatchObject({ refused: { refused: 'halted' } });
      expect(await breakGlass(plan, 'grace')).toMatchObject({ code: 1, stderr: expect.stringContaining('stop') });
      await site.ask('resume', '--reason', 'go on', '--as', 'ada');
      await opened.countersign.halts.refresh();
      const envelope = await signed(plan);
      const row = { plan: asId<PlanId>(plan), person: grace, envelope, openedAt: instantOf(Date.now()) };
      await opened.countersign.store.commit([insertIncident({ id: 'incident_0000000000000001', ...row })]);
      const change = { note: null, at: instantOf(Date.now()) };
      await opened.countersign.store.commit([transition(asId(plan), 'held', 'approved', change)]);
      expect(await apply(plan, 'grace')).toContain('not approved');
      expect(await isThere(27)).toBe(true);
    }, 30_000);
  });
});
