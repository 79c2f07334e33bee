import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Actor, Agent, Freeze, Person, Role } from '../domain/actor.ts';
import type { Environment, Tier } from '../domain/environment.ts';
import {
  type ActorId,
  asId,
  type Digest,
  type EnvironmentId,
  instantOf,
  type RoleId,
  type TargetId,
} from '../domain/ids.ts';
import type { Target } from '../domain/target.ts';
import { ConfigError, type Problem, readYaml } from './parse-yaml.ts';
import { type ConfigDocument, configSchema } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

/** `countersign.yaml`, checked and in the words of the domain. Paths are absolute, secrets still references. */
export interface Config {
  readonly file: string;
  readonly directory: string;
  readonly state: string;
  readonly listen: { readonly pg: HostPort; readonly http: HostPort };
  readonly tls: { readonly certificate: string; readonly key: string; readonly required: boolean } | null;
  readonly ledgerKey: string;
  readonly origin: string;
  readonly policies: string;
  readonly environments: ReadonlyMap<EnvironmentId, Environment>;
  readonly targets: ReadonlyMap<TargetId, ConfiguredTarget>;
  readonly actors: ReadonlyMap<ActorId, Actor>;
  /** Digests of agents' own tokens. */
  readonly agentTokens: ReadonlyMap<string, ActorId>;
  readonly roles: ReadonlyMap<RoleId, Role>;
  readonly freezes: readonly Freeze[];
}

