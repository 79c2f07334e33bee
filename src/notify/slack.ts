import { type SlackPlace, slackPlace, slackReceiver } from '../domain/clicks.ts';
import type { Notice, Receiver, Sent } from '../domain/notice.ts';
import type { PlanCard } from '../domain/plan-card.ts';
import { type Answered, postMessage, type SlackApp, updateMessage } from './slack-api.ts';
import { lineOf, messageOf, type SlackMessage } from './slack-message.ts';

/** A channel of a workspace to which plans go. */
export interface SlackChannel {
  readonly channel: string;
  /** Whether plans of an environment go there. */
  takes(environment: string): boolean;
  /** Whether it is told of what concerns no plan. */
  readonly tellsAll: boolean;
}

function postedAt(place: string | null): SlackPlace | null {
  const [channel, ts] = place?.split(' ') ?? [];
  return channel === undefined || ts === undefined ? null : { channel, ts };
}

/**
 * One message for each plan, changed as the plan goes on. Whichever notice is the reason, it says how the plan stands at
 * that moment: so nothing that comes late, or from another gateway, puts back what was.
 *
 * @param cardOf a plan as it stands now.
 */
export function slackTo(
  app: SlackApp,
  { channel, takes, tellsAll }: SlackChannel,
  cardOf: (plan: string) => Promise<PlanCard | undefined>,
): Receiver {
  return {
    name: slackReceiver(channel),
    edits: true,
    wants: ({ type, data }) =>
      type.startsWith('plan.') ? takes(String(data['environment'])) && Number(data['approvals']) > 0 : tellsAll,
    send: async ({ notice, earlier }) => {
      if (!notice.type.startsWith('plan.')) return told(await postMessage(app, channel, lineOf(notice.headline)));
      return sendPlan(notice, postedAt(earlier));
    },
  };

  async function sendPlan({ subject }: Notice, earlier: SlackPlace | null): Promise<Sent> {
    let place = earlier;
    let said: string | undefined;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const card = await cardOf(subject);
      if (card === undefined) return { taken: false, why: 'there is no such plan any more' };
      const message = messageOf(card);
      // It went on while it was being told of: then that is told as well.
      if (JSON.stringify(message) === said) break;
      const sent = await put(place, message);
      if (!sent.ok) return told(sent);
      place = sent.answer;
      said = JSON.stringify(message);
    }
    return place === null ? { taken: false, why: 'nothing was sent' } : { taken: true, said: slackPlace(place) };
  }

  async function put(place: SlackPlace | null, message: SlackMessage): Promise<Answered<SlackPlace>> {
    if (place === null) return postMessage(app, channel, message);
    const updated = await updateMessage(app, place, message);
    return !updated.ok && GONE.has(updated.code) ? postMessage(app, channel, message) : updated;
  }
}

const MOST_ROUNDS = 4;
/** Somebody has deleted it, or it is too old to be changed: the next one is new. */
const GONE: ReadonlySet<string> = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed']);

function told(answered: Answered<SlackPlace>): Sent {
  if (answered.ok) return { taken: true, said: slackPlace(answered.answer) };
  const { why, awayForMs } = answered;
  return { taken: false, why, ...(awayForMs === undefined ? {} : { awayForMs }) };
}
