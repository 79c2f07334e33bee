import type { ActorId, Instant, PlanId } from './ids.ts';
import type { PlanState } from './plan.ts';

/** A plan as it stands now, in as much as a person is told of it elsewhere than here: no statement, no parameter, no row. */
export interface PlanCard {
  readonly id: PlanId;
  readonly short: string;
  /** What it does, in one line; names in it come from the database. */
  readonly headline: string;
  readonly state: PlanState;
  /** Why it stands there, where that needs saying. */
  readonly note: string | null;
  /** The plan that has taken it back. */
  readonly undoneBy: string | null;
  readonly environment: string;
  readonly tier: string;
  readonly target: string;
  readonly owner: string | null;
  readonly agent: ActorId;
  readonly onBehalfOf: ActorId;
  readonly purpose: string;
  /** A table or object a line. */
  readonly effects: readonly string[];
  readonly risk: string;
  readonly wayBack: string;
  readonly approvals: readonly {
    readonly person: ActorId;
    readonly agentOf?: ActorId;
    readonly at: Instant;
    readonly via?: 'slack';
  }[];
  /** How many more people must countersign. */
  readonly missing: number;
  /** What it waits for besides people. */
  readonly waitsFor: readonly string[];
  readonly expiresAt: Instant;
  /** Where people look at all of it. */
  readonly url: string;
  /** Why no click decides on it, in words; `null` where one does. */
  readonly whyNoClick: string | null;
}
