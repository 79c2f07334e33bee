import { randomBytes } from 'node:crypto';
import type { Agent, Person, Role } from '../domain/actor.ts';
import { digestOfBytes, type Json } from '../domain/digest.ts';
import { type ActorId, asId, type EnvironmentId, type Instant, instantOf, type TaskId } from '../domain/ids.ts';
import type { Refusal } from '../domain/refusal.ts';
import { mayHaveActed, notForThem } from '../domain/rights.ts';
import { coversPattern, HOW_SCOPE_IS_WRITTEN, isScopePattern } from '../domain/scope.ts';
import { makeScramVerifier } from '../domain/scram.ts';
import type { TargetRadius, Task, TaskLimits } from '../domain/task.ts';
import type { Store } from '../store/store.ts';
import { closeTask, insertTask, taskById } from '../store/tasks.ts';
import type { OpenedTask, OpenTaskRequest, Refused } from './gateway.ts';
import type { Proof } from './proof.ts';

/** Opens and closes tasks: the only way for an actor to come by any right. */
export interface Tasks {
  open(request: OpenTaskRequest): Promise<OpenedTask | Refused>;
  /** The task that would be opened, or why it would not. */
  draft(request: OpenTaskRequest, opened: { readonly id: TaskId; readonly openedAt: Instant }): Task | Refused;
  close(task: TaskId, by: ActorId): Promise<void>;
}

const DEFAULT_ROWS_PER_STATEMENT = 1000;
const DEFAULT_ROWS_PER_TASK = 10_000;
const DEFAULT_STATEMENT_TIMEOUT_MS = 30_000;
/** A pool of each of several programs, and far from what a server can take. */
const DEFAULT_SESSIONS = 100;
const MAX_STATEMENT_TIMEOUT_MS = 15 * 60_000;

export function createTasks(deps: {
  readonly store: Store;
  readonly proof: Proof;
  readonly now: () => number;
  readonly agent: (id: ActorId) => { readonly agent: Agent; readonly role: Role } | undefined;
  readonly person: (id: ActorId) => Person | undefined;
  readonly environmentOf: (target: string) => EnvironmentId | undefined;
  readonly stopped: (agent: ActorId) => Refusal | undefined;
}): Tasks {
  const { store, proof } = deps;

  return {
    draft,
    async open(request) {
      const opened = { id: asId<TaskId>(`task_${randomBytes(8).toString('hex')}`), openedAt: instantOf(deps.now()) };
      const task = draft(request, opened);
      return 'refused' in task ? task : record(task, request);
    },

    async close(id, by) {
      const task = await taskById(store, id);
      if (task === undefined) return;
      await proof.record({
        kind: 'task closed',
        subject: id,
        body: { task: id, by },
        writes: [closeTask(id, proof.now())],
      });
    },
  };

  function draft(
    request: OpenTaskRequest,
    opened: { readonly id: TaskId; readonly openedAt: Instant },
  ): Task | Refused {
    const known = deps.agent(request.agent);
    if (known === undefined)
      return no(`There is no agent ${request.agent}.`, 'Add it under actors.agents in the configuration.');
    const { agent, role } = known;
    // Who asked for it may not countersign it; an agent that nobody asked speaks for itself.
    const onBehalfOf = request.onBehalfOf ?? agent.id;
    const person = onBehalfOf === agent.id ? undefined : deps.person(onBehalfOf);
    if (onBehalfOf !== agent.id && person === undefined)
      return no(`There is no person ${onBehalfOf}.`, 'Add them under actors.people in the configuration.');
    const unreadable = request.radius
      .flatMap(({ read, write }) => [...read, ...write])
      .filter((pattern) => !isScopePattern(pattern));
    if (unreadable.length > 0)
      return no(
        `What is ${unreadable.map((text) => JSON.stringify(text)).join(', ')}?`,
        `Please ${HOW_SCOPE_IS_WRITTEN}.`,
      );
    const stopped = deps.stopped(agent.id);
    if (stopped !== undefined) return { refused: stopped };
    const outside = request.radius.flatMap((radius) => outsideRole(radius, role));
    const unknown = request.radius.filter((radius) => deps.environmentOf(radius.target) === undefined);
    if (unknown.length > 0)
      return no(`There is no target ${unknown.map((radius) => radius.target).join(', ')}.`, 'list_targets shows them.');
    if (request.radius.length === 0)
      return no('The task declares no target.', 'Declare at least one target with what is to be read and written.');
    for (const { target } of request.radius) {
      const environment = deps.environmentOf(target);
      if (person !== undefined && environment !== undefined && !mayHaveActed(person, environment))
        return { refused: notForThem(person.id, environment) };
    }
    if (outside.length > 0) {
      return no(
        `The role ${role.id} of ${agent.id} does not reach ${outside.join(', ')}.`,
        `It may read ${role.read.join(', ') || 'nothing'} and write ${role.write.join(', ') || 'nothing'}.`,
      );
    }
    const limits = limitsWithin(request.limits, role);
    if ('refused' in limits) return limits;
    if (!(request.lifetimeMs > 0 && request.lifetimeMs <= role.maxTaskMs)) {
      return no(
        `A task of ${role.id} lasts at most ${role.maxTaskMs / 60_000} minutes.`,
        'Ask for less, and open another when it is over.',
      );
    }
    if (request.purpose.trim() === '') return no('The task states no purpose.', 'Say in a sentence what it is for.');
    return {
      ...opened,
      purpose: request.purpose,
      agent: agent.id,
      onBehalfOf,
      openedBy: request.openedBy,
      expiresAt: instantOf(Date.parse(opened.openedAt) + request.lifetimeMs),
      radius: request.radius,
      limits,
    };
  }

  async function record(task: Task, request: OpenTaskRequest): Promise<OpenedTask> {
    const token = `cst_${randomBytes(32).toString('base64url')}`;
    await proof.record({
      kind: 'task opened',
      subject: task.id,
      body: { ...(task as unknown as { [key: string]: Json }), channel: request.channel },
      writes: [insertTask({ task, tokenHash: tokenHash(token), verifier: makeScramVerifier(token) })],
    });
    return { task, token };
  }
}

