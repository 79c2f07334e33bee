import type { ActorId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import type { Draft } from './record-plan.ts';

/** Who wants which change taken back. */
export interface UndoRequest {
  /** The plan that was applied, or the intent of a write. */
  readonly change: string;
  readonly askedBy: ActorId;
  readonly channel: Channel;
  /** Rows that were changed since stay as they are; else they stand in the way. */
  readonly keepNewer: boolean;
}

/** What the plan that does it is made of, before policy has decided on it. */
export type Proposal = Omit<Draft, 'task' | 'channel' | 'wish'>;
