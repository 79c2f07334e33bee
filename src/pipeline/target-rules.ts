import type { ClickRules } from '../approval/quorum.ts';
import type { Agent, Person, Role, Service } from '../domain/actor.ts';
import type { ProvenBackup } from '../domain/backup.ts';
import type { ChangeTime, Freeze } from '../domain/change-time.ts';
import type { Allowed, Decision, Denied, Held } from '../domain/decision.ts';
import { describeObligation } from '../domain/describe-change-time.ts';
import type { DriftState } from '../domain/drift.ts';
import { type Analysis, type Effect, rowsChanged, type TableEffect } from '../domain/effect.ts';
import type { Environment } from '../domain/environment.ts';
import type { ActorId, Digest, TargetId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { MaskRule } from '../domain/masking.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Measurement, Plan } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { SecretMode } from '../domain/secrets.ts';
import type { Task } from '../domain/task.ts';
import { undoPath } from '../planning/undo-path.ts';
import type { ChangeCalendar } from '../policy/change-calendar.ts';
import type { Extent, Standing } from '../policy/circumstances.ts';
import type { Decide } from '../policy/decide.ts';
import { notInABranch } from './in-a-branch.ts';
import type { Reach } from './task-reach.ts';
import { withheld } from './withheld.ts';

/** What is decided of statements and plans on one target, without touching it: configuration and policy alone. */
export interface TargetRules {
  readonly id: TargetId;
  readonly environment: Environment;
  readonly people: ReadonlyMap<ActorId, Person>;
  /** What clicks in Slack are worth here; `null` where there are none. */
  readonly clicks: ClickRules | null;
  /** Another object after each reload: what was decided under another one no longer counts. */
  readonly edition: object;
  readonly masks: readonly MaskRule[];
  readonly secrets: SecretMode;
  /** Rows of writes within limits are kept: where one’s are not, it becomes a plan. */
  readonly keepsWrites: boolean;
  /** How long what is dropped stays in quarantine. */
  readonly quarantineMs: number | undefined;
  /** What the last look at the target found; `null` where its schema is as its baseline has it, or nobody has looked. */
  drift(): Extent['drift'];
  /** The newest backup that a drill has proven. */
  provenBackup(): ProvenBackup | undefined;
  /** Whether now is a time to change the environment. Equal objects mean equal decisions. */
  changeTime(): ChangeTime;
  /** What the task may touch here. @throws RefusalError when it declares nothing of this target, or its actor is gone. */
  reach(task: Task): Reach;
  /** Denied, where a statement would be told what this task may not know; whatever policy says. */
  withheld(analysis: Analysis): Denied | undefined;
  /** Before anything has run. */
  decideStatement(task: Task, channel: Channel, analysis: Analysis): Decision;
  /** After it has run, and before it is committed (G5). */
  decideMeasured(measured: {
    readonly task: Task;
    readonly channel: Channel;
    readonly analyses: readonly Analysis[];
    readonly tables: readonly TableEffect[];
  }): Decision;
  /** For what is to become a plan. */
  decidePlan(asked: {
    readonly task: Task;
    readonly channel: Channel;
    readonly effects: readonly Effect[];
    readonly measurement: Measurement;
  }): Decision;
  /**
   * Asked again right before a plan is applied, with those who countersigned: policy, role and time as they are now (G3).
   *
   * @param how.glassBroken whether somebody acts on it in an emergency: policy may forbid that, and else says what it waits for.
   * @param how.byAgent whether an approval agent has countersigned it, and no person: policy may forbid that.
   */
  decideApply(task: Task, plan: Plan, approvedBy: readonly ActorId[], how?: ApprovedHow): Decision;
  /**
   * How many people must countersign: what was asked of them when it was held, or what is asked now, if that is more.
   * 0 only for what waited for nothing, then and now.
   */
  approvalsNeeded(task: Task, plan: Plan): number;
  denial(decision: Decision): Refusal;
  /** The task has used up what it declared: what would have been allowed is held. */
  overTaskLimit(task: Task, decision: Allowed): Held;
  /** It would run code that nobody has looked at: what policy lets through is held all the same. */
  unknownCode(decision: Held | Allowed, why: string): Held;
}

export interface ApprovedHow {
  readonly glassBroken?: boolean;
  readonly byAgent?: boolean | undefined;
}

export function createTargetRules(deps: {
  readonly id: TargetId;
  /** Set for a branch: it is governed by what the task declares of the target that it was made of. */
  readonly branchOf?: TargetId;
  readonly environment: Environment;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly clicks: ClickRules | null;
  readonly actor: (id: ActorId) => { readonly actor: Agent | Service; readonly role: Role } | undefined;
  readonly changeTime: ChangeCalendar;
  /** `null` where Countersign makes no backups of the target. */
  readonly backup: () => { readonly proven: ProvenBackup | undefined } | null;
  readonly drift: () => DriftState | undefined;
  readonly decide: Decide;
  readonly masks: readonly MaskRule[];
  readonly secrets: SecretMode;
  readonly keepsWrites: boolean;
  readonly quarantineMs: number | undefined;
  readonly policyDigest: Digest;
  readonly edition: object;
  readonly now: () => number;
}): TargetRules {
  const { id, environment, decide } = deps;

  function known(task: Task): Pick<Standing, 'actor' | 'role' | 'radius'> {
    const found = deps.actor(task.agent);
    const radius = task.radius.find((entry) => entry.target === (deps.branchOf ?? id));
    if (found === undefined) throw new RefusalError(actorGone(task));
    if (radius === undefined) throw new RefusalError(notInTask(task, id));
    return { ...found, radius };
  }

  function standing(task: Task, channel: Channel): Standing {
    return { ...known(task), target: id, environment, limits: task.limits, channel };
  }

  function extentNow(rows: number): Extent {
    const time = deps.changeTime();
    return {
      rows,
      measured: true,
      reversible: true,
      backup: null,
      drift: null,
      approvals: 0,
      time,
      freezeOverridden: false,
    };
  }

  function drillNow(): Extent['backup'] {
    const backup = deps.backup();
    if (backup === null) return null;
    const { proven } = backup;
    if (proven === undefined) return { drillAgeHours: Number.MAX_SAFE_INTEGER, drilledAt: null };
    const ageMs = Math.max(0, deps.now() - Date.parse(proven.drilledAt));
    return { drillAgeHours: Math.floor(ageMs / 3_600_000), drilledAt: proven.drilledAt };
  }

  function decideEffects(
    task: Task,
    { channel, effects, measurement }: Pick<Plan, 'channel' | 'effects' | 'measurement'>,
    approved: Pick<Extent, 'approvals' | 'freezeOverridden' | 'glassBroken' | 'approvedByAgent'>,
  ): Decision {
    const follow = measurement.measured ? following(measurement.effect.tables) : effects.filter((e) => !isDirect(e));
    return decide(standing(task, channel), [...effects.filter(isDirect), ...follow], {
      ...extentNow(measurement.measured ? rowsChanged(measurement.effect.tables) : 0),
      measured: measurement.measured,
      reversible: undoPath(effects, measurement).undo !== 'irreversible',
      backup: drillNow(),
      drift: rules.drift(),
      ...approved,
    });
  }

  const rules: TargetRules = {
    id,
    environment,
    get people() {
      return deps.people();
    },
    clicks: deps.clicks,
    edition: deps.edition,
    masks: deps.masks,
    secrets: deps.secrets,
    withheld: (analysis) =>
      withheld(analysis, { masks: deps.masks.length > 0, policyDigest: deps.policyDigest }) ??
      (deps.branchOf === undefined ? undefined : notInABranch(analysis, deps.policyDigest)),
    keepsWrites: deps.keepsWrites,
    quarantineMs: deps.quarantineMs,
    drift() {
      const { since, objects } = deps.drift() ?? { since: null, objects: 0 };
      return since === null ? null : { since, objects };
    },
    provenBackup: () => deps.backup()?.proven,
    changeTime: deps.changeTime,
    reach(task) {
      const { radius, role } = known(task);
      return { radius, role };
    },
    decideStatement(task, channel, analysis) {
      // What follows by keys and triggers is judged by what it turns out to be, before the commit.
      return decide(standing(task, channel), analysis.effects.filter(isDirect), extentNow(0));
    },
    decideMeasured({ task, channel, analyses, tables }) {
      const effects = [...analyses.flatMap((analysis) => analysis.effects.filter(isDirect)), ...following(tables)];
      return decide(standing(task, channel), effects, extentNow(rowsChanged(tables)));
    },
    decidePlan: ({ task, ...plan }) => decideEffects(task, plan, { approvals: 0, freezeOverridden: false }),
    decideApply: (task, plan, approvedBy, { glassBroken = false, byAgent = false } = {}) =>
      decideEffects(task, plan, {
        approvals: approvedBy.length,
        freezeOverridden: overridden(deps.changeTime().freezes, plan, approvedBy),
        glassBroken,
        approvedByAgent: byAgent,
      }),
    approvalsNeeded(task, plan) {
      const asked = (held: Pick<Held, 'missing'>) =>
        Math.max(0, ...held.missing.map((missing) => (missing.obligation === 'approvals' ? missing.count : 1)));
      // Whose agent is gone can't be applied; what was asked can still be looked at.
      if (deps.actor(task.agent) === undefined) return asked(plan.held);
      const now = rules.decideApply(task, plan, []);
      return Math.max(asked(plan.held), now.decision === 'hold' ? asked(now) : 0);
    },
    denial: (decision) => denialOf(decision, deps.now()),
    overTaskLimit: (task, decision) =>
      forPeople(
        decision,
        'over-task-limit',
        `The task may change ${task.limits.rowsPerTask} rows in all, and this would be more.`,
      ),
    unknownCode: (decision, why) => forPeople(decision, 'unknown-effect', `Nobody has looked at what it runs: ${why}.`),
  };

  /** Held for as many people as the environment asks. */
  function forPeople({ policyDigest }: Held | Allowed, policy: string, reason: string): Held {
    const missing = [{ obligation: 'approvals', count: environment.quorum }] as const;
    return { decision: 'hold', policies: [{ policy, reason }], missing, policyDigest };
  }

  return rules;
}

/** The rules of a target as they are in force whenever they are asked. @throws RefusalError once there is no such target. */
export function rulesInForce(id: TargetId, current: () => TargetRules | undefined): TargetRules {
  const rules = (): TargetRules => {
    const found = current();
    if (found === undefined) throw new RefusalError(targetGone(id));
    return found;
  };
  return {
    id,
    get environment() {
      return rules().environment;
    },
    get people() {
      return rules().people;
    },
    get clicks() {
      return rules().clicks;
    },
    get edition() {
      return rules().edition;
    },
    get masks() {
      return rules().masks;
    },
    get secrets() {
      return rules().secrets;
    },
    get keepsWrites() {
      return rules().keepsWrites;
    },
    get quarantineMs() {
      return rules().quarantineMs;
    },
    drift: () => rules().drift(),
    provenBackup: () => rules().provenBackup(),
    changeTime: () => rules().changeTime(),
    reach: (task) => rules().reach(task),
    withheld: (analysis) => rules().withheld(analysis),
    decideStatement: (...asked) => rules().decideStatement(...asked),
    decideMeasured: (measured) => rules().decideMeasured(measured),
    decidePlan: (asked) => rules().decidePlan(asked),
    decideApply: (...asked) => rules().decideApply(...asked),
    approvalsNeeded: (...asked) => rules().approvalsNeeded(...asked),
    denial: (decision) => rules().denial(decision),
    overTaskLimit: (...asked) => rules().overTaskLimit(...asked),
    unknownCode: (...asked) => rules().unknownCode(...asked),
  };
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

/**
 * A countersignature lifts a freeze only if that freeze stood on the plan that was signed: whoever signed before there
 * was a freeze has not said that it may be broken (G3).
 */
function overridden(freezes: readonly Freeze[], { held }: Plan, approvedBy: readonly ActorId[]): boolean {
  return freezes.every(
    ({ until, reason, override }) =>
      override.some((person) => approvedBy.includes(person)) &&
      held.missing.some(
        (missing) => missing.obligation === 'after freeze' && missing.until === until && missing.reason === reason,
      ),
  );
}

function denialOf(decision: Decision, nowMs: number): Refusal {
  const reasons = decision.policies.map((policy) => policy.reason);
  if (decision.decision === 'hold') {
    return {
      refused: 'held',
      message: `Not now: ${reasons.join(' ')}`,
      detail: decision.missing.map((missing) => `missing: ${describeObligation(missing, nowMs)}`).join('\n'),
      hint: decision.missing.every(({ obligation }) => obligation !== 'approvals')
        ? 'Nothing was changed. Approvals stand; try again at a time when it may be changed.'
        : 'Nothing was changed.',
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

export function targetGone(target: TargetId): Refusal {
  return {
    refused: 'denied',
    message: `There is no target ${target}.`,
    hint: 'list_targets shows those there are.',
  };
}

export function notInTask(task: Task, target: TargetId): Refusal {
  return {
    refused: 'denied',
    message: `Task ${task.id} does not declare the target ${target}.`,
    hint: `It declares ${task.radius.map((radius) => radius.target).join(', ')}. Open a task that declares the other.`,
  };
}
