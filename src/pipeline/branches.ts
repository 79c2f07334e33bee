import { randomBytes } from 'node:crypto';
import {
  type Branch,
  type BranchCopy,
  type BranchDifference,
  branchId,
  isBranchId,
  newBase,
  type OpenBranch,
} from '../domain/branch.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import {
  type ActorId,
  type EnvironmentId,
  type Instant,
  instantOf,
  type PlanId,
  type TargetId,
} from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { isLive, type PlanState } from '../domain/plan.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import { GuardFailed } from '../ledger/ledger.ts';
import { lastEntryAbout } from '../ledger/newest-entry.ts';
import { branches as allBranches, dropBranch, insertBranch, openBranch } from '../store/branches.ts';
import { listPlans, livePlan, transition } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { PlanView, Refused } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import { proposeMerge } from './merge-branch.ts';
import type { PlanViews } from './plan-view.ts';
import type { Proof } from './proof.ts';
import { recordPlan } from './record-plan.ts';
import { notInTask } from './target-rules.ts';

/** How copies of one target are made, compared and taken away. */
export interface BranchCopies {
  readonly keepMs: number;
  /** At a time. */
  readonly most: number;
  /** Of a copy that is no older, further branches are made. */
  readonly reuseMs: number;
  make(branch: Branch, onProgress: (said: string) => void): Promise<BranchCopy>;
  /** Begins with the base of another branch. @param from what that is a copy of. */
  share(branch: Branch, from: BranchCopy, onProgress: (said: string) => void): Promise<BranchCopy>;
  compare(branch: OpenBranch, onProgress: (said: string) => void): Promise<BranchDifference>;
  /** @param base `kept` where other branches share it. */
  drop(branch: Branch, base: 'kept' | 'dropped'): Promise<void>;
}

/** Shadow copies of targets: made for a task, worked in without asking anybody, merged as a plan. */
export interface Branches {
  /** One that is not gone, as it was read last. Looks at memory only. */
  known(id: TargetId): Branch | undefined;
  /** By which target of its task's declaration a target or a branch is reached; `undefined` where it declares none, or the branch is another task's. */
  declared(task: Task, id: TargetId): TargetId | undefined;
  /** Those that are not gone, the newest first. */
  list(): readonly Branch[];
  /** @throws what keeps the copy from being made, once nothing is left of it. */
  create(request: {
    readonly task: Task;
    readonly target: TargetId;
    readonly askedBy: ActorId;
    readonly onProgress: (said: string) => void;
  }): Promise<{ readonly branch: OpenBranch } | Refused>;
  difference(
    id: TargetId,
    onProgress: (said: string) => void,
  ): Promise<{ readonly difference: BranchDifference } | Refused>;
  /** Makes the plan that brings what differs into the target. Asked again while that plan waits, it is the same one. */
  submit(request: SubmitRequest): Promise<{ readonly plan: PlanView } | Refused>;
  drop(id: TargetId, by: string): Promise<Refused | undefined>;
  /** Drops those that are over: their time, or their task. @returns which. */
  dropOver(): Promise<readonly TargetId[]>;
  /** Reads again what other processes have made and dropped. */
  refresh(): Promise<void>;
}

export interface SubmitRequest {
  readonly branch: TargetId;
  readonly askedBy: ActorId;
  readonly channel: Channel;
  /** Rows that were changed in the target since stay as they are; else they stand in the way. */
  readonly keepNewer: boolean;
  readonly onProgress: (said: string) => void;
}

