import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Actor, Agent, Role, Service } from '../domain/actor.ts';
import type { Breaker } from '../domain/breaker.ts';
import type { ChangeWindow, Freeze } from '../domain/change-time.ts';
import type { Environment, Tier } from '../domain/environment.ts';
import { type ActorId, asId, type Digest, type EnvironmentId, type RoleId, type TargetId } from '../domain/ids.ts';
import { maskRule } from '../domain/masking.ts';
import type { Recurring } from '../domain/recurring.ts';
import type { StateLocation } from '../domain/state-location.ts';
import type { Target } from '../domain/target.ts';
import { approvalAgentsOf, checkApprovalAgents } from './approval-agents.ts';
import { backupOf, type ConfiguredBackup, recurringOf } from './backup.ts';
import { breakersOf, type ConfiguredBreaker } from './breakers.ts';
import { readFreezes, readWindows } from './change-times.ts';
import { ConfigError, type Problem, type ProblemAt, readYaml } from './parse-yaml.ts';
import { type ConfiguredOidc, checkPeople, oidcOf, personOf, type Report } from './people.ts';
import { type ConfigDocument, configSchema } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';
import { type ConfiguredSlack, checkSlack, slackOf } from './slack.ts';
import { stateOf } from './state.ts';
import { type ConfiguredWorkloads, checkWorkloads, workloadsOf } from './workloads.ts';

/** `countersign.yaml`, checked and in the words of the domain. Paths are absolute, secrets still references. */
export interface Config {
  readonly file: string;
  readonly directory: string;
  readonly state: StateLocation;
  readonly listen: { readonly pg: HostPort; readonly http: HostPort };
  /** Who is believed when they say whom a request comes from. */
  readonly proxies: readonly string[];
  /** Where clients reach the gateways, when that isn't where they listen. */
  readonly reachedAt: { readonly pg: string; readonly http: string } | null;
  readonly tls: { readonly certificate: string; readonly key: string; readonly required: boolean } | null;
  /** What `/metrics` asks for; `null` leaves it to this machine alone. */
  readonly metricsToken: Secret | null;
  readonly ledgerKey: string;
  readonly origin: string;
  /** Who cosigns checkpoints; `null` where nobody does. */
  readonly witnesses: {
    readonly quorum: number;
    readonly everyMs: number;
    /** `null`: nothing waits for them. */
    readonly stopAfterMs: number | null;
    readonly known: readonly { readonly url: string; readonly key: string }[];
  } | null;
  readonly policies: string;
  readonly environments: ReadonlyMap<EnvironmentId, Environment>;
  readonly targets: ReadonlyMap<TargetId, ConfiguredTarget>;
  readonly actors: ReadonlyMap<ActorId, Actor>;
  /** Agents whose platform names them in tokens, and who issues these. */
  readonly workloads: ConfiguredWorkloads;
  /** Digests of agents' own tokens. */
  readonly agentTokens: ReadonlyMap<string, ActorId>;
  readonly roles: ReadonlyMap<RoleId, Role>;
  /** Who is told of what nobody may miss. */
  /** `null` where there is none. */
  readonly slack: ConfiguredSlack | null;
  /** Where mail is handed over; `null` where nobody gets any. */
  readonly mail: {
    readonly url: string;
    readonly user: string | null;
    readonly password: Secret | null;
    readonly from: string;
  } | null;
  /** Who is told of what still waits after a time. */
  readonly escalation: readonly { readonly afterMs: number; readonly to: readonly ActorId[] }[];
  readonly webhooks: readonly { readonly url: string; readonly secret: Secret }[];
  /** Whom people sign in with; `null` where there is no provider. */
  readonly oidc: ConfiguredOidc | null;
  /** For how long people stay signed in, in milliseconds. */
  readonly session: { readonly idleMs: number; readonly longestMs: number; readonly stepUpMs: number };
  /** What stops an agent, a task or a target by itself. */
  readonly breakers: ReadonlyMap<Breaker, ConfiguredBreaker>;
  /** For how long somebody may let another decide in their place; `null` where nobody can. */
  readonly delegationMs: number | null;
  readonly freezes: readonly Freeze[];
  /** Every file that was read, this one first. */
  readonly files: readonly string[];
}

