import type { Instant } from '../domain/ids.ts';
import { machineName } from './machine.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

/** A running gateway, so that commands find its addresses and recovery knows whose unfinished work is nobody's. */
export interface GatewayNode {
  /** Ends in `@` and the name of its machine (`machineName`). */
  readonly id: string;
  readonly pid: number;
  readonly pg: string;
  readonly http: string;
  readonly startedAt: Instant;
}

const DEAD_AFTER_MS = 5000;
const FORGOTTEN_AFTER_MS = 24 * 3_600_000;

/**
 * After which silence a node is taken for dead. Twice its lease: by then it has stopped by itself, and what it was just
 * committing is over.
 */
export function deadAfterMs({ leaseMs }: Pick<Store, 'leaseMs'>): number {
  return leaseMs === null ? DEAD_AFTER_MS : 2 * leaseMs;
}

export function announceNode(node: GatewayNode, nowMs: number): Write {
  const values = {
    id: node.id,
    pid: node.pid,
    pg: node.pg,
    http: node.http,
    started_at: node.startedAt,
    heartbeat_ms: nowMs,
  };
  return write(
    statements
      .insertInto('nodes')
      .values(values)
      .onConflict((conflict) => conflict.column('id').doUpdateSet(values)),
  );
}

/** Forgets those that never said that they leave. */
export function forgetSilentNodes(nowMs: number): Write {
  return write(statements.deleteFrom('nodes').where('heartbeat_ms', '<', nowMs - FORGOTTEN_AFTER_MS));
}

export function removeNode(id: string): Write {
  return write(statements.deleteFrom('nodes').where('id', '=', id));
}

export async function liveNodes(store: Store, nowMs: number): Promise<readonly GatewayNode[]> {
  const rows = await store.all(
    statements
      .selectFrom('nodes')
      .selectAll()
      .where('heartbeat_ms', '>', nowMs - deadAfterMs(store))
      .orderBy('heartbeat_ms', 'desc'),
  );
  return rows.filter(isRunning).map((row) => ({
    id: row.id,
    pid: row.pid,
    pg: row.pg,
    http: row.http,
    startedAt: row.started_at as Instant,
  }));
}

/** On its own machine a process that ended is known to be dead at once; elsewhere only its silence tells. */
function isRunning({ id, pid }: { readonly id: string; readonly pid: number }): boolean {
  if (!id.endsWith(`@${machineName()}`) || pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
