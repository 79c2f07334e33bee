import type { ReceiveCallback } from '../channels/http/slack-route.ts';
import { type SlackPlace, slackPlace, slackReceiver } from '../domain/clicks.ts';
import type { Receiver } from '../domain/notice.ts';
import type { ClickOutcome } from '../identity/slack-clicks.ts';
import { asText } from '../notify/mrkdwn.ts';
import { slackTo } from '../notify/slack.ts';
import { type SlackApp, updateMessage, whisper } from '../notify/slack-api.ts';
import { messageOf } from '../notify/slack-message.ts';
import { createPlanCards, type PlanCards } from '../pipeline/plan-card.ts';
import { lastSaid } from '../store/outbox.ts';
import type { Countersign } from './open-countersign.ts';

/** The channels of the configuration, as receivers of the outbox. */
export function slackReceivers(
  { config: { slack, environments } }: Countersign,
  cardOf: PlanCards,
): readonly Receiver[] {
  if (slack === null) return [];
  const channelOf = (environment: string) => slack.channels.get(environment) ?? slack.channel;
  const channels = new Set([slack.channel, ...[...environments.keys()].map(channelOf)]);
  return [...channels].map((channel) =>
    slackTo(
      slack,
      { channel, takes: (environment) => channelOf(environment) === channel, tellsAll: channel === slack.channel },
      cardOf,
    ),
  );
}

/** @param http where people reach the console. */
export function planCards(countersign: Countersign, http: string): PlanCards {
  const { store, views, rules, clock } = countersign;
  return createPlanCards({
    store,
    views,
    rules,
    url: (plan) => planUrl(http, plan),
    owner: (target) => [...countersign.targets.values()].find((known) => known.target.id === target)?.target.owner,
    now: () => clock.now(),
  });
}

export function planUrl(http: string, plan: string): string {
  return `${http}/plans/${encodeURIComponent(plan)}`;
}

/** Receives what Slack calls back with, and tells who clicked where it did not count. */
export interface SlackCallbacks {
  readonly receive: ReceiveCallback;
  /** Waits for what was begun. */
  close(): Promise<void>;
}

/** @param deps.http where people reach the console. @param deps.decided called when messages are to be changed. */
export function createSlackCallbacks(
  countersign: Countersign,
  deps: { readonly http: () => string; readonly decided: () => void },
): SlackCallbacks {
  const { identity, log } = countersign;
  const underWay = new Set<Promise<void>>();

  return {
    async receive(callback) {
      const click = await identity.clicks.receive(callback);
      if (click.received !== 'click') return click;
      // Slack waits for three seconds, and whoever clicked sees the message change: that is the answer.
      const work = follow(click.decide()).finally(() => underWay.delete(work));
      underWay.add(work);
      return click;
    },
    async close() {
      await Promise.all(underWay);
    },
  };

  async function follow(deciding: Promise<ClickOutcome>): Promise<void> {
    try {
      const outcome = await deciding;
      if (outcome.refused === null) deps.decided();
      else await tell(outcome, outcome.refused);
    } catch (error) {
      log.error({ err: error }, 'a click in Slack came to nothing');
    }
  }

  async function tell({ place, user, plan }: ClickOutcome, why: string): Promise<void> {
    log.warn({ plan, user, why }, 'a click in Slack did not count');
    const { slack } = countersign.config;
    if (slack === null) return;
    const url = planUrl(deps.http(), plan);
    const text = `Your click did not count: ${asText(why, 1500)}\nOpen the plan to decide: ${asText(url, 500)}`;
    const told = await whisper(slack, { channel: place.channel, user }, text);
    if (!told.ok) log.warn({ why: told.why }, 'who clicked could not be told that it did not count');
    await refresh(slack, place, plan);
  }

  /** What it offered to click on may be over. */
  async function refresh(slack: SlackApp, place: SlackPlace, plan: string): Promise<void> {
    const card = await planCards(countersign, deps.http())(plan);
    if (card === undefined || !(await isOurs(place, plan))) return;
    const updated = await updateMessage(slack, place, messageOf(card));
    if (!updated.ok) log.warn({ why: updated.why, plan }, 'a message in Slack could not be changed');
  }

  async function isOurs(place: SlackPlace, plan: string): Promise<boolean> {
    return (await lastSaid(countersign.store, slackReceiver(place.channel), plan)) === slackPlace(place);
  }
}
