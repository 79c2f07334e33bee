import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/parse-yaml.ts';
import { secretReference } from '../../src/config/secret.ts';
import { loadTaskFile } from '../../src/config/task-file.ts';
import { jsonSchemas } from '../../src/config/write-json-schemas.ts';
import { digestOf, digestOfBytes } from '../../src/domain/digest.ts';

const directory = mkdtempSync(join(tmpdir(), 'countersign-config-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const IDENTITY = `sha256:${'a'.repeat(64)}`;
const OTHER_IDENTITY = `sha256:${'b'.repeat(64)}`;
const KEY = `ed25519:${Buffer.alloc(32, 1).toString('base64')}`;
const GOOD = `version: 1
environments:
  production: { tier: production, owner: ada }
  staging: { tier: staging, owner: ada, quorum: 2 }
targets:
  rental:
    environment: production
    owner: ada
    address: { host: db, database: rental }
    identity: ${IDENTITY}
    credentials:
      session: { user: s, password: "\${file:session}" }
      apply: { user: a, password: "\${env:APPLY}" }
actors:
  people:
    ada: { name: Ada, publicKeys: ["${KEY}"], approves: ["*"], mayHalt: true }
  agents:
    migrator: { owner: ada, role: migrator }
roles:
  migrator: { read: [public.*], write: [public.*] }
`;

let files = 0;
function file(text: string): string {
  const path = join(directory, `config-${++files}.yaml`);
  writeFileSync(path, text);
  return path;
}

async function problems(text: string): Promise<string> {
  try {
    await loadConfig(file(text));
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ line, key, message }) => `${line} ${key}: ${message}`).join('\n');
    throw error;
  }
  return 'none';
}

