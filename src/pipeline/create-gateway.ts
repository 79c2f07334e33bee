import type { Environment } from '../domain/environment.ts';
import { type ActorId, type Digest, instantOf, type TargetId } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Target } from '../domain/target.ts';
import type { Task, TaskState } from '../domain/task.ts';
import { getPlan, listPlans } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { type StoredTask, taskById, taskByTokenHash } from '../store/tasks.ts';
import type { ApplyPlan } from './apply-plan.ts';
import { type Branches, noBranch } from './branches.ts';
import type { Changes } from './changes.ts';
import type { Gateway, Refused, ReloadStatus, TaskStatus } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Halts } from './halts.ts';
import { costliestStatements, healthOf } from './health.ts';
import type { SessionDesk } from './open-session.ts';
import type { PlanViews } from './plan-view.ts';
import { createStatementSession } from './statement-session.ts';
import { notInTask, type TargetRules } from './target-rules.ts';
import { type Tasks, tokenHash } from './tasks.ts';
import { noChange } from './undo-refusals.ts';
import { visibleCatalogue } from './visible-catalogue.ts';

/** A configured target, known whether or not it can be reached. */
export interface KnownTarget {
  readonly target: Target;
  readonly environment: Environment;
}

const PLANS_IN_STATUS = 20;

