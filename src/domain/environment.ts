import type { ChangeWindow } from './change-time.ts';
import type { ActorId, EnvironmentId } from './ids.ts';

/** How much is at stake. Policies look at the tier, never at an environment's name. */
export const TIERS = ['development', 'staging', 'production'] as const;
export type Tier = (typeof TIERS)[number];

/** What a click in a chat is worth: nothing; enough for what was measured and can be undone; enough for every plan. */
export const CLICKS = ['never', 'reversible', 'any'] as const;
export type Clicks = (typeof CLICKS)[number];

export interface Environment {
  readonly id: EnvironmentId;
  readonly tier: Tier;
  readonly owner: ActorId;
  /** A write of up to this many rows needs no approval. Rows, cascades included. */
  readonly rowsWithoutApproval: number;
  /** How many different people must countersign a held plan. */
  readonly quorum: number;
  /** How many when the effect could not be measured, or can't be undone. */
  readonly quorumUnmeasured: number;
  /** What a click in Slack is worth here. */
  readonly clicks: Clicks;
  /** Up to how many rows an approval agent's word stands for one person's; `null` where no agent's does. Never in production. */
  readonly approvalAgents: { readonly maxRows: number } | null;
  /** How long a plan may wait for its approvals, in milliseconds. */
  readonly planLifetimeMs: number;
  /** When it may be changed; at any time where there are none. */
  readonly windows: readonly ChangeWindow[];
}
