import type { Breaker } from './breaker.ts';
import type { ActorId, HaltId, Instant } from './ids.ts';

/** A stop: by a person, or by a breaker. Scope `global` stops everything. */
export interface Halt {
  readonly id: HaltId;
  readonly scope: HaltScope;
  readonly reason: string;
  readonly by: ActorId;
  readonly at: Instant;
  /** Which breaker tripped; left out where a person halted. */
  readonly breaker?: Breaker;
}

export type HaltScope =
  | { readonly scope: 'global' }
  | { readonly scope: 'agent' | 'task' | 'target'; readonly id: string };

/** Whether a halt stops this actor's task on this target. */
export function haltCovers(halt: Halt, subject: { agent: string; task: string; target: string }): boolean {
  return halt.scope.scope === 'global' || subject[halt.scope.scope] === halt.scope.id;
}