/** Puts the parts of the pipeline behind the one interface that channels see. */
export function createGateway(deps: {
  readonly store: Store;
  readonly tasks: Tasks;
  readonly halts: Halts;
  readonly views: PlanViews;
  readonly applyPlan: ApplyPlan;
  readonly changes: Changes;
  readonly branches: Branches;
  readonly sessions: SessionDesk;
  /** What can change while the gateway runs is asked for each time. */
  readonly targets: () => ReadonlyMap<TargetId, KnownTarget>;
  readonly target: (id: TargetId) => Promise<GovernedTarget | Refusal>;
  readonly rules: (target: string) => TargetRules | undefined;
  readonly agentTokens: () => ReadonlyMap<string, ActorId>;
  /** The agent that a token of its platform names. */
  readonly workload: (token: string) => Promise<ActorId | undefined>;
  readonly policyDigest: () => Digest;
  readonly reload: () => ReloadStatus | null;
  readonly now: () => number;
}): Gateway {
  const { store, views, halts } = deps;

  function stateOf({ task, closedAt }: StoredTask): TaskState {
    if (closedAt !== null) return 'closed';
    return deps.now() < Date.parse(task.expiresAt) ? 'open' : 'expired';
  }

  async function plan(id: string) {
    const record = await getPlan(store, id);
    return record === undefined ? undefined : views.of(record);
  }

  /** A target and what the task sees of it, while nobody has halted it. */
  async function lookAt(task: Task, id: TargetId) {
    const halted = halts.covering({
      agent: task.agent,
      task: task.id,
      target: deps.branches.declared(task, id) ?? id,
    });
    if (halted !== undefined) return { refused: halted };
    const visible = await gateway.visibleCatalogue(task, id);
    if ('refused' in visible) return visible;
    const target = await deps.target(id);
    return 'refused' in target ? { refused: target } : { target, visible };
  }

  /** Of another task's an agent learns not even that it exists. */
  function branchesOther(task: Task, id: TargetId): Refused | undefined {
    return deps.branches.known(id)?.task === task.id ? undefined : { refused: noBranch(id) };
  }

  const gateway: Gateway = {
    openTask: (request) => deps.tasks.open(request),
    async closeTask(task, by) {
      await deps.tasks.close(task, by);
      await deps.sessions.refresh();
    },
    async taskByToken(token) {
      const stored = await taskByTokenHash(store, tokenHash(token));
      return stored !== undefined && stateOf(stored) === 'open' ? stored.task : undefined;
    },
    agentByToken: async (token) => deps.agentTokens().get(tokenHash(token)) ?? deps.workload(token),
    async scramVerifier(task) {
      const stored = await taskById(store, task);
      return stored !== undefined && stateOf(stored) === 'open' ? stored.verifier : undefined;
    },

    async openSession(task, target, channel) {
      const opened = await deps.sessions.open({ task, target, channel, onLost: () => undefined });
      if ('refused' in opened) return opened;
      return createStatementSession({
        ...opened,
        plan,
        policyDigest: deps.policyDigest,
        secrets: () => deps.rules(target)?.secrets ?? 'redact',
      });
    },

    targets(subject) {
      const reach = typeof subject === 'string' ? undefined : new Set(subject.radius.map((radius) => radius.target));
      const agent = typeof subject === 'string' ? subject : subject.agent;
      const task = typeof subject === 'string' ? '' : subject.id;
      const branches = deps.branches.list().flatMap((branch) => {
        const of = deps.targets().get(branch.of);
        const rules = deps.rules(branch.id);
        if (branch.task !== task || branch.state !== 'open' || of === undefined || rules === undefined) return [];
        return [{ target: { ...of.target, id: branch.id }, environment: rules.environment, halts: branch.of }];
      });
      const targets = [...deps.targets().values()]
        .filter(({ target }) => reach === undefined || reach.has(target.id))
        .map((known) => ({ ...known, halts: known.target.id }));
      return [...targets, ...branches].map(({ target, environment, halts: halted }) => ({
        target: target.id,
        environment: environment.id,
        tier: environment.tier,
        owner: target.owner,
        engine: target.engine,
        halted: halts.covering({ agent, task, target: halted }) !== undefined,
      }));
    },

    async health(task, id, request) {
      const seen = await lookAt(task, id);
      return 'refused' in seen ? seen : healthOf(seen.target, seen.visible, request);
    },

    async costliestStatements(task, id, request) {
      const seen = await lookAt(task, id);
      return 'refused' in seen ? seen : costliestStatements(seen.target, seen.visible, request);
    },

    async visibleCatalogue(task, id) {
      if (deps.branches.declared(task, id) === undefined) return { refused: notInTask(task, id) };
      const target = await deps.target(id);
      if ('refused' in target) return { refused: target };
      await target.engine.refreshCatalogue();
      return visibleCatalogue(target.catalogue(), target.reach(task));
    },

    plan,
    async plans({ task, limit }) {
      const records = await listPlans(store, { limit, ...(task === undefined ? {} : { task }) });
      return Promise.all(records.map((record) => views.of(record)));
    },
    applyPlan: (id, by) => deps.applyPlan(id, by),
    changes: (filter) => deps.changes.list(filter),
    async undoChange({ change, task, keepNewer }) {
      // Of another task's an agent learns not even that it exists.
      const found = await deps.changes.of(change);
      if (found?.task !== task.id) return { refused: noChange(change) };
      return deps.changes.undo({ change, askedBy: task.agent, channel: 'mcp', keepNewer });
    },

    createBranch: (request) => deps.branches.create({ ...request, askedBy: request.task.agent }),
    async branchDifference({ task, branch, onProgress }) {
      return branchesOther(task, branch) ?? deps.branches.difference(branch, onProgress);
    },
    async submitBranch({ task, ...request }) {
      const asked = { ...request, askedBy: task.agent, channel: 'mcp' as const };
      return branchesOther(task, request.branch) ?? deps.branches.submit(asked);
    },
    async dropBranch({ task, branch }) {
      return branchesOther(task, branch) ?? deps.branches.drop(branch, task.agent);
    },

    async status(task): Promise<TaskStatus> {
      const stored = await taskById(store, task.id);
      const targets = [...deps.targets().values()].filter(({ target }) =>
        task.radius.some((r) => r.target === target.id),
      );
      const environments = new Map(targets.map(({ target, environment }) => [environment.id, target.id] as const));
      const times = [...environments].flatMap(([environment, target]) => {
        const time = deps.rules(target)?.changeTime();
        return time === undefined ? [] : [{ environment: environment as string, time }];
      });
      const plans = await gateway.plans({ task: task.id, limit: PLANS_IN_STATUS + 1 });
      return {
        task,
        state: stored === undefined ? 'closed' : stateOf(stored),
        rowsUsed: stored?.rowsUsed ?? 0,
        halted: halts
          .active()
          .filter(
            ({ scope }) =>
              scope.scope === 'global' ||
              [task.agent, task.id, ...task.radius.map((r) => r.target)].includes(scope.id as never),
          )
          .map(({ scope, reason, by, at }) => ({ scope: scope.scope, reason, by, at })),
        times,
        seenAt: instantOf(deps.now()),
        reload: deps.reload(),
        plans: plans.slice(0, PLANS_IN_STATUS),
        morePlans: plans.length > PLANS_IN_STATUS,
      };
    },
  };
  return gateway;
}
