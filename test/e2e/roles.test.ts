import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPersonKey } from '../../src/approval/person-key.ts';
import { approvalAgentNamed } from '../../src/cli/as-approval-agent.ts';
import { keyOf, personNamed } from '../../src/cli/as-person.ts';
import { loadConfig } from '../../src/config/load.ts';
import { PERSON_ROLES, type PersonRole } from '../../src/domain/actor.ts';
import { approvalAgentMay, mayDo, RIGHTS, type Right } from '../../src/domain/rights.ts';
import { newPage, type Page } from '../fixtures/browser.ts';
import { type Countersigner, openCountersigner } from '../fixtures/countersigner.ts';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, servers } from '../fixtures/postgres.ts';

const BY_COMMAND = ['task.open', 'values.erase', 'code.vouch', 'drift.accept', 'passkey.revoke', 'token.own'] as const;
const NO_PLAN = `sha256:${'0'.repeat(64)}`;

const WHERE: Partial<Record<PersonRole, string>> = {
  approver: ', approves: ["*"]',
  responder: ', breaksGlass: [production]',
};

/** What each right lets somebody ask of a gateway; the rights of `BY_COMMAND` have no address there. */
const ASKED: Record<
  Exclude<Right, (typeof BY_COMMAND)[number]>,
  readonly (readonly [method: string, path: string, body?: object])[]
> = {
  'plan.decide': [
    ['POST', `/api/plans/$NO_PLAN/verdict/options`, { verdict: 'approve', reason: '' }],
    ['POST', `/api/plans/$NO_PLAN/verdict`, {}],
    ['POST', '/api/delegations/options', {}],
    ['POST', '/api/delegations', {}],
  ],
  'plan.read': [
    ['GET', '/api/plans'],
    ['GET', `/api/plans/$NO_PLAN`],
  ],
  'plan.apply': [['POST', `/api/plans/$NO_PLAN/apply`, {}]],
  'change.undo': [['POST', `/api/plans/$NO_PLAN/undo`, {}]],
  'task.read': [
    ['GET', '/api/tasks'],
    ['GET', '/api/tasks/task_0000000000000000'],
    ['GET', '/api/actors'],
    ['GET', '/api/delegations'],
    ['POST', '/api/delegations/delegation_0000000000000000/end/options', { reason: 'back' }],
    ['POST', '/api/delegations/delegation_0000000000000000/end', {}],
  ],
  'task.close': [['POST', '/api/tasks/task_0000000000000000/close']],
  'target.read': [['GET', '/api/targets']],
  'halt.read': [
    ['GET', '/api/halts'],
    ['GET', '/api/breakers'],
  ],
  'halt.set': [
    ['POST', '/api/halts'],
    ['POST', '/api/halts/resume'],
  ],
  'ledger.read': [
    ['GET', '/api/activity'],
    ['GET', '/api/activity/export?limit=1'],
    ['GET', '/api/incidents'],
    ['GET', '/api/ledger'],
    ['GET', '/api/ledger/archive'],
    ['GET', '/api/ledger/proofs/task_0000000000000000'],
    ['POST', '/api/ledger/verification'],
  ],
  'glass.break': [
    ['GET', `/api/plans/${NO_PLAN}/break-glass`],
    ['POST', `/api/plans/${NO_PLAN}/break-glass/options`, { reason: 'now', standsInFor: ['approvals'] }],
    ['POST', `/api/plans/${NO_PLAN}/break-glass`, {}],
  ],
  'incident.review': [
    ['POST', '/api/incidents/incident_0000000000000000/review/options', { reason: 'seen' }],
    ['POST', '/api/incidents/incident_0000000000000000/review', {}],
  ],
  'session.read': [['GET', '/api/sessions']],
  'session.revoke': [['DELETE', '/api/sessions/session_0000000000000000']],
  'passkey.own': [
    ['GET', '/api/passkeys'],
    ['POST', '/api/passkeys/options'],
    ['POST', '/api/passkeys'],
    ['POST', '/api/passkeys/passkey_0000000000000000/confirm/options'],
    ['POST', '/api/passkeys/passkey_0000000000000000/confirm', {}],
    ['DELETE', '/api/passkeys/passkey_0000000000000000'],
  ],
};

