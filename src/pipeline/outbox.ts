import { instantOf } from '../domain/ids.ts';
import type { Notice, Receiver, Sent } from '../domain/notice.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { StoredEntry } from '../ledger/read-entries.ts';
import {
  beginOutbox,
  claimMessage,
  dueMessages,
  firstStillWaits,
  forgetMessages,
  lastSaid,
  moveOutbox,
  type OutboxMessage,
  outboxPosition,
  putMessage,
  settleMessage,
} from '../store/outbox.ts';
import type { Store } from '../store/store.ts';
import type { Write } from '../store/write.ts';

/**
 * Messages to people and programs outside. They follow the ledger: an entry that is durable will be told of, whatever
 * dies in between, and the pipeline waits for nobody. Several gateways may follow at once; each message is made once, and
 * delivered at least once.
 */
export interface Outbox {
  /** Makes messages of what came since. @returns how many. @throws StoreUnavailable. */
  follow(): Promise<number>;
  /** Tries what is due. @returns how many were tried. @throws StoreUnavailable. */
  deliver(): Promise<number>;
}

/** Who is told later of what still waits then. */
export interface Escalation {
  readonly afterMs: number;
  /** Names of receivers. */
  readonly receivers: readonly string[];
}

const PAGE = 200;
const AT_ONCE = 20;
/** Longer than any receiver is waited for: whoever died while sending has not sent. */
const CLAIM_MS = 60_000;
const PUT_OFF_MS = 1000;
const FORGET_EVERY_MS = 60_000;
const KEEP_MS = 30 * 86_400_000;
const [S, M, H] = [1000, 60_000, 3_600_000];
/** When a message is tried again after each failure: the waits of Standard Webhooks, over two days. */
const WAITS_MS = [5 * S, 30 * S, 2 * M, 10 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H];

