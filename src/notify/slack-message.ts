import { describeSigner } from '../domain/approval.ts';
import { SLACK_BUTTONS } from '../domain/clicks.ts';
import { shortId } from '../domain/plan.ts';
import type { PlanCard } from '../domain/plan-card.ts';
import { asCode, asText } from './mrkdwn.ts';

/** What is put into a channel: blocks for who looks, and one line for notifications. */
export interface SlackMessage {
  readonly text: string;
  readonly blocks: readonly SlackBlock[];
}

export type SlackBlock =
  | { readonly type: 'section'; readonly text: Mrkdwn }
  | { readonly type: 'context'; readonly elements: readonly Mrkdwn[] }
  | { readonly type: 'actions'; readonly block_id: string; readonly elements: readonly Button[] };

interface Mrkdwn {
  readonly type: 'mrkdwn';
  readonly text: string;
  /** Names of channels and addresses in it stay text. */
  readonly verbatim: true;
}

interface Button {
  readonly type: 'button';
  readonly action_id: string;
  readonly text: { readonly type: 'plain_text'; readonly text: string };
  readonly value?: string;
  readonly url?: string;
  readonly style?: 'primary' | 'danger';
  readonly confirm?: {
    readonly title: PlainText;
    readonly text: PlainText;
    readonly confirm: PlainText;
    readonly deny: PlainText;
  };
}

interface PlainText {
  readonly type: 'plain_text';
  readonly text: string;
}

/** Slack takes 3,000 characters a section; a message of ours has six blocks of the 50 that it takes. */
const MOST_IN_SECTION = 3000;
const MOST_EFFECTS = 12;
const MOST_APPROVALS = 5;

/** All that a person asks before deciding, as it stands now; buttons as long as there is something to decide. */
export function messageOf(card: PlanCard): SlackMessage {
  const { title, next } = standing(card);
  const where = `${card.environment}${card.tier === card.environment ? '' : ` (tier ${card.tier})`}`;
  const shown = card.effects.slice(0, MOST_EFFECTS).map((line) => `• ${asCode(line, 200)}`);
  const more = card.effects.length - shown.length;
  return {
    text: `${title} in ${asText(where, 100)}: ${asText(card.headline, 1000)}`,
    blocks: [
      section(`*${title}*\n${asCode(card.headline, 1000)}`),
      section(
        [
          `*Where*  ${asCode(card.target, 100)} in ${asCode(where, 150)}${card.owner === null ? '' : `, owned by ${asCode(card.owner, 100)}`}`,
          `*Who*  ${asCode(card.agent, 100)}, ${card.onBehalfOf === card.agent ? 'on its own account' : `asked by ${asCode(card.onBehalfOf, 100)}`}`,
          `*Why*  ${asCode(card.purpose, 500)}`,
          `*Way back*  ${asCode(card.wayBack, 500)}`,
          `*Risk*  ${card.risk}`,
        ].join('\n'),
      ),
      section(`*Does*\n${shown.join('\n')}${more > 0 ? `\n• and ${more} more` : ''}`),
      ...(next === '' ? [] : [section(next)]),
      context(`Plan ${card.short}, until ${card.expiresAt}`),
      buttons(card),
    ],
  };
}

/** A line about what is no plan. */
export function lineOf(headline: string): SlackMessage {
  return { text: asText(headline, 2900), blocks: [section(asCode(headline, 2900))] };
}

function standing(card: PlanCard): { readonly title: string; readonly next: string } {
  const why = card.note === null ? '' : asCode(card.note, 500);
  const others = card.approvals.length - MOST_APPROVALS;
  const by = card.approvals
    .slice(0, MOST_APPROVALS)
    .map(
      ({ person, agentOf, at, via }) =>
        `${asCode(describeSigner({ person, agentOf }), 200)} approved at ${at}${via === undefined ? '' : ', by a click here: attested by the gateway, not signed'}`,
    )
    .concat(others > 0 ? [`and ${others} more`] : [])
    .join('\n');
  const waits = card.waitsFor.slice(0, 3).map((one) => `Waits for ${asCode(one, 250)}`);
  switch (card.state) {
    case 'held': {
      const people = card.missing === 1 ? '1 person' : `${card.missing} people`;
      const how =
        card.whyNoClick === null
          ? 'A click decides here; the gateway attests it.'
          : `Open it to decide: ${asCode(card.whyNoClick, 300)}`;
      return { title: `Waits for ${people}`, next: [by, ...waits, how].filter(Boolean).join('\n') };
    }
    case 'approved':
      return { title: 'Approved', next: [by, ...waits, 'Not applied yet.'].filter(Boolean).join('\n') };
    case 'applying':
      return { title: 'Is being applied', next: by };
    case 'applied':
      if (card.undoneBy === null) return { title: 'Applied', next: by };
      return { title: 'Undone', next: `${by}\nApplied, and taken back by plan ${asCode(shortId(card.undoneBy), 80)}` };
    case 'rejected':
      return { title: 'Rejected', next: why };
    case 'failed':
      return { title: 'Not applied: it failed', next: why };
    case 'stale':
      return { title: 'Not applied: the target has changed since', next: why };
    case 'expired':
      return { title: 'Expired: nobody decided, or applied it, in time', next: by };
    case 'indeterminate':
      return { title: 'Nobody knows yet whether it was applied: somebody must look', next: why };
    default:
      return card.state satisfies never;
  }
}

function buttons({ id, state, url, headline, whyNoClick }: PlanCard): SlackBlock {
  const open: Button = { type: 'button', action_id: SLACK_BUTTONS.open, text: plain('Open'), url };
  const decides = state === 'held' && whyNoClick === null;
  const approve: Button = {
    type: 'button',
    action_id: SLACK_BUTTONS.approve,
    text: plain('Approve'),
    value: id,
    style: 'primary',
    confirm: {
      title: plain('Approve this plan?'),
      text: plain(asText(headline, 300)),
      confirm: plain('Approve'),
      deny: plain('Not now'),
    },
  };
  const reject: Button = {
    type: 'button',
    action_id: SLACK_BUTTONS.reject,
    text: plain('Reject'),
    value: id,
    style: 'danger',
  };
  return { type: 'actions', block_id: 'countersign', elements: decides ? [approve, reject, open] : [open] };
}

function section(text: string): SlackBlock {
  return { type: 'section', text: mrkdwn(text) };
}

function context(text: string): SlackBlock {
  return { type: 'context', elements: [mrkdwn(text)] };
}

function mrkdwn(text: string): Mrkdwn {
  // What is put together above stays below it; this is for whoever adds a line.
  if (text.length > MOST_IN_SECTION)
    throw new RangeError(`Slack takes ${MOST_IN_SECTION} characters, not ${text.length}`);
  return { type: 'mrkdwn', text, verbatim: true };
}

function plain(text: string): PlainText {
  return { type: 'plain_text', text };
}
