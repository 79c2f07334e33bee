import type { Clock } from '../domain/clock.ts';
import { instantOf } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { Ledger } from '../ledger/ledger.ts';

/**
 * Takes note of reads that flowed through and brings them into the ledger in batches: reads lose nothing, so they need
 * not wait for a disk. Equal statements of a task within a batch are one line with a count.
 */
export interface ReadLog {
  /** Notes one read. Cheap: no I/O. */
  note(read: {
    readonly task: string;
    readonly target: string;
    readonly channel: Channel;
    readonly shape: string;
  }): void;
  /** True when the ledger can't be reached and no more reads may flow unrecorded (G7). */
  readonly full: boolean;
  /** Distinct statements that are noted and not yet in the ledger. */
  readonly waiting: number;
  /** Brings everything noted so far into the ledger. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const FLUSH_AFTER_MS = 1000;
/** Distinct statements kept while the ledger doesn't answer; beyond that, reads are refused. */
const MAX_PENDING = 20_000;
const MAX_PER_ENTRY = 500;

export function createReadLog(deps: {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly onFailure: (error: unknown) => void;
}): ReadLog {
  let pending = new Map<string, Map<string, number>>();
  let pendingCount = 0;
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();

  function schedule(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      flush().catch(deps.onFailure);
    }, FLUSH_AFTER_MS).unref();
  }

  function flush(): Promise<void> {
    flushing = flushing.catch(deps.onFailure).then(writeOut);
    return flushing;
  }

  async function writeOut(): Promise<void> {
    if (pendingCount === 0) return;
    const batch = pending;
    pending = new Map();
    pendingCount = 0;
    const at = instantOf(deps.clock.now());
    const entries = [...batch].flatMap(([key, shapes]) => {
      const [task = '', target = '', channel = ''] = key.split('\n');
      return chunks([...shapes], MAX_PER_ENTRY).map((part) => ({
        v: 1 as const,
        kind: 'reads' as const,
        at,
        subject: task,
        body: { task, target, channel, statements: part.map(([shape, count]) => ({ shape, count })) },
      }));
    });
    try {
      await deps.ledger.record({ entries });
    } catch (error) {
      for (const [key, shapes] of batch) for (const [shape, count] of shapes) add(key, shape, count);
      schedule();
      throw error;
    }
  }

  function add(key: string, shape: string, count: number): void {
    let shapes = pending.get(key);
    if (shapes === undefined) {
      shapes = new Map();
      pending.set(key, shapes);
    }
    const before = shapes.get(shape);
    if (before === undefined) pendingCount++;
    shapes.set(shape, (before ?? 0) + count);
  }

  return {
    note({ task, target, channel, shape }) {
      add(`${task}\n${target}\n${channel}`, shape, 1);
      schedule();
    },
    get waiting() {
      return pendingCount;
    },
    get full() {
      return pendingCount >= MAX_PENDING;
    },
    flush,
    async close() {
      clearTimeout(timer);
      await flush();
    },
  };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let start = 0; start < items.length; start += size) parts.push(items.slice(start, start + size));
  return parts;
}
