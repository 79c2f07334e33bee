import type { Actor, Person, Role } from '../../domain/actor.ts';
import type { ProvenBackup } from '../../domain/backup.ts';
import { describeChangeTime } from '../../domain/describe-change-time.ts';
import type { DriftState } from '../../domain/drift.ts';
import type { Halt, HaltScope } from '../../domain/halt.ts';
import { type ActorId, asId, instantOf, type PlanId, type TargetId, type TaskId } from '../../domain/ids.ts';
import type { Refusal } from '../../domain/refusal.ts';
import { mayDo } from '../../domain/rights.ts';
import type { Task, TaskState } from '../../domain/task.ts';
import { hasSeen, putSight } from '../../store/decisions.ts';
import { getPlan } from '../../store/plans.ts';
import type { Store } from '../../store/store.ts';
import { tasksByExpiry } from '../../store/task-lists.ts';
import { taskById } from '../../store/tasks.ts';
import type { ApplyPlan } from '../apply-plan.ts';
import type { Branches } from '../branches.ts';
import type { BreakerStatus, Breakers } from '../breakers.ts';
import type { Changes } from '../changes.ts';
import type { KnownTarget } from '../create-gateway.ts';
import { type AgentDecisions, decisionsByAgent, decisionsByPerson, type PersonDecisions } from '../decisions.ts';
import type { Drifts } from '../drift.ts';
import type { ApplyReply, Gateway, PlanView, Refused } from '../gateway.ts';
import type { Halts } from '../halts.ts';
import { type PlanViews, planNamed } from '../plan-view.ts';
import type { TargetRules } from '../target-rules.ts';
import { type Activity, createActivity } from './activity.ts';
import { createDescribePlan, type PlanDetail } from './plan-detail.ts';
import { createPlanQueue, type PlanQueue } from './plan-queue.ts';
import { spellApprovalAgent, spellPerson, spellRole, spellTask } from './spell-rights.ts';

/** What people see of Countersign, and do besides countersigning: the one interface behind the console. */
export interface Oversight {
  readonly queue: PlanQueue;
  readonly activity: Activity;
  plan(named: string): Promise<PlanDetail | 'none' | 'several'>;
  /** A person has it before them: how long they look before they decide is measured. */
  saw(plan: PlanId, person: ActorId): Promise<void>;
  /** How people decided in the last thirty days. */
  decisions(): Promise<readonly PersonDecisions[]>;
  /** What approval agents approved in that time. */
  agentDecisions(): Promise<readonly AgentDecisions[]>;
  tasks(page: { readonly limit: number; readonly cursor?: string }): Promise<TaskPage>;
  task(id: string): Promise<TaskLine | undefined>;
  actors(): readonly ActorLine[];
  targets(): readonly TargetLine[];
  breakers(): Promise<readonly BreakerStatus[]>;
  halts(): readonly Halt[];
  halt(scope: HaltScope, reason: string, by: ActorId): Promise<Halt | Refused>;
  resume(scope: HaltScope, reason: string, by: ActorId): Promise<readonly Halt[] | Refused>;
  closeTask(id: TaskId, by: ActorId): Promise<TaskLine | Refused>;
  apply(plan: PlanId, by: ActorId): Promise<ApplyReply>;
  undo(plan: PlanId, by: ActorId, keepNewer: boolean): Promise<{ readonly plan: PlanView } | Refused>;
  close(): Promise<void>;
}

export interface TaskLine {
  readonly task: Task;
  readonly state: TaskState;
  readonly rowsUsed: number;
  readonly closedAt: string | null;
  readonly mayDo: readonly string[];
  readonly halted: string | null;
}

export interface TaskPage {
  readonly tasks: readonly TaskLine[];
  readonly next: string | null;
}

export interface ActorLine {
  readonly id: ActorId;
  readonly kind: Actor['kind'];
  readonly name: string | null;
  readonly owner: ActorId | null;
  readonly role: string | null;
  readonly mayDo: readonly string[];
  readonly halted: string | null;
}