describe('countersign.yaml', () => {
  it('lets no agent approve in production, under another’s name or key, or where none is asked', async () => {
    const own = `ed25519:${Buffer.alloc(32, 2).toString('base64')}`;
    const agents = (entry: string) =>
      GOOD.replace('staging: { tier: staging,', 'staging: { tier: staging, approvalAgents: { maxRows: 10 },').replace(
        '  agents:\n',
        `  approvalAgents:\n    ${entry}\n  agents:\n`,
      );
    const of = (change: object, id = 'reviewer') =>
      problems(
        agents(
          `${id}: ${JSON.stringify({ owner: 'ada', family: 'rules', publicKey: own, approves: ['staging'], ...change })}`,
        ),
      );
    expect(await of({})).toBe('none');
    expect(await of({ publicKey: KEY })).toContain('this is the key of ada');
    expect(await of({ approves: ['production'] })).toContain('in production people countersign');
    expect(await of({ approves: ['*'] })).toContain('approvalAgents.reviewer.approves');
    expect(await of({ approves: ['moon'] })).toContain('no environment moon');
    expect(await of({ owner: 'nobody' })).toContain('no person nobody');
    expect(await of({ family: 'Rules' })).toContain('lower-case');
    expect(await of({ role: 'migrator' })).toContain('role');
    expect(await of({}, 'ada')).toContain('a person has this name already');
    expect(await of({}, 'migrator')).toContain('an agent has this name already');
    const production = 'production: { tier: production,';
    expect(await problems(GOOD.replace(production, `${production} approvalAgents: { maxRows: 1 },`))).toContain(
      'in production people countersign',
    );
    expect(
      await problems(
        agents(`reviewer: { owner: ada, family: rules, publicKey: "${own}", approves: [staging] }`).replace(
          ' approvalAgents: { maxRows: 10 },',
          '',
        ),
      ),
    ).toContain('staging lets none');
  });

  it('has one digest over all that it was read from, whatever the files hold afterwards', async () => {
    const calendar = join(directory, 'holidays.txt');
    const windows = `windows: { nightly: { at: "22:00", for: 4h, timeZone: Europe/Berlin, holidays: ["file:holidays.txt"] } }`;
    const path = file(GOOD.replace('tier: staging,', `tier: staging, ${windows},`));
    writeFileSync(calendar, '2026-12-25\n');
    const first = await loadConfig(path);
    writeFileSync(calendar, '2026-12-26\n');
    const second = await loadConfig(path);
    expect(first.files).toEqual([path, calendar]);
    expect(first.digest).toBe(
      digestOf([digestOfBytes(readFileSync(path)), digestOfBytes(Buffer.from('2026-12-25\n'))]),
    );
    expect(second.digest).not.toBe(first.digest);
  });

  it('has safe defaults by tier', async () => {
    const config = await loadConfig(file(GOOD));
    expect(
      [...config.environments.values()].map(({ id, rowsWithoutApproval, quorum, quorumUnmeasured }) => ({
        id,
        rowsWithoutApproval,
        quorum,
        quorumUnmeasured,
      })),
    ).toEqual([
      { id: 'production', rowsWithoutApproval: 100, quorum: 1, quorumUnmeasured: 2 },
      { id: 'staging', rowsWithoutApproval: 10_000, quorum: 2, quorumUnmeasured: 2 },
    ]);
    const target = [...config.targets.values()][0]?.target;
    expect(target?.endpoint).toMatchObject({ port: 5432, tls: 'verify-full' });
    expect(config.roles.get('migrator' as never)).toMatchObject({ propose: [] });
    expect(config.state).toBe(`sqlite:${join(directory, 'state/countersign.db')}`);
  });

  it('keeps its state on PostgreSQL, with the password by reference and TLS as targets have it', async () => {
    const short = await loadConfig(file(`${GOOD}state: postgres://u@db.internal/state\n`));
    expect(short.state).toEqual({
      host: 'db.internal',
      port: 5432,
      database: 'state',
      user: 'u',
      tls: 'verify-full',
      leaseMs: 5000,
      checkpointFile: join(directory, 'state/state.checkpoint'),
    });
    writeFileSync(join(directory, 'state-ca.pem'), 'PEM');
    writeFileSync(join(directory, 'password'), 'hunter2\n', { mode: 0o600 });
    const state =
      '{ url: "postgres://u@[::1]:5433/state", password: "${file:password}", tls: require, authorities: state-ca.pem, lease: 3s }';
    const long = await loadConfig(file(`${GOOD}state: ${state}\n`));
    expect(long.state).toMatchObject({ host: '::1', port: 5433, tls: 'require', tlsAuthorities: 'PEM', leaseMs: 3000 });
    expect(typeof long.state === 'string' ? '' : long.state.password?.()).toBe('hunter2');
    expect(JSON.stringify(long)).not.toContain('hunter2');
  });

  it('tells where clients reach it when that is elsewhere', async () => {
    expect((await loadConfig(file(GOOD))).reachedAt).toBeNull();
    const named = await loadConfig(
      file(`${GOOD}listen: { public: { pg: "cs.example:6434", http: "https://cs.example/" } }\n`),
    );
    expect(named.reachedAt).toEqual({ pg: 'cs.example:6434', http: 'https://cs.example' });
    const wrong = `${GOOD}listen: { public: { pg: "cs.example:6434", http: "cs.example" } }\n`;
    expect(await problems(wrong)).toBe('21 listen.public.http: write a URL, e.g. https://countersign.example');
  });

  it.each<[what: string, change: (text: string) => string, problem: RegExp]>([
    ['a key that there isn’t', (text) => `${text}extra: 1\n`, /^21 extra: there is no such key/],
    [
      'a password in plain text',
      (text) => text.replace('"${env:APPLY}"', 'hunter2'),
      /13 targets\.rental\.credentials\.apply\.password: a secret is never written here/,
    ],
    [
      'clicks on whatever can’t be undone in production',
      (text) => text.replace('tier: production,', 'tier: production, clicks: any,'),
      /3 environments\.production\.clicks: in production what can’t be undone takes a signature/,
    ],
    [
      'one user of Slack for two people',
      (text) => text.replace('    ada: { ', '    eve: { name: Eve, slack: U012AB3CD }\n    ada: { slack: U012AB3CD, '),
      /17 actors\.people\.ada\.slack: this is eve's/,
    ],
    [
      'a channel of Slack for an environment that there isn’t',
      (text) =>
        `${text}notifications: { slack: { token: "\${env:A}", signingSecret: "\${env:B}", team: T012, channel: C012, channels: { prod: C013 } } }\n`,
      /21 notifications\.slack\.channels\.prod: there is no environment prod/,
    ],
    [
      'an environment that there isn’t',
      (text) => text.replace('environment: production', 'environment: prod'),
      /7 targets\.rental\.environment: there is no environment prod/,
    ],
    [
      'an owner that there isn’t',
      (text) => text.replace('migrator: { owner: ada', 'migrator: { owner: bob'),
      /there is no person bob/,
    ],
    ['a role that there isn’t', (text) => text.replace('role: migrator }', 'role: other }'), /there is no role other/],
    [
      'a tier that there isn’t',
      (text) => text.replace('tier: production', 'tier: prod'),
      /3 environments\.production\.tier/,
    ],
    [
      'an unpinned identity',
      (text) => text.replace(`    identity: ${IDENTITY}\n`, ''),
      /6 targets\.rental\.identity|targets\.rental\.identity/,
    ],
    ['a malformed key', (text) => text.replace(KEY, 'ed25519:short'), /publicKeys\.0: write ed25519/],
    [
      'the same key of two people',
      (text) => text.replace('  agents:', `    bob: { name: Bob, publicKeys: ["${KEY}"] }\n  agents:`),
      /this is the key of ada/,
    ],
    [
      'an agent with a person’s name',
      (text) => text.replace('    migrator: { owner', '    ada: { owner'),
      /a person has this name/,
    ],
    ['broken YAML', (text) => `${text}  : : :\n  - x`, /^\d+ /],
    ['a key twice', (text) => `${text}version: 1\n`, /unique|twice|duplicate/i],
    [
      'a freeze of nothing',
      (text) =>
        `${text}freezes:\n  - { environment: x, from: 2026-01-01T00:00:00Z, until: 2026-01-02T00:00:00Z, reason: r }\n`,
      /there is no environment x/,
    ],
  ])('is refused with %s, by line and key', async (_, change, problem) => {
    expect(await problems(change(GOOD))).toMatch(problem);
  });

  const TOKEN = `sha256:${'c'.repeat(64)}`;
  const inStaging = (keys: string) => (text: string) => text.replace('quorum: 2', keys);

  it.each<[what: string, change: (text: string) => string, problem: string]>([
    ['nothing in it', () => '', '1 : Invalid input: expected object, received null'],
    ['another version', (text) => text.replace('version: 1', 'version: 2'), '1 version: Invalid input: expected 1'],
    [
      'an alias of nothing',
      (text) => `${text}origin: *nothing\n`,
      '1 : Unresolved alias (the anchor must be set before the alias): nothing',
    ],
    [
      'aliases of aliases without end',
      () => 'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n',
      '1 : Excessive alias count indicates a resource exhaustion attack',
    ],
    [
      'a name that is none',
      (text) => text.replace('staging:', '"stag ing":'),
      '4 environments.stag ing: letters, digits, dots, dashes and underscores, at most 63',
    ],
    [
      'an environment that only an object has',
      (text) => text.replace('environment: production', 'environment: constructor'),
      '7 targets.rental.environment: there is no environment constructor',
    ],
    [
      'a role that only an object has',
      (text) => text.replace('role: migrator }', 'role: toString }'),
      '18 actors.agents.migrator.role: there is no role toString',
    ],
    [
      'a person that only an object has',
      (text) => text.replace('tier: staging, owner: ada', 'tier: staging, owner: valueOf'),
      '4 environments.staging.owner: there is no person valueOf under actors.people',
    ],
    [
      'approvals for an environment that there isn’t',
      (text) => text.replace('approves: ["*"]', 'approves: [prod]'),
      '16 actors.people.ada.approves.0: there is no environment prod',
    ],
    [
      'a service with an agent’s name',
      (text) => text.replace('roles:', '  services:\n    migrator: { owner: ada, role: migrator }\nroles:'),
      '20 actors.services.migrator: an agent has this name already',
    ],
    [
      'one token of two agents',
      (text) =>
        text.replace(
          '    migrator: { owner: ada, role: migrator }',
          `    migrator: { owner: ada, role: migrator, tokenHash: "${TOKEN}" }\n    other: { owner: ada, role: migrator, tokenHash: "${TOKEN}" }`,
        ),
      '19 actors.agents.other.tokenHash: this is the token of migrator',
    ],
    [
      'a freeze that ends before it begins',
      (text) =>
        `${text}freezes:\n  - { environment: "*", from: 2026-02-01T00:00:00Z, until: 2026-01-02T00:00:00Z, reason: r }\n`,
      '22 freezes.0.until: a freeze ends after it begins',
    ],
    [
      'a port that there isn’t',
      (text) => `${text}listen: { pg: "127.0.0.1:65536" }\n`,
      '21 listen.pg: a port is at most 65535',
    ],
    [
      'an address without a port',
      (text) => `${text}listen: { http: localhost }\n`,
      '21 listen.http: write host:port, e.g. 127.0.0.1:6434',
    ],
    [
      'less approvals for what can’t be measured',
      inStaging('quorum: 3, quorumUnmeasured: 1'),
      "4 environments.staging.quorumUnmeasured: what can't be measured needs at least the quorum of 3",
    ],
    [
      'no approval at all',
      inStaging('quorum: 0'),
      '4 environments.staging.quorum: Too small: expected number to be >=1',
    ],
    [
      'a number of rows below zero',
      inStaging('rowsWithoutApproval: -1'),
      '4 environments.staging.rowsWithoutApproval: Too small: expected number to be >=0',
    ],
    [
      'a time without end',
      inStaging('planLifetime: 99999999999999d'),
      '4 environments.staging.planLifetime: at most 366d',
    ],
    [
      'a time without a unit',
      inStaging('planLifetime: "5"'),
      '4 environments.staging.planLifetime: write a number and a unit: 500ms, 10s, 5m, 2h or 1d',
    ],
    [
      'G4 one login for sessions and for plans',
      (text) => text.replace('user: a,', 'user: s,'),
      '13 targets.rental.credentials.apply.user: plans are applied under another login than sessions (G4)',
    ],
    [
      'a pattern that is none',
      (text) => text.replace('read: [public.*]', 'read: [public.*, a.b.c]'),
      '20 roles.migrator.read.1: write schema.table, with * for a whole part, or schema.table(column, column)',
    ],
    [
      'a mask of what is no column',
      (text) => text.replace('    identity:', '    masks: { public.customers: email }\n    identity:'),
      '10 targets.rental.masks.public.customers: write schema.table.column, with * for a whole part',
    ],
    [
      'a mask that there isn’t',
      (text) => text.replace('    identity:', '    masks: { "*.*.email": blur }\n    identity:'),
      '10 targets.rental.masks.*.*.email: Invalid option: expected one of "null"|"fixed"|"hash"|"last4"|"email"|"none"',
    ],
    [
      'a store that there isn’t',
      (text) => `${text}state: redis://db\n`,
      '21 state: write sqlite: and a path, or postgres://user@host:port/database, or url, password, tls, authorities and lease',
    ],
    [
      'a password in the address of its store',
      (text) => `${text}state: postgres://u:hunter2@db/state\n`,
      '21 state: write sqlite: and a path, or postgres://user@host:port/database, or url, password, tls, authorities and lease',
    ],
    [
      'a password of its store in plain text',
      (text) => `${text}state: { url: postgres://u@db/state, password: hunter2 }\n`,
      '21 state.password: a secret is never written here: refer to it with ${env:NAME} or ${file:path}',
    ],
  ])('is refused with %s, and nothing else is said', async (_, change, problem) => {
    expect(await problems(change(GOOD))).toBe(problem);
  });

  it('is refused with all that is wrong at once', async () => {
    const wrong = GOOD.replace('environment: production', 'environment: nowhere').replace(
      'role: migrator }',
      'role: none }',
    );
    expect((await problems(wrong)).split('\n').map((line) => line.split(' ')[0])).toEqual(['7', '18']);
  });

  it('points to the file, the line, the column and the key in its message', async () => {
    const path = file(GOOD.replace('tier: production', 'tier: prod'));
    await expect(loadConfig(path)).rejects.toThrow(`${path}:3:23 environments.production.tier: `);
  });

  it('names authorities that can’t be read, and takes those that can', async () => {
    const withAuthorities = GOOD.replace('database: rental }', 'database: rental, authorities: ca.pem }');
    expect(await problems(withAuthorities)).toMatch(/^9 targets\.rental\.address\.authorities: can't be read: ENOENT/);
    writeFileSync(join(directory, 'ca.pem'), 'PEM');
    const config = await loadConfig(file(withAuthorities));
    expect([...config.targets.values()][0]?.target.endpoint.tlsAuthorities).toBe('PEM');
  });

  it('gives what isn’t written its safe value, tier by tier', async () => {
    const config = await loadConfig(file(GOOD.replace('staging: { tier: staging', 'staging: { tier: development')));
    expect(config.environments.get('production' as never)?.clicks).toBe('never');
    expect(config.environments.get('staging' as never)).toEqual({
      id: 'staging',
      tier: 'development',
      owner: 'ada',
      rowsWithoutApproval: 100_000,
      quorum: 2,
      quorumUnmeasured: 2,
      clicks: 'reversible',
      approvalAgents: null,
      planLifetimeMs: 86_400_000,
      windows: [],
    });
    expect(config.listen).toEqual({ pg: { host: '127.0.0.1', port: 6434 }, http: { host: '127.0.0.1', port: 6480 } });
    expect(config).toMatchObject({
      tls: null,
      origin: 'countersign',
      freezes: [],
      policies: join(directory, 'policies'),
      ledgerKey: join(directory, 'keys/ledger.key'),
    });
    expect(config.actors.get('ada' as never)).toMatchObject({
      kind: 'person',
      approves: ['*'],
      roles: ['requester', 'approver', 'operator'],
    });
    const silent = await loadConfig(file(GOOD.replace(', approves: ["*"], mayHalt: true', '')));
    expect(silent.actors.get('ada' as never)).toMatchObject({ approves: [], roles: ['requester'], requests: ['*'] });
    expect(silent.roles.get('migrator' as never)).toEqual({
      id: 'migrator',
      read: ['public.*'],
      write: ['public.*'],
      propose: [],
      maxRowsPerStatement: 1_000_000,
      maxRowsPerTask: 10_000_000,
      maxTaskMs: 28_800_000,
    });
  });

  it('reads addresses of IPv6, and freezes of every environment', async () => {
    const text = `${GOOD}listen: { pg: "[::1]:1", http: "localhost:65535" }\nfreezes:\n  - { environment: "*", from: 2026-01-01T00:00:00Z, until: 2026-01-02T00:00:00Z, reason: r }\n`;
    const config = await loadConfig(file(text));
    expect(config.listen).toEqual({ pg: { host: '::1', port: 1 }, http: { host: 'localhost', port: 65_535 } });
    expect(config.freezes).toEqual([
      {
        environment: '*',
        from: '2026-01-01T00:00:00.000Z',
        until: '2026-01-02T00:00:00.000Z',
        reason: 'r',
        override: [],
      },
    ]);
  });

  it('of any text ends in a configuration or in a list of problems', async () => {
    const lines = GOOD.split('\n');
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: lines.length - 1 }),
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 30 }),
          fc.constantFrom(
            '',
            '  - x',
            'a: &a [*a]',
            '? x',
            '<<: {}',
            '!!binary x',
            '__proto__: 1',
            '"',
            '{',
            '%YAML 9',
          ),
        ),
        async (at, line) => {
          expect(typeof (await problems(lines.with(at, line).join('\n')))).toBe('string');
        },
      ),
      { numRuns: 100 },
    );
  });

  it('G9 is refused when one database stands in two environments', async () => {
    const second = GOOD.replace(
      'actors:',
      `  copy:
    environment: staging
    owner: ada
    address: { host: db, database: rental }
    identity: ${OTHER_IDENTITY}
    credentials:
      session: { user: s, password: "\${file:session}" }
      apply: { user: a, password: "\${env:APPLY}" }
actors:`,
    );
    expect(await problems(second)).toMatch(/the same database as rental/);
    const [beforeCopy, copy] = [second.slice(0, second.indexOf('  copy:')), second.slice(second.indexOf('  copy:'))];
    expect(await problems(beforeCopy + copy.replace('host: db', 'host: DB., port: 5432'))).toMatch(/the same database/);
    expect(
      await problems(
        second.replace(
          'host: db, database: rental }\n    identity: sha256:b',
          'host: other, database: rental }\n    identity: sha256:b',
        ),
      ),
    ).toBe('none');
    expect(await problems(second.replace(OTHER_IDENTITY, IDENTITY))).toMatch(/the same database/);
  });

  it('says of a missing file that it can’t be read', async () => {
    await expect(loadConfig(join(directory, 'missing.yaml'))).rejects.toThrow(/can't be read/);
  });
});