export interface ConfiguredTarget {
  readonly target: Target;
  readonly session: { readonly user: string; readonly password: Secret };
  readonly apply: { readonly user: string; readonly password: Secret };
  /** `null` where backups are somebody else's. */
  readonly backup: ConfiguredBackup | null;
  /** When a gateway looks by itself whether the schema is as it is meant to be; `null`: never. */
  readonly drift: Recurring | null;
  /** Logins of others that have to be there, with what for. */
  readonly knownLogins: ReadonlyMap<string, string>;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Safe by tier: what needs no approval, and how many must countersign what can't be measured. */
const DEFAULTS: Readonly<
  Record<Tier, Pick<Environment, 'rowsWithoutApproval' | 'quorum' | 'quorumUnmeasured' | 'clicks'>>
> = {
  development: { rowsWithoutApproval: 100_000, quorum: 1, quorumUnmeasured: 1, clicks: 'reversible' },
  staging: { rowsWithoutApproval: 10_000, quorum: 1, quorumUnmeasured: 1, clicks: 'reversible' },
  production: { rowsWithoutApproval: 100, quorum: 1, quorumUnmeasured: 2, clicks: 'never' },
};
const PLAN_LIFETIME_MS = 24 * 3_600_000;

/** Loads and checks the configuration. @throws ConfigError with all that is wrong, by line and key. */
export async function loadConfig(file: string): Promise<Config> {
  const path = resolve(file);
  const directory = dirname(path);
  const { value, problem } = await readYaml(path, configSchema);
  const authorities = new Map<string, string>();
  const windows = readWindows(value, directory, problem);
  const freezes = readFreezes(value, problem);
  const problems = [
    ...crossCheck(value, problem),
    ...readAuthorities(value, directory, authorities, problem),
    ...windows.problems,
    ...freezes.problems,
  ];
  if (problems.length > 0) throw new ConfigError(path, problems);
  const within = (relative: string) => resolve(directory, relative);
  return {
    file: path,
    directory,
    state: stateOf(value.state, directory, authorities.get(STATE)),
    listen: { pg: hostPort(value.listen.pg), http: hostPort(value.listen.http) },
    proxies: value.listen.proxies,
    reachedAt: reachedAt(value.listen.public),
    tls:
      value.tls === undefined
        ? null
        : { certificate: within(value.tls.certificate), key: within(value.tls.key), required: value.tls.required },
    metricsToken: value.metrics === undefined ? null : secretReference(value.metrics.token, directory),
    ledgerKey: within(value.keys.ledger),
    origin: value.origin,
    breakers: breakersOf(value.breakers),
    witnesses:
      value.witnesses === undefined
        ? null
        : {
            quorum: value.witnesses.quorum,
            everyMs: value.witnesses.every,
            stopAfterMs: value.witnesses.stopAfter ?? null,
            known: value.witnesses.known,
          },
    policies: within(value.policies),
    environments: new Map(
      Object.entries(value.environments).map(([id, entry]) => [
        asId<EnvironmentId>(id),
        environmentOf(id, entry, windows.byEnvironment.get(id) ?? []),
      ]),
    ),
    targets: new Map(
      Object.entries(value.targets).map(([id, entry]) => [
        asId<TargetId>(id),
        targetOf(id, entry, directory, authorities.get(id)),
      ]),
    ),
    actors: actorsOf(value),
    workloads: workloadsOf(value),
    agentTokens: new Map(
      Object.entries(value.actors.agents).flatMap(([id, { tokenHash }]) =>
        tokenHash === undefined ? [] : [[tokenHash, asId<ActorId>(id)] as const],
      ),
    ),
    roles: new Map(Object.entries(value.roles).map(([id, entry]) => [asId<RoleId>(id), roleOf(id, entry)])),
    oidc: oidcOf(value, directory),
    session: {
      idleMs: value.identity.session.idle,
      longestMs: value.identity.session.longest,
      stepUpMs: value.identity.session.stepUp,
    },
    delegationMs: value.identity.delegation?.longest ?? null,
    freezes: freezes.freezes,
    webhooks: value.notifications.webhooks.map(({ url, secret }) => ({
      url,
      secret: secretReference(secret, directory),
    })),
    slack: slackOf(value, directory),
    mail: mailOf(value.notifications.email, directory),
    escalation: value.notifications.escalation.map(({ after, to }) => ({
      afterMs: after,
      to: to.map((person) => asId<ActorId>(person)),
    })),
    files: [path, ...authorityFiles(value, directory), ...windows.files],
  };
}

function reachedAt(named: ConfigDocument['listen']['public']): Config['reachedAt'] {
  return named === undefined ? null : { pg: named.pg, http: named.http.replace(/\/+$/, '') };
}

function mailOf(email: ConfigDocument['notifications']['email'], directory: string): Config['mail'] {
  if (email === undefined) return null;
  const { server, user = null, password, from } = email;
  return { url: server, user, password: password === undefined ? null : secretReference(password, directory), from };
}

function hostPort(text: string): HostPort {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

function environmentOf(
  id: string,
  entry: ConfigDocument['environments'][string],
  windows: readonly ChangeWindow[],
): Environment {
  const defaults = DEFAULTS[entry.tier];
  return {
    id: asId<EnvironmentId>(id),
    tier: entry.tier,
    owner: asId<ActorId>(entry.owner),
    rowsWithoutApproval: entry.rowsWithoutApproval ?? defaults.rowsWithoutApproval,
    quorum: entry.quorum ?? defaults.quorum,
    quorumUnmeasured: entry.quorumUnmeasured ?? Math.max(defaults.quorumUnmeasured, entry.quorum ?? 1),
    planLifetimeMs: entry.planLifetime ?? PLAN_LIFETIME_MS,
    clicks: entry.clicks ?? defaults.clicks,
    approvalAgents: entry.approvalAgents ?? null,
    windows,
  };
}

function targetOf(
  id: string,
  entry: ConfigDocument['targets'][string],
  directory: string,
  authorities: string | undefined,
): ConfiguredTarget {
  const { host, port, database, tls } = entry.address;
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
        ...(authorities === undefined ? {} : { tlsAuthorities: authorities }),
      },
      identity: asId<Digest>(entry.identity),
      maxSessions: entry.maxSessions,
      secrets: entry.secrets,
      keepsWrites: entry.undo.writes === 'kept',
      quarantineMs: entry.undo.quarantine,
      undoKept: { keepMs: entry.undo.keep, maxBytes: entry.undo.maxBytes },
      masks: Object.entries(entry.masks).map(([pattern, mask]) => maskRule(pattern, mask)),
    },
    session: login(entry.credentials.session),
    apply: login(entry.credentials.apply),
    backup: backupOf(entry, directory),
    drift: recurringOf(entry.drift),
    knownLogins: new Map(Object.entries(entry.logins)),
  };
}

