import type { TargetId, TaskId } from '../../domain/ids.ts';
import type { Refusal } from '../../domain/refusal.ts';
import type { Task } from '../../domain/task.ts';
import type { Gateway, Refused, Session } from '../../pipeline/gateway.ts';

/**
 * The gateway sessions that tool calls run on: opened when first needed, lent to one call at a time, kept for the next
 * call of the same task on the same target, closed when idle. Nothing passes from one call to the next, so they belong
 * to the task and not to a connection of a client; the protocol of 2026-07-28 has no lasting connection at all.
 */
export interface Sessions {
  /** Lends a session to `work`, which says whether it may be lent again. */
  use<T>(
    task: Task,
    target: TargetId,
    signal: AbortSignal,
    work: (session: Session) => Promise<Used<T>>,
  ): Promise<T | Refused>;
  /** Closes those of a task that are not in use. */
  closeIdle(task: TaskId): Promise<void>;
  close(): Promise<void>;
}

export interface Used<T> {
  readonly value: T;
  /** `false` when the session may hold something that another call must not find. */
  readonly reusable: boolean;
}

export interface SessionBounds {
  readonly perTaskAndTarget: number;
  readonly inAll: number;
  readonly idleMs: number;
  /** How long a call waits for a session while all are in use. */
  readonly waitMs: number;
}

/** Each session holds one or two connections of the target, and PostgreSQL has 100 for everyone unless told otherwise. */
export const SESSION_BOUNDS: SessionBounds = { perTaskAndTarget: 4, inAll: 40, idleMs: 15_000, waitMs: 30_000 };

interface Slot {
  readonly key: string;
  readonly task: TaskId;
  /** `null` while it is being opened. */
  session: Session | null;
  busy: boolean;
  idleSinceMs: number;
}

export function createSessions(
  gateway: Gateway,
  onError: (error: unknown) => void,
  bounds: SessionBounds = SESSION_BOUNDS,
  now: () => number = Date.now,
): Sessions {
  const slots = new Set<Slot>();
  /** Calls that wait until something is given back, in the order they came. */
  const waiting: (() => void)[] = [];
  /** Sessions that are ending still hold their connections. */
  let ending = 0;
  let closed = false;

  const sweep = setInterval(() => {
    const idle = [...slots].filter((slot) => !slot.busy && now() - slot.idleSinceMs >= bounds.idleMs);
    drop(idle).catch(onError);
  }, bounds.idleMs / 4);
  sweep.unref();

  async function use<T>(
    task: Task,
    target: TargetId,
    signal: AbortSignal,
    work: (session: Session) => Promise<Used<T>>,
  ): Promise<T | Refused> {
    const slot = await takeSlot(task, target, signal);
    if ('refused' in slot) return slot;
    let reusable = false;
    try {
      if (slot.session === null) {
        const opened = await gateway.openSession(task, target, 'mcp');
        if ('refused' in opened) return opened;
        slot.session = opened;
      }
      if (closed) return { refused: CLOSING };
      signal.throwIfAborted();
      const used = await work(slot.session);
      reusable = used.reusable;
      return used.value;
    } finally {
      slot.busy = false;
      slot.idleSinceMs = now();
      // What the statement came to stands, whether or not the session ends in order.
      if (!reusable || closed) drop([slot]).catch(onError);
      else wakeAll();
    }
  }

  async function takeSlot(task: Task, target: TargetId, signal: AbortSignal): Promise<Slot | Refused> {
    const key = JSON.stringify([task.id, target]);
    const deadlineMs = now() + bounds.waitMs;
    for (;;) {
      if (closed) return { refused: CLOSING };
      const own = [...slots].filter((slot) => slot.key === key);
      const idle = own.find((slot) => !slot.busy);
      if (idle !== undefined) {
        idle.busy = true;
        return idle;
      }
      if (own.length < bounds.perTaskAndTarget && slots.size + ending < bounds.inAll) {
        const slot: Slot = { key, task: task.id, session: null, busy: true, idleSinceMs: now() };
        slots.add(slot);
        return slot;
      }
      if (own.length < bounds.perTaskAndTarget && (await makeRoom())) continue;
      const leftMs = deadlineMs - now();
      if (leftMs <= 0)
        return { refused: own.length < bounds.perTaskAndTarget ? ALL_IN_USE : tooMany(task, own.length) };
      await givenBack(leftMs, signal);
    }
  }

  /** All, since only the one that wakes knows whether what was given back serves it. */
  function wakeAll(): void {
    for (const wake of waiting.splice(0)) wake();
  }

  /** Closes the session that has been idle longest, whoever's it is. */
  async function makeRoom(): Promise<boolean> {
    const idle = [...slots].filter((slot) => !slot.busy).sort((a, b) => a.idleSinceMs - b.idleSinceMs);
    const [oldest] = idle;
    if (oldest === undefined) return false;
    await drop([oldest]);
    return true;
  }

  function givenBack(timeoutMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        const at = waiting.indexOf(wake);
        if (at !== -1) waiting.splice(at, 1);
        end();
      };
      const wake = () => settle(resolve);
      const aborted = () => settle(() => reject(signal.reason));
      const timer = setTimeout(wake, timeoutMs);
      signal.addEventListener('abort', aborted, { once: true });
      waiting.push(wake);
    });
  }

  async function drop(dropped: readonly Slot[]): Promise<void> {
    const ends = dropped.filter((slot) => slots.delete(slot));
    ending += ends.length;
    try {
      await Promise.all(ends.map((slot) => slot.session?.close()));
    } finally {
      ending -= ends.length;
      wakeAll();
    }
  }

  return {
    use,
    closeIdle: (task) => drop([...slots].filter((slot) => slot.task === task && !slot.busy)),
    async close() {
      closed = true;
      clearInterval(sweep);
      wakeAll();
      await drop([...slots].filter((slot) => slot.session !== null));
    },
  };
}

const CLOSING: Refusal = {
  refused: 'unavailable',
  message: 'The gateway is shutting down.',
  hint: 'Nothing was run. Try again when it is back.',
};
const ALL_IN_USE: Refusal = {
  refused: 'unavailable',
  message: 'All of the gateway’s sessions for tool calls are in use.',
  hint: 'Nothing was run. Try again in a little while.',
};

function tooMany(task: Task, running: number): Refusal {
  return {
    refused: 'unavailable',
    message: `Task ${task.id} already has ${running} statements running on this target.`,
    hint: 'Nothing was run. Wait for one of them to end, or cancel it.',
  };
}