describe('secrets', () => {
  it('are read when they are needed, and never printed', () => {
    writeFileSync(join(directory, 'secret'), 'hunter2\n', { mode: 0o600 });
    const secret = secretReference('${file:secret}', directory);
    expect(secret.reveal()).toBe('hunter2');
    expect(`${inspect(secret)} ${JSON.stringify({ secret })}`).not.toContain('hunter2');
  });

  it('are refused where others can read them, and where they are missing', () => {
    writeFileSync(join(directory, 'open'), 'hunter2', { mode: 0o644 });
    expect(() => secretReference('${file:open}', directory).reveal()).toThrow(/chmod 600/);
    expect(() => secretReference('${env:COUNTERSIGN_NOT_SET}', directory).reveal()).toThrow(/not set/);
  });
});

describe('task files', () => {
  it('declare targets, limits and an expiry with units', async () => {
    const task = await loadTaskFile(
      file(
        'purpose: p\nagent: migrator\ntargets:\n  rental: { read: [public.a], write: [public.b] }\nlimits: { rowsPerStatement: 5, statementTimeout: 10s }\nexpires: 90m\n',
      ),
    );
    expect(task).toEqual({
      purpose: 'p',
      agent: 'migrator',
      radius: [{ target: 'rental', read: ['public.a'], write: ['public.b'] }],
      limits: { rowsPerStatement: 5, statementTimeoutMs: 10_000 },
      lifetimeMs: 5_400_000,
    });
  });

  it.each([
    ['purpose: p\ntargets: { t: { read: [a.b.c] } }\n', /schema\.table/],
    ['purpose: p\ntargets: { t: {} }\nexpires: soon\n', /number and a unit/],
    ['targets: { t: {} }\n', /purpose/],
    ['purpose: p\ntargets: { t: {} }\nexpires: 9999d\n', /:3:10 expires: at most 366d/],
    ['purpose: p\ntargets: { t: { reed: [a] } }\n', /:2:23 targets\.t\.reed: there is no such key/],
    ['purpose: ""\ntargets: {}\n', /:1:10 purpose: /],
    ['purpose: p\ntargets: {}\nlimits: { rowsPerTask: -1 }\n', /:3:24 limits\.rowsPerTask: /],
  ])('are refused with what is wrong', async (text, message) => {
    await expect(loadTaskFile(file(text))).rejects.toThrow(message);
  });
});

it('the published JSON Schemas are those of the code', () => {
  for (const [name, schema] of Object.entries(jsonSchemas())) {
    expect(readFileSync(new URL(`../../schema/${name}`, import.meta.url), 'utf8'), `${name}: npm run schemas`).toBe(
      schema,
    );
  }
});
