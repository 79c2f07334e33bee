import type { Config } from '../config/load.ts';
import type { Person } from '../domain/actor.ts';
import type { ActorId } from '../domain/ids.ts';
import type { Notice, Receiver } from '../domain/notice.ts';
import { mayDo } from '../domain/rights.ts';
import { entriesIn } from '../ledger/newest-entry.ts';
import { type MailServer, mailTo } from '../notify/email.ts';
import { webhookTo } from '../notify/webhooks.ts';
import { noticesOf } from '../pipeline/notices.ts';
import { createOutbox, type Outbox } from '../pipeline/outbox.ts';
import { incidentById } from '../store/incidents.ts';
import { outboxPosition } from '../store/outbox.ts';
import { getPlan } from '../store/plans.ts';
import type { Countersign } from './open-countersign.ts';
import { repeat } from './repeat.ts';
import { planCards, planUrl, slackReceivers } from './slack.ts';

/** Tells people and programs outside of what happens, beside what the gateway does. */
export interface Notifier {
  /** Looks now instead of a little later: something has changed. */
  look(): void;
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 200;

/** The messages of an installation. @param http where people reach the console. */
export function outboxOf(countersign: Countersign, http: string): Outbox {
  const { store, ledger, clock } = countersign;
  const cardOf = planCards(countersign, http);
  return createOutbox({
    store,
    ledger,
    size: () => entriesIn(store),
    receivers: () => [...receiversOf(countersign.config, countersign.people), ...slackReceivers(countersign, cardOf)],
    escalations: () =>
      countersign.config.escalation.map(({ afterMs, to }) => ({ afterMs, receivers: to.map((id) => `email:${id}`) })),
    noticesOf: ({ index, entry }) =>
      noticesOf(entry, index, {
        plan: (id) => getPlan(store, id),
        url: (plan) => planUrl(http, plan),
        owner: (target) =>
          [...countersign.config.targets.values()].find((each) => each.target.id === target)?.target.owner,
      }),
    waits: async ({ type, subject, data }) =>
      type === 'incident.escalated'
        ? (await incidentById(store, String(data['incident'])))?.review === null
        : (await getPlan(store, subject))?.state === 'held',
    nowMs: () => clock.now(),
  });
}

/** @param http where people reach the console. */
export function startNotifier(countersign: Countersign, http: string): Notifier {
  const { store, log } = countersign;
  const outbox = outboxOf(countersign, http);
  let ended = false;

  async function look(): Promise<void> {
    const { webhooks, mail, slack } = countersign.config;
    const asked = webhooks.length > 0 || mail !== null || slack !== null;
    if (!asked && (await outboxPosition(store)) === null) return;
    await outbox.follow();
    while (!ended && (await outbox.deliver()) > 0);
  }

  const looking = repeat({
    everyMs: LOOK_EVERY_MS,
    run: look,
    onError: (error) => log.warn({ err: error }, 'messages could not be sent; they wait'),
  });
  return {
    look: () => void looking.now(),
    async close() {
      ended = true;
      await looking.close();
    },
  };
}

export function receiversOf({ webhooks, mail }: Config, people: ReadonlyMap<ActorId, Person>): readonly Receiver[] {
  return [
    ...webhooks.map(webhookTo),
    ...(mail === null ? [] : [...people.values()].flatMap((person) => mailsTo(person, mail))),
  ];
}

/** People hear of what waits for them, of what became of what they answer for, and of halts. */
function mailsTo(person: Person, server: MailServer): readonly Receiver[] {
  if (person.email === undefined) return [];
  const concerns = ({ type, data }: Notice): boolean => {
    // Of the plan that took it back they hear anyway.
    if (type === 'plan.undone') return false;
    if (type === 'halt.set' || type === 'halt.lifted') return mayDo(person, 'halt.set');
    if (type === 'breaker.tripped') return data['owner'] === person.id || mayDo(person, 'halt.set');
    if (type === 'glass.broken' || type === 'incident.reviewed')
      return mayDo(person, 'incident.review') || data['owner'] === person.id || data['onBehalfOf'] === person.id;
    if (type !== 'plan.held') return data['owner'] === person.id || data['onBehalfOf'] === person.id;
    const environment = String(data['environment']);
    return (
      mayDo(person, 'plan.decide') &&
      (person.approves.includes('*') || person.approves.some((each) => each === environment)) &&
      data['onBehalfOf'] !== person.id
    );
  };
  return [mailTo({ id: person.id, email: person.email }, server, concerns)];
}
