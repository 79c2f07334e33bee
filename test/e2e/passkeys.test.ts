import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signPasskey } from '../../src/approval/passkey.ts';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import { canonicalJson, type Json } from '../../src/domain/digest.ts';
import { instantOf } from '../../src/domain/ids.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import { getPlan } from '../../src/store/plans.ts';
import { statements } from '../../src/store/schema.ts';
import { write } from '../../src/store/write.ts';
import { type Authenticator, newAuthenticator, type Wrongly } from '../fixtures/authenticator.ts';
import { type Answered, newPage, type Page } from '../fixtures/browser.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';
import { openStateFile } from '../fixtures/state-file.ts';
import { hasPython, judgedByStranger } from '../fixtures/verifier.ts';

describe.each(servers.slice(0, 1))('G3 G4 passkeys, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let opened: Countersigner;
  let task: OpenedTask;
  const device = newAuthenticator();
  let page: Page;

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.01 });
    const key = (name: string) => createPersonKey(join(site.directory, `keys/people/${name}.key`));
    site.edit((text) =>
      text.replace(
        '  people:\n',
        `  people:\n    grace: { name: Grace, publicKeys: ["${key('grace')}"], approves: ["*"] }\n    barbara: { name: Barbara, approves: ["*"] }\n    edsger: { name: Edsger }\n`,
      ),
    );
    served = await site.serve();
    opened = await openCountersigner(site);
    task = await site.openTask(WORK);
    page = await signedInByKey('ada');
  });
  afterAll(async () => {
    await opened?.close();
    await site?.remove();
  });

  async function signedInByKey(name: string): Promise<Page> {
    const { identity } = opened.countersign;
    const person = personNamed(opened.countersign, name, null);
    const { token } = await identity.codes.offer(person, keyOf(opened.countersign, person, undefined));
    const signedIn = newPage(served);
    expect((await signedIn.ask('POST', '/api/session/one-time', { token })).status).toBe(200);
    return signedIn;
  }

  async function register(on: Page, authenticator: Authenticator, wrongly: Wrongly = {}): Promise<Answered> {
    const options = await on.ask('POST', '/api/passkeys/options');
    expect(options.status).toBe(200);
    return on.ask('POST', '/api/passkeys', authenticator.create(options.body, on.origin, wrongly));
  }

  async function confirm(id: string, name: string): Promise<Awaited<ReturnType<typeof identityConfirm>>> {
    const statement = await opened.countersign.identity.passkeys.statement(id);
    if (statement === undefined) throw new Error(`there is no passkey ${id}`);
    const person = personNamed(opened.countersign, name, null);
    return identityConfirm(signPasskey(statement, keyOf(opened.countersign, person, undefined)));
  }
  const identityConfirm = (envelope: ReturnType<typeof signPasskey>) =>
    opened.countersign.identity.passkeys.confirm(envelope);

  async function signIn(authenticator: Authenticator, wrongly: Wrongly = {}, from = newPage(served)) {
    const { body } = await from.ask('POST', '/api/session/passkey/options');
    const answer = authenticator.get(body, from.origin, wrongly);
    return { answer, from, ...(await from.ask('POST', '/api/session/passkey', answer)) };
  }

  async function propose(sql: string): Promise<string> {
    const mcp = await mcpClient(task.mcp);
    const { plan } = await mcp.call('execute_sql', { target: 'rental-production', sql });
    await mcp.close();
    return (plan as { id: string }).id;
  }

  const ask = (on: Page, plan: string, verdict = 'approve', reason = 'I have looked') =>
    on.ask('POST', `/api/plans/${plan}/verdict/options`, { verdict, reason });

  it('are offered by name, and checked when they are registered', async () => {
    const address = newPage(served, served.http);
    const { token } = await opened.countersign.identity.codes.offer(
      personNamed(opened.countersign, 'ada', null),
      keyOf(opened.countersign, personNamed(opened.countersign, 'ada', null), undefined),
    );
    await address.ask('POST', '/api/session/one-time', { token });
    expect((await address.ask('POST', '/api/passkeys/options')).body.error.message).toContain('belong to a name');
    for (const wrongly of [
      { flags: 0x01 },
      { flags: 0x04 },
      { origin: 'http://localhost:1' },
      { rpId: 'evil.example' },
      { type: 'webauthn.get' },
      { challenge: Buffer.alloc(54).toString('base64url') },
    ])
      expect((await register(page, newAuthenticator(), wrongly)).status, JSON.stringify(wrongly)).toBe(403);
    const other = await signedInByKey('ada');
    const { body } = await page.ask('POST', '/api/passkeys/options');
    const answer = newAuthenticator().create(body, page.origin);
    expect((await other.ask('POST', '/api/passkeys', answer)).status, 'the challenge of another session').toBe(403);
  });

  it('count for nothing until their owner’s key vouches for them', async () => {
    const registered = await register(page, device);
    expect(registered).toMatchObject({ status: 201, body: { passkey: { person: 'ada', confirmed: false } } });
    const { id } = registered.body.passkey;
    expect(registered.body.confirm).toBe(`countersign passkey confirm ${id} --as ada`);
    expect((await signIn(device)).body.error.message).toContain('nobody has vouched');
    const plan = await propose('DELETE FROM customers WHERE id = 900 OR true');
    expect((await ask(page, plan)).status).toBe(403);
    expect(await confirm(id, 'grace')).toHaveProperty('refused');
    // Whoever writes the state can’t have another key vouched for under the id that she compares.
    const state = openStateFile(site);
    const change = state.prepare('UPDATE passkeys SET statement = replace(statement, ?, ?) WHERE id = ?');
    const theirs = newAuthenticator().publicKey;
    change.run(device.publicKey, theirs, id);
    expect((await site.run('passkey', 'confirm', id, '--as', 'ada', '--yes')).stderr).toContain('There is no passkey');
    change.run(theirs, device.publicKey, id);
    state.close();
    expect(await site.ask('passkey', 'confirm', id, '--as', 'ada')).toMatchObject({ passkey: { id, confirmed: true } });
    expect((await register(page, device)).body.error.message).toContain('registered already');
    await expect.poll(async () => (await signIn(device)).status, { timeout: 5000 }).toBe(200);
  });

  it('sign in once for each challenge, on this page, by this device alone', async () => {
    const good = await signIn(device);
    expect(good).toMatchObject({ status: 200, body: { person: 'ada', via: 'passkey' } });
    expect((await newPage(served).ask('POST', '/api/session/passkey', good.answer)).status, 'replayed').toBe(403);
    const stranger = newAuthenticator();
    const wrong: Wrongly[] = [
      { origin: 'http://localhost:1' },
      { origin: 'https://evil.example' },
      { rpId: 'evil.example' },
      { type: 'webauthn.create' },
      { crossOrigin: true },
      { flags: 0x01 },
      { challenge: Buffer.alloc(54, 7).toString('base64url') },
      { by: stranger },
      { counter: 1 },
    ];
    for (const wrongly of wrong) {
      expect((await signIn(device, wrongly)).status, JSON.stringify(Object.keys(wrongly))).toBe(403);
      // A success forgives, so that this address is not locked out.
      expect((await signIn(device, { counter: 100 + wrong.indexOf(wrongly) })).status).toBe(200);
    }
    expect((await signIn(stranger)).body.error.message).toContain('not registered');
  });

  it('sign the plan itself: what they signed is applied, proven, and sound for a stranger', async () => {
    const plan = await propose('DELETE FROM customers WHERE id BETWEEN 11 AND 13');
    const { status, body } = await ask(page, plan);
    expect(status).toBe(200);
    expect(body.statement).toMatchObject({ plan, environment: 'production', person: 'ada', verdict: 'approve' });
    const assertion = device.get(body.options, page.origin);
    const verdict = await page.ask('POST', `/api/plans/${plan}/verdict`, { payload: body.payload, assertion });
    expect(verdict).toMatchObject({ status: 200, body: { plan: { state: 'approved', approvalsMissing: 0 } } });
    expect(await opened.apply(plan)).toMatchObject({ reply: 'applied' });
    expect(await asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers WHERE id BETWEEN 11 AND 13')).toEqual([]);
    const entries = await opened.countersign.ledger.entries({ subject: plan, kind: 'approval', limit: 10 });
    expect(JSON.stringify(entries)).toContain('clientData');
  });

  it('sign nothing for another plan, verdict, reason, person, page, device or time', async () => {
    const [one, two] = [
      await propose('DELETE FROM customers WHERE id BETWEEN 21 AND 23'),
      await propose('DELETE FROM customers WHERE id BETWEEN 31 AND 33'),
    ];
    const { body } = await ask(page, one);
    const send = (assertion: object, payload = body.payload, plan = one, on = page) =>
      on.ask('POST', `/api/plans/${plan}/verdict`, { payload, assertion });
    const forged = (change: Record<string, Json>) =>
      Buffer.from(canonicalJson({ ...body.statement, ...change })).toString('base64');
    const good = () => device.get(body.options, page.origin);
    const refused: readonly [string, Promise<Answered>][] = [
      ['another plan in the address', send(good(), body.payload, two)],
      ['another plan in the statement', send(good(), forged({ plan: two }), two)],
      ['a rejection for an approval', send(good(), forged({ verdict: 'reject' }))],
      ['another reason', send(good(), forged({ reason: 'whatever' }))],
      ['another environment', send(good(), forged({ environment: 'staging' }))],
      ['another person', send(good(), forged({ person: 'grace' }))],
      ['another time', send(good(), forged({ at: '2026-01-01T00:00:00.000Z' }))],
      ['another page', send(device.get(body.options, page.origin, { origin: 'http://localhost:1' }))],
      ['another name', send(device.get(body.options, page.origin, { rpId: 'evil.example' }))],
      ['a frame', send(device.get(body.options, page.origin, { crossOrigin: true }))],
      ['nobody verified', send(device.get(body.options, page.origin, { flags: 0x01 }))],
      ['another device', send(device.get(body.options, page.origin, { by: newAuthenticator() }))],
      ['an unknown device', send(newAuthenticator().get(body.options, page.origin))],
      ['a sign-in', send((await signIn(device, { counter: 1000 })).answer)],
      ['somebody else’s session', send(good(), body.payload, one, await signedInByKey('grace'))],
    ];
    for (const [what, answer] of refused) expect((await answer).status, what).toBe(403);
    const { store, views } = opened.countersign;
    const record = await getPlan(store, one);
    expect(record && (await views.of(record))).toMatchObject({ state: 'held', approvals: [] });
    expect((await send(good())).status).toBe(200);
    expect((await send(good())).status, 'twice').toBeGreaterThan(400);
  });

  it('show within a session who is there, before what a browser left open must not be enough for', async () => {
    const { from } = await signIn(device);
    const graces = newAuthenticator();
    const hers = await register(await signedInByKey('grace'), graces);
    await confirm(hers.body.passkey.id, 'grace');
    const { session } = (await from.ask('GET', '/api/session')).body;
    const late = async () => {
      const old = { stepped_up_at: instantOf(Date.now() - 16 * 60_000) };
      const query = statements.updateTable('person_sessions').set(old).where('id', '=', session);
      await opened.countersign.store.commit([write(query, 1)]);
    };
    const plan = await propose('DELETE FROM customers WHERE id BETWEEN 15 AND 17');
    await opened.approve(plan);
    await late();
    const scope = { scope: 'agent', id: 'nobody-yet', reason: 'a test of ours' };
    expect((await from.ask('POST', '/api/halts', scope)).status, 'halting is for everybody, always').toBe(200);
    const acts = [
      ['/api/halts/resume', scope],
      [`/api/plans/${plan}/apply`, {}],
      [`/api/plans/${plan}/undo`, {}],
      ['/api/passkeys/options', {}],
      ['/api/passkeys', newAuthenticator().create({ challenge: 'AAAA', rp: { id: 'localhost' } }, from.origin)],
    ] as const;
    for (const [path, body] of acts)
      expect(await from.ask('POST', path, body), path).toMatchObject({
        status: 403,
        body: {
          error: { code: 'step_up_needed', hint: expect.stringContaining('countersign console login --as ada') },
        },
      });
    expect((await getPlan(opened.countersign.store, plan))?.state).toBe('approved');
    expect((await from.ask('GET', '/api/halts')).body.halts).toHaveLength(1);

    const options = async (on = from) => (await on.ask('POST', '/api/session/step-up/options')).body;
    const show = (answer: unknown) => from.ask('POST', '/api/session/step-up', answer);
    const other = await signIn(device);
    const wrong: readonly (readonly [string, unknown])[] = [
      ['nobody verified', device.get(await options(), from.origin, { flags: 0x01 })],
      ['another page', device.get(await options(), 'https://evil.example')],
      ['another name', device.get(await options(), from.origin, { rpId: 'evil.example' })],
      ['another key', device.get(await options(), from.origin, { by: newAuthenticator() })],
      ['another session’s', device.get(await options(other.from), from.origin)],
      ['a sign-in’s', device.get((await from.ask('POST', '/api/session/passkey/options')).body, from.origin)],
      ['unregistered', newAuthenticator().get(await options(), from.origin)],
      ['grace’s', graces.get(await options(), from.origin)],
      ['a verdict’s', device.get((await ask(from, plan)).body.options ?? (await options(other.from)), from.origin)],
    ];
    for (const [what, answer] of wrong) expect((await show(answer)).status, what).toBe(403);
    expect((await show({})).status).toBe(400);
    expect((await from.ask('POST', '/api/halts/resume', scope)).status, 'still').toBe(403);

    const answer = device.get(await options(), from.origin);
    expect(await show(answer)).toMatchObject({ status: 200, body: { steppedUpAt: expect.any(String) } });
    expect((await from.ask('POST', '/api/halts/resume', scope)).status).toBe(200);
    await late();
    expect((await show(answer)).status, 'the same answer again').toBe(403);
    expect((await from.ask('POST', `/api/plans/${plan}/apply`, {})).status).toBe(403);
    expect((await show(device.get(await options(), from.origin))).status).toBe(200);
    expect(await from.ask('POST', `/api/plans/${plan}/apply`, {})).toMatchObject({
      status: 200,
      body: { state: 'applied' },
    });
    const entries = await opened.countersign.ledger.entries({ subject: session, limit: 10 });
    expect(entries.filter(({ entry }) => JSON.stringify(entry).includes('"stepped up"'))).toHaveLength(2);
  });

  it('don’t let somebody decide on what they asked for, nor who has not the right', async () => {
    const before = task;
    const file = join(site.directory, 'asked.yaml');
    writeFileSync(file, WORK);
    task = await site.ask('task', 'open', '--file', file, '--on-behalf-of', 'ada');
    const plan = await propose('DELETE FROM customers WHERE id BETWEEN 41 AND 43');
    task = before;
    const { body } = await ask(page, plan);
    const assertion = device.get(body.options, page.origin);
    const answer = await page.ask('POST', `/api/plans/${plan}/verdict`, { payload: body.payload, assertion });
    expect(answer.body.error.message).toContain('nobody countersigns their own intent');
  });

  it('are a person’s first by a code of the machine, which lets them do nothing else', async () => {
    const first = newPage(served);
    for (const [name, status] of [
      ['grace', 403],
      ['barbara', 200],
    ] as const) {
      const { token } = await opened.countersign.identity.codes.offer(
        personNamed(opened.countersign, name, null),
        'the machine',
      );
      expect((await first.ask('POST', '/api/session/one-time', { token })).status, name).toBe(status);
    }
    expect((await first.ask('GET', '/api/session')).body).toMatchObject({ via: 'code', rights: ['passkey.own'] });
    const plan = await propose('DELETE FROM customers WHERE id BETWEEN 51 AND 53');
    expect((await ask(first, plan)).body.error.code).toBe('no_right');
    const key = newAuthenticator('EdDSA');
    expect((await register(first, key)).body).toMatchObject({ passkey: { confirmed: true }, confirm: null });
    await expect.poll(async () => (await signIn(key)).status, { timeout: 5000 }).toBe(200);
    expect((await first.ask('GET', '/api/session')).status, 'the code’s session is over').toBe(401);
    const { from } = await signIn(key);
    const { body } = await ask(from, plan);
    const assertion = key.get(body.options, from.origin);
    const answer = await from.ask('POST', `/api/plans/${plan}/verdict`, { payload: body.payload, assertion });
    expect(answer).toMatchObject({ status: 200, body: { plan: { state: 'approved' } } });
    const second = newAuthenticator();
    const { id } = (await register(from, second)).body.passkey;
    const toConfirm = await from.ask('POST', `/api/passkeys/${id}/confirm/options`);
    const confirmBy = (by: Authenticator, options: { challenge: string }) =>
      from.ask('POST', `/api/passkeys/${id}/confirm`, by.get({ rpId: 'localhost', ...options }, from.origin));
    expect((await confirmBy(second, toConfirm.body.options)).status, 'by itself').toBe(403);
    expect((await confirmBy(key, body.options)).status, 'by a verdict').toBe(403);
    expect((await page.ask('POST', `/api/passkeys/${id}/confirm/options`)).status, 'by somebody else').toBe(403);
    expect((await confirmBy(key, toConfirm.body.options)).body).toMatchObject({ passkey: { id, confirmed: true } });
    expect((await signIn(second)).status).toBe(200);
    expect((await verifyLedger(`${site.directory}/state/countersign.db`)).verdict).toBe('sound');
    if (hasPython) expect(await judgedByStranger(site)).toMatchObject({ verdict: 'sound', approvals: 4, applied: 2 });
  });

  it('count no more once they are taken back, with the sessions that they opened, whatever the state says then', async () => {
    const { from, body } = await signIn(device, { counter: 2000 });
    const plan = await propose('DELETE FROM customers WHERE id BETWEEN 61 AND 63');
    const asked = await ask(from, plan);
    const { passkeys } = (await from.ask('GET', '/api/passkeys')).body;
    expect(body.via).toBe('passkey');
    const state = openStateFile(site);
    const row = state.prepare('SELECT * FROM passkeys WHERE id = ?').get(passkeys[0].id) as Record<string, string>;
    expect(await opened.countersign.identity.passkeys.revoke(passkeys[0].id, 'ada', 'lost')).toBe(true);
    await expect.poll(async () => (await from.ask('GET', '/api/session')).status, { timeout: 5000 }).toBe(401);
    // Put back by whoever can write the state: the ledger says that it was taken back.
    const columns = Object.keys(row);
    state
      .prepare(`INSERT INTO passkeys (${columns.join()}) VALUES (${columns.map(() => '?').join()})`)
      .run(...Object.values(row));
    state.close();
    expect((await signIn(device, { counter: 3000 })).status).toBe(403);
    const assertion = device.get(asked.body.options, page.origin);
    const answer = await page.ask('POST', `/api/plans/${plan}/verdict`, { payload: asked.body.payload, assertion });
    expect(answer.status).toBe(403);
  });
});
