import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { attestApproval } from '../approval/envelope.ts';
import type { PersonKey } from '../approval/person-key.ts';
import type { Person } from '../domain/actor.ts';
import { SLACK_BUTTONS, type SlackPlace, slackPlace, slackReceiver } from '../domain/clicks.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import { type ActorId, asId, type Digest, type Instant, instantOf } from '../domain/ids.ts';
import { shortId } from '../domain/plan.ts';
import type { ReceiveVerdict } from '../pipeline/verdicts.ts';
import { putSight } from '../store/decisions.ts';
import { firstStillWaits, firstTakenAt, lastSaid } from '../store/outbox.ts';
import { forgetChallenges, spendChallenge } from '../store/passkeys.ts';
import { getPlan } from '../store/plans.ts';
import type { Store } from '../store/store.ts';
import { SIGNED_WITHIN_MS, type SignedCallback, verifySlackSignature } from './slack-signature.ts';

/** What is known of the workspace. */
export interface SlackSettings {
  readonly team: string;
  readonly signingSecret: { reveal(): string };
}

/**
 * Clicks on buttons in Slack. The gateway believes Slack's signature about who clicked on what, and says so with its own
 * key; whether that is enough for a plan is the quorum's alone to say, now and when the plan is applied.
 */
export interface SlackClicks {
  /** @throws StoreUnavailable, and then nothing has come of it. */
  receive(callback: SignedCallback): Promise<ReceivedClick>;
}

export type ReceivedClick =
  /** `status` is told to whoever called, and nothing else happens. */
  | { readonly received: 'no slack' | 'not signed' | 'again' | 'nothing to decide'; readonly why: string }
  /** It was Slack, and for the first time. Decides on the plan; takes as long as that takes. */
  | { readonly received: 'click'; decide(): Promise<ClickOutcome> };

export interface ClickOutcome {
  /** Where it was clicked, and by whom. */
  readonly place: SlackPlace;
  readonly user: string;
  readonly plan: string;
  /** Why it did not count, for who clicked; `null` when it did. */
  readonly refused: string | null;
}

const callbackSchema = z.object({
  type: z.literal('block_actions'),
  team: z.object({ id: z.string() }),
  user: z.object({ id: z.string(), team_id: z.string().optional() }),
  container: z.object({ message_ts: z.string(), channel_id: z.string() }),
  actions: z.tuple([
    z.object({
      action_id: z.enum([SLACK_BUTTONS.approve, SLACK_BUTTONS.reject]),
      value: z.string().max(2000),
      action_ts: z.string().regex(/^\d{1,12}(\.\d{1,9})?$/),
    }),
  ]),
});
const [MOST_LOOKS, LOOK_EVERY_MS] = [25, 200];
type Callback = z.infer<typeof callbackSchema>;

export function createSlackClicks(deps: {
  readonly store: Store;
  /** `null` where there is none. */
  readonly settings: () => SlackSettings | null;
  readonly people: () => ReadonlyMap<ActorId, Person>;
  readonly gateway: PersonKey;
  readonly receiveVerdict: ReceiveVerdict;
  readonly now: () => number;
}): SlackClicks {
  const { store } = deps;

  return {
    async receive(callback) {
      const settings = deps.settings();
      if (settings === null) return { received: 'no slack', why: 'no Slack is configured' };
      const signed = verifySlackSignature(callback, settings.signingSecret.reveal(), deps.now());
      if ('why' in signed) return { received: 'not signed', why: signed.why };
      const read = callbackSchema.safeParse(payloadOf(callback.body));
      // Slack also tells of buttons that only open a page.
      if (!read.success) return { received: 'nothing to decide', why: 'it is no click on a button that decides' };
      // Before anything else, and whatever comes of it: what did not count now must not count later, on any gateway.
      const until = instantOf(deps.now() + 3 * SIGNED_WITHIN_MS);
      const spent = await store.commit([
        spendChallenge(`slack ${signed.callback}`, until),
        forgetChallenges(instantOf(deps.now())),
      ]);
      if (spent !== null) return { received: 'again', why: 'this click has been received before' };
      return { received: 'click', decide: () => decide(read.data, signed.callback, settings.team) };
    },
  };

  async function decide(said: Callback, callback: Digest, team: string): Promise<ClickOutcome> {
    const { user, container } = said;
    const [{ value: plan }] = said.actions;
    const place = { channel: container.channel_id, ts: container.message_ts };
    const refused = await refusalOf(said, place, callback, team);
    return { place, user: user.id, plan, refused };
  }

  async function refusalOf(said: Callback, place: SlackPlace, callback: Digest, team: string): Promise<string | null> {
    const [{ action_id: button, value: plan, action_ts: clickedAt }] = said.actions;
    const { user } = said;
    // In a channel that is shared with others, theirs click as well.
    if (said.team.id !== team || (user.team_id !== undefined && user.team_id !== team))
      return `you clicked from the workspace ${user.team_id ?? said.team.id}, and people are known in ${team}.`;
    const person = [...deps.people().values()].find(({ slack }) => slack === user.id);
    if (person === undefined)
      return `nobody in the configuration has your Slack user. An administrator can add it: actors.people.NAME.slack: ${user.id}.`;
    const record = await getPlan(store, plan);
    if (record === undefined) return 'there is no such plan here.';
    // Whoever has the app's token could put our buttons under another text: only the message that we know of counts.
    if (!(await tellsOf(place, plan))) return `this is not the message that tells of plan ${shortId(plan)} now.`;
    const envelope = attestApproval(
      {
        type: 'https://countersign.dev/attested-approval/v1',
        plan: record.id,
        environment: record.plan.environment,
        identity: digestOf(record.plan.identity as unknown as Json),
        person: person.id,
        verdict: button === SLACK_BUTTONS.approve ? 'approve' : 'reject',
        reason: '',
        at: instantOf(deps.now()),
        via: 'slack',
        click: {
          team,
          user: user.id,
          conversation: place.channel,
          message: place.ts,
          at: instantOf(Math.floor(Number(clickedAt) * 1000)),
          callback,
        },
      },
      deps.gateway,
    );
    await saw(person.id, record.id, place);
    const received = await deps.receiveVerdict(envelope);
    return 'refused' in received ? `${received.refused.message} ${received.refused.hint}` : null;
  }

  /** Who is quick can click before it is written down where the message stands. */
  async function tellsOf(place: SlackPlace, plan: string): Promise<boolean> {
    const receiver = slackReceiver(place.channel);
    for (let round = 0; round < MOST_LOOKS; round++) {
      if ((await lastSaid(store, receiver, plan)) === slackPlace(place)) return true;
      if (!(await firstStillWaits(store, receiver, plan)))
        return (await lastSaid(store, receiver, plan)) === slackPlace(place);
      await sleep(LOOK_EVERY_MS);
    }
    return false;
  }

  /** They could see it from when the message was there. */
  async function saw(person: ActorId, plan: string, { channel }: SlackPlace): Promise<void> {
    const at = await firstTakenAt(store, slackReceiver(channel), plan);
    if (at !== null) await store.commit([putSight({ plan, person, at: asId<Instant>(at), by: 'slack' })]);
  }
}

/** A form with one field, which is JSON. */
function payloadOf(body: Buffer): unknown {
  const [payload, ...more] = new URLSearchParams(body.toString('utf8')).getAll('payload');
  if (payload === undefined || more.length > 0) return undefined;
  try {
    return JSON.parse(payload);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
