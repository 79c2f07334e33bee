import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/parse-yaml.ts';
import { secretReference } from '../../src/config/secret.ts';
import { loadTaskFile } from '../../src/config/task-file.ts';
import { jsonSchemas } from '../../src/config/write-json-schemas.ts';

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

  it.each<[what: string, change: (text: string) => string, problem: RegExp]>([
    ['a key that there isn’t', (text) => `${text}extra: 1\n`, /^21 extra: there is no such key/],
    [
      'a password in plain text',
      (text) => text.replace('"${env:APPLY}"', 'hunter2'),
      /13 targets\.rental\.credentials\.apply\.password: a secret is never written here/,
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