export async function createBranches(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly views: PlanViews;
  /** `undefined` where no branches are made of the target. */
  readonly copies: (of: TargetId) => BranchCopies | undefined;
  readonly target: (id: TargetId) => Promise<GovernedTarget | Refusal>;
  readonly environmentOf: (id: TargetId) => EnvironmentId | undefined;
  /** Why nothing is done for the task on the target now. */
  readonly stopped: (task: Task, target: TargetId) => Refusal | undefined;
  readonly now: () => number;
}): Promise<Branches> {
  const { store, proof } = deps;
  let known = new Map<TargetId, Branch>();

  /** As they were when the ledger was asked about them. */
  let proven = new Set<string>();

  async function refresh(): Promise<void> {
    const there: Branch[] = [];
    const asked = new Set<string>();
    for (const branch of await allBranches(store)) {
      if (branch.state === 'dropped') continue;
      const as = JSON.stringify(branch);
      if (!proven.has(as) && !(await isTheLedgers(branch))) {
        proof.log.error({ branch: branch.id }, 'a branch is not as the ledger has it, and is not opened');
        continue;
      }
      asked.add(as);
      there.push(branch);
    }
    proven = asked;
    known = new Map(there.map((branch) => [branch.id, branch]));
  }

  /** Whoever can write the state could else have a copy of one target governed as another's. */
  async function isTheLedgers({ id, of, task, copy }: Branch): Promise<boolean> {
    if (copy === null) return true;
    const said = (await lastEntryAbout(store, 'branch', id))?.body as Readonly<Record<string, Json>> | undefined;
    return (
      said?.['outcome'] === 'made' &&
      said['target'] === of &&
      said['task'] === task &&
      said['identity'] === copy.identity &&
      said['baseIdentity'] === copy.baseIdentity
    );
  }
  await refresh();

  function subjectOf({ id, of, task }: Branch) {
    return { branch: id, target: of, task };
  }

  /** Its databases first: what is written down as gone is gone. */
  async function take(branch: Branch, by: string, why: string): Promise<void> {
    const copies = deps.copies(branch.of);
    if (copies === undefined) throw new RefusalError(noneMade(branch.of));
    await refresh();
    const shared = [...known.values()].some(({ id, base }) => id !== branch.id && base === branch.base);
    await copies.drop(branch, shared ? 'kept' : 'dropped');
    await letGoOfEnded(branch).catch((error: unknown) =>
      proof.log.warn(
        { err: error, branch: branch.id },
        'what a branch has laid in its target stays until undo expires',
      ),
    );
    await proof.record({
      kind: 'branch',
      subject: branch.id,
      body: { outcome: 'dropped', ...subjectOf(branch), by, why },
      writes: [dropBranch(branch.id)],
    });
    await refresh();
  }

  /**
   * Lets go of what earlier submissions of a branch have laid in the target. What is approved stays; what waits is set
   * aside where the branch is submitted with other rows.
   */
  async function letGo(
    branch: Branch,
    target: GovernedTarget,
    which: 'what has ended' | 'and what waits',
  ): Promise<void> {
    for (const { id, plan, state } of await listPlans(store, { task: branch.task, limit: SUBMISSIONS })) {
      if (plan.merges?.branch !== branch.id || TO_BE_APPLIED.has(state)) continue;
      if (state === 'held' && (which === 'what has ended' || !(await setAside(id)))) continue;
      await target.engine.forgetRows(plan.merges.change);
    }
  }

  async function letGoOfEnded(branch: Branch): Promise<void> {
    const target = await deps.target(branch.of);
    if ('refused' in target) throw new RefusalError(target);
    await letGo(branch, target, 'what has ended');
  }

  async function setAside(id: PlanId): Promise<boolean> {
    const note = 'its branch was submitted again, with other rows';
    try {
      await proof.record({
        kind: 'expired',
        subject: id,
        body: { plan: id, was: 'held', why: note },
        writes: [transition(id, 'held', 'stale', { note, at: proof.now() })],
      });
      return true;
    } catch (error) {
      // Somebody has decided on it in the last moment.
      if (error instanceof GuardFailed) return false;
      throw error;
    }
  }

  /** @returns what is open, and what makes copies of its target. */
  async function find(id: TargetId): Promise<{ branch: OpenBranch; copies: BranchCopies; task: Task } | Refused> {
    const branch = known.get(id);
    const copies = branch === undefined ? undefined : deps.copies(branch.of);
    const stored = branch === undefined ? undefined : await taskById(store, branch.task);
    if (branch?.copy == null || copies === undefined || stored === undefined) return { refused: noBranch(id) };
    const stopped = deps.stopped(stored.task, branch.of);
    return stopped === undefined
      ? { branch: { ...branch, copy: branch.copy }, copies, task: stored.task }
      : { refused: stopped };
  }

  return {
    known: (id) => known.get(id),
    declared(task, id) {
      const branch = known.get(id);
      if (branch !== undefined && branch.task !== task.id) return undefined;
      return task.radius.find(({ target }) => target === (branch?.of ?? id))?.target;
    },
    list: () => [...known.values()],
    refresh,

    async create({ task, target, askedBy, onProgress }) {
      if (isBranchId(target)) return { refused: ofBranch(target) };
      if (!task.radius.some((radius) => radius.target === target)) return { refused: notInTask(task, target) };
      const stopped = deps.stopped(task, target);
      if (stopped !== undefined) return { refused: stopped };
      const copies = deps.copies(target);
      if (copies === undefined) return { refused: noneMade(target) };
      await refresh();
      const there = [...known.values()].filter(({ of }) => of === target);
      if (there.length >= copies.most) return { refused: tooManyBranches(target, there) };
      const nowMs = deps.now();
      const id = branchId(randomBytes(6).toString('hex'));
      const recent = there.find(({ copy }) => copy !== null && nowMs - Date.parse(copy.at) < copies.reuseMs);
      const making = {
        id,
        of: target,
        task: task.id,
        askedBy,
        madeAt: instantOf(nowMs),
        expiresAt: instantOf(Math.min(nowMs + copies.keepMs, Date.parse(task.expiresAt))),
        base: recent?.base ?? newBase(id),
      };
      const branch: Branch = { ...making, state: 'making', copy: null };
      // All of the target is about to be read for it: told before it happens.
      await proof.record({
        kind: 'branch',
        subject: branch.id,
        body: { outcome: 'begun', ...subjectOf(branch), askedBy, expiresAt: making.expiresAt },
        writes: [insertBranch(making)],
      });
      try {
        const copy =
          recent?.copy == null
            ? await copies.make(branch, onProgress)
            : await copies.share(branch, recent.copy, onProgress);
        await proof.record({
          kind: 'branch',
          subject: branch.id,
          body: {
            outcome: 'made',
            ...subjectOf(branch),
            environment: deps.environmentOf(target) ?? null,
            askedBy,
            copiedAt: copy.at,
            identity: copy.identity,
            baseIdentity: copy.baseIdentity,
            expiresAt: making.expiresAt,
          },
          writes: [openBranch(branch.id, copy)],
        });
        await refresh();
        return { branch: { ...branch, state: 'open', copy } };
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        await take(branch, proof.node, `it could not be made: ${why}`).catch((failed: unknown) =>
          proof.log.warn({ err: failed, branch: branch.id }, 'what is left of a branch is dropped later'),
        );
        if (error instanceof RefusalError) throw error;
        throw new RefusalError(notMade(target, why), { cause: error });
      }
    },

    async difference(id, onProgress) {
      const found = await find(id);
      if ('refused' in found) return found;
      return { difference: await found.copies.compare(found.branch, onProgress) };
    },

    async submit({ branch: id, askedBy, channel, keepNewer, onProgress }) {
      const found = await find(id);
      if ('refused' in found) return found;
      const { branch, copies, task } = found;
      const difference = await copies.compare(branch, onProgress);
      const unfit = whyUnfit(branch, difference);
      if (unfit !== undefined) return { refused: unfit };
      const wish = digestOf({
        merge: branch.id,
        keepNewer,
        tables: difference.tables.map(({ table, lost, gained }) => ({ table, lost, gained })),
      });
      const live = await livePlan(store, task.id, wish);
      if (live !== undefined && isLive(live, deps.now())) return { plan: await deps.views.of(live) };
      const target = await deps.target(branch.of);
      if ('refused' in target) return { refused: target };
      onProgress(`trying it on ${branch.of}`);
      const proposed = await proposeMerge(target, branch, difference, { askedBy, keepNewer, task });
      if ('refused' in proposed) return proposed;
      const draft = { ...proposed, task, channel, wish };
      const decision = target.decidePlan(draft);
      if (decision.decision === 'deny') {
        await target.engine.forgetRows(proposed.merges.change);
        return { refused: target.denial(decision) };
      }
      await letGo(branch, target, 'and what waits');
      const made = await recordPlan({ target, proof, now: deps.now }, draft, decision);
      return { plan: await deps.views.of(made) };
    },

    async drop(id, by) {
      const branch = known.get(id);
      if (branch === undefined) return { refused: noBranch(id) };
      await take(branch, by, 'somebody dropped it');
      return undefined;
    },

    async dropOver() {
      await refresh();
      const now: Instant = instantOf(deps.now());
      const gone: TargetId[] = [];
      for (const branch of known.values()) {
        const task = await taskById(store, branch.task);
        const why =
          branch.expiresAt <= now
            ? 'its time is over'
            : task === undefined || task.closedAt !== null
              ? 'its task is closed'
              : undefined;
        if (why === undefined) continue;
        try {
          await take(branch, proof.node, why);
          gone.push(branch.id);
        } catch (error) {
          proof.log.warn(
            { err: error, branch: branch.id },
            'a branch that is over could not be dropped; it is tried again',
          );
        }
      }
      return gone;
    },
  };
}

