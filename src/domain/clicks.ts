import type { Clicks } from './environment.ts';
import type { Plan } from './plan.ts';

/** Why a click decides nothing on this plan, in words that complete "A click does not count here: …"; `undefined` where it does. */
export function whyNoClick(
  clicks: Clicks,
  plan: Pick<Plan, 'environment' | 'measurement' | 'undo' | 'held'>,
): string | undefined {
  if (clicks === 'never') return `${plan.environment} takes a signature by somebody's own key or passkey`;
  // Who signs may lift the freeze along with it: that takes more than a click, whatever else is allowed.
  if (plan.held.missing.some(({ obligation }) => obligation === 'after freeze'))
    return 'there is a freeze, and only a signature by somebody’s own key or passkey lifts one';
  if (clicks === 'any') return undefined;
  if (!plan.measurement.measured) return 'its effect could not be measured';
  return plan.undo.undo === 'irreversible' ? 'it can’t be undone' : undefined;
}

/** What the buttons of a message are called in what Slack calls back with. */
export const SLACK_BUTTONS = {
  approve: 'countersign.approve',
  reject: 'countersign.reject',
  open: 'countersign.open',
} as const;

/** A message of ours, by Slack's names for where and which. */
export interface SlackPlace {
  readonly channel: string;
  readonly ts: string;
}

/** How a channel is called in the outbox. */
export function slackReceiver(channel: string): string {
  return `slack:${channel}`;
}

/** A place as the outbox keeps it. */
export function slackPlace({ channel, ts }: SlackPlace): string {
  return `${channel} ${ts}`;
}
