import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signDelegation } from '../../src/approval/delegation.ts';
import { signApproval } from '../../src/approval/envelope.ts';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import type { ApprovalStatement } from '../../src/domain/approval.ts';
import type { DelegationStatement } from '../../src/domain/delegation.ts';
import { digestOf, type Json } from '../../src/domain/digest.ts';
import { asId, instantOf, type PlanId } from '../../src/domain/ids.ts';
import { getPlan } from '../../src/store/plans.ts';
import { statements } from '../../src/store/schema.ts';
import { write } from '../../src/store/write.ts';
import { newAuthenticator } from '../fixtures/authenticator.ts';
import { signedInWithPasskey } from '../fixtures/browser.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { judgedByStranger } from '../fixtures/verifier.ts';

const DAY = 86_400_000;

describe.each(newest)('G4 who decides in another’s place, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let task: OpenedTask;
  let opened: Countersigner;

  beforeAll(async () => {
    site = await startSite(binaries);
    mkdirSync(join(site.directory, 'keys/people'), { recursive: true });
    const people = Object.entries({ grace: 'production', edsger: 'staging', barbara: 'staging', alan: null }).map(
      ([name, approves]) => {
        const key = createPersonKey(join(site.directory, `keys/people/${name}.key`));
        const may = approves === null ? '' : `, approves: [${approves}]`;
        return `    ${name}: { name: ${name}, publicKeys: ["${key}"]${may} }\n`;
      },
    );
    site.edit((text) =>
      `${text}\nidentity: { delegation: { longest: 14d } }\n`
        .replace('  people:\n', `  people:\n${people.join('')}`)
        .replace('environments:\n', 'environments:\n  staging: { tier: staging, owner: ada }\n')
        .replace('quorum: 1\n', 'quorum: 2\n')
        .replace('quorumUnmeasured: 1', 'quorumUnmeasured: 2'),
    );
    served = await site.serve();
    task = await site.openTask(WORK);
    opened = await openCountersigner(site);
  }, 60_000);
  afterAll(async () => {
    await opened?.close();
    await site?.remove();
  });

  async function propose(id: number, by = task): Promise<string> {
    const mcp = await mcpClient(by.mcp);
    const sql = `DELETE FROM customers WHERE id = ${id} OR id = ${id} + 1 AND true`;
    const whole = `${sql} OR full_name = 'x'`;
    const { plan } = await mcp.call('execute_sql', { target: 'rental-production', sql: whole });
    await mcp.close();
    return (plan as { id: string }).id;
  }
  const person = (name: string) => personNamed(opened.countersign, name, null);

  async function delegation(by: string, to: string, change: Partial<DelegationStatement> = {}, key = by) {
    const at = Date.now();
    const statement: DelegationStatement = {
      type: 'https://countersign.dev/delegation/v1',
      person: person(by).id,
      to: asId(to),
      environment: asId('production'),
      reason: 'on holiday',
      at: instantOf(at),
      until: instantOf(at + 7 * DAY),
      ...change,
    };
    const envelope = signDelegation(statement, keyOf(opened.countersign, person(key), undefined));
    const answer = await opened.countersign.delegations.receive(envelope);
    return 'refused' in answer ? answer.refused.message : answer.delegation.id;
  }

  async function approve(plan: string, by: string, named?: string): Promise<string | number> {
    const record = await getPlan(opened.countersign.store, asId<PlanId>(plan));
    if (record === undefined) throw new Error(`there is no plan ${plan}`);
    const statement: ApprovalStatement = {
      type: 'https://countersign.dev/approval/v1',
      plan: record.id,
      environment: record.plan.environment,
      identity: digestOf(record.plan.identity as unknown as Json),
      person: person(by).id,
      ...(named === undefined ? {} : { delegation: named }),
      verdict: 'approve',
      reason: '',
      at: instantOf(Date.now()),
    };
    const signed = signApproval(statement, keyOf(opened.countersign, person(by), undefined));
    const answer = await opened.countersign.receiveVerdict(signed);
    return 'refused' in answer ? answer.refused.message : answer.plan.approvalsMissing;
  }
  const apply = async (plan: string) => {
    const reply = await opened.apply(plan);
    return reply.reply === 'refused' ? reply.refusal.message : reply.reply;
  };

  it('is somebody whom a person names before they are away: shown, counted, proven', async () => {
    const until = new Date(Date.now() + 3 * DAY).toISOString().slice(0, 10);
    const args = ['--to', 'edsger', '--environment', 'production', '--until', until, '--reason', 'on holiday'];
    const given = await site.ask<{ delegation: string }>('person', 'delegate', '--as', 'grace', ...args);
    const plan = await propose(31);
    expect((await site.run('plan', 'approve', plan, '--as', 'edsger')).stdout).toContain('1 more must countersign');
    expect((await site.run('plan', 'show', plan)).stdout).toContain('edsger, in the place of grace,');
    // Who is away and who stands in for them are one.
    expect(await approve(plan, 'grace')).toBe(1);
    expect(await apply(plan)).toContain('not approved');
    expect(await approve(plan, 'ada')).toBe(0);
    expect(await apply(plan)).toBe('applied');
    expect(await asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers WHERE id = 31')).toHaveLength(0);
    expect((await site.run('ledger', 'verify')).stdout).toContain('edsger countersigned in the place of grace');
    const judged = await judgedByStranger(site);
    if (judged !== null) expect(judged).toMatchObject({ code: 0, delegated: 1 });
    expect((await site.run('person', 'delegations')).stdout).toMatch(
      /stands +delegation_.*edsger in the place of grace/,
    );

    // What was signed by it counts no more once it has ended, nor does what comes.
    const waiting = await propose(33);
    expect(await approve(waiting, 'edsger', given.delegation)).toBe(1);
    expect(await approve(waiting, 'ada')).toBe(0);
    await site.ask('person', 'end-delegation', given.delegation, '--as', 'grace', '--reason', 'I am back');
    expect(await apply(waiting)).toContain('not approved: 1 more person');
    expect(await approve(await propose(35), 'edsger', given.delegation)).toContain('does not stand');
    // Whoever can write the state makes it stand again: the ledger says that it ended.
    const again = statements.updateTable('delegations').set({ ended_at: null }).where('id', '=', given.delegation);
    await opened.countersign.store.commit([write(again, 1)]);
    expect(await apply(waiting)).toContain('not approved: 1 more person');
  }, 60_000);

  it('is given, used and ended with passkeys as with keys', async () => {
    const devices = { grace: newAuthenticator(), edsger: newAuthenticator(), barbara: newAuthenticator() };
    const signIn = (name: keyof typeof devices) => signedInWithPasskey(served, opened, name, devices[name]);
    const pages = { grace: await signIn('grace'), edsger: await signIn('edsger'), barbara: await signIn('barbara') };
    const asked = (name: keyof typeof devices, path: string, body: object) =>
      pages[name].ask('POST', `${path}/options`, body);
    const sign = async (name: keyof typeof devices, path: string, body: object) => {
      const { payload, options } = (await asked(name, path, body)).body;
      const assertion = devices[name].get(options, pages[name].origin);
      const { status, body: answer } = await pages[name].ask('POST', path, { payload, assertion });
      return status === 200 ? answer : String(answer.error.message);
    };
    const until = new Date(Date.now() + DAY).toISOString();
    const choices = (await pages.grace.ask('GET', '/api/delegations')).body.choices;
    expect(choices).toEqual({
      longestMs: 14 * DAY,
      where: [{ environment: 'production', to: expect.arrayContaining(['edsger', 'barbara']) }],
    });
    const given = { to: 'barbara', environment: 'production', until, reason: 'on holiday' };
    expect((await asked('grace', '/api/delegations', { ...given, environment: 'moon' })).status).toBe(403);
    expect(await sign('edsger', '/api/delegations', given)).toContain('edsger may not countersign in production');
    const { id } = (await sign('grace', '/api/delegations', given)).delegation;
    const listed = (await pages.edsger.ask('GET', '/api/delegations')).body.delegations;
    expect(listed).toContainEqual(expect.objectContaining({ id, person: 'grace', to: 'barbara', why: null }));

    const plan = await propose(37);
    const verdict = { verdict: 'approve', reason: '' };
    expect(await sign('edsger', `/api/plans/${plan}/verdict`, verdict)).toContain('edsger may not');
    const signed = (await sign('barbara', `/api/plans/${plan}/verdict`, verdict)).plan;
    expect(signed.approvals).toMatchObject([{ person: 'barbara', inPlaceOf: 'grace' }]);
    expect(await approve(plan, 'ada')).toBe(0);
    expect(await sign('edsger', `/api/delegations/${id}/end`, { reason: 'not mine' })).toContain('neither of the two');
    expect(await sign('barbara', `/api/delegations/${id}/end`, { reason: 'grace is back' })).toEqual({ ended: id });
    expect(await apply(plan)).toContain('not approved: 1 more person');
    expect((await site.run('ledger', 'verify')).code).toBe(0);
    const judged = await judgedByStranger(site);
    if (judged !== null) expect(judged).toMatchObject({ code: 0, verdict: 'sound' });
  }, 60_000);

  it('can’t be named by another, for longer, for what nobody has, further on, or for what one of the two asked for', async () => {
    const far = { until: instantOf(Date.now() + 15 * DAY) };
    expect(await delegation('grace', 'edsger', far)).toContain('longer than 14 days');
    expect(await delegation('grace', 'edsger', { until: instantOf(Date.now() - 1) })).toContain('it was good until');
    expect(await delegation('grace', 'edsger', {}, 'edsger')).toContain('no key of grace signed it');
    expect(await delegation('grace', 'alan')).toContain('alan has not the right plan.decide');
    expect(await delegation('grace', 'ada')).toContain('ada may countersign in production anyway');
    expect(await delegation('grace', 'grace')).toContain('nobody stands in for themselves');
    const one = await delegation('grace', 'edsger');
    expect(one).toMatch(/^delegation_/);
    expect(await delegation('edsger', 'barbara')).toContain('edsger may not countersign in production themselves');

    const plan = await propose(41);
    expect(await approve(plan, 'edsger')).toContain('edsger may not countersign in production');
    expect(await approve(plan, 'barbara', one)).toContain('was given to edsger');
    const elsewhere = await delegation('ada', 'edsger', { environment: asId('staging') });
    expect(elsewhere).toContain('anyway');
    for (const [name, said] of Object.entries({
      grace: 'grace, in whose place it is, asked',
      edsger: 'their own intent',
    })) {
      const file = join(site.directory, `for-${name}.yaml`);
      writeFileSync(file, WORK);
      const asked = await propose(43, await site.ask('task', 'open', '--file', file, '--on-behalf-of', name));
      expect(await approve(asked, 'edsger', one)).toContain(said);
    }
    // Two who stand in for one person are one.
    const two = await delegation('grace', 'barbara');
    expect(await approve(plan, 'edsger', one)).toBe(1);
    expect(await approve(plan, 'barbara', two)).toBe(1);
    expect(await apply(plan)).toContain('not approved');
  }, 60_000);
});