/** A token is random enough that a plain digest of it keeps it secret. */
export function tokenHash(token: string): string {
  return digestOfBytes(Buffer.from(token, 'utf8'));
}

function outsideRole(radius: TargetRadius, role: Role): string[] {
  const reach = (patterns: readonly string[], ceiling: readonly string[]) =>
    patterns.filter((pattern) => !ceiling.some((wide) => coversPattern(wide, pattern)));
  return [...reach(radius.read, [...role.read, ...role.write]), ...reach(radius.write, role.write)];
}

function limitsWithin(wanted: Partial<TaskLimits>, role: Role): TaskLimits | Refused {
  const limits: TaskLimits = {
    rowsPerStatement: wanted.rowsPerStatement ?? Math.min(DEFAULT_ROWS_PER_STATEMENT, role.maxRowsPerStatement),
    rowsPerTask: wanted.rowsPerTask ?? Math.min(DEFAULT_ROWS_PER_TASK, role.maxRowsPerTask),
    statementTimeoutMs: wanted.statementTimeoutMs ?? DEFAULT_STATEMENT_TIMEOUT_MS,
    ...bounded('rowsPerReply', wanted.rowsPerReply, role.maxRowsPerReply),
    ...bounded('bytesPerReply', wanted.bytesPerReply, role.maxBytesPerReply),
    ...bounded('idleInTransactionMs', wanted.idleInTransactionMs, undefined),
    ...bounded('othersWaitMs', wanted.othersWaitMs, undefined),
    sessions: wanted.sessions ?? Math.min(DEFAULT_SESSIONS, role.maxSessions ?? DEFAULT_SESSIONS),
  };
  const wider = CEILINGS.filter(
    ([limit, ceiling]) => (limits[limit] ?? 0) > (role[ceiling] ?? Number.POSITIVE_INFINITY),
  );
  if (wider.length > 0) {
    return no(
      `The role ${role.id} allows ${wider.map(([limit, ceiling]) => `${limit} up to ${role[ceiling]}`).join(', ')}.`,
      'Declare limits within these.',
    );
  }
  if (limits.rowsPerStatement > role.maxRowsPerStatement || limits.rowsPerTask > role.maxRowsPerTask) {
    return no(
      `The role ${role.id} may change at most ${role.maxRowsPerStatement} rows a statement and ${role.maxRowsPerTask} a task.`,
      'Declare limits within these.',
    );
  }
  if (limits.statementTimeoutMs > MAX_STATEMENT_TIMEOUT_MS) {
    return no('A statement may run for at most 15 minutes.', 'Declare a shorter statementTimeout.');
  }
  return limits;
}

const CEILINGS = [
  ['rowsPerReply', 'maxRowsPerReply'],
  ['bytesPerReply', 'maxBytesPerReply'],
  ['sessions', 'maxSessions'],
] as const;

/** What the task asks for, else what the role allows; nothing where neither says anything. */
function bounded(
  limit: keyof TaskLimits,
  wanted: number | undefined,
  ceiling: number | undefined,
): Partial<TaskLimits> {
  const bound = wanted ?? ceiling;
  return bound === undefined ? {} : { [limit]: bound };
}

function no(message: string, hint: string): Refused {
  return { refused: { refused: 'denied', message, hint } };
}
