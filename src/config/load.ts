import { dirname, resolve } from 'node:path';
import type { Actor, Role } from '../domain/actor.ts';
import type { Breaker } from '../domain/breaker.ts';
import type { Freeze } from '../domain/change-time.ts';
import type { Environment } from '../domain/environment.ts';
import { type ActorId, asId, type Digest, type EnvironmentId, type RoleId, type TargetId } from '../domain/ids.ts';
import type { StateLocation } from '../domain/state-location.ts';
import { actorsOf, roleOf } from './actors.ts';
import { readAuthorities, STATE } from './authorities.ts';
import { breakersOf, type ConfiguredBreaker } from './breakers.ts';
import { readFreezes, readWindows } from './change-times.ts';
import { crossCheck } from './cross-check.ts';
import { environmentOf } from './environments.ts';
import { FilesRead } from './files-read.ts';
import { ConfigError, readYaml } from './parse-yaml.ts';
import { type ConfiguredOidc, oidcOf } from './people.ts';
import { type ConfigDocument, configSchema } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';
import { type ConfiguredSlack, slackOf } from './slack.ts';
import { stateOf } from './state.ts';
import { type ConfiguredTarget, targetOf } from './targets.ts';
import { type ConfiguredWorkloads, workloadsOf } from './workloads.ts';

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
  /** Plans in channels of Slack; `null` where there are none. */
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
  /** Who is told of what nobody may miss. */
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
  /** Over the bytes of these files. The policies have a digest of their own. */
  readonly digest: Digest;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Loads and checks the configuration. @throws ConfigError with all that is wrong, by line and key. */
export async function loadConfig(file: string): Promise<Config> {
  const path = resolve(file);
  const directory = dirname(path);
  const files = new FilesRead();
  const { value, problem } = readYaml(path, configSchema, files);
  const authorities = new Map<string, string>();
  const unreadable = readAuthorities(value, directory, files, authorities, problem);
  const windows = readWindows(value, directory, files, problem);
  const freezes = readFreezes(value, problem);
  const problems = [...crossCheck(value, problem), ...unreadable, ...windows.problems, ...freezes.problems];
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
        targetOf(id, entry, directory, (name) => authorities.get(name)),
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
    files: files.paths,
    digest: files.digest,
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

/** Where the configuration is looked for when none is named. */
export function defaultConfigFile(): string {
  return process.env['COUNTERSIGN_CONFIG'] ?? 'countersign.yaml';
}
