import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkApprovalAgents } from '../../src/doctor/approval-agents.ts';
import {
  checkDirectCredentials,
  credentialInVariables,
  credentialsInPasswordFile,
  credentialsInText,
} from '../../src/doctor/direct-credentials.ts';
import { type Finding, some } from '../../src/doctor/finding.ts';
import { checkMachine, type Machine } from '../../src/doctor/machine.ts';
import { checkMissingPowers } from '../../src/doctor/missing-powers.ts';
import { checkOtherWaysIn } from '../../src/doctor/other-ways-in.ts';
import { checkServer } from '../../src/doctor/server.ts';
import { checkSlack, type SlackFacts } from '../../src/doctor/slack.ts';
import { checkStatePlace } from '../../src/doctor/state-place.ts';
import { checkHttp, checkOwnTls, checkTls } from '../../src/doctor/tls.ts';
import { checkUndoOfWrites } from '../../src/doctor/undo-of-writes.ts';
import { checkWitnesses } from '../../src/doctor/witnesses.ts';
import type { Actor, Agent, ApprovalAgent, Person } from '../../src/domain/actor.ts';
import { asId, type TargetId } from '../../src/domain/ids.ts';
import type { Target } from '../../src/domain/target.ts';
import type { Examination, HbaRule } from '../../src/engines/postgres/examine.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const DAY = 86_400_000;
const verdicts = (findings: readonly Finding[]) => Object.fromEntries(findings.map(({ id, verdict }) => [id, verdict]));

const HEALTHY: Examination = {
  powers: { readsStatistics: true, endsSessions: true, boundsTempFiles: true, makesMasks: true },
  serverVersion: 180_000,
  clockAheadMs: 0,
  clientAddress: '10.1.2.3',
  encrypted: true,
  settings: new Map([['listen_addresses', '10.1.2.4']]),
  roles: [],
  relations: [],
  otherLogins: [],
  openDatabases: [],
  hbaRules: [],
  proofSchema: { wrong: [], captureFunction: 'as made', strangers: [] },
  replicationSlots: [],
};

describe('witnesses', () => {
  const one = { name: 'witness.example/one', url: 'http://w1', size: 7 };
  const far = { quorum: 2, entries: 9, waitsMs: 600_000, witnesses: [one, { ...one, name: 'two', size: 9 }] };
  it('tells who is behind, once entries have waited for long', () => {
    expect(checkWitnesses(null)).toEqual([]);
    expect(verdicts(checkWitnesses({ ...far, waitsMs: null }))).toEqual({ 'ledger.witnessed': 'ok' });
    expect(verdicts(checkWitnesses({ ...far, waitsMs: 5000 }))).toEqual({ 'ledger.witnessed': 'ok' });
    expect(checkWitnesses(far)).toMatchObject([
      {
        verdict: 'warn',
        found: expect.stringContaining('10 minutes for 2 of 2 witnesses: witness.example/one has cosigned 7 of 9'),
      },
    ]);
  });
});

describe('the way back of writes within limits', () => {
  const table = { schema: 'public', owner: 'o', kind: 'r', schemaUsable: true, readable: true, writable: true };
  const examined = {
    relations: [
      { ...table, name: 'kept', changeable: true, kept: true },
      { ...table, name: 'later', changeable: true, kept: false },
      { ...table, name: 'others', schema: 'elsewhere', changeable: true, kept: false },
    ],
  };
  const target = { id: asId<TargetId>('shop') };
  const reach = { write: ['public.*'] };
  it('is missing where it is off, and where a table was made past Countersign', () => {
    const verdict = (keepsWrites: boolean, write: readonly string[]) =>
      checkUndoOfWrites({ ...target, keepsWrites }, examined, { write }, 'init');
    expect(verdict(false, [])).toMatchObject({ verdict: 'warn', fix: expect.stringContaining('undo.writes to kept') });
    expect(verdict(true, reach.write)).toMatchObject({
      verdict: 'warn',
      found: 'nothing keeps the rows of writes to public.later',
      fix: 'init',
    });
    expect(verdict(true, ['public.kept'])).toMatchObject({ id: 'undo.writes', verdict: 'ok' });
  });
});

