import type { TransactionAct } from '../../domain/effect.ts';
import { close, parse, SYNC } from '../../engines/postgres/wire-messages.ts';
import type { EngineSession, ExpectedReply, Relayed, ReplySink } from '../../engines/session.ts';
import type { PreparedStatement } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { tell } from './conversation-replies.ts';
import type { Outbox } from './outbox.ts';

/**
 * BEGIN, COMMIT and their kin, and texts without a statement, are sent whole when they are executed: parsed, bound,
 * executed and forgotten again by the server.
 *
 * @param act `null` for a text without a statement.
 */
export async function executeWhole(
  { session, outbox, sink }: { readonly session: ActorSession; readonly outbox: Outbox; readonly sink: ReplySink },
  act: TransactionAct | null,
  {
    statement,
    bind,
    execute,
  }: { readonly statement: PreparedStatement; readonly bind: Buffer; readonly execute: Buffer },
): Promise<void> {
  await outbox.send('sync');
  if (outbox.skipping) return;
  const named = statement.name !== '';
  const frames = [
    parse(statement.name, statement.text, statement.types),
    bind,
    execute,
    ...(named ? [close('statement', statement.name)] : []),
    SYNC,
  ];
  const replies: ExpectedReply[] = [
    { to: 'parse', hidden: true },
    { to: 'bind', hidden: true },
    { to: 'execute' },
    ...(named ? [HIDDEN_CLOSE] : []),
    { to: 'sync' },
  ];
  const carry = async (connection: EngineSession, to: ReplySink): Promise<Relayed> => {
    const relayed = await session.relay(connection, frames, replies, to);
    // What is executed by itself ends the batch by its error, as any does.
    if (relayed.failure !== null) outbox.skipping = true;
    return relayed;
  };
  if (act === null) {
    await carry(await session.connectionFor(null), outbox.sink());
    return;
  }
  const outcome = await session.transact(act, carry, sink);
  if (outcome.outcome === 'done') return;
  tell(outbox.sink(), outcome);
  if (outcome.outcome !== 'applied') outbox.skipping = true;
}

const HIDDEN_CLOSE: ExpectedReply = { to: 'close', hidden: true };
