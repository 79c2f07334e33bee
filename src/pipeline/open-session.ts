import { randomBytes } from 'node:crypto';
import { type ActorId, asId, type IntentId, type TargetId, type TaskId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import type { Task } from '../domain/task.ts';
import type { Store } from '../store/store.ts';
import { taskById } from '../store/tasks.ts';
import type { ActorSession } from './actor-session.ts';
import type { ApplyPlan } from './apply-plan.ts';
import type { Steps } from './carry-query.ts';
import { createCommitWrites } from './commit-writes.ts';
import { createActorSession } from './create-actor-session.ts';
import type { Refused, TaskStatus } from './gateway.ts';
import type { GovernedTarget } from './governed-target.ts';
import type { Halts } from './halts.ts';
import { createHold } from './hold.ts';
import type { Observer } from './observer.ts';
import type { Proof } from './proof.ts';
import type { ReadLog } from './read-log.ts';
import { tooManySessions } from './session-refusals.ts';
import { createSteps } from './steps.ts';
import { notInTask } from './target-rules.ts';
import { createWaitingPlans } from './waiting-plans.ts';

/** Sessions of tasks on targets: whatever the channel, they begin here. */
export interface SessionDesk {
  open(request: {
    readonly task: Task;
    readonly target: TargetId;
    readonly channel: Channel;
    readonly onLost: (reason: Error) => void;
  }): Promise<{ readonly session: ActorSession; readonly steps: Steps } | Refused>;
  /** Stops the sessions of tasks that have been closed, by this process or another. */
  refresh(): Promise<void>;
  /** Ends the sessions of agents and on targets that are no longer configured. */
  endOver(): Promise<void>;
  closeAll(): Promise<void>;
}

const PLACE_WAIT_MS = 1500;
const PLACE_POLL_MS = 50;

export function createSessionDesk(deps: {
  readonly target: (id: TargetId) => Promise<GovernedTarget | Refusal>;
  readonly store: Store;
  readonly proof: Proof;
  readonly readLog: ReadLog;
  readonly halts: Halts;
  /** Why the task may not go on on the target, as the configuration is now. */
  readonly over: (task: Task, target: TargetId) => Refusal | undefined;
  /** By which target of the task's declaration it is reached. */
  readonly declared: (task: Task, target: TargetId) => TargetId | undefined;
  /** Sessions of all tasks on a target, on this gateway. */
  readonly maxSessions: (target: TargetId) => number;
  readonly applyPlan: ApplyPlan;
  readonly status: (task: Task) => Promise<TaskStatus>;
  readonly observer: Observer;
  readonly now: () => number;
}): SessionDesk {
  const { store, proof, halts, observer } = deps;
  const sessions = new Map<ActorSession, TargetId>();
  /** Taken before a session is opened and left when it is closed, so that many at once count as many. */
  const places = new Map<symbol, { readonly task: TaskId; readonly agent: ActorId; readonly target: TargetId }>();

  /** Each session takes connections of the target, and those who use it without Countersign need some too. */
  function crowd(task: Task, id: TargetId): Refusal | undefined {
    const here = [...places.values()].filter(({ target }) => target === id);
    // The narrowest first: it is what whoever asks can do something about.
    const { sessions: allowed = Number.POSITIVE_INFINITY } = task.limits;
    if (here.filter((place) => place.task === task.id).length >= allowed)
      return tooManySessions(`Task ${task.id}`, allowed);
    const most = deps.maxSessions(deps.declared(task, id) ?? id);
    const share = shareOf(most);
    if (here.filter(({ agent }) => agent === task.agent).length >= share)
      return tooManySessions(`Agent ${task.agent} on ${id}`, share);
    return here.length >= most ? tooManySessions(`The target ${id}`, most) : undefined;
  }

  /** Whoever has just left may still be leaving: it is waited for. @returns how the place is left, or why there is none. */
  async function takePlace(task: Task, id: TargetId): Promise<(() => void) | Refusal> {
    const until = deps.now() + PLACE_WAIT_MS;
    for (;;) {
      const crowded = crowd(task, id);
      if (crowded === undefined) {
        const place = Symbol(id);
        places.set(place, { task: task.id, agent: task.agent, target: id });
        return () => places.delete(place);
      }
      if (deps.now() >= until) return crowded;
      await new Promise((resolve) => setTimeout(resolve, PLACE_POLL_MS));
    }
  }

  return {
    async open({ task, target: id, channel, onLost }) {
      const declared = deps.declared(task, id);
      if (declared === undefined) return { refused: notInTask(task, id) };
      const subject = { agent: task.agent, task: task.id, target: declared };
      const halted = halts.covering(subject);
      if (halted !== undefined) return { refused: halted };
      const over = deps.over(task, id);
      if (over !== undefined) return { refused: over };
      const leave = await takePlace(task, id);
      if (typeof leave !== 'function') return { refused: leave };
      const target = await deps.target(id);
      if ('refused' in target) {
        leave();
        return { refused: target };
      }

      const { applyPlan, now } = deps;
      const waiting = createWaitingPlans({ target, store, applyPlan, now });
      const hold = observer.holding(createHold({ target, proof, waiting, now }), id);
      const reachWhatWasMade = async (made: ActorSession): Promise<void> => {
        try {
          await target.engine.refreshCatalogue();
          await made.renew(await target.engine.provision(target.profile(task)));
        } catch (error) {
          proof.log.error({ err: error, task: task.id, target: id }, 'a session does not reach what its plan made');
        }
      };
      let forget: () => void = () => undefined;
      let session: ActorSession;
      try {
        await target.engine.refreshCatalogue();
        session = createActorSession({
          task,
          channel,
          engine: target.engine,
          logins: await target.engine.provision(target.profile(task)),
          judge: target.judging(task, channel),
          commitWrites: observer.committing(
            createCommitWrites({ target, proof, hold, waiting, readLog: deps.readLog }),
            id,
          ),
          planTransaction: async (request) => {
            const outcome = await hold(request);
            if (outcome.outcome === 'applied') await reachWhatWasMade(session);
            return outcome;
          },
          readLog: deps.readLog,
          now,
          newIntentId: () => asId<IntentId>(`intent_${randomBytes(10).toString('hex')}`),
          onClosed: (closed) => {
            sessions.delete(closed);
            leave();
            forget();
          },
          onLost,
        });
        // Opened now, so that who can't get in hears it at once and not at the first statement.
        await session.connections.open('read');
      } catch (error) {
        leave();
        if (error instanceof RefusalError) return { refused: error.refusal };
        proof.log.error({ err: error, task: task.id, target: id }, 'a session could not be opened');
        return { refused: notOpened(id, error) };
      }
      sessions.set(session, id);
      forget = halts.watch(session, subject);
      const since = halts.covering(subject);
      if (since !== undefined) await session.stop(since);
      // A reload that came meanwhile has not seen this session.
      const gone = deps.over(task, id);
      if (gone !== undefined) await session.end(gone);
      return observer.session(
        {
          session,
          steps: createSteps({ target, store, proof, hold, applyPlan, status: deps.status, reachWhatWasMade }),
        },
        id,
      );
    },

    async refresh() {
      const tasks = new Map<TaskId, ActorSession[]>();
      for (const session of sessions.keys())
        tasks.set(session.task.id, [...(tasks.get(session.task.id) ?? []), session]);
      for (const [id, open] of tasks) {
        const stored = await taskById(store, id);
        if (stored?.closedAt === null) continue;
        await Promise.all(open.map((session) => session.end(closedTask(id))));
      }
    },

    async endOver() {
      await Promise.all(
        [...sessions].map(async ([session, target]) => {
          const why = deps.over(session.task, target);
          if (why !== undefined) await session.end(why);
        }),
      );
    },

    async closeAll() {
      await Promise.allSettled([...sessions.keys()].map((session) => session.close()));
    },
  };
}

/** The last tenth of a target's places, up to twenty, is for others than whoever has taken the rest. */
function shareOf(most: number): number {
  return Math.max(1, most - Math.min(20, Math.ceil(most / 10)));
}

function closedTask(id: TaskId): Refusal {
  return { refused: 'denied', message: `Task ${id} was closed.`, hint: 'Open a new task.' };
}

function notOpened(target: TargetId, error: unknown): Refusal {
  return {
    refused: 'unavailable',
    message: `No session could be opened on ${target}: ${error instanceof Error ? error.message : String(error)}.`,
    hint: 'An operator must look: `countersign doctor` says what is wrong, and how to mend it.',
  };
}