describe('Slack', () => {
  const well: SlackFacts = {
    secrets: [],
    team: 'T012AB3CD',
    answered: { team: 'T012AB3CD', url: 'https://test.slack.com/' },
    known: 1,
    clickable: ['staging'],
    clickableInProduction: [],
    publicUrl: 'https://countersign.example',
  };
  it.each<[string, Partial<SlackFacts>, Record<string, string>]>([
    ['is well', {}, { 'slack.team': 'ok' }],
    [
      'is of another workspace',
      { answered: { team: 'T9', url: 'https://other.slack.com/' } },
      { 'slack.team': 'fail' },
    ],
    ['can’t be reached', { answered: { code: 'unreachable', why: 'x' } }, { 'slack.reachable': 'unknown' }],
    ['knows no such token', { answered: { code: 'invalid_auth', why: 'x' } }, { 'slack.reachable': 'fail' }],
    ['has no signing secret', { secrets: ['X is not set'], answered: null }, { 'slack.secrets': 'fail' }],
    ['knows nobody', { known: 0 }, { 'slack.team': 'ok', 'slack.people': 'warn' }],
    ['can’t call back', { publicUrl: null }, { 'slack.team': 'ok', 'slack.public': 'warn' }],
    ['decides in production', { clickableInProduction: ['main'] }, { 'slack.team': 'ok', 'slack.production': 'warn' }],
  ])('%s', (_, change, found) => {
    expect(checkSlack(null)).toEqual([]);
    expect(verdicts(checkSlack({ ...well, ...change }))).toEqual(found);
  });
});

describe('approval agents', () => {
  const reviewer: ApprovalAgent = {
    kind: 'approval agent',
    id: asId('reviewer'),
    owner: asId('grace'),
    family: 'rules',
    publicKey: Buffer.alloc(32),
    approves: ['staging'],
  };
  const grace: Person = {
    kind: 'person',
    id: asId('grace'),
    name: 'Grace',
    publicKeys: [],
    passkeys: [],
    approves: ['staging'],
    breaksGlass: [],
    requests: ['*'],
    roles: ['approver'],
  };
  const migrator: Agent = {
    kind: 'agent',
    id: asId('migrator'),
    owner: asId('ada'),
    role: asId('r'),
    family: 'claude',
  };
  it.each<[string, readonly Actor[], object]>([
    ['are well', [reviewer, grace, migrator], { 'approval-agents': 'ok' }],
    ['have no owner here', [reviewer, migrator], { 'approval-agents.owner': 'warn' }],
    [
      'have one who decides elsewhere',
      [reviewer, { ...grace, approves: ['production'] }, migrator],
      { 'approval-agents.owner': 'warn' },
    ],
    [
      'have an administrator',
      [reviewer, { ...grace, roles: ['approver', 'administrator'] }, migrator],
      { 'approval-agents.owner': 'warn' },
    ],
    ['are all of one family', [reviewer, grace, { ...migrator, family: 'rules' }], { 'approval-agents.kind': 'warn' }],
    [
      'are all of one owner',
      [reviewer, grace, { ...migrator, owner: asId('grace') }],
      { 'approval-agents.kind': 'warn' },
    ],
    ['are none', [grace, migrator], {}],
  ])('%s', (_, actors, found) => {
    expect(verdicts(checkApprovalAgents(new Map(actors.map((actor) => [actor.id, actor])), new Map()))).toEqual(found);
  });
});

describe('clocks', () => {
  it.each([
    [500, 'ok'],
    [-2500, 'warn'],
    [90_000, 'fail'],
  ])('%i ms ahead: %s', (clockAheadMs, verdict) => {
    expect(verdicts(checkServer('t', { ...HEALTHY, clockAheadMs }, 'init'))['server.clock']).toBe(verdict);
  });

  const machine: Machine = {
    nodeVersion: '24.1.0',
    nowMs: NOW,
    freeBytes: 1e12,
    state: { name: '/s.db', newestEntryMs: NOW, clockAheadMs: 0, trouble: null },
  };
  it('finds a ledger that comes from the future, a full disk, and an old Node', () => {
    expect(Object.values(verdicts(checkMachine(machine)))).toEqual(['ok', 'ok', 'ok']);
    const bad = {
      ...machine,
      nodeVersion: '20.1.0',
      freeBytes: 1e7,
      state: { ...machine.state, newestEntryMs: NOW + 60_000, clockAheadMs: -9000 },
    };
    expect(verdicts(checkMachine(bad))).toEqual({
      'gateway.node': 'fail',
      'state.disk': 'fail',
      'state.skew': 'fail',
      'state.clock': 'fail',
    });
  });
});