describe.each(servers.slice(0, 1))('separation of duties, before $name', ({ binaries }) => {
  let site: Site;
  let served: Served;
  let opened: Countersigner;
  const pages = new Map<PersonRole, Page>();

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.01 });
    mkdirSync(join(site.directory, 'keys/people'), { recursive: true });
    const person = (name: string, more: string) =>
      `    ${name}: { name: ${name}, publicKeys: ["${createPersonKey(join(site.directory, `keys/people/${name}.key`))}"], ${more} }\n`;
    const people = [
      ...PERSON_ROLES.map((role) => person(role, `roles: [${role}]${WHERE[role] ?? ''}`)),
      person('chief', 'roles: [administrator, approver], approves: ["*"]'),
      person('nearby', 'requests: [development]'),
    ];
    const checker = `{ owner: ada, family: rules, publicKey: "${createPersonKey(join(site.directory, 'checker.key'))}", approves: [development] }`;
    site.edit((text) =>
      text
        .replace('  people:\n', `  people:\n${people.join('')}`)
        .replace(
          'environments:\n',
          'environments:\n  development: { tier: development, owner: ada, approvalAgents: { maxRows: 10 } }\n',
        )
        .replace('  agents:\n', `  approvalAgents:\n    checker: ${checker}\n  agents:\n`),
    );
    served = await site.serve();
    opened = await openCountersigner(site);
    for (const role of PERSON_ROLES) pages.set(role, await signedIn(role));
  });
  afterAll(async () => {
    await opened?.close();
    await site?.remove();
  });

  async function signedIn(name: string): Promise<Page> {
    const known = personNamed(opened.countersign, name, null);
    const { token } = await opened.countersign.identity.codes.offer(known, keyOf(opened.countersign, known, undefined));
    const page = newPage(served);
    await page.ask('POST', '/api/session/one-time', { token });
    return page;
  }

  async function taskFor(person: string): Promise<Awaited<ReturnType<Site['run']>>> {
    const file = join(site.directory, `for-${person}.yaml`);
    writeFileSync(file, WORK);
    return site.run('task', 'open', '--file', file, '--on-behalf-of', person, '--json');
  }

  it.each(PERSON_ROLES)('lets the %s do over HTTP what the table says, and nothing else', async (role) => {
    const page = pages.get(role);
    const says = ((await page?.ask('GET', '/api/session'))?.body.rights ?? []) as Right[];
    for (const [right, requests] of Object.entries(ASKED) as [Right, (typeof ASKED)[keyof typeof ASKED]][]) {
      const may = mayDo({ roles: [role] }, right);
      expect(says.includes(right), right).toBe(may);
      for (const [method, path, body] of requests) {
        const answer = await page?.ask(method, path, body);
        const refused = answer?.status === 403 && answer.body.error.code === 'no_right';
        expect(refused, `${role}: ${method} ${path}: ${answer?.status}`).toBe(!may);
        expect((await newPage(served).ask(method, path, body)).status, `nobody: ${method} ${path}`).toBe(401);
      }
    }
  });

  it.each(PERSON_ROLES)('lets the %s do by command what the table says, and nothing else', (role) => {
    for (const right of RIGHTS) {
      const act = () => personNamed(opened.countersign, role, right);
      if (mayDo({ roles: [role] }, right)) expect(act().id).toBe(role);
      else expect(act, right).toThrow(`${role} has not the right ${right}`);
    }
  });

  it('lets an approval agent do by command what the table says, never as a person', () => {
    for (const right of RIGHTS) {
      expect(() => personNamed(opened.countersign, 'checker', right), right).toThrow('checker is an approval agent');
      const act = () => approvalAgentNamed(opened.countersign, 'checker', right)?.id;
      if (approvalAgentMay(right)) expect(act()).toBe('checker');
      else expect(act, right).toThrow(`has not the right ${right}`);
    }
    expect(RIGHTS.filter(approvalAgentMay)).toEqual(['plan.decide']);
  });

  it('is asked by every command that acts for a person', async () => {
    const commands = [
      ['halt', '--reason', 'x'],
      ['plan', 'approve', NO_PLAN],
      ['plan', 'apply', NO_PLAN],
      ['change', 'undo', NO_PLAN],
      ['plan', 'break-glass', NO_PLAN, '--reason', 'x'],
      ['passkey', 'revoke', 'passkey_0000000000000000'],
    ];
    const ran = await Promise.all(commands.map((command) => site.run(...command, '--as', 'auditor')));
    for (const [index, { code, stderr }] of ran.entries()) {
      const last = commands[index]?.[0] === 'passkey';
      expect({ code, stderr }, commands[index]?.join(' ')).toEqual({
        code: 1,
        stderr: expect.stringContaining(last ? 'no passkey' : 'has not the right'),
      });
    }
  });

  it('holds duties apart that must not be one person’s', async () => {
    const refuses = async (change: (text: string) => string, said: string) => {
      const file = join(site.directory, 'wrong.yaml');
      const { readFileSync } = await import('node:fs');
      writeFileSync(file, change(readFileSync(site.config, 'utf8')));
      await expect(loadConfig(file)).rejects.toThrow(said);
    };
    await refuses((text) => text.replace('roles: [auditor]', 'roles: [auditor, operator]'), 'changes nothing');
    await refuses((text) => text.replace('roles: [auditor]', 'roles: [auditor], approves: ["*"]'), 'changes nothing');
    await refuses(
      (text) => text.replace('roles: [responder], breaksGlass: [production]', 'roles: [responder]'),
      'to break',
    );
    await refuses(
      (text) => text.replace('roles: [administrator]', 'roles: [administrator], breaksGlass: [production]'),
      'decides nothing alone',
    );
    await refuses((text) => text.replace('breaksGlass: [production]', 'breaksGlass: [moon]'), 'no environment moon');
    await refuses((text) => text.replace('roles: [approver], approves: ["*"]', 'roles: [approver]'), 'to approve in');
    await refuses((text) => text.replace('requests: [development]', 'requests: [moon]'), 'no environment moon');
  });

  it('lets no administrator approve alone, and counts them beside somebody else', async () => {
    const task = await site.openTask(WORK);
    const mcp = await mcpClient(task.mcp);
    const { plan } = await mcp.call('execute_sql', {
      target: 'rental-production',
      sql: 'DELETE FROM customers WHERE id BETWEEN 11 AND 13',
    });
    await mcp.close();
    const { id } = plan as { id: string };
    const approve = async (name: string) => site.ask('plan', 'approve', id, '--as', name);
    expect(await approve('chief')).toMatchObject({ state: 'held', approvalsMissing: 1 });
    expect((await site.run('plan', 'apply', id, '--as', 'chief')).code).toBe(1);
    expect(await approve('approver')).toMatchObject({ state: 'approved', approvalsMissing: 0 });
    expect(await asSuperuser(site.databaseUrl, 'SELECT 1 FROM customers WHERE id = 11')).toHaveLength(1);
  });

  it('gives an agent no more than whom it acts for, also when they may less later', async () => {
    expect((await taskFor('nearby')).stderr).toContain('No agent may act for nearby in production');
    expect((await taskFor('auditor')).stderr).toContain('No agent may act for auditor in production');
    const task = (await taskFor('requester')).json<OpenedTask>();
    const reads = async () => {
      const client = new pg.Client({ connectionString: task.postgres });
      try {
        await client.connect();
        return String((await client.query('SELECT count(*) FROM customers')).rowCount);
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      } finally {
        await client.end().catch(() => undefined);
      }
    };
    expect(await reads()).toBe('1');
    site.edit((text) => text.replace('roles: [requester]', 'roles: [requester], requests: [development]'));
    await expect.poll(reads, { timeout: 15_000, interval: 300 }).toContain('No agent may act for requester');
  });
});