export interface TargetLine {
  readonly id: TargetId;
  readonly engine: string;
  readonly environment: string;
  readonly tier: string;
  readonly owner: ActorId;
  readonly environmentOwner: ActorId;
  readonly address: string;
  readonly tls: string;
  readonly identity: string;
  /** Rows that a write may change without anybody being asked, and how many must countersign beyond that. */
  readonly rowsWithoutApproval: number;
  readonly quorum: number;
  readonly quorumUnmeasured: number;
  readonly keepsWrites: boolean;
  readonly masks: number;
  readonly time: readonly string[];
  /** How its schema was when it was looked at last; `null` where nobody has. */
  readonly drift: DriftState | null;
  readonly backup: ProvenBackup | null;
  readonly halted: string | null;
}

export interface OversightDeps {
  readonly store: Store;
  readonly views: PlanViews;
  readonly halts: Halts;
  readonly breakers: Pick<Breakers, 'status'>;
  readonly drifts: Pick<Drifts, 'known'>;
  readonly branches: Pick<Branches, 'list'>;
  readonly changes: Changes;
  readonly applyPlan: ApplyPlan;
  readonly gateway: Pick<Gateway, 'closeTask'>;
  readonly rules: (target: string) => TargetRules | undefined;
  /** What is configured now; asked for each time. */
  readonly targets: () => ReadonlyMap<TargetId, KnownTarget>;
  readonly actors: () => ReadonlyMap<ActorId, Actor>;
  readonly roles: () => ReadonlyMap<string, Role>;
  readonly onFailure: (error: unknown) => void;
  readonly now: () => number;
}

const MEASURED_MS = 30 * 86_400_000;