/** @param deps.noticesOf what people outside hear of an entry. */
export function createOutbox(deps: {
  readonly store: Store;
  readonly ledger: Pick<Ledger, 'entries' | 'checkpoint'>;
  readonly size: () => Promise<number>;
  readonly receivers: () => readonly Receiver[];
  readonly escalations: () => readonly Escalation[];
  readonly noticesOf: (stored: StoredEntry) => Promise<readonly Notice[]>;
  /** Whether what an escalation tells of still waits for somebody. */
  readonly waits: (notice: Notice) => Promise<boolean>;
  readonly nowMs: () => number;
  readonly waitsMs?: readonly number[];
}): Outbox {
  const { store, ledger, waitsMs = WAITS_MS } = deps;

  let forgetNextMs = 0;
  /** Until when receivers take nothing, as far as this process has heard. */
  const awayUntilMs = new Map<string, number>();

  async function messagesOf(stored: StoredEntry): Promise<readonly Write[]> {
    return (await deps.noticesOf(stored)).flatMap(messagesFor);
  }

  function messagesFor(notice: Notice): readonly Write[] {
    const nowMs = deps.nowMs();
    const put = (receiver: string, of: Notice, nextMs: number): Write =>
      putMessage({ id: idOf(of, receiver), receiver, notice: of, nextMs });
    const told = deps.receivers().filter((receiver) => receiver.wants(notice));
    const writes = told.map(({ name }) => put(name, notice, nowMs));
    const later = laterOf(notice);
    if (later === undefined) return writes;
    for (const { afterMs, receivers } of deps.escalations())
      for (const name of receivers) writes.push(put(name, later, Date.parse(notice.at) + afterMs));
    return writes;
  }

  async function settle(message: OutboxMessage, sent: Sent): Promise<void> {
    const attempts = message.attempts + 1;
    const waitMs = waitsMs[message.attempts];
    const nowMs = deps.nowMs();
    const awayForMs = sent.taken ? 0 : (sent.awayForMs ?? 0);
    if (awayForMs > 0) awayUntilMs.set(message.receiver, nowMs + awayForMs);
    const state = sent.taken ? 'delivered' : waitMs === undefined ? 'dead' : 'waiting';
    const said = sent.taken ? (sent.said ?? null) : sent.why.slice(0, 500);
    await store.commit([
      settleMessage(
        message.id,
        { state, attempts, nextMs: nowMs + Math.max(waitMs ?? 0, awayForMs), said },
        instantOf(nowMs),
      ),
    ]);
  }

  /** That it was not tried now counts for nothing. */
  async function putOff(message: OutboxMessage, untilMs: number): Promise<void> {
    await store.commit([settleMessage(message.id, { ...message, nextMs: untilMs }, instantOf(deps.nowMs()))]);
  }

  async function tryOne(message: OutboxMessage): Promise<void> {
    const { notice, receiver: name } = message;
    const untilMs = awayUntilMs.get(name) ?? 0;
    if (untilMs > deps.nowMs()) return putOff(message, untilMs);
    const escalated = notice.type === 'plan.escalated' || notice.type === 'incident.escalated';
    if (escalated && !(await deps.waits(notice))) {
      const drop = { ...message, state: 'dropped', said: 'it was decided on before' } as const;
      await store.commit([settleMessage(message.id, drop, instantOf(deps.nowMs()))]);
      return;
    }
    const receiver = deps.receivers().find((each) => each.name === name);
    const earlier = await lastSaid(store, name, notice.subject);
    const comesLater = receiver?.edits === true && earlier === null && notice.type !== 'plan.held';
    if (comesLater && (await firstStillWaits(store, name, notice.subject)))
      return putOff(message, deps.nowMs() + PUT_OFF_MS);
    const sent: Sent =
      receiver === undefined
        ? { taken: false, why: 'the configuration names it no longer' }
        : await receiver.send({ id: message.id, notice, earlier });
    await settle(message, sent);
  }

  return {
    async follow() {
      let made = 0;
      for (;;) {
        const from = await outboxPosition(store);
        if (from === null) {
          // What was before anybody asked to be told is no news.
          await store.commit([beginOutbox(await deps.size())]);
          continue;
        }
        const entries = await ledger.entries({ from, limit: PAGE });
        const last = entries.at(-1);
        if (last === undefined) return made;
        const writes: Write[] = [];
        for (const stored of entries) writes.push(...(await messagesOf(stored)));
        // Another gateway was faster: what it made is there.
        if ((await store.commit([...writes, moveOutbox(from, last.index + 1)])) === null) made += writes.length;
      }
    },
    async deliver() {
      const nowMs = deps.nowMs();
      const due = await dueMessages(store, nowMs, AT_ONCE);
      const mine: OutboxMessage[] = [];
      for (const message of due)
        if ((await store.commit([claimMessage(message, nowMs + CLAIM_MS)])) === null) mine.push(message);
      // To one receiver in order; none waits for another.
      const byReceiver = Map.groupBy(mine, ({ receiver }) => receiver);
      await Promise.all(
        [...byReceiver.values()].map(async (messages) => {
          for (const message of messages) await tryOne(message);
        }),
      );
      if (due.length === 0 && nowMs >= forgetNextMs) {
        forgetNextMs = nowMs + FORGET_EVERY_MS;
        await store.commit([forgetMessages(instantOf(nowMs - KEEP_MS))]);
      }
      return mine.length;
    },
  };
}

/** What is told of a notice again where nobody has heeded it; `undefined` where nobody is to. */
function laterOf(notice: Notice): Notice | undefined {
  if (notice.type === 'plan.held')
    return { ...notice, type: 'plan.escalated', headline: `Still waits: ${notice.headline}` };
  if (notice.type === 'glass.broken')
    return { ...notice, type: 'incident.escalated', headline: `Nobody has reviewed it: ${notice.headline}` };
  return undefined;
}

/** The same for the same entry and receiver, whoever makes it. */
function idOf({ entry, type }: Notice, receiver: string): string {
  return `msg_${entry}_${type}_${receiver}`.replaceAll(/[^\w.@-]+/g, '-').slice(0, 200);
}
