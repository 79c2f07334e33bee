import type { Agent, Freeze, Person, Role, Service } from '../domain/actor.ts';
import type { Allowed, Decision, Held } from '../domain/decision.ts';
import { type Analysis, type Effect, rowsChanged, type TableEffect } from '../domain/effect.ts';
import type { Environment } from '../domain/environment.ts';
import type { ActorId, TargetId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Measurement, Plan } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { undoPath } from '../planning/undo-path.ts';
import type { Extent, Standing } from '../policy/circumstances.ts';
import type { Decide } from '../policy/decide.ts';

/** What is decided of statements and plans on one target, without touching it: configuration and policy alone. */
export interface TargetRules {
  readonly id: TargetId;
  readonly environment: Environment;
  readonly people: ReadonlyMap<ActorId, Person>;
  /** The freeze that covers the environment now, if one does. Equal objects mean equal decisions. */
  freeze(): Freeze | undefined;
  /** Before anything has run. */
  decideStatement(task: Task, channel: Channel, analysis: Analysis): Decision;
  /** After it has run, and before it is committed (G5). */
  decideMeasured(measured: {
    readonly task: Task;
    readonly channel: Channel;
    readonly analyses: readonly Analysis[];
    readonly tables: readonly TableEffect[];
  }): Decision;
  /** For what is to become a plan, or is one, with so many people's approval. */
  decidePlan(asked: {
    readonly task: Task;
    readonly channel: Channel;
    readonly effects: readonly Effect[];
    readonly measurement: Measurement;
    readonly approvals: number;
  }): Decision;
  /** Asked again right before a plan is applied: policy, role and freeze as they are now (G3). */
  decideApply(task: Task, plan: Plan, approvals: number): Decision;
  /** How many people must countersign: what was asked of them when it was held, or what is asked now, if that is more. */
  approvalsNeeded(task: Task, plan: Plan): number;
  denial(decision: Decision): Refusal;
  /** The task has used up what it declared: what would have been allowed is held. */
  overTaskLimit(task: Task, decision: Allowed): Held;
}

export function createTargetRules(deps: {
  readonly id: TargetId;
  readonly environment: Environment;
  readonly people: ReadonlyMap<ActorId, Person>;
  readonly actor: (id: ActorId) => { readonly actor: Agent | Service; readonly role: Role } | undefined;
  readonly freezes: readonly Freeze[];
  readonly decide: Decide;
  readonly now: () => number;
}): TargetRules {
  const { id, environment, decide } = deps;

  function standing(task: Task, channel: Channel): Standing {
    const known = deps.actor(task.agent);
    const radius = task.radius.find((entry) => entry.target === id);
    if (known === undefined) throw new RefusalError(actorGone(task));
    if (radius === undefined) throw new RefusalError(notInTask(task, id));
    return { ...known, target: id, environment, radius, limits: task.limits, channel };
  }

  function freeze(): Freeze | undefined {
    const now = deps.now();
    return deps.freezes.find(
      (entry) =>
        (entry.environment === '*' || entry.environment === environment.id) &&
        Date.parse(entry.from) <= now &&
        now < Date.parse(entry.until),
    );
  }

  function extentOf(measurement: Measurement, effects: readonly Effect[], approvals: number): Extent {
    return {
      rows: measurement.measured ? rowsChanged(measurement.effect.tables) : 0,
      measured: measurement.measured,
      reversible: undoPath(effects, measurement).undo !== 'irreversible',
      approvals,
      freeze: freeze(),
    };
  }

  const rules: TargetRules = {
    id,
    environment,
    people: deps.people,
    freeze,
    decideStatement(task, channel, analysis) {
      const extent = { rows: 0, measured: true, reversible: true, approvals: 0, freeze: freeze() };
      // What follows by keys and triggers is judged by what it turns out to be, before the commit.
      return decide(standing(task, channel), analysis.effects.filter(isDirect), extent);
    },
    decideMeasured({ task, channel, analyses, tables }) {
      const effects = [...analyses.flatMap((analysis) => analysis.effects.filter(isDirect)), ...following(tables)];
      const extent = { rows: rowsChanged(tables), measured: true, reversible: true, approvals: 0, freeze: freeze() };
      return decide(standing(task, channel), effects, extent);
    },
    decidePlan({ task, channel, effects, measurement, approvals }) {
      const follow = measurement.measured ? following(measurement.effect.tables) : effects.filter((e) => !isDirect(e));
      const all = [...effects.filter(isDirect), ...follow];
      return decide(standing(task, channel), all, extentOf(measurement, effects, approvals));
    },
    decideApply: (task, { channel, effects, measurement }, approvals) =>
      rules.decidePlan({ task, channel, effects, measurement, approvals }),
    approvalsNeeded(task, plan) {
      const asked = (held: Pick<Held, 'missing'>) =>
        Math.max(1, ...held.missing.map((missing) => (missing.obligation === 'approvals' ? missing.count : 1)));
      const now = rules.decideApply(task, plan, 0);
      return Math.max(asked(plan.held), now.decision === 'hold' ? asked(now) : 1);
    },
    denial: denialOf,
    overTaskLimit: (task, decision) => ({
      decision: 'hold',
      policies: [
        {
          policy: 'over-task-limit',
          reason: `The task may change ${task.limits.rowsPerTask} rows in all, and this would be more.`,
        },
      ],
      missing: [{ obligation: 'approvals', count: environment.quorum }],
      policyDigest: decision.policyDigest,
    }),
  };
  return rules;
}

function isDirect(effect: Effect): boolean {
  return effect.via === 'direct';
}

/** What the database itself did along with the statement, as it was counted. */
function following(tables: readonly TableEffect[]): Effect[] {
  return tables
    .filter((table) => table.via !== 'direct')
    .flatMap((table) => {
      const [schema = '', ...name] = table.table.split('.');
      const object: ObjectRef = { kind: 'table', schema, name: name.join('.') };
      const counts = [
        ['insert', table.inserted],
        ['update', table.updated],
        ['delete', table.deleted],
        ['truncate', table.truncated],
      ] as const;
      return counts.flatMap(([verb, count]) => (count > 0 ? [{ verb, object, via: table.via }] : []));
    });
}

function denialOf(decision: Decision): Refusal {
  const reasons = decision.policies.map((policy) => policy.reason);
  if (decision.decision === 'hold') {
    return {
      refused: 'held',
      message: `Not now: ${reasons.join(' ')}`,
      detail: decision.missing
        .map((missing) =>
          missing.obligation === 'approvals'
            ? `${missing.count} approvals`
            : `after ${missing.until}: ${missing.reason}`,
        )
        .join('\n'),
      hint: 'Nothing was changed.',
    };
  }
  const overLimit = decision.policies.some((policy) => policy.policy === 'over-role-ceiling');
  return {
    refused: overLimit ? 'overLimit' : 'denied',
    message: reasons[0] ?? 'Denied.',
    detail: decision.policies.map((policy) => `${policy.policy}: ${policy.reason}`).join('\n'),
    hint: decision.decision === 'deny' ? decision.instead : 'Nothing was changed.',
  };
}

function actorGone(task: Task): Refusal {
  return {
    refused: 'denied',
    message: `${task.agent} is no longer in the configuration.`,
    hint: 'An operator must add it under actors again.',
  };
}

export function notInTask(task: Task, target: TargetId): Refusal {
  return {
    refused: 'denied',
    message: `Task ${task.id} does not declare the target ${target}.`,
    hint: `It declares ${task.radius.map((radius) => radius.target).join(', ')}. Open a task that declares the other.`,
  };
}