describe('TLS', () => {
  it.each([
    ['db.example', 'disable', 'fail'],
    ['db.example', 'require', 'warn'],
    ['db.example', 'verify-full', 'ok'],
    ['127.0.0.1', 'disable', 'ok'],
    ['localhost', 'require', 'ok'],
  ] as const)('to %s with %s: %s', (host, tls, verdict) => {
    expect(checkTls('tls.target', 'target t', 'targets.t', { host, tls }).verdict).toBe(verdict);
  });

  it.each([
    ['0.0.0.0', 'fail'],
    ['::', 'fail'],
    ['10.0.0.1', 'fail'],
    ['::1', 'ok'],
    ['127.0.0.1', 'ok'],
  ])('of the HTTP channel on %s: %s', (host, verdict) => {
    expect(checkHttp(host).verdict).toBe(verdict);
  });

  it('finds the gateway’s own certificate expired or about to, and what is open to a network', () => {
    const own = (host: string, days: number, selfSigned: boolean, required: boolean) =>
      verdicts(
        checkOwnTls(
          { host, port: 6434 },
          { required, certificate: { expiresAt: new Date(NOW + days * DAY), selfSigned } },
          NOW,
        ),
      );
    expect(own('127.0.0.1', 300, true, false)).toEqual({ 'tls.gateway': 'ok' });
    expect(own('127.0.0.1', 5, true, false)).toEqual({ 'tls.certificate.expiry': 'warn' });
    expect(own('0.0.0.0', -2, true, false)).toEqual({
      'tls.certificate.expiry': 'fail',
      'tls.certificate.authority': 'warn',
      'tls.required': 'warn',
    });
    expect(verdicts(checkOwnTls({ host: '0.0.0.0', port: 1 }, null, NOW))).toEqual({ 'tls.gateway': 'fail' });
  });
});

it('finds the state on the server that it governs, and an open way to it', () => {
  const state = {
    host: 'db',
    port: 5432,
    database: 's',
    user: 'u',
    tls: 'disable',
    leaseMs: 5000,
    checkpointFile: '/c',
  } as const;
  const endpoint = { host: 'db', port: 5432, database: 'd', tls: 'verify-full' } as const;
  const target = { id: 't', endpoint } as unknown as Target;
  expect(verdicts(checkStatePlace(state, [target]))).toEqual({ 'tls.state': 'fail', 'state.place': 'warn' });
  expect(checkStatePlace('sqlite:/s.db', [target])).toEqual([]);
});