function actorsOf(value: ConfigDocument): ReadonlyMap<ActorId, Actor> {
  const actors = new Map<ActorId, Actor>();
  for (const [id, entry] of Object.entries(value.actors.people)) {
    const person = personOf(id, entry);
    actors.set(person.id, person);
  }
  for (const [kind, machines] of [
    ['agent', value.actors.agents],
    ['service', value.actors.services],
  ] as const) {
    for (const [id, { owner, role, family }] of Object.entries(machines)) {
      const machine: Agent | Service = {
        kind,
        id: asId<ActorId>(id),
        owner: asId<ActorId>(owner),
        role: asId<RoleId>(role),
        ...(family === undefined ? {} : { family }),
      };
      actors.set(machine.id, machine);
    }
  }
  for (const agent of approvalAgentsOf(value)) actors.set(agent.id, agent);
  return actors;
}

function roleOf(id: string, entry: ConfigDocument['roles'][string]): Role {
  const { maxTask, maxRowsPerReply, maxBytesPerReply, maxSessions, ...given } = entry;
  return {
    id: asId<RoleId>(id),
    ...given,
    maxTaskMs: maxTask,
    ...(maxRowsPerReply === undefined ? {} : { maxRowsPerReply }),
    ...(maxBytesPerReply === undefined ? {} : { maxBytesPerReply }),
    ...(maxSessions === undefined ? {} : { maxSessions }),
  };
}

/** Under which the authorities of the state are kept; no target can have this name. */
const STATE = '(state)';

/** Reads the authorities that targets and the state name. @returns what can't be read. */
function readAuthorities(
  value: ConfigDocument,
  directory: string,
  authorities: Map<string, string>,
  problem: ProblemAt,
): Problem[] {
  const named = Object.entries(value.targets).map(
    ([id, { address }]) => [id, address.authorities, ['targets', id, 'address', 'authorities']] as const,
  );
  const ofState = typeof value.state === 'string' ? undefined : value.state.authorities;
  return [...named, [STATE, ofState, ['state', 'authorities']] as const].flatMap(([id, file, path]) => {
    if (file === undefined) return [];
    try {
      authorities.set(id, readFileSync(resolve(directory, file), 'utf8'));
      return [];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [problem(path, `can't be read: ${why}`)];
    }
  });
}