export interface ConfiguredTarget {
  readonly target: Target;
  readonly session: { readonly user: string; readonly password: Secret };
  readonly apply: { readonly user: string; readonly password: Secret };
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Safe by tier: what needs no approval, and how many must countersign what can't be measured. */
const DEFAULTS: Readonly<Record<Tier, { rowsWithoutApproval: number; quorum: number; quorumUnmeasured: number }>> = {
  development: { rowsWithoutApproval: 100_000, quorum: 1, quorumUnmeasured: 1 },
  staging: { rowsWithoutApproval: 10_000, quorum: 1, quorumUnmeasured: 1 },
  production: { rowsWithoutApproval: 100, quorum: 1, quorumUnmeasured: 2 },
};
const PLAN_LIFETIME_MS = 24 * 3_600_000;

/** Loads and checks the configuration. @throws ConfigError with all that is wrong, by line and key. */
export async function loadConfig(file: string): Promise<Config> {
  const path = resolve(file);
  const directory = dirname(path);
  const { value, problem } = await readYaml(path, configSchema);
  const problems = crossCheck(value, problem);
  if (problems.length > 0) throw new ConfigError(path, problems);
  const within = (relative: string) => resolve(directory, relative);
  return {
    file: path,
    directory,
    state: `sqlite:${within(value.state.slice('sqlite:'.length))}`,
    listen: { pg: hostPort(value.listen.pg), http: hostPort(value.listen.http) },
    tls:
      value.tls === undefined
        ? null
        : { certificate: within(value.tls.certificate), key: within(value.tls.key), required: value.tls.required },
    ledgerKey: within(value.keys.ledger),
    origin: value.origin,
    policies: within(value.policies),
    environments: new Map(
      Object.entries(value.environments).map(([id, entry]) => [asId<EnvironmentId>(id), environmentOf(id, entry)]),
    ),
    targets: new Map(
      Object.entries(value.targets).map(([id, entry]) => [asId<TargetId>(id), targetOf(id, entry, directory)]),
    ),
    actors: actorsOf(value),
    agentTokens: new Map(
      Object.entries(value.actors.agents).flatMap(([id, { tokenHash }]) =>
        tokenHash === undefined ? [] : [[tokenHash, asId<ActorId>(id)] as const],
      ),
    ),
    roles: new Map(Object.entries(value.roles).map(([id, entry]) => [asId<RoleId>(id), roleOf(id, entry)])),
    freezes: value.freezes.map((freeze) => ({
      environment: freeze.environment,
      from: instantOf(Date.parse(freeze.from)),
      until: instantOf(Date.parse(freeze.until)),
      reason: freeze.reason,
    })),
  };
}

function hostPort(text: string): HostPort {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

function environmentOf(id: string, entry: ConfigDocument['environments'][string]): Environment {
  const defaults = DEFAULTS[entry.tier];
  return {
    id: asId<EnvironmentId>(id),
    tier: entry.tier,
    owner: asId<ActorId>(entry.owner),
    rowsWithoutApproval: entry.rowsWithoutApproval ?? defaults.rowsWithoutApproval,
    quorum: entry.quorum ?? defaults.quorum,
    quorumUnmeasured: entry.quorumUnmeasured ?? Math.max(defaults.quorumUnmeasured, entry.quorum ?? 1),
    planLifetimeMs: entry.planLifetime ?? PLAN_LIFETIME_MS,
  };
}

function targetOf(id: string, entry: ConfigDocument['targets'][string], directory: string): ConfiguredTarget {
  const { host, port, database, tls, authorities } = entry.address;
  const login = ({ user, password }: { user: string; password: string }) => ({
    user,
    password: secretReference(password, directory),
  });
  return {
    target: {
      id: asId<TargetId>(id),
      engine: entry.engine,
      environment: asId<EnvironmentId>(entry.environment),
      owner: asId<ActorId>(entry.owner),
      endpoint: {
        host,
        port,
        database,
        tls,
        ...(authorities === undefined ? {} : { tlsAuthorities: readFileSync(resolve(directory, authorities), 'utf8') }),
      },
      identity: asId<Digest>(entry.identity),
    },
    session: login(entry.credentials.session),
    apply: login(entry.credentials.apply),
  };
}

function actorsOf(value: ConfigDocument): ReadonlyMap<ActorId, Actor> {
  const actors = new Map<ActorId, Actor>();
  for (const [id, entry] of Object.entries(value.actors.people)) {
    const person: Person = {
      kind: 'person',
      id: asId<ActorId>(id),
      name: entry.name,
      ...(entry.email === undefined ? {} : { email: entry.email }),
      publicKeys: entry.publicKeys.map((key) => Buffer.from(key.slice('ed25519:'.length), 'base64')),
      approves: entry.approves,
      mayHalt: entry.mayHalt,
    };
    actors.set(person.id, person);
  }
  for (const [kind, machines] of [
    ['agent', value.actors.agents],
    ['service', value.actors.services],
  ] as const) {
    for (const [id, { owner, role }] of Object.entries(machines)) {
      const machine = { kind, id: asId<ActorId>(id), owner: asId<ActorId>(owner), role: asId<RoleId>(role) } as Agent;
      actors.set(machine.id, machine);
    }
  }
  return actors;
}

function roleOf(id: string, entry: ConfigDocument['roles'][string]): Role {
  const { read, write, propose, maxRowsPerStatement, maxRowsPerTask, maxTask } = entry;
  return { id: asId<RoleId>(id), read, write, propose, maxRowsPerStatement, maxRowsPerTask, maxTaskMs: maxTask };
}

/** What no single key can say: that names refer to something, and that environments are really separate (G9). */
function crossCheck(
  value: ConfigDocument,
  problem: (path: readonly PropertyKey[], message: string) => Problem,
): Problem[] {
  const problems: Problem[] = [];
  const people = new Set(Object.keys(value.actors.people));
  const needPerson = (path: readonly PropertyKey[], id: string) => {
    if (!people.has(id)) problems.push(problem(path, `there is no person ${id} under actors.people`));
  };
  for (const [id, { owner }] of Object.entries(value.environments)) needPerson(['environments', id, 'owner'], owner);
  const seen = new Map<string, { id: string; environment: string }>();
  for (const [id, target] of Object.entries(value.targets)) {
    needPerson(['targets', id, 'owner'], target.owner);
    if (value.environments[target.environment] === undefined) {
      problems.push(problem(['targets', id, 'environment'], `there is no environment ${target.environment}`));
    }
    const { host, port, database } = target.address;
    for (const key of [target.identity, `${host}:${port}/${database}`]) {
      const other = seen.get(key);
      if (other !== undefined && other.environment !== target.environment) {
        problems.push(
          problem(['targets', id], `this is the same database as ${other.id}, which is in another environment`),
        );
        break;
      }
      seen.set(key, { id, environment: target.environment });
    }
  }
  const keys = new Map<string, string>();
  for (const [id, person] of Object.entries(value.actors.people)) {
    for (const [index, key] of person.publicKeys.entries()) {
      const other = keys.get(key);
      if (other !== undefined && other !== id)
        problems.push(problem(['actors', 'people', id, 'publicKeys', index], `this is the key of ${other}`));
      keys.set(key, id);
    }
    for (const [index, environment] of person.approves.entries()) {
      if (environment !== '*' && value.environments[environment] === undefined) {
        problems.push(problem(['actors', 'people', id, 'approves', index], `there is no environment ${environment}`));
      }
    }
  }
  for (const kind of ['agents', 'services'] as const) {
    for (const [id, machine] of Object.entries(value.actors[kind])) {
      needPerson(['actors', kind, id, 'owner'], machine.owner);
      if (value.roles[machine.role] === undefined)
        problems.push(problem(['actors', kind, id, 'role'], `there is no role ${machine.role}`));
      if (people.has(id)) problems.push(problem(['actors', kind, id], 'a person has this name already'));
    }
  }
  for (const [index, freeze] of value.freezes.entries()) {
    if (freeze.environment !== '*' && value.environments[freeze.environment] === undefined) {
      problems.push(problem(['freezes', index, 'environment'], `there is no environment ${freeze.environment}`));
    }
  }
  return problems;
}

/** Where the configuration is looked for when none is named. */
export function defaultConfigFile(): string {
  return (
    process.env['COUNTERSIGN_CONFIG'] ?? (existsSync('countersign.yaml') ? 'countersign.yaml' : './countersign.yaml')
  );
}
