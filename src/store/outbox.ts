import type { Notice } from '../domain/notice.ts';
import { statements } from './schema.ts';
import type { Store } from './store.ts';
import { type Write, write } from './write.ts';

export const OUTBOX_STATES = ['waiting', 'delivered', 'dead', 'dropped'] as const;
export type OutboxState = (typeof OUTBOX_STATES)[number];

/** A message to one receiver, and how far it has come. */
export interface OutboxMessage {
  readonly id: string;
  readonly receiver: string;
  readonly notice: Notice;
  readonly state: OutboxState;
  readonly attempts: number;
  /** When it is tried next; whoever tries it puts this off first. */
  readonly nextMs: number;
  /** What the receiver said last: its own name for what it took, or why it didn't. */
  readonly said: string | null;
}

/** Up to which entry of the ledger notices were made; `null` before the first. */
export async function outboxPosition(store: Store): Promise<number | null> {
  return (await store.first(statements.selectFrom('outbox_position').select('next')))?.next ?? null;
}

/** The first to begin, where several do. */
export function beginOutbox(next: number): Write {
  return write(statements.insertInto('outbox_position').values({ id: 1, next }), 1);
}

/** Only one of those who follow the ledger moves it from the same place. */
export function moveOutbox(from: number, to: number): Write {
  return write(statements.updateTable('outbox_position').set({ next: to }).where('next', '=', from), 1);
}

export function putMessage(message: Pick<OutboxMessage, 'id' | 'receiver' | 'notice' | 'nextMs'>): Write {
  const { id, receiver, notice, nextMs } = message;
  const row = {
    id,
    receiver,
    subject: notice.subject,
    type: notice.type,
    notice: JSON.stringify(notice),
    state: 'waiting',
    attempts: 0,
    next_ms: nextMs,
    said: null,
    changed_at: notice.at,
  };
  return write(
    statements
      .insertInto('outbox')
      .values(row)
      .onConflict((conflict) => conflict.column('id').doNothing()),
  );
}

/** What is to be tried now, in the order in which it came. */
export async function dueMessages(store: Store, nowMs: number, limit: number): Promise<readonly OutboxMessage[]> {
  const rows = await store.all(
    statements
      .selectFrom('outbox')
      .selectAll()
      .where('state', '=', 'waiting')
      .where('next_ms', '<=', nowMs)
      .orderBy('next_ms')
      .limit(limit),
  );
  return rows.map(messageOf);
}

/** Takes a message for a while: another gateway that saw it due as well comes too late. */
export function claimMessage({ id, nextMs }: OutboxMessage, untilMs: number): Write {
  return write(
    statements
      .updateTable('outbox')
      .set({ next_ms: untilMs })
      .where('id', '=', id)
      .where('state', '=', 'waiting')
      .where('next_ms', '=', nextMs),
    1,
  );
}

export function settleMessage(
  id: string,
  now: {
    readonly state: OutboxState;
    readonly attempts: number;
    readonly nextMs: number;
    readonly said: string | null;
  },
  at: string,
): Write {
  return write(
    statements
      .updateTable('outbox')
      .set({ state: now.state, attempts: now.attempts, next_ms: now.nextMs, said: now.said, changed_at: at })
      .where('id', '=', id),
  );
}

/** What a receiver called the last message about a subject that it took. */
export async function lastSaid(store: Store, receiver: string, subject: string): Promise<string | null> {
  const row = await store.first(
    taken(receiver, subject).select('said').where('said', 'is not', null).orderBy('changed_at', 'desc'),
  );
  return row?.said ?? null;
}

/** When a receiver first took a message about a subject. */
export async function firstTakenAt(store: Store, receiver: string, subject: string): Promise<string | null> {
  const row = await store.first(taken(receiver, subject).select('changed_at').orderBy('changed_at'));
  return row?.changed_at ?? null;
}

/** One message about a subject that a receiver took. */
function taken(receiver: string, subject: string) {
  return statements
    .selectFrom('outbox')
    .where('receiver', '=', receiver)
    .where('subject', '=', subject)
    .where('state', '=', 'delivered')
    .limit(1);
}

/** Whether the message that a plan waits is still to come to a receiver: not taken, and not given up. */
export async function firstStillWaits(store: Store, receiver: string, subject: string): Promise<boolean> {
  const row = await store.first(
    statements
      .selectFrom('outbox')
      .select('id')
      .where('receiver', '=', receiver)
      .where('subject', '=', subject)
      .where('type', '=', 'plan.held')
      .where('state', '=', 'waiting')
      .limit(1),
  );
  return row !== undefined;
}

export async function outboxMessages(
  store: Store,
  filter: { readonly state?: OutboxState; readonly limit: number },
): Promise<readonly OutboxMessage[]> {
  let query = statements.selectFrom('outbox').selectAll().orderBy('changed_at', 'desc').limit(filter.limit);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  return (await store.all(query)).map(messageOf);
}

/** All of one type about one subject, whatever became of them. */
export async function messagesAbout(store: Store, subject: string, type: string): Promise<readonly OutboxMessage[]> {
  const rows = await store.all(
    statements.selectFrom('outbox').selectAll().where('subject', '=', subject).where('type', '=', type),
  );
  return rows.map(messageOf);
}

/** How many there are in each state. */
export async function countMessages(store: Store): Promise<ReadonlyMap<OutboxState, number>> {
  const rows = await store.all(
    statements
      .selectFrom('outbox')
      .select(['state', ({ fn }) => fn.countAll<number>().as('count')])
      .groupBy('state'),
  );
  return new Map(rows.map(({ state, count }) => [state as OutboxState, Number(count)]));
}

/** Those that were taken or dropped long ago say nothing any more. */
export function forgetMessages(before: string): Write {
  return write(
    statements.deleteFrom('outbox').where('state', 'in', ['delivered', 'dropped']).where('changed_at', '<', before),
  );
}

function messageOf(row: {
  readonly id: string;
  readonly receiver: string;
  readonly notice: string;
  readonly state: string;
  readonly attempts: number;
  readonly next_ms: number;
  readonly said: string | null;
}): OutboxMessage {
  return {
    id: row.id,
    receiver: row.receiver,
    notice: JSON.parse(row.notice) as Notice,
    state: row.state as OutboxState,
    attempts: Number(row.attempts),
    nextMs: Number(row.next_ms),
    said: row.said,
  };
}