/** Of one branch, the newest. */
const SUBMISSIONS = 100;
const TO_BE_APPLIED: ReadonlySet<PlanState> = new Set(['approved', 'applying', 'indeterminate']);

function whyUnfit({ id, of }: Branch, { tables, definitions, largeObjects }: BranchDifference): Refusal | undefined {
  if (definitions.length > 0)
    return {
      refused: 'unsupported',
      message: `${id} has other definitions than ${of} had: rows are merged, and definitions are not.`,
      detail: listed(definitions),
      hint: `Send the statements that change them to ${of}: they become a plan. Once that is applied, make another branch.`,
    };
  if (largeObjects)
    return {
      refused: 'unsupported',
      message: `${id} has other large objects than ${of} had: they are not merged.`,
      hint: 'Make another branch and leave them as they are.',
    };
  if (tables.length > 0) return undefined;
  return {
    refused: 'denied',
    message: `${id} has nothing otherwise than ${of} had when it was made.`,
    hint: 'There is nothing to merge.',
  };
}

const LISTED = 20;

function listed(lines: readonly string[]): string {
  return lines.length > LISTED
    ? [...lines.slice(0, LISTED), `and ${lines.length - LISTED} more`].join('\n')
    : lines.join('\n');
}

export function noBranch(id: string): Refusal {
  return {
    refused: 'denied',
    message: `There is no branch ${id}.`,
    hint: '`countersign branch list` shows those there are; one that was dropped, or whose time is over, is gone.',
  };
}

function notMade(target: string, why: string): Refusal {
  return {
    refused: 'unavailable',
    message: `No branch of ${target} was made: ${why}.`,
    hint: 'Nothing is left of it. Mend the cause, and try again; the login of credentials.backup must be able to read all of the target (BYPASSRLS where it has row security).',
  };
}

function ofBranch(id: string): Refusal {
  return {
    refused: 'denied',
    message: `${id} is a branch itself.`,
    hint: 'Make one of the target that it was made of.',
  };
}

function noneMade(target: string): Refusal {
  return {
    refused: 'denied',
    message: `No branches are made of ${target}.`,
    hint: `Whoever runs the gateway must name a server for them: targets.${target}.branches in the configuration.`,
  };
}

function tooManyBranches(target: string, there: readonly Branch[]): Refusal {
  return {
    refused: 'overLimit',
    message: `There are ${there.length} branches of ${target} already, and no more are kept at a time.`,
    detail: there.map(({ id, task, expiresAt }) => `${id} of task ${task}, until ${expiresAt}`).join('\n'),
    hint: 'Drop one that nobody needs: countersign branch drop BRANCH --as PERSON',
  };
}
