import type { Config } from '../config/load.ts';
import type { Agent, Person, Role, Service } from '../domain/actor.ts';
import type { ProvenBackup } from '../domain/backup.ts';
import type { Branch } from '../domain/branch.ts';
import type { DriftState } from '../domain/drift.ts';
import type { Environment } from '../domain/environment.ts';
import type { ActorId, EnvironmentId, TargetId } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { mayHaveActed, notForThem } from '../domain/rights.ts';
import type { Task } from '../domain/task.ts';
import type { KnownTarget } from '../pipeline/create-gateway.ts';
import { createTargetRules, type TargetRules } from '../pipeline/target-rules.ts';
import { type ChangeCalendar, createChangeCalendar } from '../policy/change-calendar.ts';
import { createDecide, type Decide } from '../policy/decide.ts';
import type { PolicySet } from '../policy/policy-set.ts';
import type { SteadyClock } from '../policy/steady-clock.ts';
import type { Governance } from './load-governance.ts';

/** What governs now, with all that follows from it. A reload puts another in its place, whole; it is never altered. */
export interface InForce {
  readonly governance: Governance;
  readonly config: Config;
  readonly policies: PolicySet;
  readonly people: ReadonlyMap<ActorId, Person>;
  readonly targets: ReadonlyMap<TargetId, KnownTarget>;
  readonly rules: ReadonlyMap<TargetId, TargetRules>;
  /** Of what works in a branch: what the task declares of its target, and nobody to ask. */
  branchRules(branch: Pick<Branch, 'id' | 'of'>): TargetRules | undefined;
  /** An agent or service with its role. */
  actor(id: ActorId): { readonly actor: Agent | Service; readonly role: Role } | undefined;
  /** Why a task may not go on on a target: one of the two is no longer configured, or who asked for it may no longer. */
  over(task: Pick<Task, 'id' | 'agent' | 'onBehalfOf'>, target: TargetId): Refusal | undefined;
}

/** Nobody is asked, whatever is changed: none of it is there for anybody else, and all of it is looked at when it is merged. */
const IN_A_BRANCH = {
  tier: 'development',
  rowsWithoutApproval: Number.MAX_SAFE_INTEGER,
  quorum: 0,
  quorumUnmeasured: 0,
  clicks: 'never',
  approvalAgents: null,
  windows: [],
} as const;

export function inForce(
  governance: Governance,
  deps: {
    readonly watched: (decide: Decide) => Decide;
    readonly clock: SteadyClock;
    readonly now: () => number;
    /** With the passkeys that count. */
    readonly withPasskeys: (people: ReadonlyMap<ActorId, Person>) => ReadonlyMap<ActorId, Person>;
    readonly drift: (target: TargetId) => DriftState | undefined;
    readonly provenBackup: (target: TargetId) => ProvenBackup | undefined;
    /** With which gateways attest clicks. */
    readonly gatewayKey: Uint8Array;
  },
): InForce {
  const { config, policies } = governance;
  const decide = deps.watched(createDecide(policies));
  const configured = new Map(
    [...config.actors.values()].flatMap((actor) => (actor.kind === 'person' ? [[actor.id, actor] as const] : [])),
  );
  const targets = new Map(
    [...config.targets.values()].flatMap(({ target }) => {
      const environment = config.environments.get(target.environment);
      return environment === undefined ? [] : [[target.id, { target, environment }] as const];
    }),
  );
  const backups = new Set([...config.targets].flatMap(([id, { backup }]) => (backup === null ? [] : [id])));
  const calendars = new Map<EnvironmentId, ChangeCalendar>();

  /** One for each environment: its targets are open and frozen together. */
  function calendarOf({ id, windows }: Environment): ChangeCalendar {
    const known = calendars.get(id);
    if (known !== undefined) return known;
    const freezes = config.freezes.filter((freeze) => freeze.environment === '*' || freeze.environment === id);
    const calendar = createChangeCalendar({ windows, freezes, clock: deps.clock });
    calendars.set(id, calendar);
    return calendar;
  }

  function actor(id: ActorId) {
    const known = config.actors.get(id);
    if (known === undefined || known.kind === 'person' || known.kind === 'approval agent') return undefined;
    const role = config.roles.get(known.role);
    return role === undefined ? undefined : { actor: known, role };
  }

  const branchRules = new Map<TargetId, TargetRules>();
  function makeBranchRules({ id, of }: Pick<Branch, 'id' | 'of'>): TargetRules | undefined {
    const known = targets.get(of);
    if (known === undefined) return undefined;
    const environment: Environment = { ...known.environment, ...IN_A_BRANCH };
    return createTargetRules({
      id,
      branchOf: of,
      environment,
      people: () => deps.withPasskeys(configured),
      clicks: null,
      actor,
      changeTime: createChangeCalendar({ windows: [], freezes: [], clock: deps.clock }),
      backup: () => null,
      drift: () => undefined,
      decide,
      masks: known.target.masks ?? [],
      secrets: known.target.secrets ?? 'off',
      keepsWrites: false,
      quarantineMs: undefined,
      policyDigest: policies.digest,
      edition: governance,
      now: deps.now,
    });
  }

  return {
    governance,
    config,
    policies,
    branchRules(branch) {
      const made = branchRules.get(branch.id) ?? makeBranchRules(branch);
      if (made !== undefined) branchRules.set(branch.id, made);
      return made;
    },
    get people() {
      return deps.withPasskeys(configured);
    },
    targets,
    rules: new Map(
      [...targets].map(([id, { target, environment }]) => [
        id,
        createTargetRules({
          id,
          environment,
          people: () => deps.withPasskeys(configured),
          clicks:
            config.slack === null
              ? null
              : { count: environment.clicks, team: config.slack.team, gatewayKey: deps.gatewayKey },
          actor,
          changeTime: calendarOf(environment),
          backup: () => (backups.has(id) ? { proven: deps.provenBackup(id) } : null),
          drift: () => deps.drift(id),
          decide,
          masks: target.masks ?? [],
          secrets: target.secrets ?? 'off',
          keepsWrites: target.keepsWrites === true,
          quarantineMs: target.quarantineMs,
          policyDigest: policies.digest,
          edition: governance,
          now: deps.now,
        }),
      ]),
    ),
    actor,
    over(task, target) {
      const known = targets.get(target);
      if (known === undefined) return gone(`The target ${target}`, 'targets');
      if (actor(task.agent) === undefined) return gone(`The agent ${task.agent} of task ${task.id}`, 'actors');
      if (task.onBehalfOf === task.agent) return undefined;
      const person = configured.get(task.onBehalfOf);
      if (person === undefined) return gone(`${task.onBehalfOf}, for whom task ${task.id} runs,`, 'actors');
      const { id } = known.environment;
      return mayHaveActed(person, id) ? undefined : notForThem(person.id, id);
    },
  };
}

function gone(what: string, where: string): Refusal {
  return {
    refused: 'denied',
    message: `${what} is no longer in the configuration.`,
    hint: `Whoever runs the gateway took it out. If that was a mistake, they must add it under ${where} again; then connect anew.`,
  };
}