function authorityFiles({ targets, state }: ConfigDocument, directory: string): string[] {
  const named = [...Object.values(targets).map(({ address }) => address.authorities)];
  if (typeof state !== 'string') named.push(state.authorities);
  return named.flatMap((file) => (file === undefined ? [] : [resolve(directory, file)]));
}

/** What no single key can say: that names refer to something, and that environments are really separate (G9). */
function crossCheck(value: ConfigDocument, problem: ProblemAt): Problem[] {
  const problems: Problem[] = [];
  const report = (path: readonly PropertyKey[], message: string) => problems.push(problem(path, message));
  const needPerson = (path: readonly PropertyKey[], id: string) => {
    if (!Object.hasOwn(value.actors.people, id)) report(path, `there is no person ${id} under actors.people`);
  };
  const needEnvironment = (path: readonly PropertyKey[], id: string) => {
    if (!Object.hasOwn(value.environments, id)) report(path, `there is no environment ${id}`);
  };
  for (const [id, { owner, quorum, quorumUnmeasured }] of Object.entries(value.environments)) {
    needPerson(['environments', id, 'owner'], owner);
    if (quorumUnmeasured !== undefined && quorumUnmeasured < (quorum ?? 1)) {
      report(['environments', id, 'quorumUnmeasured'], `what can't be measured needs at least the quorum of ${quorum}`);
    }
  }
  const seen = new Map<string, { id: string; environment: string }>();
  for (const [id, target] of Object.entries(value.targets)) {
    needPerson(['targets', id, 'owner'], target.owner);
    needEnvironment(['targets', id, 'environment'], target.environment);
    if (target.credentials.session.user === target.credentials.apply.user) {
      report(
        ['targets', id, 'credentials', 'apply', 'user'],
        'plans are applied under another login than sessions (G4)',
      );
    }
    const { host, port, database } = target.address;
    for (const key of [target.identity, `${host.toLowerCase().replace(/\.$/, '')}:${port}/${database}`]) {
      const other = seen.get(key);
      if (other !== undefined && other.environment !== target.environment) {
        report(['targets', id], `this is the same database as ${other.id}, which is in another environment`);
        break;
      }
      seen.set(key, { id, environment: target.environment });
    }
  }
  checkPeople(value, report, needEnvironment);
  checkSlack(value, report, needEnvironment);
  checkWorkloads(value, report);
  checkMachines(value, report, needPerson);
  checkApprovalAgents(value, report, { needPerson, needEnvironment });
  for (const [index, freeze] of value.freezes.entries()) {
    if (freeze.environment !== '*') needEnvironment(['freezes', index, 'environment'], freeze.environment);
    for (const [at, person] of freeze.override.entries()) needPerson(['freezes', index, 'override', at], person);
  }
  return problems;
}

/** A name or a token that two actors have would make one of them speak as the other. */
function checkMachines(value: ConfigDocument, report: Report, needPerson: Report): void {
  const tokens = new Map<string, string>();
  for (const kind of ['agents', 'services'] as const) {
    for (const [id, { owner, role, tokenHash }] of Object.entries(value.actors[kind])) {
      needPerson(['actors', kind, id, 'owner'], owner);
      if (!Object.hasOwn(value.roles, role)) report(['actors', kind, id, 'role'], `there is no role ${role}`);
      if (Object.hasOwn(value.actors.people, id)) report(['actors', kind, id], 'a person has this name already');
      if (kind === 'services' && Object.hasOwn(value.actors.agents, id))
        report(['actors', kind, id], 'an agent has this name already');
      const other = tokenHash === undefined ? undefined : tokens.get(tokenHash);
      if (other !== undefined) report(['actors', kind, id, 'tokenHash'], `this is the token of ${other}`);
      if (tokenHash !== undefined) tokens.set(tokenHash, id);
    }
  }
}

/** Where the configuration is looked for when none is named. */
export function defaultConfigFile(): string {
  return (
    process.env['COUNTERSIGN_CONFIG'] ?? (existsSync('countersign.yaml') ? 'countersign.yaml' : './countersign.yaml')
  );
}