describe('pg_hba.conf', () => {
  const rule = (part: Partial<HbaRule>): HbaRule => ({
    line: 7,
    type: 'host',
    databases: ['all'],
    users: ['all'],
    address: '10.1.2.3',
    netmask: '255.255.255.255',
    method: 'scram-sha-256',
    error: null,
    ...part,
  });
  const judged = (part: Partial<HbaRule>) => {
    const endpoint = { host: 'db', port: 5432, database: 'rental', tls: 'verify-full' } as const;
    const logins = { session: 'countersign_session', apply: 'countersign_apply' };
    const all = checkOtherWaysIn('t', endpoint, logins, { ...HEALTHY, hbaRules: [rule(part)] });
    return verdicts(all.filter(({ id }) => id.startsWith('reach.hba')));
  };
  it.each<[string, Partial<HbaRule>, Record<string, string>]>([
    ['the gateway alone', {}, { 'reach.hba': 'ok' }],
    ['the server itself', { address: '127.0.0.1' }, { 'reach.hba': 'ok' }],
    ['IPv6’s loopback', { address: '::1', netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' }, { 'reach.hba': 'ok' }],
    ['another machine', { address: '10.1.2.9' }, { 'reach.hba.elsewhere': 'warn' }],
    ['the gateway’s network', { netmask: '255.255.255.0' }, { 'reach.hba.elsewhere': 'warn' }],
    ['everywhere, IPv4', { address: '0.0.0.0', netmask: '0.0.0.0' }, { 'reach.hba.elsewhere': 'fail' }],
    ['everywhere, IPv6', { address: '::', netmask: '::' }, { 'reach.hba.elsewhere': 'fail' }],
    ['everywhere by name', { address: 'all', netmask: null }, { 'reach.hba.elsewhere': 'fail' }],
    [
      'half of all, with a loopback’s beginning',
      { address: '127.0.0.1', netmask: '128.0.0.0' },
      { 'reach.hba.elsewhere': 'warn' },
    ],
    ['another database', { databases: ['other'], address: 'all', netmask: null }, { 'reach.hba': 'ok' }],
    ['nobody', { method: 'reject', address: 'all', netmask: null }, { 'reach.hba': 'ok' }],
    [
      'a socket without a password',
      { type: 'local', address: null, netmask: null, method: 'trust' },
      { 'reach.hba.trust': 'fail' },
    ],
  ])('%s', (_name, part, expected) => {
    expect(judged(part)).toEqual(expected);
  });
});

describe('credentials that lie about', () => {
  it('are found in any text, and never taken up', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z]{1,8}$/),
        fc.stringMatching(/^[A-Za-z0-9]{12}$/),
        fc.integer({ min: 1, max: 65_535 }),
        (user, password, port) => {
          const found = credentialsInText(
            `a\nDSN="postgresql://${user}:${password}@db.example:${port}/x"`,
            (line) => `line ${line}`,
          );
          expect(found).toEqual([{ place: 'line 2', host: 'db.example', port }]);
          expect(JSON.stringify(found)).not.toContain(password);
        },
      ),
    );
    expect(credentialsInText('postgres://db.example/x and postgres://[::1', String)).toEqual([]);
  });

  it('are found in password files with wildcards and escapes', () => {
    expect(credentialsInPasswordFile('*:*:*:app:pw\nh\\:1:5433:d:u:p\\:w\n# c\nh:1:d:u:\n', 'f')).toEqual([
      { place: 'f line 1', host: '*', port: 0 },
      { place: 'f line 2', host: 'h:1', port: 5433 },
    ]);
  });

  it('lead to a target under any of its names, and only by its port', () => {
    const targets = [{ target: 't', port: 5432, hosts: new Set(['db.example', '10.1.1.1']) }];
    const names: Record<string, readonly string[]> = { alias: ['alias', '10.1.1.1'], other: ['other', '10.9.9.9'] };
    const verdict = (host: string, port: string) =>
      checkDirectCredentials(
        credentialInVariables({ PGPASSWORD: 'p', PGHOST: host, PGPORT: port }, String),
        targets,
        (name) => names[name] ?? [name],
        false,
      )[0]?.verdict;
    expect(verdict('alias', '5432')).toBe('fail');
    expect(verdict('alias', '6434')).toBe('ok');
    expect(verdict('other', '5432')).toBe('ok');
  });
});

it('names a few and counts the rest', () => {
  expect(some(['a', 'b', 'c'], 2)).toBe('a, b and 1 more');
});

describe('what the session login could not be given', () => {
  it('is said with what it costs, and how it is mended', () => {
    const none = { readsStatistics: false, endsSessions: false, boundsTempFiles: false, makesMasks: false };
    expect(checkMissingPowers('shop', 's', HEALTHY, true, 'init')).toEqual([
      expect.objectContaining({ verdict: 'ok' }),
    ]);
    expect(
      checkMissingPowers('shop', 's', { powers: none }, false, 'init').map(({ id, verdict }) => `${verdict} ${id}`),
    ).toEqual(['warn powers.statistics', 'warn powers.signal', 'warn powers.temp_files']);
    expect(checkMissingPowers('shop', 's', { powers: none }, true, 'init').at(-1)).toMatchObject({
      id: 'powers.masks',
      verdict: 'fail',
      fix: 'init',
    });
  });
});
