import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { generate } from 'selfsigned';
import { Document, parseDocument } from 'yaml';
import { createPersonKey } from '../approval/person-key.ts';
import type { Tier } from '../domain/environment.ts';
import { identityDigest } from '../engines/postgres/connect.ts';
import { createSigningKey } from '../ledger/signing-key.ts';
import { tokenHash } from '../pipeline/tasks.ts';
import { SHIPPED_POLICIES } from '../policy/read-policies.ts';
import type { Inspected } from './init-database.ts';

/** What `init` was told, and what it made up where it wasn't. */
export interface Names {
  readonly target: string;
  readonly environment: string;
  readonly tier: Tier;
  readonly owner: string;
  readonly agent: string;
}

const OWNER_ONLY = 0o600;

export function writeSecret(path: string, secret: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `${secret}\n`, { mode: OWNER_ONLY });
}

/** Keys, certificate and policies, each made only where it is missing. @returns the public key of the owner. */
export async function writeKeys(directory: string, owner: string): Promise<string> {
  for (const folder of ['keys/people', 'keys/agents', 'secrets', 'state']) {
    mkdirSync(join(directory, folder), { recursive: true, mode: 0o700 });
  }
  const ledgerKey = join(directory, 'keys/ledger.key');
  if (!existsSync(ledgerKey)) createSigningKey(ledgerKey);
  const certificate = join(directory, 'keys/server.crt');
  if (!existsSync(certificate)) {
    const made = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048, algorithm: 'sha256' });
    writeFileSync(certificate, made.cert);
    writeFileSync(join(directory, 'keys/server.key'), made.private, { mode: OWNER_ONLY });
  }
  if (!existsSync(join(directory, 'policies'))) {
    cpSync(SHIPPED_POLICIES, join(directory, 'policies'), {
      recursive: true,
      filter: (path) => !path.endsWith('.cedarschema'),
    });
  }
  const ownKey = join(directory, `keys/people/${owner}.key`);
  const publicKey = join(directory, `keys/people/${owner}.pub`);
  if (!existsSync(ownKey)) writeFileSync(publicKey, `${createPersonKey(ownKey)}\n`);
  return readFileSync(publicKey, 'utf8').trim();
}

/** The agent's own token: it may open tasks within its role, nothing else. @returns its digest, for the configuration. */
export function writeAgentToken(path: string): string {
  if (!existsSync(path)) writeSecret(path, `csa_${randomBytes(32).toString('base64url')}`);
  return tokenHash(readFileSync(path, 'utf8').trim());
}

/** Writes the configuration, or adds to the one there is; comments and order of what is there stay. */
export function writeConfiguration(
  file: string,
  names: Names,
  facts: {
    readonly inspected: Inspected;
    readonly publicKey: string;
    readonly agentTokenHash: string;
    readonly secrets: Readonly<Record<'session' | 'apply', { user: string; file: string }>>;
    readonly keepWrites: boolean;
  },
): void {
  const document = existsSync(file) ? parseDocument(readFileSync(file, 'utf8')) : new Document({ version: 1 });
  const { target, environment, tier, owner, agent } = names;
  const { inspected, publicKey, agentTokenHash, secrets, keepWrites } = facts;
  const directory = dirname(file);
  const setIfMissing = (path: readonly string[], value: unknown): void => {
    if (!document.hasIn(path)) document.setIn(path, document.createNode(value));
  };
  const credential = ({ user, file: path }: { user: string; file: string }) => ({
    user,
    password: `\${file:${relative(directory, path)}}`,
  });

  setIfMissing(['state'], 'sqlite:./state/countersign.db');
  setIfMissing(['listen'], { pg: '127.0.0.1:6434', http: '127.0.0.1:6480' });
  setIfMissing(['tls'], { certificate: './keys/server.crt', key: './keys/server.key' });
  setIfMissing(['keys'], { ledger: './keys/ledger.key' });
  setIfMissing(['policies'], './policies');
  // One person alone must be able to decide; a second one makes it two for what can't be measured or taken back.
  setIfMissing(['environments', environment], { tier, owner, quorum: 1, quorumUnmeasured: 1 });
  document.setIn(
    ['targets', target],
    document.createNode({
      environment,
      owner,
      address: {
        host: inspected.endpoint.host,
        port: inspected.endpoint.port,
        database: inspected.endpoint.database,
        tls: inspected.endpoint.tls,
      },
      identity: identityDigest(inspected.identity),
      credentials: { session: credential(secrets.session), apply: credential(secrets.apply) },
      undo: { writes: keepWrites ? 'kept' : 'not kept' },
    }),
  );
  setIfMissing(['actors', 'people', owner], { name: owner, publicKeys: [publicKey], approves: ['*'], mayHalt: true });
  setIfMissing(['actors', 'agents', agent], { owner, role: agent, tokenHash: agentTokenHash });
  const patterns = inspected.schemas.map((schema) => `${schema}.*`);
  setIfMissing(['roles', agent], {
    read: patterns,
    write: [...patterns],
    propose: ['truncate', 'schema', 'privilege', 'unknown', 'maintain'],
  });

  if (!existsSync(file)) document.commentBefore = HEAD;
  const half = `${file}.new`;
  writeFileSync(half, String(document));
  renameSync(half, file);
}

const HEAD = ` What Countersign governs, and who may do what. Check it with: countersign policy check
 Secrets are never written here, only where they are.`;

export function writeSampleTask(directory: string, { target, agent }: Names, { someTables }: Inspected): string {
  const file = join(directory, 'tasks', `${target}.yaml`);
  if (existsSync(file)) return file;
  mkdirSync(dirname(file), { recursive: true });
  const read = someTables.length === 0 ? '[public.*]' : `[${someTables.join(', ')}]`;
  writeFileSync(
    file,
    `# The blast radius of one piece of work: what it is for, what it may touch, how much, until when.
purpose: look around
agent: ${agent}
targets:
  ${target}:
    read: ${read}
    write: []
limits: { rowsPerStatement: 100, rowsPerTask: 1000, statementTimeout: 10s }
expires: 2h
`,
  );
  return file;
}
