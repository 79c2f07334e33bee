import { type Command, Option } from 'commander';
import { instantOf } from '../domain/ids.ts';
import type { Countersign } from '../server/open-countersign.ts';
import { OUTBOX_STATES, type OutboxMessage, type OutboxState, outboxMessages, settleMessage } from '../store/outbox.ts';
import { answerWith, type CommonOptions, UsageError, withCommonOptions } from './command.ts';

interface ListOptions extends CommonOptions {
  readonly state?: OutboxState;
}

const MOST = 200;

/** Adds `countersign notification list|retry`. */
export function registerNotification(program: Command): void {
  const notification = program.command('notification').description('messages to people and programs outside');
  withCommonOptions(notification.command('list').description('the newest, with what became of them'))
    .addOption(new Option('--state <state>', 'only those that are').choices(OUTBOX_STATES))
    .action((options: ListOptions) => answerWith(options, (countersign) => list(countersign, options), 'not needed'));
  withCommonOptions(
    notification.command('retry <message>').description('send one again that nobody took; `dead` for all of them'),
  ).action((which: string, options: CommonOptions) =>
    answerWith(options, (countersign) => retry(countersign, which), 'not needed'),
  );
}

async function list({ store }: Countersign, { state }: ListOptions) {
  const messages = await outboxMessages(store, { limit: MOST, ...(state === undefined ? {} : { state }) });
  const lines = messages.flatMap((message) => [
    `${message.state.padEnd(9)} ${message.notice.at}  ${message.notice.type.padEnd(14)}  ${message.receiver}  ${message.id}`,
    `          ${message.notice.headline}`,
    ...(message.state === 'delivered' || message.said === null ? [] : [`          ${problem(message)}`]),
  ]);
  return { json: { messages }, text: lines.join('\n') || 'There are none.' };
}

function problem({ state, attempts, nextMs, said }: OutboxMessage): string {
  return state === 'waiting' ? `tried ${attempts} times, next at ${instantOf(nextMs)}: ${said}` : String(said);
}

async function retry({ store, clock }: Countersign, which: string) {
  const found = (await outboxMessages(store, { limit: Number.MAX_SAFE_INTEGER })).filter(
    ({ id, state }) => state !== 'delivered' && (which === 'dead' ? state === 'dead' : id === which),
  );
  if (found.length === 0 && which !== 'dead')
    throw new UsageError(
      `There is no message ${which} that waits or is dead.`,
      'See them with: countersign notification list',
    );
  const nowMs = clock.now();
  const again = { state: 'waiting', attempts: 0, nextMs: nowMs } as const;
  await store.commit(found.map(({ id, said }) => settleMessage(id, { ...again, said }, instantOf(nowMs))));
  return {
    json: { messages: found.map(({ id }) => id) },
    text: `${found.length} ${found.length === 1 ? 'message goes' : 'messages go'} out again; a running gateway sends ${found.length === 1 ? 'it' : 'them'}.`,
  };
}