export function createOversight(deps: OversightDeps): Oversight {
  const { store, halts } = deps;
  const queue = createPlanQueue(deps);
  const activity = createActivity(deps);
  const describePlan = createDescribePlan({
    ...deps,
    queue,
    owners: (id) => deps.targets().get(asId<TargetId>(id))?.target,
  });

  function lineOf(listed: { readonly task: Task; readonly rowsUsed: number; readonly closedAt: string | null }) {
    const { task, rowsUsed, closedAt } = listed;
    const expired = deps.now() >= Date.parse(task.expiresAt);
    const state: TaskState = closedAt !== null ? 'closed' : expired ? 'expired' : 'open';
    const branches = deps.branches.list().filter((branch) => branch.task === task.id);
    return { task, rowsUsed, closedAt, state, mayDo: spellTask(task, rowsUsed, branches), halted: haltOn(task) };
  }

  /** A halt of the agent or of the task itself; one of a target stops it only there. */
  function haltOn({ agent, id }: Task): string | null {
    return halts.covering({ agent, task: id, target: '' })?.message ?? null;
  }

  async function taskLine(id: string): Promise<TaskLine | undefined> {
    const stored = await taskById(store, id);
    return stored === undefined ? undefined : lineOf(stored);
  }

  function mayHalt(by: ActorId): Refusal | undefined {
    const person = deps.actors().get(by);
    if (person?.kind === 'person' && mayDo(person, 'halt.set')) return undefined;
    return denied(`${by} may not halt or resume.`, `An operator may: actors.people.${by}.roles says who is one.`);
  }

  return {
    queue,
    activity,
    async plan(named) {
      const id = await planNamed(store, named);
      if (id === 'none') return 'none';
      if (id === 'several') return 'several';
      const record = await getPlan(store, id);
      return record === undefined ? 'none' : describePlan(record);
    },
    async saw(plan, person) {
      try {
        if (await hasSeen(store, plan, person)) return;
        await store.commit([putSight({ plan, person, at: instantOf(deps.now()), by: 'console' })]);
      } catch (error) {
        // A plan is shown also while nothing can be written.
        deps.onFailure(error);
      }
    },
    decisions: () => decisionsByPerson(store, { sinceMs: deps.now() - MEASURED_MS, nowMs: deps.now() }),
    agentDecisions: () => decisionsByAgent(store, { sinceMs: deps.now() - MEASURED_MS }),
    async tasks({ limit, cursor }) {
      const [at, id] = cursor?.split(' ') ?? [];
      const before = at === undefined || id === undefined ? {} : { before: { at, id } };
      const found = await tasksByExpiry(store, { limit: limit + 1, ...before });
      const page = found.slice(0, limit);
      const last = page.at(-1);
      const more = found.length > limit && last !== undefined;
      return { tasks: page.map(lineOf), next: more ? `${last.task.expiresAt} ${last.task.id}` : null };
    },
    task: taskLine,
    actors: () => [...deps.actors().values()].map((actor) => actorLine(actor)),
    targets: () => [...deps.targets().values()].map(targetLine),
    breakers: () => deps.breakers.status(),
    halts: () => halts.active(),
    async halt(scope, reason, by) {
      const refused = mayHalt(by);
      return refused === undefined ? halts.halt(scope, reason, by) : { refused };
    },
    async resume(scope, reason, by) {
      const refused = mayHalt(by);
      return refused === undefined ? halts.resume(scope, reason, by) : { refused };
    },
    async closeTask(id, by) {
      const line = await taskLine(id);
      if (line === undefined) return { refused: denied(`There is no task ${id}.`, 'It may be of another state file.') };
      if (line.state === 'open') await deps.gateway.closeTask(id, by);
      return (await taskLine(id)) ?? line;
    },
    apply: (plan, by) => deps.applyPlan(plan, { person: by }),
    undo: (plan, by, keepNewer) => deps.changes.undo({ change: plan, askedBy: by, channel: 'http', keepNewer }),
    close: () => activity.close(),
  };

  function actorLine(actor: Actor): ActorLine {
    if (actor.kind === 'person') return personLine(actor);
    const role = actor.kind === 'approval agent' ? undefined : deps.roles().get(actor.role);
    return {
      id: actor.id,
      kind: actor.kind,
      name: null,
      owner: actor.owner,
      role: actor.kind === 'approval agent' ? null : actor.role,
      mayDo: mayDoOf(actor, role),
      halted: halts.covering({ agent: actor.id, task: '', target: '' })?.message ?? null,
    };
  }

  function targetLine({ target, environment }: KnownTarget): TargetLine {
    const { endpoint } = target;
    const rules = deps.rules(target.id);
    return {
      id: target.id,
      engine: target.engine,
      environment: environment.id,
      tier: environment.tier,
      owner: target.owner,
      environmentOwner: environment.owner,
      address: `${endpoint.host}:${endpoint.port}/${endpoint.database}`,
      tls: endpoint.tls,
      identity: target.identity,
      rowsWithoutApproval: environment.rowsWithoutApproval,
      quorum: environment.quorum,
      quorumUnmeasured: environment.quorumUnmeasured,
      keepsWrites: target.keepsWrites === true,
      masks: target.masks?.length ?? 0,
      time: rules === undefined ? [] : describeChangeTime(rules.changeTime(), deps.now()),
      drift: deps.drifts.known(target.id) ?? null,
      backup: rules?.provenBackup() ?? null,
      halted: halts.covering({ agent: '', task: '', target: target.id })?.message ?? null,
    };
  }
}

function mayDoOf(actor: Exclude<Actor, Person>, role: Role | undefined): readonly string[] {
  if (actor.kind === 'approval agent') return spellApprovalAgent(actor);
  return role === undefined ? ['Its role is not configured: it may do nothing.'] : spellRole(role);
}

function personLine(person: Person): ActorLine {
  return {
    id: person.id,
    kind: 'person',
    name: person.name,
    owner: null,
    role: null,
    mayDo: spellPerson(person),
    halted: null,
  };
}

function denied(message: string, hint: string): Refusal {
  return { refused: 'denied', message, hint };
}
